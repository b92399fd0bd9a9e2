# SPDX-License-Identifier: Apache-2.0
"""The registry of errors, and the exceptions that commands raise (specification, chapter 14).

Every exception of this package is a `CallChannelError` and carries its registry code. Remote bytes never raise: what a
peer does wrong becomes an event, a counted drop, or the end of the link.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Scope(enum.Enum):
    """How far an error reaches."""

    NONE = "none"
    LINK = "link"
    SESSION = "session"
    MESSAGE = "message"
    CALLER = "caller"


class Retry(enum.Enum):
    """Whether trying again can help."""

    NO = "no"
    SAME = "same"
    """The same call may succeed later."""
    CHANGED = "changed"
    """Only with other arguments."""
    REJOIN = "rejoin"
    """On a new link."""


class ErrorCode(enum.IntEnum):
    """Codes of `spec/registry/errors.toml`; what each means stands there and in chapter 14."""

    NONE = 0x0000
    PROTOCOL = 0x0001
    PACKET_SIZE = 0x0002
    FRAME_LENGTH = 0x0003
    UNKNOWN_TYPE = 0x0004
    HANDSHAKE = 0x0005
    WRONG_LANE = 0x0006
    FRAME_FORMAT = 0x0007
    SLOT = 0x0008
    EPOCH = 0x0009
    FLOW_CONTROL = 0x000A
    VERSION = 0x000B
    TOO_SMALL = 0x000C
    RESUME_UNKNOWN = 0x000D
    RESUME_STALE = 0x000E
    RESUME_MISMATCH = 0x000F
    TIMEOUT = 0x0010
    RATE = 0x0011
    NOT_ADMITTED = 0x0012
    CALL_FULL = 0x0013
    REPLACED = 0x0014
    GOING_AWAY = 0x0015
    INTERNAL = 0x0016
    LINK_LOST = 0x0017

    SESSION_MISMATCH = 0x0020
    SEQUENCE = 0x0021
    FRAGMENT = 0x0022
    TOO_MANY_SESSIONS = 0x0023
    OVERRUN = 0x0024
    MEMORY = 0x0025
    CLOSED = 0x0026
    LEFT = 0x0027
    LOST = 0x0028
    TOO_LARGE = 0x0029
    EXTENSION = 0x002A
    IDLE = 0x002B

    UNKNOWN_RECIPIENT = 0x0030
    RECIPIENT_FAILED = 0x0031
    MESSAGE_TOO_LARGE = 0x0032
    POLICY = 0x0033
    ABORTED = 0x0034
    CANCELLED = 0x0035
    DEADLINE = 0x0036

    INVALID_ARGUMENT = 0x0040
    NOT_JOINED = 0x0041
    SENDER_CLOSED = 0x0042
    SEQUENCE_EXHAUSTED = 0x0043
    TOO_MANY_RECIPIENTS = 0x0044
    WOULD_BLOCK = 0x0045
    NO_CHANNEL = 0x0046
    CUSTODY_LOST = 0x0047

    @property
    def scope(self) -> Scope:
        """How far an error with this code reaches."""
        if self == 0:
            return Scope.NONE
        if self < 0x20:
            return Scope.LINK
        if self < 0x30:
            return Scope.SESSION
        return Scope.MESSAGE if self < 0x40 else Scope.CALLER

    @property
    def retry(self) -> Retry:
        """Whether trying again can help."""
        return _RETRY.get(self, Retry.NO)


_RETRY: Mapping[int, Retry] = {
    code: retry
    for retry, codes in {
        Retry.SAME: (
            ErrorCode.CALL_FULL,
            ErrorCode.TOO_MANY_SESSIONS,
            ErrorCode.OVERRUN,
            ErrorCode.MEMORY,
            ErrorCode.CANCELLED,
            ErrorCode.DEADLINE,
            ErrorCode.NOT_JOINED,
            ErrorCode.WOULD_BLOCK,
            ErrorCode.NO_CHANNEL,
        ),
        Retry.CHANGED: (
            ErrorCode.TOO_SMALL,
            ErrorCode.NOT_ADMITTED,
            ErrorCode.TOO_LARGE,
            ErrorCode.EXTENSION,
            ErrorCode.UNKNOWN_RECIPIENT,
            ErrorCode.RECIPIENT_FAILED,
            ErrorCode.MESSAGE_TOO_LARGE,
            ErrorCode.INVALID_ARGUMENT,
            ErrorCode.TOO_MANY_RECIPIENTS,
        ),
        Retry.REJOIN: (
            ErrorCode.RESUME_UNKNOWN,
            ErrorCode.RESUME_MISMATCH,
            ErrorCode.TIMEOUT,
            ErrorCode.RATE,
            ErrorCode.GOING_AWAY,
            ErrorCode.INTERNAL,
            ErrorCode.LINK_LOST,
        ),
    }.items()
    for code in codes
}


def error_code(value: int) -> ErrorCode | int:
    """Turn a number from the wire into an `ErrorCode`; an unknown one stays an `int`."""
    try:
        return ErrorCode(value)
    except ValueError:
        return value


def error_name(value: int) -> str:
    """The registry's name of a code, or its number in hexadecimal where it has none."""
    code = error_code(value)
    return code.name if isinstance(code, ErrorCode) else f"0x{value:04X}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one message, by participant.

    A participant with two devices stands twice. `reached` is None where the sender can't know the set: a broadcast
    without a receipt goes to whoever is in the call when the relay admits it.
    """

    sequence: int
    reached: tuple[str, ...] | None = None
    failed: tuple[tuple[str, int], ...] = ()
    """(identifier, error code) of each recipient that the message never reached and never will."""
    unknown: tuple[tuple[str, int], ...] = ()
    """(identifier, error code) of each recipient that it may or may not have reached."""
    passed_over: tuple[str, ...] = ()
    """Who failed earlier in this session and so was no recipient of a message to everyone (CC-DELIV-028)."""

    @property
    def code(self) -> int:
        """The reason given first: of a failed recipient if there is one, else of an unknown one (CC-ERR-012)."""
        rows = self.failed or self.unknown
        return rows[0][1] if rows else ErrorCode.NONE

    def __str__(self) -> str:
        parts = [f"message {self.sequence}"]
        if self.reached is not None:
            parts.append(f"reached {', '.join(map(ascii, self.reached)) or 'nobody'}")
        for label, rows in (("failed", self.failed), ("unknown", self.unknown)):
            if rows:
                named = ", ".join(f"{who!a} ({error_name(code)})" for who, code in rows)
                parts.append(f"{label} for {named}")
        if self.passed_over:
            parts.append(f"passed over {', '.join(map(ascii, self.passed_over))}")
        return "; ".join(parts)


class CallChannelError(Exception):
    """The root of all exceptions here. `code` is the registry's code."""

    code: int = ErrorCode.INTERNAL

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    @property
    def scope(self) -> Scope:
        """How far the error reaches, by the registry."""
        code = error_code(self.code)
        return code.scope if isinstance(code, ErrorCode) else Scope.CALLER


