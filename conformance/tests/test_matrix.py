# SPDX-License-Identifier: Apache-2.0
"""The traceability matrix is complete and stays so; an edited sentence makes its checks stale."""

from __future__ import annotations

import dataclasses

from callchannel_conformance import matrix, standard
from callchannel_conformance.selftest.defects import DEFECTS
from callchannel_conformance.selftest.trials import trials

DEFECT_NAMES = {trial.name for trial in trials() if trial.is_defect}


def musts() -> list[matrix.Row]:
    return [row for row in matrix.rows() if row.requirement.is_must and row.requirement.area not in matrix.OUT_OF_SCOPE]


def test_the_gate_passes() -> None:
    assert matrix.gate(matrix.rows()) == []


def test_nothing_is_alive_and_every_defect_has_its_witnesses() -> None:
    record = matrix._load("dead_defects")
    assert record["alive"] == []
    assert set(record["witnesses"]) == DEFECT_NAMES, "run callchannel-conformance selftest --record"


def test_the_record_speaks_of_defects_and_requirements_that_there_are() -> None:
    dead = matrix._load("dead_defects")["dead"]
    assert set(dead) <= set(standard.requirements())
    assert {name for names in dead.values() for name in names} <= DEFECT_NAMES


def test_a_seeded_defect_is_dead_for_all_that_it_violates() -> None:
    dead = matrix._load("dead_defects")["dead"]
    for name, defect in DEFECTS.items():
        for requirement in defect.requirements:
            assert name in dead[requirement], f"{name}, {requirement}"


def test_an_edited_text_makes_its_checks_stale(monkeypatch) -> None:
    edited = dict(standard.requirements())
    edited["CC-LINK-019"] = dataclasses.replace(edited["CC-LINK-019"], text="Another.", hash="0123456789abcdef")
    monkeypatch.setattr(standard, "requirements", lambda: edited)
    faults = matrix.gate(matrix.rows())
    assert faults == ["CC-LINK-019: its text has changed since its checks were written"]


def test_a_must_without_a_check_is_a_fault() -> None:
    rows = musts()
    row = next(row for row in rows if row.requirement.id == "CC-SESS-018")
    row.positive, row.negative, row.watched, row.defects = [], [], False, []
    assert matrix.gate(rows) == ["CC-SESS-018: no positive check, no negative check, no dead defect"]


def test_no_more_than_a_tenth_is_called_untestable() -> None:
    rows = musts()
    assert sum(row.untestable is not None for row in rows) <= len(rows) / 10
    assert {row.untestable for row in rows} - {None} <= set(matrix.REASONS)


def test_checks_that_cite_a_requirement_are_found() -> None:
    assert "sender/close" in matrix.citing(["CC-SESS-016"])
