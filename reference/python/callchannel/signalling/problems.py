# SPDX-License-Identifier: Apache-2.0
"""The errors of signalling: statuses, codes, and what a client makes of them (specification, section 13.10)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from callchannel.core.errors import CallChannelError, ErrorCode


class Repeat(enum.Enum):
    """Whether a client may make the request again."""

    NO = "no"
    TOKEN = "token"
    """With another token."""
    LATER = "later"
    """After a pause, or after what `Retry-After` says."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row of the table."""

    code: str
    status: int
    told_as: ErrorCode
    repeat: Repeat
    meaning: str

    @property
    def title(self) -> str:
        """The phrase of the status."""
        return HTTPStatus(self.status).phrase


PROBLEMS: Final[dict[str, Problem]] = {
    problem.code: problem
    for problem in (
        Problem("call_name", 400, ErrorCode.INVALID_ARGUMENT, Repeat.NO, "the name of the call is malformed"),
        Problem("identity", 400, ErrorCode.INVALID_ARGUMENT, Repeat.NO, "the identity is missing or malformed"),
        Problem("sdp", 400, ErrorCode.PROTOCOL, Repeat.NO, "the body is not a session description"),
        Problem("token_missing", 401, ErrorCode.NOT_ADMITTED, Repeat.TOKEN, "there is no bearer token"),
        Problem("token_invalid", 401, ErrorCode.NOT_ADMITTED, Repeat.TOKEN, "the token is not good"),
        Problem("token_expired", 401, ErrorCode.NOT_ADMITTED, Repeat.TOKEN, "the token has expired"),
        Problem("origin", 403, ErrorCode.NOT_ADMITTED, Repeat.NO, "pages of this origin are not allowed"),
        Problem("call", 403, ErrorCode.NOT_ADMITTED, Repeat.TOKEN, "the token is for another call"),
        Problem("not_found", 404, ErrorCode.NOT_ADMITTED, Repeat.NO, "there is no such resource"),
        Problem("method", 405, ErrorCode.PROTOCOL, Repeat.NO, "this is not a method of the resource"),
        Problem("body_size", 413, ErrorCode.PROTOCOL, Repeat.NO, "the body is too large"),
        Problem("media_type", 415, ErrorCode.PROTOCOL, Repeat.NO, "the content type is not application/sdp"),
        Problem("offer", 422, ErrorCode.PROTOCOL, Repeat.NO, "the offer can't be answered"),
        Problem("offer_rate", 429, ErrorCode.RATE, Repeat.LATER, "there are too many offers of this participant"),
        Problem("connections", 429, ErrorCode.RATE, Repeat.LATER, "this participant has too many connections"),
        Problem("internal", 500, ErrorCode.INTERNAL, Repeat.LATER, "the relay failed"),
        Problem("call_full", 503, ErrorCode.CALL_FULL, Repeat.LATER, "the call has too many connections"),
        Problem("stopping", 503, ErrorCode.GOING_AWAY, Repeat.LATER, "the relay stops"),
        Problem("overload", 503, ErrorCode.GOING_AWAY, Repeat.LATER, "the relay takes no more at the moment"),
    )
}

_BY_STATUS: Final[dict[int, tuple[ErrorCode, Repeat]]] = {
    401: (ErrorCode.NOT_ADMITTED, Repeat.TOKEN),
    403: (ErrorCode.NOT_ADMITTED, Repeat.NO),
    404: (ErrorCode.NOT_ADMITTED, Repeat.NO),
    408: (ErrorCode.TIMEOUT, Repeat.LATER),
    429: (ErrorCode.RATE, Repeat.LATER),
    503: (ErrorCode.GOING_AWAY, Repeat.LATER),
}


def judge(status: int, code: object) -> tuple[ErrorCode, Repeat]:
    """What a client makes of an answer. Where it does not know `code`, the status decides (CC-SIG-058)."""
    problem = PROBLEMS.get(code) if isinstance(code, str) else None
    if problem is not None and problem.status == status:
        return problem.told_as, problem.repeat
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return (ErrorCode.INTERNAL, Repeat.LATER) if status >= 500 else (ErrorCode.PROTOCOL, Repeat.NO)


class SignallingError(CallChannelError):
    """Connecting to a relay failed.

    `code` is the registry's code; `status` the HTTP status, None where no answer came; `problem` the answer's `code`,
    such as "token_expired", or "timeout", "unreachable" or "connection" where it is not the relay that says no;
    `detail` what the relay says to people. `retryable`: the same request may succeed later, not before `retry_after`
    seconds. `needs_token`: it may succeed with another token.
    """

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode,
        problem: str,
        status: int | None = None,
        detail: str = "",
        repeat: Repeat = Repeat.NO,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.problem = problem
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.retryable = repeat is Repeat.LATER
        self.needs_token = repeat is Repeat.TOKEN
