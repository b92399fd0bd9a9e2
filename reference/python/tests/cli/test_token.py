# SPDX-License-Identifier: Apache-2.0
"""`callchannel token`."""

import json
from pathlib import Path

import pytest

from callchannel.cli.main import main
from callchannel.signalling.tokens import Key, TokenRejected, Verifier

KEY = "an example key of at least 32 bytes, never to be used"


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "token.key"
    path.write_text(KEY + "\n")
    return str(path)


def test_a_relay_takes_it(key_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "--key-file", key_file, "standup", "änna"]) == 0
    (token,) = capsys.readouterr().out.splitlines()
    grant = Verifier([Key(secret=KEY.encode())]).verify(token)
    assert (grant.identity, grant.call, grant.may_send) == ("änna", "standup", True)


def test_options_and_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    arguments = ["--key-env", "THE_KEY", "--receive-only", "--lifetime", "600", "--issuer", "me", "--key-name", "k"]
    assert main(["token", "standup", "anna", *arguments, "--json"]) == 0
    event = json.loads(capsys.readouterr().out)
    assert (event["event"], event["lifetime"]) == ("token", 600)
    verifier = Verifier([Key(secret=KEY.encode(), name="k")], issuer="me", clock=lambda: 0)
    assert verifier.verify(event["token"]).may_send is False
    with pytest.raises(TokenRejected):
        Verifier([Key(secret=KEY.encode())], issuer="you").verify(event["token"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["stand up", "anna"], "a call's name"),
        (["standup", ""], "an identity"),
        (["standup", "anna", "--lifetime", "0"], "lifetime"),
    ],
)
def test_what_no_relay_would_take(
    arguments: list[str], told: str, key_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "--key-file", key_file, *arguments]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.out == ""


def test_keys_come_from_files_and_the_environment_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["token", "standup", "anna"])
    with pytest.raises(SystemExit):
        main(["token", "standup", "anna", "--key", KEY])
    short = tmp_path / "short.key"
    short.write_text("short")
    assert main(["token", "standup", "anna", "--key-file", str(short)]) == 2
    assert "32" in capsys.readouterr().err
