# SPDX-License-Identifier: Apache-2.0
"""Mechanical mutants: a file of them is read with care, checks that come by are run, the first fault ends a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callchannel_conformance.outcome import Exit
from callchannel_conformance.selftest import mutant_run, mutants
from callchannel_conformance.selftest.mutants import Mutant
from callchannel_conformance.selftest.patched import PatchError

PACKAGE = Path(__file__).parents[2] / "reference" / "python" / "callchannel"
ADAPTER = "inline:callchannel.adapter.conversation:Conversation"


def mutant(module: str, old: str, new: str, function: str = "f", kind: str = "") -> Mutant:
    start = (PACKAGE / module).read_text("utf-8").index(old)
    return Mutant(f"{module} {old} {new}", module, function, start, start + len(old), old, new, kind)


def in_file(path: Path, *found: Mutant) -> Path:
    names = ("key", "module", "function", "start", "end", "old", "new")
    rows = [{name: getattr(one, name) for name in names} | {"class": one.kind} for one in found]
    path.write_text(json.dumps({"package": "callchannel", "mutants": rows}))
    return path


NEXT = ("core/sender.py", "self._next_sequence = sequence + 1", "SenderSession.send_plain")
WRONG = mutant(*NEXT[:2], "self._next_sequence = sequence + 2", NEXT[2])
NO_CHANGE = mutant(*NEXT[:2], "self._next_sequence = 1 + sequence", NEXT[2])
FOR_EVER = mutant(
    "core/link.py", "    def receive(", "    def receive(self, *a, **k):\n        while True: pass\n    def _old("
)


def test_a_file_of_mutants_is_read(tmp_path: Path) -> None:
    package, found = mutants.load(in_file(tmp_path / "m.json", WRONG, NO_CHANGE))
    assert package == "callchannel"
    assert found == [WRONG, NO_CHANGE]
    assert "sequence + 2" in found[0].text(PACKAGE)


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text('{"mutants": [{"key": "x"}]}')
    with pytest.raises(PatchError, match="no file of mutants"):
        mutants.load(path)
    with pytest.raises(PatchError, match="same key"):
        mutants.load(in_file(path, NO_CHANGE, NO_CHANGE))


def test_a_mutant_of_other_code_is_refused() -> None:
    with pytest.raises(PatchError, match="does not stand"):
        Mutant("x", "core/flow.py", "f", 0, 4, "else", "elif").text(PACKAGE)
    with pytest.raises(PatchError, match="does not stand"):
        Mutant("x", "core/gone.py", "f", 0, 4, "else", "elif").text(PACKAGE)


def test_only_checks_that_come_by_are_run() -> None:
    checks = {"a/quick": ["core/sender.py f"], "a/slow": ["core/link.py f"]}
    calls = {"loading": ["core/sender.py table"], "drawn": [], "checks": checks}
    assert mutants.checks_for(Mutant("x", "core/sender.py", "f", 0, 1, "", ""), calls) == ("a/quick",)
    # What runs while the package is loaded can be seen by any check.
    assert mutants.checks_for(Mutant("x", "core/sender.py", "table", 0, 1, "", ""), calls) == ("a/quick", "a/slow")
    assert mutants.checks_for(Mutant("x", "core/sender.py", "g", 0, 1, "", ""), calls) == ()


def test_the_functions_that_a_check_calls_are_known() -> None:
    calls = mutant_run.in_process(mutant_run.calls, (ADAPTER, "callchannel", ("sender",)), 120)
    assert "core/sender.py SenderSession.send_plain" in calls["checks"]["sender/close"]
    assert not any("/relay/" in name for name in calls["checks"]["sender/close"])
    assert all(check.startswith("sender/") for check in calls["checks"])
    assert calls["drawn"] == []


@pytest.mark.parametrize(
    ("change", "result"), [(WRONG, "FAIL"), (NO_CHANGE, "ALIVE")], ids=["wrong", "nothing changes"]
)
def test_a_mutant_is_judged(change: Mutant, result: str) -> None:
    found = mutants.judge(change, ADAPTER, PACKAGE, ("sender/numbers", "sender/close"))
    assert found["result"] == result
    assert ("broken" in found) == (result == "FAIL")


def test_a_mutant_that_goes_round_for_ever_is_ended(tmp_path: Path) -> None:
    root = mutants.plant_texts(PACKAGE, tmp_path, {FOR_EVER.module: FOR_EVER.text(PACKAGE)})
    arguments = (ADAPTER, str(root), ("sender/close",), (0.5, 0.5))
    found = mutant_run.in_process(mutant_run.run, arguments, 120)
    assert found["result"] == "ERROR"
    assert "hang" in found["message"]


def test_a_mutant_that_no_check_comes_by_is_told() -> None:
    assert mutants.judge(NO_CHANGE, ADAPTER, PACKAGE, ()) == {"result": "unreached"}


def test_a_process_that_dies_or_fails_is_told() -> None:
    assert mutant_run.in_process(_exit, (), 60) is None
    with pytest.raises(RuntimeError, match="none of 1 checks was run"):
        mutant_run.in_process(mutant_run.run, (ADAPTER, "", ("sender/no_such_check",)), 60)


def _exit() -> None:
    raise SystemExit(3)


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    path = in_file(tmp_path / "m.json", WRONG, NO_CHANGE)
    asked = []

    def judged(change: Mutant, adapter: str, package: Path, checks: list[str]) -> dict[str, str]:
        asked.append((change.new, checks))
        return {"result": "FAIL"} if change == WRONG else {"result": "ALIVE"}

    monkeypatch.setattr(mutants, "judge", judged)
    monkeypatch.setattr(mutant_run, "calls", _calls)
    progress, target = tmp_path / "progress.jsonl", tmp_path / "found.json"
    for _ in range(2):
        status = mutants.mutants_against_suite(path, ADAPTER, progress=progress, target=target, only="", workers=1)
        assert status == Exit.NONCONFORMANT
    # Only what scripted checks let pass is tried with those that draw.
    assert asked == [
        *((WRONG.new, ["sender/close"]), (NO_CHANGE.new, ["sender/close"])),
        (NO_CHANGE.new, ["plans/peer"]),
    ]
    found = json.loads(target.read_text())
    assert (found["mutants"], found["seen"]) == (2, 1)
    assert found["survivors"] == {"without a class": 1}
    assert "survives the checks that draw, without a class, ALIVE" in capsys.readouterr().out


def _calls(adapter: str, package: str) -> dict[str, object]:
    function = ["core/sender.py SenderSession.send_plain"]
    checks = {"sender/close": function, "link/none": [], "plans/peer": function}
    return {"loading": [], "drawn": ["plans/peer"], "checks": checks}


def test_survivors_with_a_class_are_no_fault() -> None:
    classed = mutant(*NEXT[:2], "self._next_sequence = 3", kind="legal")
    outcomes = {WRONG.key: {"result": "ERROR"}, classed.key: {"result": "WARN"}}
    found = mutants.figures([WRONG, classed], outcomes)
    assert found["seen"] == 1
    assert found["survivors"] == {"legal": 1}
    assert found["seen although classed"] == []
    assert mutants.figures([classed], {classed.key: {"result": "FAIL"}})["seen although classed"] == [classed.key]


def test_an_adapter_in_another_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inline:MODULE:CLASS"):
        mutants.mutants_against_suite(tmp_path / "m", "python -m x", progress=None, target=None, only="")
