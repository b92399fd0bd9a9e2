# SPDX-License-Identifier: Apache-2.0
"""Who joins, and with what."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

import pytest

from callchannel.cli import connecting
from callchannel.cli.connecting import add_arguments, connect_of, run_command
from callchannel.core.errors import ErrorCode, InvalidArgument, LinkLost


def parse(*arguments: str, url: str = "https://relay.example") -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([url, "standup", *arguments])


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What connections were asked for."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(connecting, "connect_factory", lambda url, call, **rest: found.append({"url": url, **rest}))
    monkeypatch.delenv("CALLCHANNEL_TOKEN", raising=False)
    return found


def test_an_identity(made: list[dict[str, Any]]) -> None:
    connect_of(parse("--identity", "anna"))
    assert (made[0]["identity"], made[0]["token"], made[0]["tls"]) == ("anna", None, True)


def test_a_token_of_the_environment(made: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCHANNEL_TOKEN", " a.b.c\n")
    monkeypatch.setenv("OTHER", "d.e.f")
    connect_of(parse())
    connect_of(parse("--token-env", "OTHER", "--allow-plain"))
    assert [one["token"] for one in made] == ["a.b.c", "d.e.f"]
    assert [one["allow_plain"] for one in made] == [False, True]


def test_a_token_s_file_is_read_for_each_connection(made: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("a.b.c\n")
    connect_of(parse("--token-file", str(path)))
    token = made[0]["token"]
    assert token() == "a.b.c"
    path.write_text("d.e.f")
    assert token() == "d.e.f"
    path.unlink()
    with pytest.raises(InvalidArgument, match="no token can be read"):
        token()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--identity", "anna", "--token-file", "x"),
        ("--token-file", "/nonexistent/token"),
        ("--token-env", "NO_SUCH_VARIABLE"),
        ("--identity", "anna", "--ca-file", "/nonexistent/ca"),
    ],
)
def test_what_is_wrong(arguments: tuple[str, ...], made: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidArgument):
        connect_of(parse(*arguments))
    assert not made


def test_no_token_goes_over_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    # CC-SIG-004
    monkeypatch.setenv("CALLCHANNEL_TOKEN", "a.b.c")
    with pytest.raises(InvalidArgument, match="plain HTTP"):
        connect_of(parse(url="http://relay.example"))


async def _raise(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (InvalidArgument("so \x1b wrong"), 2, "callchannel join: so \\x1b wrong\n"),
        (LinkLost("gone \x1b"), 3, "callchannel join: gone \\x1b [LINK_LOST]\n"),
        (LinkLost("gone", code=ErrorCode.NOT_ADMITTED), 3, "callchannel join: gone [NOT_ADMITTED]\n"),
        (LinkLost("gone", code=0x4321), 3, "callchannel join: gone [0x4321]\n"),
        (asyncio.CancelledError(), 130, ""),
    ],
)
def test_exit_codes(error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("join", _raise(error)) == code
    assert capsys.readouterr().err == told
