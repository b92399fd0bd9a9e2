# SPDX-License-Identifier: Apache-2.0
"""How the self-test judges, what it keeps, and that a worker runs one trial after another."""

from __future__ import annotations

import json
import os
import sys

import pytest

from callchannel_conformance import matrix
from callchannel_conformance.selftest import judged, run
from callchannel_conformance.selftest.patched import load
from callchannel_conformance.selftest.trials import AREAS_OF_PATCHES, Trial, order, trials
from callchannel_conformance.selftest.worker import Order, Worker

REFERENCE = run.REFERENCE


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    found = Worker()
    yield found
    found.close()


def record(check: str, result: str, *cited: str, broken: str | None = None) -> dict[str, object]:
    found: dict[str, object] = {"check": check, "result": result, "requirements": dict.fromkeys(cited, "positive")}
    return found if broken is None else {**found, "broken": broken}


DEFECT = Trial(kind="seeded", name="x", requirements=("CC-LINK-007", "CC-LINK-008"))


def test_a_defect_is_dead_when_all_that_it_violates_was_seen() -> None:
    seen = record("a/one", "FAIL", "CC-LINK-007", "CC-LINK-008", broken="CC-LINK-007")
    other = record("a/two", "FAIL", broken="CC-LINK-009")
    found = judged.judge_defect(DEFECT, [other, seen, record("a/three", "PASS", "CC-LINK-008")])
    assert found.good and found.witnesses == ("a/one",)
    assert found.dead_for == ("CC-LINK-007", "CC-LINK-008", "CC-LINK-009")


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([record("a/one", "PASS", "CC-LINK-007")], "ALIVE"),
        ([record("a/one", "FAIL", "CC-LINK-007", broken="CC-LINK-007")], "no check that cites CC-LINK-008 fails"),
        ([record("a/one", "ERROR", "CC-LINK-007", "CC-LINK-008")], "ALIVE"),
    ],
    ids=["passes", "half", "a crash is no rejection"],
)
def test_a_defect_that_lives(records, says) -> None:
    found = judged.judge_defect(DEFECT, records)
    assert not found.good and found.detail.startswith(says)


def test_a_variant_has_to_pass_and_to_be_run() -> None:
    variant = Trial(kind="variant", name="x")
    assert judged.judge_other(variant, [record("a/one", "PASS"), record("a/two", "SKIP")]).good
    assert not judged.judge_other(variant, [record("a/one", "PASS"), record("a/two", "FAIL")]).good
    assert not judged.judge_other(variant, [record("a/two", "SKIP")]).good


def test_a_bad_adapter_has_one_verdict() -> None:
    bad = Trial(kind="bad", name="x", want="incomplete", among="ERROR")
    assert judged.judge_other(bad, [record("a/one", "ERROR"), record("a/two", "PASS")]).good
    assert not judged.judge_other(bad, [record("a/one", "FAIL"), record("a/two", "ERROR")]).good
    assert not judged.judge_other(bad, [record("a/two", "PASS")]).good


def test_the_record_keeps_what_was_not_tried_again(tmp_path, monkeypatch) -> None:
    path = tmp_path / "record.json"
    monkeypatch.setattr(run, "RECORD", path)
    before = {"alive": ["x"], "witnesses": {"y": ["a/two"]}, "dead": {"CC-LINK-007": ["y", "gone"]}}
    found = judged.Judged(DEFECT, True, "", ("CC-LINK-007", "CC-LINK-008"), ("a/one",))
    run._write_record(before, [found], {"x", "y"})
    assert json.loads(path.read_text()) == {
        "SPDX-License-Identifier": "CC0-1.0",
        "alive": [],
        "witnesses": {"x": ["a/one"], "y": ["a/two"]},
        "dead": {"CC-LINK-007": ["x", "y"], "CC-LINK-008": ["x"]},
    }


def test_trials_have_names_of_their_own_and_areas_that_there_are() -> None:
    names = [trial.name for trial in trials()]
    assert len(names) == len(set(names))
    areas = {path.stem.removeprefix("test_") for path in matrix.CHECKS.glob("test_*.py")}
    for trial in trials():
        assert set(order(trial, REFERENCE).areas) <= areas, trial.name
    assert {patch.area for patch in load()} <= set(AREAS_OF_PATCHES)


def test_a_worker_keeps_nothing_of_a_defect(worker) -> None:
    named = {trial.name: trial for trial in trials()}
    check = {"checks": ("sender/close",)}
    for name, result in (("reference", "PASS"), ("w-close-high", "FAIL"), ("reference", "PASS")):
        records = worker.run(order(named[name], REFERENCE, **check))
        assert [(r["check"], r["result"]) for r in records] == [("sender/close", result)]


def test_a_worker_runs_a_patched_package(worker) -> None:
    patch = load()[0]
    trial = Trial(kind="patched", name=f"{patch.area}-{patch.name}", requirements=(patch.requirement,))
    records = worker.run(order(trial, REFERENCE, checks=("sender/numbers",)))
    assert [r["check"] for r in records] == ["sender/numbers"]


def test_a_worker_stops_when_all_that_was_wanted_has_failed(worker) -> None:
    named = {trial.name: trial for trial in trials()}
    found: Order = order(named["w-close-high"], REFERENCE, areas=("sender",), wanted=("CC-SESS-018",))
    records = worker.run(found)
    assert records[-1]["broken"] == "CC-SESS-018"
    assert len(records) < len(worker.run(order(named["w-close-high"], REFERENCE, areas=("sender",))))
