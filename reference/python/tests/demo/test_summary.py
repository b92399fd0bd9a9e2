# SPDX-License-Identifier: Apache-2.0
"""What the demonstration shows, on a terminal, in a file and to a machine."""

import io
import json

from callchannel.cli.output import Output
from callchannel.demo.ledger import Row
from callchannel.demo.summary import Consequence, Findings, LossyRow, View


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def findings(*faults: str) -> Findings:
    return Findings(
        rows=[
            Row(
                group="to one",
                sender="ann",
                recipient="b\x1bb",
                kind="text",
                count=2,
                expected=2,
                size=10,
                checksum="abc",
                latency=1_500,
                ok=not faults,
            )
        ],
        lossy=[
            LossyRow(
                what="ticks",
                sender="ann",
                recipient="bob",
                sent=1_000,
                received=600,
                size=6_000,
                damaged=0,
                checksum="def",
                latency=2_000_000,
                dropped={"queue_full": 399},
                elsewhere=1,
            )
        ],
        relay_drops={"queue_full": 1},
        consequences=[Consequence(cause="eve has left", reliable="raises", lossy="no_recipients 1")],
        faults=list(faults),
    )


def test_plain() -> None:
    stream = io.StringIO()
    view = View(Output(stream))
    view.act("to one")
    view.progress("file", {"bob": 40})
    view.told("done")
    view.conclude(findings())
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    lines = text.splitlines()
    assert lines[0].endswith("to one: done")
    (row,) = (line for line in lines if "abc" in line)
    assert row.split() == ["to", "one", '"ann"', '"b\\x1bb"', "texts", "2", "of", "2", "10", "abc", "1.5", "ms", "ok"]
    (row,) = (line for line in lines if "def" in line)
    assert "600 of 1,000" in row
    assert "2.00 s" in row
    assert row.split()[-3:] == ["queue_full", "399", "1"]
    assert "The relay has dropped, by reason: queue_full 1" in lines
    assert any(line.split() == ["eve", "has", "left", "raises", "no_recipients", "1"] for line in lines)
    assert lines[-1].startswith("Everything is as it should be")


def test_faults_are_named_and_counted() -> None:
    stream = io.StringIO()
    View(Output(stream)).conclude(findings("one thing", "another"))
    lines = stream.getvalue().splitlines()
    assert "FAULT: one thing" in lines
    assert "FAULT: another" in lines
    assert lines[-1].startswith("2 checks failed")
    assert any(line.endswith("WRONG") for line in lines)


def test_a_live_line_on_a_terminal() -> None:
    stream = Terminal()
    view = View(Output(stream, env={}))
    view.act("to one")
    view.progress("file", {"bob": 40, "carol": 50})
    assert "bob 40 %  carol 50 %" in stream.getvalue()
    assert "\r\x1b[2K" in stream.getvalue()


def test_json() -> None:
    stream = io.StringIO()
    view = View(Output(stream, json=True))
    view.act("to one")
    view.progress("file", {"bob": 40})
    view.told("done")
    view.conclude(findings("one thing"))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "act",
        "progress",
        "told",
        "received",
        "lossy",
        "relay_drops",
        "consequence",
        "fault",
        "result",
    ]
    assert events[-1]["ok"] is False
    assert stream.getvalue().isascii()