class FrameError(CallChannelError):
    """Bytes are not a valid frame. `offset` counts from the packet's start; `requirement` is the broken rule."""

    def __init__(self, code: ErrorCode, offset: int, detail: str, requirement: str) -> None:
        super().__init__(f"{code.name} at byte {offset}: {detail} ({requirement})", code=code)
        self.offset = offset
        self.detail = detail
        self.requirement = requirement


class InvalidArgument(CallChannelError, ValueError):
    """A wrong type, an unknown option or a value out of range. Nothing was sent."""

    code = ErrorCode.INVALID_ARGUMENT


class NotJoined(CallChannelError):
    """The call was not joined yet."""

    code = ErrorCode.NOT_JOINED


class LinkLost(CallChannelError):
    """The link has ended. `code` says why: LINK_LOST, LEFT, or what the last BYE said."""

    code = ErrorCode.LINK_LOST


class SenderClosed(CallChannelError):
    """The sender was closed by its own application, or replaced by a newer one on its channel."""

    code = ErrorCode.SENDER_CLOSED


class ReceiverClosed(CallChannelError):
    """The receiver has ended and everything was read. `code` says why."""

    code = ErrorCode.CLOSED


class SessionFailed(CallChannelError):
    """The relay or the peer ended the whole session. `code` says why; a new sender starts anew."""

    code = ErrorCode.PROTOCOL


class SequenceExhausted(CallChannelError):
    """The session has used its last sequence number. Open a new sender."""

    code = ErrorCode.SEQUENCE_EXHAUSTED


class MessageTooLarge(CallChannelError):
    """The message is larger than `limit` bytes. Send it as a stream, or in parts."""

    code = ErrorCode.MESSAGE_TOO_LARGE

    def __init__(self, size: int, limit: int, hint: str = "") -> None:
        super().__init__(f"the message has {size} bytes, the limit is {limit}{hint}")
        self.size = size
        self.limit = limit


class TooManyRecipients(CallChannelError):
    """A Lossy message names participants too far apart for one packet. Name fewer, or those to leave out."""

    code = ErrorCode.TOO_MANY_RECIPIENTS


class WouldBlock(CallChannelError):
    """The sender's buffer is full. Wait for `SenderWritable`, then send again."""

    code = ErrorCode.WOULD_BLOCK


class NoChannel(CallChannelError):
    """All 65,535 channels are in use. Close a sender."""

    code = ErrorCode.NO_CHANNEL


class DeliveryFailed(CallChannelError):
    """A Reliable message did not reach everyone it was for. `report` says who got it and who did not."""

    code = ErrorCode.UNKNOWN_RECIPIENT

    def __init__(self, report: Report, *, code: int | None = None) -> None:
        super().__init__(str(report), code=code)
        self.report = report


class RecipientsUnavailable(DeliveryFailed):
    """Named recipients are not in the call (UNKNOWN_RECIPIENT) or failed before (RECIPIENT_FAILED). See `names`."""

    def __init__(self, report: Report, *, code: int | None = None) -> None:
        super().__init__(report, code=code)
        self.names: tuple[str, ...] = tuple(name for name, _ in report.failed)


class Refused(DeliveryFailed):
    """The relay refused the message; nobody got it. `code` says why."""

    code = ErrorCode.POLICY


class StreamAborted(CallChannelError):
    """The sender of a stream gave it up half way."""

    code = ErrorCode.ABORTED


class DeadlineExceeded(CallChannelError, TimeoutError):
    """The caller's time ran out. `written` tells whether anything of the message may have gone out."""

    code = ErrorCode.DEADLINE

    def __init__(self, message: str, *, written: bool = False) -> None:
        super().__init__(message)
        self.written = written


@dataclass(slots=True)
class DropCounter:
    """How often something was dropped, by reason. Reasons are those of chapter 7."""

    by_reason: dict[str, int] = field(default_factory=dict)

    def add(self, reason: str, count: int = 1) -> None:
        """Count `count` drops for `reason`."""
        self.by_reason[reason] = self.by_reason.get(reason, 0) + count

    def add_all(self, other: DropCounter) -> None:
        """Count what another counter has, too."""
        for reason, count in other.by_reason.items():
            self.add(reason, count)

    @property
    def total(self) -> int:
        """All drops together."""
        return sum(self.by_reason.values())
