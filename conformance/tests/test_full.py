# SPDX-License-Identifier: Apache-2.0
"""`selftest --full`: how a run on a seed is judged, what is counted, and that it goes on where it stopped."""

from __future__ import annotations

import json

import pytest

from callchannel_conformance.outcome import Exit, Result
from callchannel_conformance.selftest import full, run
from callchannel_conformance.selftest.progress import Progress, stamp
from callchannel_conformance.selftest.trials import Trial

DEFECT = Trial(kind="seeded", name="w-close-high", requirements=("CC-SESS-018",))


@pytest.mark.parametrize(
    ("failing", "outcome"),
    [
        ("a/known", {"good": True, "by": "witness", "check": "a/known"}),
        ("a/other", {"good": True, "by": "suite", "check": "a/other"}),
        (None, {"good": False, "by": "", "check": ""}),
    ],
    ids=["by a known check", "by another", "by none"],
)
def test_a_defect_is_found_by_any_check(monkeypatch, failing, outcome) -> None:
    orders = []

    def work(order):
        orders.append(order)
        names = order.checks or ("a/known", "a/other")
        return [{"check": name, "result": "FAIL" if name == failing else "PASS"} for name in names]

    monkeypatch.setattr(full, "work", work)
    assert full.seeded(DEFECT, run.REFERENCE, 3, ["a/known"]) == outcome
    assert [order.checks for order in orders] == [("a/known",), ()][: 1 if failing == "a/known" else 2]
    # The whole suite, with all that is drawn on that seed, and no further than needed.
    assert {(order.areas, order.seed, order.generated) for order in orders} == {((), 3, True)}
    assert {order.until for order in orders} == {frozenset({Result.FAIL})}


def test_a_suite_that_runs_nothing_is_loud(monkeypatch) -> None:
    monkeypatch.setattr(full, "work", lambda order: [])
    with pytest.raises(RuntimeError, match="none of the checks was run"):
        full.seeded(DEFECT, run.REFERENCE, 1, ["a/gone"])


def test_figures_say_how_often_each_is_found() -> None:
    seen = {"good": True, "by": "witness"}
    outcomes = {("seeded", "always", seed): seen for seed in full.SEEDS}
    outcomes |= {("seeded", "once", seed): {"good": seed == 2, "by": "suite"} for seed in full.SEEDS}
    outcomes |= {("seeded", "never", seed): {"good": False, "by": ""} for seed in full.SEEDS}
    outcomes |= {("variant", "v", seed): {"good": True} for seed in full.SEEDS}
    assert full.figures(outcomes) == [
        "seeded   1 of 3 found on every seed, 1 on some, 1 on none; 6 of 15 runs, 5 by a known check, 1 by another",
        "variant  1 of 1 right on every seed, 0 on some, 0 on none; 5 of 5 runs",
    ]


def test_it_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys) -> None:
    path = tmp_path / "progress.jsonl"
    before = Progress(path, stamp())
    for seed in full.SEEDS:
        before.add(f"seeded/w-close-high/{seed}", {"good": seed != 4, "by": "witness"})
    Progress(path, "other").add("seeded/w-close-high/4", {"good": True, "by": "witness"})
    assert full.full([DEFECT], run.REFERENCE, {}, path) == Exit.NONCONFORMANT
    said = capsys.readouterr().out
    assert "0 runs to do, 5 done before" in said
    assert "1 runs in" in said and "another state of the suite" in said
    assert "0 of 1 found on every seed, 1 on some" in said


def test_progress_is_kept_line_by_line(tmp_path) -> None:
    path = tmp_path / "progress.jsonl"
    Progress(path, "one").add("a", {"result": "FAIL"})
    Progress(path, "two").add("b", {"result": "PASS"})
    assert Progress(path, "one").done == {"a": {"result": "FAIL"}}
    assert Progress(path, "two").others == 1
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2
    assert stamp() == stamp() != stamp(b"more")
