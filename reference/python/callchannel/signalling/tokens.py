# SPDX-License-Identifier: Apache-2.0
"""Admission tokens: who may join which call, and as whom (specification, section 13.6).

An application's server makes them with `issue_token`; a relay judges them with a `Verifier`. Both share a key, which
comes from a file or an environment variable: arguments of a process can be read by others.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt

from callchannel.core.errors import InvalidArgument
from callchannel.signalling.limits import SignallingLimits
from callchannel.signalling.names import AUDIENCE, is_call_name, is_identity

ALGORITHM: Final = "HS256"
"""The only algorithm, whatever a token's header says (CC-SIG-024)."""

KEY_LENGTH: Final = 32
"""Bytes that a key has at least (CC-SIG-027)."""

SEND: Final = "send"
"""The permission to send."""

_DEFAULTS: Final = SignallingLimits()

_OPTIONS: Final[Any] = {
    "verify_signature": True,
    "require": [],
    **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss"), False),
    **dict.fromkeys(("verify_sub", "verify_jti"), False),
}
"""The library checks the signature; claims are checked here, by the table of chapter 13."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a relay. `name` is compared with a token's `kid`; None: it is tried for every token without a known
    one.
    """

    secret: bytes
    name: str | None = None

    def __post_init__(self) -> None:
        check_key(self.secret)

    def __repr__(self) -> str:
        return f"Key(name={self.name!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a good token says."""

    identity: str
    call: str
    may_send: bool = True


class TokenRejected(Exception):
    """A token is not good. `problem` is `token_invalid` or `token_expired`; the text has no part of the token."""

    def __init__(self, detail: str, *, expired: bool = False) -> None:
        super().__init__(detail)
        self.problem = "token_expired" if expired else "token_invalid"


def check_key(secret: bytes, source: str = "the key") -> bytes:
    """Return `secret`. Raises `InvalidArgument`, which names `source`, when it is too short."""
    if len(secret) < KEY_LENGTH:
        raise InvalidArgument(
            f"{source} has {len(secret)} bytes, a key needs {KEY_LENGTH} at least; "
            "make one with: openssl rand -base64 32"
        )
    return secret


def read_key(*, file: str | Path | None = None, env: str | None = None) -> bytes:
    """Read a key from a file or an environment variable, and give one of the two.

    White space at the ends does not count. Raises `InvalidArgument` when it is not there or too short.
    """
    if (file is None) == (env is None):
        raise InvalidArgument("a key comes from a file or from an environment variable: name one of them")
    if file is not None:
        try:
            return check_key(Path(file).read_bytes().strip(), f"the key in {file}")
        except OSError as exc:
            raise InvalidArgument(f"the key file {file} can't be read: {exc.strerror}") from exc
    assert env is not None
    value = os.environ.get(env)
    if value is None:
        raise InvalidArgument(f"the environment variable {env}, which should have the key, is not set")
    return check_key(os.fsencode(value).strip(), f"the key in the environment variable {env}")


def issue_token(
    secret: bytes,
    identity: str,
    call: str,
    permissions: Iterable[str] | None = None,
    lifetime: float = 120.0,
    *,
    issuer: str | None = None,
    key_name: str | None = None,
    now: float | None = None,
) -> str:
    """Make an admission token.

    `permissions=None`: may send and receive; `[]` or `["receive"]`: may receive alone. `lifetime` is in seconds; a
    token is needed for joining and for each reconnection, so one or two minutes are enough where a client can get a
    new one. `now` is the time in seconds since 1970. Raises `InvalidArgument` for what the relay would reject.
    """
    check_key(secret)
    if not is_identity(identity):
        raise InvalidArgument("an identity is 1 to 255 bytes of UTF-8")
    if not is_call_name(call):
        raise InvalidArgument("a call's name is 1 to 128 of A-Z a-z 0-9 - _ . and begins with a letter or digit")
    if not (math.isfinite(lifetime) and lifetime > 0):
        raise InvalidArgument(f"the lifetime is {lifetime!r}, it has to be a number of seconds greater than 0")
    claims: dict[str, Any] = {
        "aud": AUDIENCE,
        "sub": identity,
        "call": call,
        "exp": math.ceil((time.time() if now is None else now) + lifetime),
    }
    if permissions is not None:
        claims["permissions"] = [str(permission) for permission in permissions]
    if issuer is not None:
        claims["iss"] = issuer
    headers = None if key_name is None else {"kid": key_name}
    return jwt.encode(claims, secret, algorithm=ALGORITHM, headers=headers)


class Verifier:
    """Judges tokens, as a relay does. `clock` gives seconds since 1970."""

    def __init__(
        self,
        keys: Sequence[Key],
        *,
        issuer: str | None = None,
        limits: SignallingLimits = _DEFAULTS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not keys:
            raise InvalidArgument("a relay needs a key to judge tokens by")
        self._keys = tuple(keys)
        self._issuer = issuer
        self._leeway = limits.token_leeway / 1_000
        self._longest = limits.admission_token
        self._clock = clock

    def verify(self, token: str) -> Grant:
        """Return what a token grants. Raises `TokenRejected`, and nothing else, when it is not good."""
        if len(token) > self._longest:
            raise TokenRejected(f"the token is longer than {self._longest} bytes")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != ALGORITHM:
                raise TokenRejected(f"the token's algorithm is not {ALGORITHM}")
            if "crit" in header:
                raise TokenRejected("the token's header has extensions that have to be understood")
            claims = self._claims(token, header.get("kid"))
        except TokenRejected:
            raise
        except Exception:
            # Of whatever kind: a malformed token makes the library and json raise more than their own exceptions.
            raise TokenRejected("the token is malformed") from None
        return self._judge(claims)

    def _claims(self, token: str, name: object) -> dict[str, Any]:
        keys = [key for key in self._keys if key.name is not None and key.name == name] or self._keys
        for key in keys:
            try:
                claims: dict[str, Any] = jwt.decode(token, key.secret, algorithms=[ALGORITHM], options=_OPTIONS)
                return claims
            except jwt.InvalidSignatureError:
                continue
        raise TokenRejected("the token's signature is not by a key that the relay knows")

    def _judge(self, claims: dict[str, Any]) -> Grant:
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if audiences is None or not _is_strings(audiences) or AUDIENCE not in audiences:
            raise TokenRejected(f"the token's audience (aud) is not {AUDIENCE}")
        identity, call = claims.get("sub"), claims.get("call")
        if not is_identity(identity):
            raise TokenRejected("the token has no identity (sub) of 1 to 255 bytes")
        if not isinstance(call, str):
            raise TokenRejected("the token names no call (call)")
        for name in ("exp", "nbf", "iat"):
            if (name in claims or name == "exp") and not _is_time(claims.get(name)):
                raise TokenRejected(f"the token's time {name} is missing or not a number")
        if "iss" in claims and not isinstance(claims["iss"], str):
            raise TokenRejected("the token's issuer (iss) is not a string")
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise TokenRejected("the token is by another issuer (iss)")
        permissions = claims.get("permissions", [SEND])
        if not _is_strings(permissions):
            raise TokenRejected("the token's permissions are not an array of strings")
        now = self._clock()
        if "nbf" in claims and now < claims["nbf"] - self._leeway:
            raise TokenRejected("the token is not good yet (nbf)")
        if now >= claims["exp"] + self._leeway:
            raise TokenRejected(f"the token expired {_ago(now - claims['exp'])} ago", expired=True)
        return Grant(identity=str(identity), call=call, may_send=SEND in permissions)


def _is_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e15 < value < 1e15


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} seconds"
