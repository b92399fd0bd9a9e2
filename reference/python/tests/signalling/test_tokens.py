# SPDX-License-Identifier: Apache-2.0
import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callchannel.core.errors import InvalidArgument
from callchannel.signalling.tokens import Grant, Key, TokenRejected, Verifier, issue_token, read_key

KEY = b"an example key of at least 32 bytes, never to be used"
OTHER = b"another key of at least 32 bytes, for the same relay"
NOW = 1_798_761_000.0
EXAMPLE = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    ".eyJhdWQiOiJjYWxsY2hhbm5lbCIsInN1YiI6ImFubmEiLCJjYWxsIjoic3RhbmR1cCIsImV4cCI6MTc5ODc2MTYwMH0"
    ".4FUak23kZhU0AfEkbWV-DKoik_e9RNbp2f9WzXTDdDI"
)
"""The token of section 13.6."""

CLAIMS: dict[str, Any] = {"aud": "callchannel", "sub": "anna", "call": "standup", "exp": NOW + 60}


def verifier(now: float = NOW, **options: Any) -> Verifier:
    return Verifier([Key(secret=KEY)], clock=lambda: now, **options)


def signed(claims: Any, header: Any = None, key: bytes = KEY) -> str:
    """A token with any header and claims, signed by hand with HMAC and SHA-256."""

    def part(value: Any) -> bytes:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    text = part({"alg": "HS256", "typ": "JWT"} if header is None else header) + b"." + part(claims)
    return (text + b"." + part(hmac.new(key, text, hashlib.sha256).digest())).decode()


def rejected(token: str, now: float = NOW, **options: Any) -> str:
    with pytest.raises(TokenRejected) as caught:
        verifier(now, **options).verify(token)
    assert all(part not in str(caught.value) for part in token.split(".") if len(part) > 3)
    return caught.value.problem


def test_the_example_of_the_standard_is_good() -> None:
    assert verifier().verify(EXAMPLE) == Grant(identity="anna", call="standup", may_send=True)


@pytest.mark.parametrize(
    ("permissions", "may_send"),
    [(None, True), (["send"], True), (["receive"], False), ([], False), (["x", "send"], True)],
)
def test_what_is_issued_is_verified(permissions: list[str] | None, may_send: bool) -> None:
    # CC-SIG-033, CC-SIG-034
    token = issue_token(KEY, "Änne \0", "a.b-c_1", permissions, 60, issuer="app", now=NOW)
    assert verifier(issuer="app").verify(token) == Grant(identity="Änne \0", call="a.b-c_1", may_send=may_send)


def test_time_decides_to_the_leeway_and_no_further() -> None:
    # CC-SIG-029
    token = signed({**CLAIMS, "nbf": NOW})
    assert verifier(NOW + 60 + 29.9).verify(token).identity == "anna"
    assert rejected(token, NOW + 60 + 30) == "token_expired"
    assert rejected(token, NOW + 10_000) == "token_expired"
    assert verifier(NOW - 30).verify(token).identity == "anna"
    assert rejected(token, NOW - 30.1) == "token_invalid"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "hs256"},
        {"alg": "HS384"},
        {"alg": "HS512"},
        {"alg": "RS256"},
        {"alg": ["HS256"]},
        {"typ": "JWT"},
        {"alg": "HS256", "crit": []},
        {"alg": "HS256", "crit": ["exp"], "exp": 1},
        {"alg": "HS256", "b64": False, "crit": ["b64"]},
        [],
        "HS256",
        b"\xff",
        b'{"alg":"HS256"',
        b"[" * 2_000,
    ],
)
def test_no_header_but_hs256_is_taken(header: Any) -> None:
    # CC-SIG-024, CC-SIG-025
    assert rejected(signed(CLAIMS, header)) == "token_invalid"


def test_no_token_is_taken_unsigned() -> None:
    unsigned = jwt.encode({**CLAIMS, "exp": int(NOW + 60)}, None, algorithm="none")
    assert rejected(unsigned) == "token_invalid"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_with_the_right_key_is_not_taken(algorithm: str) -> None:
    secret = KEY + KEY
    token = jwt.encode({**CLAIMS, "exp": int(NOW + 60)}, secret, algorithm=algorithm)
    with pytest.raises(TokenRejected, match="algorithm"):
        Verifier([Key(secret=secret)], clock=lambda: NOW).verify(token)


@pytest.mark.parametrize(
    "change",
    [
        {"aud": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": ["callchannel", 1]},
        {"aud": {"callchannel": 1}},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a" * 256},
        {"sub": "\ud800"},
        {"call": None},
        {"call": 7},
        {"exp": None},
        {"exp": str(NOW + 60)},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"nbf": "x"},
        {"nbf": None},
        {"iat": "x"},
        {"iss": 7},
        {"permissions": "send"},
        {"permissions": ["send", 1]},
        {"permissions": None},
    ],
)
def test_a_claim_of_another_form_or_value_is_rejected(change: dict[str, Any]) -> None:
    # CC-SIG-028
    assert rejected(signed({**CLAIMS, **change})) == "token_invalid"


