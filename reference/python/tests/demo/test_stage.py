# SPDX-License-Identifier: Apache-2.0
"""The stage notices what its processes do, and what they don't. The processes here are scripts of a few lines."""

import io
import sys
from pathlib import Path
from typing import Any

from callchannel.cli.output import Output
from callchannel.demo.scenario import Programs, Scenario
from callchannel.demo.stage import Stage, StageFailed, perform
from callchannel.demo.summary import Findings, View

ECHO = """
import json, sys
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "die":
        print("such \\x1b[2J is life", file=sys.stderr, flush=True)
        sys.exit(3)
    if command["do"] == "babble":
        print("no JSON", flush=True)
    done = {"report": "done", "did": command["do"], "id": command["id"], "error": None}
    if command["do"] == "fail":
        done.update(error="Oops", code="LOST", text="it \\x1b failed", named=[])
    print(json.dumps({**done, **command.get("with", {})}), flush=True)
print(json.dumps({"report": "received", "id": "last", "sender": "x", "bytes": 0, "sha256": "", "private": False,
                  "sent": None, "at": 0}), flush=True)
"""
DEAF = "import sys, signal; sys.stdin.read(); signal.pause()"


def script(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


async def stage_with(tmp_path: Path, text: str = ECHO, **scenario: Any) -> Stage:
    programs = Programs(participant=script(text))
    stage = Stage(Scenario(**scenario), programs, View(Output(io.StringIO())), tmp_path)
    await stage.start_participants(("ann",))
    return stage


async def test_commands_are_answered_and_failures_are_faults(tmp_path: Path) -> None:
    stage = await stage_with(tmp_path)
    assert (await stage.do("ann", "something", **{"with": {"value": 7}}))["value"] == 7
    await stage.do("ann", "babble")
    assert stage.faults == []
    assert (await stage.attempt("ann", "fail"))["code"] == "LOST"
    assert stage.faults == []
    await stage.do("ann", "fail", id="first")
    assert stage.faults == ['"ann": fail "first" raised Oops [LOST]: it \\x1b failed']
    await stage.end()
    assert [arrival.id for arrival in stage.ledger.arrivals] == ["last"]


async def test_a_process_that_ends_too_early_is_a_fault(tmp_path: Path) -> None:
    stage = await stage_with(tmp_path)
    try:
        await stage.do("ann", "die")
    except StageFailed as exc:
        assert str(exc) == 'the process of "ann" has ended'
    else:
        raise AssertionError("it went on")
    assert stage.faults == ['the process of "ann" ended with 3: such \\x1b[2J is life']
    await stage.end()


async def test_a_process_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("callchannel.demo.stage.GRACE", 0.05)
    monkeypatch.setattr("callchannel.demo.talking._END_TIME", 0.05)
    stage = await stage_with(tmp_path, DEAF, assembly=0.05)
    await stage.do("ann", "something")
    assert stage.faults == ['"ann": something "something-1" raised TimeoutError []: no word for 0.1 s']
    await stage.end()


async def test_performing_ends_everything_and_judges(monkeypatch: Any) -> None:
    stages: list[Stage] = []

    async def play(stage: Stage, findings: Findings) -> None:
        stages.append(stage)
        await stage.start_participants(("ann", "bob"))
        await stage.together(stage.do("ann", "something"), stage.do("bob", "die"))

    stream = io.StringIO()
    found = await perform(Scenario(), Programs(participant=script(ECHO)), View(Output(stream)), play)
    assert 'the process of "bob" has ended' in found.faults
    assert '"ann" received "last", which nobody sent' in found.faults
    assert not stages[0].folder.exists()
    assert "checks failed" in stream.getvalue()
