# SPDX-License-Identifier: Apache-2.0
"""Commands as processes, a relay for them, and attacks."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import callchannel

SOURCE = str(Path(callchannel.__file__).parents[1])
TIME = 60
"""Seconds after which a process counts as hanging."""

ATTACKS = {
    "clear the screen": "\x1b[2J\x1b[H",
    "set the title": "\x1b]0;owned\x07",
    "begin a line": "x\r\n<bob> I agree",
    "go back": "secret\b\b\b\b\b\b",
    "a C1 sequence": "\x9b2J\x85",
    "turn the direction": "invoice\u202efdp.exe\u2066\u2069\u200f\u200e",
    "separate lines": "a\u2028b\u2029c",
    "hide": "pay\u200bpal\ufeff\u00ad",
    "delete": "\x7f\x00",
    "tags": "\U000e0041\U000e0042",
}


def environment(**changes: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    return {**kept, "PYTHONPATH": SOURCE, "PYTHONIOENCODING": "utf-8", **changes}


@pytest.fixture(params=ATTACKS.values(), ids=[name.replace(" ", "-") for name in ATTACKS])
def attack(request: pytest.FixtureRequest) -> str:
    """A text that must not reach a terminal as it is."""
    return str(request.param)


@pytest.fixture(scope="session")
def is_harmless() -> Callable[[str], bool]:
    """Whether a line can do nothing to a terminal."""

    def judge(line: str) -> bool:
        unsafe = {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x200B, 0x200E, 0x200F, 0xFEFF, 0xAD}
        unsafe |= {*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xE0000, 0xE0080)}
        return not unsafe & set(map(ord, line))

    return judge


@pytest.fixture(scope="session")
def cli() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a command to its end."""

    def run(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "callchannel", *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIME,
            check=False,
            env=environment(**options.pop("env", {})),
            **{"stdin": subprocess.DEVNULL, **options} if "input" not in options else options,
        )

    return run


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a command. It is ended with the tests, if it has not ended by then."""
    with contextlib.ExitStack() as stack:

        def run(*arguments: str, **env: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-m", "callchannel", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env=environment(**env),
            )
            stack.callback(_end, process)
            return process

        yield run


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(TIME)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream is not None
        with contextlib.suppress(OSError):  # what was not written to a process that has ended
            stream.close()


@pytest.fixture(scope="session")
def relay_url(start: Callable[..., "subprocess.Popen[str]"]) -> str:
    """The base of a relay in open mode, run by its command."""
    process = start("relay", "--open", "--port", "0", "--json")
    url = listening(process)
    # Nobody reads its log, which must not fill the pipe.
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return url


def listening(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    for line in process.stderr:
        entry = json.loads(line)
        if entry["message"] == "relay started":
            return str(entry["url"])
    raise AssertionError("the relay has ended")


@pytest.fixture
def wait_listening() -> Callable[["subprocess.Popen[str]"], str]:
    """Wait until a relay that was started with --json listens; returns its base."""
    return listening


@pytest.fixture
def hear() -> Callable[..., Any]:
    """The next event of this kind that a command with --json writes."""

    def find(process: "subprocess.Popen[str]", event: str) -> Any:
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            if found["event"] == event:
                return found
        assert process.stderr is not None
        raise AssertionError(f"it has ended without {event!r}: {process.stderr.read()}")

    return find
