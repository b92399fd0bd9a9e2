# SPDX-License-Identifier: Apache-2.0
"""The demonstration itself, in small: real processes over real WebRTC."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import callchannel

SOURCE = str(Path(callchannel.__file__).parents[1])


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name("small_demo.py")), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=150,
        check=False,
        env={"PYTHONPATH": SOURCE, "PATH": ""},
    )


def test_a_group_call() -> None:
    done = run("none", "--json")
    assert done.stderr == ""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["text"] for event in events if event["event"] == "fault"] == []
    assert events[-1]["event"] == "result"
    assert done.returncode == 0

    rows = [event for event in events if event["event"] == "received"]
    assert all(row["ok"] for row in rows)
    count = {
        group: len([row for row in rows if row["group"] == group]) for group in {row["group"]: None for row in rows}
    }
    # Texts, an image and a file to four, one, two and three; the rest are single kinds.
    assert count == {
        "to everyone": 12,
        "to one": 3,
        "to a set": 6,
        "to everyone but one": 9,
        "lossy": 4,
        "queue full": 1,
        "connection cut": 2,
        "coming back": 1,
    }
    assert "eve" not in {row["recipient"] for row in rows if row["group"] == "to everyone but one"}
    files = [row for row in rows if row["kind"] == "file" and row["group"] != "connection cut"]
    assert {row["size"] for row in files} == {2_000_000}
    assert all(row["latency"] > 0 for row in files)

    lossy = [event for event in events if event["event"] == "lossy"]
    assert {(row["what"], row["recipient"]) for row in lossy} == {
        (what, name) for what in ("ticks", "burst") for name in ("bob", "carol", "dan", "eve")
    }
    for row in lossy:
        assert row["sent"] == row["received"] + sum(row["dropped"].values()) + row["elsewhere"]
        if row["what"] == "burst":
            assert row["dropped"]["queue_full"] > 0

    full, left = [event for event in events if event["event"] == "consequence"]
    assert full["reliable"] == "send_nowait raises WouldBlock; send waits"
    assert full["lossy"].startswith("dropped: queue_full ")
    assert left["reliable"] == 'send raises RecipientsUnavailable [UNKNOWN_RECIPIENT], naming "eve"'
    assert left["lossy"] == "dropped: no_recipients 1"


def test_a_call_of_two_without_a_relay() -> None:
    done = run("none", "--p2p")
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].endswith('assembling: "ann" and "bob", a process each, and no relay')
    assert lines[-1].startswith("Everything is as it should be")
    assert "\x1b" not in done.stdout
    assert len([line for line in lines if line.endswith("  ok")]) == 10
    assert any('"bob" has left' in line and "LinkLost [LINK_LOST]" in line for line in lines)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("alter", 'FAULT: "carol" received other bytes for "ann.text-02" (text from "ann")'),
        ("drop", 'FAULT: "ann.text-02" (text from "ann") did not arrive at "carol"'),
        ("misroute", 'FAULT: "ann" received "bob.text-02" (text from "bob"), which was not for "ann"'),
    ],
)
def test_what_a_relay_does_wrong_is_found_and_named(fault: str, told: str) -> None:
    done = run(fault)
    assert done.stderr == ""
    assert any(line.startswith(told) for line in done.stdout.splitlines()), done.stdout
    assert done.returncode == 1
