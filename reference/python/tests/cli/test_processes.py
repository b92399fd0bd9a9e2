# SPDX-License-Identifier: Apache-2.0
"""The commands as people and scripts run them: processes, over a real relay and real WebRTC."""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

KEY = "an example key of at least 32 bytes, never to be used"


@pytest.fixture
def listener(start: Any, relay_url: str, hear: Any, tmp_path: Path) -> Iterator[Any]:
    """Ann, who listens in the call `tea` and saves what comes."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    process = start("join", relay_url, "tea", "--identity", "ann", "--listen", "--json", "--save", str(folder))
    assert hear(process, "joined")["identity"] == "ann"
    process.folder = folder
    yield process
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    process.wait(30)


def test_sending_and_listening(cli: Any, relay_url: str, listener: Any, hear: Any) -> None:
    done = cli("send", relay_url, "tea", "--identity", "bob", "--to", "ann", "hello, Ann")
    assert (done.returncode, done.stdout, done.stderr) == (0, 'delivered to "ann"\n', "")
    message = hear(listener, "message")
    assert (message["from"], message["text"], message["private"]) == ("bob", "hello, Ann", True)
    assert hear(listener, "participant_left")["code"] == "LEFT"

    # What is not there is named; nothing is sent.
    done = cli("send", relay_url, "tea", "--identity", "bob", "--to", "ann", "--to", "zoe\x1b[2J", "hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'callchannel send: not delivered to "zoe\\x1b[2J" (UNKNOWN_RECIPIENT)\n'

    # Lossy has no verdict, but what is dropped here is counted.
    lossy = ("send", relay_url, "tea", "--identity", "bob", "--lossy")
    done = cli(*lossy, "--to", "ann", "--to", "zoe", "hello", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"event": "sent", "lossy": True, "absent": ["zoe"], "drops": {"no_recipients": 1}}
    assert done.stderr == 'callchannel send: dropped for "zoe": no_recipients 1\n'
    assert hear(listener, "message")["reliability"] == "lossy"
    done = cli(*lossy, "-", input="from a pipe")
    assert (done.returncode, done.stderr) == (0, "")
    assert hear(listener, "message")["text"] == "from a pipe"

    # SIGTERM leaves the call.
    listener.send_signal(signal.SIGTERM)
    assert listener.wait(30) == 130


def test_files_and_streams(cli: Any, relay_url: str, listener: Any, hear: Any, tmp_path: Path) -> None:
    source = tmp_path / "holiday.bin"
    content = os.urandom(1_000_000)
    source.write_bytes(content)
    done = cli("send", relay_url, "tea", "--identity", "bob", "--file", str(source), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1] == {"event": "sent", "reached": ["ann"], "failed": [], "unknown": [], "passed_over": []}
    progress = [event["done"] for event in events[:-1]]
    assert progress == sorted(progress)
    assert progress[-1] == 1_000_000
    saved = hear(listener, "saved")
    assert Path(saved["path"]) == listener.folder / "holiday.bin"
    assert (listener.folder / "holiday.bin").read_bytes() == content

    # The same name again: nothing is overwritten. And progress for people.
    source.write_bytes(b"other")
    done = cli("send", relay_url, "tea", "--identity", "bob", "--file", str(source))
    assert done.stdout.splitlines() == ['"holiday.bin": 100 % of 5 bytes', 'delivered to "ann"']
    assert Path(hear(listener, "saved")["path"]).name == "holiday (1).bin"
    assert (listener.folder / "holiday.bin").read_bytes() == content


def test_a_terminal_session_through_pipes(start: Any, cli: Any, relay_url: str, listener: Any, hear: Any) -> None:
    done = cli("join", relay_url, "tea", "--identity", "b\x1b]0;x\x07b", input="/who\nhello\n/to zoe\nnobody\n")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == '* joined as "b\\x1b]0;x\\x07b"'
    assert lines.count('* in the call, besides you: "ann"') == 2
    assert '* not delivered to "zoe" (UNKNOWN_RECIPIENT)' in lines
    message = hear(listener, "message")
    assert (message["from"], message["text"]) == ("b\x1b]0;x\x07b", "hello")

    # A locale that can't write what comes does not end it.
    plain = start("join", relay_url, "tea", "--identity", "bob", PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert plain.stdout.readline() == '* joined as "bob"\n'
    cli("send", relay_url, "tea", "--identity", "eve", "--to", "bob", "größe 👋")
    for line in plain.stdout:
        if line.startswith('"eve"'):
            assert line == '"eve" (to some): gr\\xf6\\xdfe \\U0001f44b\n'
            break
    plain.stdin.write("/quit\n")
    plain.stdin.close()
    assert plain.wait(30) == 0


def test_tokens(start: Any, cli: Any, wait_listening: Callable[[Any], str], hear: Any, tmp_path: Path) -> None:
    key = tmp_path / "token.key"
    key.write_text(KEY)
    url = wait_listening(start("relay", "--key-file", str(key), "--port", "0", "--json"))
    token = tmp_path / "token"
    token.write_text(cli("token", "--key-file", str(key), "tea", "ann").stdout)
    ann = start("join", url, "tea", "--token-file", str(token), "--listen", "--json")
    assert hear(ann, "joined")["identity"] == "ann"

    bob = cli("token", "--key-file", str(key), "tea", "bob").stdout.strip()
    done = cli("send", url, "tea", "hello", env={"CALLCHANNEL_TOKEN": bob})
    assert (done.returncode, done.stderr) == (0, "")
    assert hear(ann, "message")["from"] == "bob"

    # May receive, not send: refused by the relay, for all.
    mute = cli("token", "--key-file", str(key), "tea", "mute", "--receive-only").stdout.strip()
    done = cli("send", url, "tea", "hello", env={"CALLCHANNEL_TOKEN": mute})
    assert done.returncode == 1
    assert "POLICY" in done.stderr

    # Another call, and no call at all.
    done = cli("send", url, "coffee", "hello", env={"CALLCHANNEL_TOKEN": bob})
    assert done.returncode == 3
    assert "NOT_ADMITTED" in done.stderr
    assert bob not in done.stderr
    ann.send_signal(signal.SIGTERM)
    assert ann.wait(30) == 130


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("hello", "--file", "x"), 2, "not both"),
        (("--file", "/nonexistent/file"), 2, "is no file"),
        (("--lossy", "--file", __file__), 2, "a file is sent Reliable"),
        (("hello", "--to", "a", "--exclude", "b"), 2, "not both"),
        (("a\udcff",), 2, "TEXT is not UTF-8"),
        (("a\udcff", "--content-type", "text/plain"), 2, "TEXT is not UTF-8"),
        (("hello", "--channel", "70000"), 2, "channel"),
        (("hello", "--lossy", "--confirm", "delivered"), 2, "Lossy"),
        (("hello", "--token-file", "/nonexistent/token"), 2, "give one of"),
    ],
)
def test_wrong_usage_of_send(cli: Any, relay_url: str, arguments: tuple[str, ...], code: int, told: str) -> None:
    done = cli("send", relay_url, "tea", "--identity", "bob", *arguments)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_relay_that_is_not_there(cli: Any) -> None:
    done = cli("send", "http://127.0.0.1:1", "tea", "--identity", "bob", "hello")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("callchannel send: the relay can't be reached")
    done = cli("join", "http://127.0.0.1:1", "tea", "--identity", "bob", "--save", "/nonexistent")
    assert (done.returncode, done.stderr) == (2, "callchannel join: /nonexistent is no folder\n")
