# SPDX-License-Identifier: Apache-2.0
"""What all commands have in common."""

import os
import subprocess
import sys
from typing import Any

import pytest

import callchannel
from callchannel.cli import main as cli_main
from callchannel.cli.main import COMMANDS, load, main


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: callchannel {command}")
    assert "examples:\n" in text
    assert f"  callchannel {command}" in text[text.index("examples:") :]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for command, purpose in COMMANDS.items():
        assert command in text
        assert purpose in text


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"callchannel {callchannel.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["dance"], ["decode", "--dance"], ["send"], ["token", "x"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_missing_library_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError("No module", name="aiortc")

    monkeypatch.setattr(cli_main, "load", missing)
    assert main(["join"]) == 2
    assert "aiortc is missing; install it with: pip install 'callchannel[relay]'" in capsys.readouterr().err


def test_a_missing_module_of_our_own_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli_main.COMMANDS, "dance", "")
    with pytest.raises(ModuleNotFoundError):
        main(["dance"])


@pytest.mark.parametrize("exception", [KeyboardInterrupt])
def test_an_interruption_is_no_traceback(monkeypatch: pytest.MonkeyPatch, exception: type[BaseException]) -> None:
    def interrupted(arguments: Any) -> int:
        raise exception

    monkeypatch.setattr(load("decode"), "run", interrupted)
    assert main(["decode"]) == 130


def test_a_reader_that_goes_away_is_no_traceback(cli: Any) -> None:
    source = str(os.path.dirname(os.path.dirname(sys.modules["callchannel"].__file__ or "")))
    packets = "\n\n".join(["8a000004"] * 20_000)
    with subprocess.Popen(
        [sys.executable, "-m", "callchannel", "decode"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": source},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(packets)
        process.stdin.close()
        assert process.stdout.readline().startswith("packet 1")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_python_m_runs_it(cli: Any) -> None:
    done = cli("decode", "8a000004")
    assert (done.returncode, done.stderr) == (0, "")
    assert "unknown, skipped, counted" in done.stdout