@pytest.mark.parametrize("name", ["aud", "sub", "call", "exp"])
def test_a_needed_claim_may_not_be_absent(name: str) -> None:
    # CC-SIG-028
    assert rejected(signed({key: value for key, value in CLAIMS.items() if key != name})) == "token_invalid"


@pytest.mark.parametrize(
    "change",
    [{"aud": ["x", "callchannel"]}, {"iat": NOW + 1e6}, {"jti": 7, "x": None}, {"exp": NOW + 0.5}, {"iss": "x"}],
)
def test_what_the_table_does_not_judge_is_ignored(change: dict[str, Any]) -> None:
    # CC-SIG-031
    assert verifier().verify(signed({**CLAIMS, **change})).identity == "anna"


def test_the_issuer_is_judged_if_the_relay_is_told_to() -> None:
    # CC-SIG-030
    assert rejected(signed(CLAIMS), issuer="app") == "token_invalid"
    assert rejected(signed({**CLAIMS, "iss": "other"}), issuer="app") == "token_invalid"


def test_the_signature_comes_before_the_claims() -> None:
    # CC-SIG-026: an expired token with a wrong signature is not called expired
    assert rejected(signed({**CLAIMS, "exp": 1}, key=OTHER)) == "token_invalid"


def test_several_keys_and_their_names() -> None:
    keys = [Key(secret=KEY, name="old"), Key(secret=OTHER, name="new")]
    judge = Verifier(keys, clock=lambda: NOW)
    for secret, name in ((KEY, "old"), (OTHER, "new"), (OTHER, None), (OTHER, "unknown")):
        token = issue_token(secret, "anna", "standup", key_name=name, now=NOW)
        assert judge.verify(token).identity == "anna"
    with pytest.raises(TokenRejected):
        judge.verify(issue_token(OTHER, "anna", "standup", key_name="old", now=NOW))
    assert "secret" not in repr(keys[0])


def test_a_long_token_is_rejected_before_it_is_read() -> None:
    # CC-SIG-032
    token = signed({**CLAIMS, "x": "y" * 4_096})
    assert rejected(token) == "token_invalid"


@settings(deadline=None)
@given(
    st.text(max_size=200)
    | st.binary(max_size=200).map(lambda raw: signed(CLAIMS, raw))
    | st.binary(max_size=200).map(signed)
)
def test_nothing_makes_a_verifier_raise_anything_else(token: str) -> None:
    with pytest.raises(TokenRejected):
        verifier().verify(token)


@settings(deadline=None)
@given(st.integers(0, len(EXAMPLE) - 2), st.sampled_from("ABCxyz019-_.="))
def test_a_changed_token_is_rejected(at: int, char: str) -> None:
    # The last character is left out: two of its bits mean nothing.
    changed = EXAMPLE[:at] + char + EXAMPLE[at + 1 :]
    if changed != EXAMPLE:
        with pytest.raises(TokenRejected):
            verifier().verify(changed)


def test_keys_come_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    assert read_key(file=file) == KEY
    monkeypatch.setenv("A_KEY", KEY.decode())
    assert read_key(env="A_KEY") == KEY
    file.write_bytes(b"short")
    with pytest.raises(InvalidArgument, match=r"has 5 bytes, a key needs 32 at least; make one with: openssl"):
        read_key(file=file)
    with pytest.raises(InvalidArgument, match="can't be read: No such file"):
        read_key(file=tmp_path / "none")
    monkeypatch.delenv("A_KEY")
    with pytest.raises(InvalidArgument, match="A_KEY, which should have the key, is not set"):
        read_key(env="A_KEY")
    with pytest.raises(InvalidArgument, match="name one of them"):
        read_key()
    with pytest.raises(InvalidArgument, match="name one of them"):
        read_key(file=file, env="A_KEY")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"secret": b"x" * 31}, "31 bytes"),
        ({"identity": ""}, "identity"),
        ({"identity": "ä" * 128}, "identity"),
        ({"call": "a/b"}, "name"),
        ({"lifetime": 0}, "lifetime"),
        ({"lifetime": float("nan")}, "lifetime"),
    ],
)
def test_what_a_relay_would_reject_is_not_issued(arguments: dict[str, Any], match: str) -> None:
    # CC-SIG-027
    with pytest.raises(InvalidArgument, match=match):
        issue_token(**{"secret": KEY, "identity": "anna", "call": "standup", **arguments})


def test_a_relay_needs_a_key() -> None:
    with pytest.raises(InvalidArgument, match="needs a key"):
        Verifier([])
    with pytest.raises(InvalidArgument, match="has 5 bytes"):
        Key(secret=b"short")
