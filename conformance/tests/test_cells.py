# SPDX-License-Identifier: Apache-2.0
"""Every cell of the state tables of a session is driven by a check, or there is a reason why none can be."""

from __future__ import annotations

from callchannel_conformance import matrix, standard
from callchannel_conformance.checks import (
    sender_rows,
    test_memory_rows,
    test_receiver_rows,
    test_receiver_states,
    test_sender_states,
)

Cell = tuple[str, str]

BY_CHECKS: dict[str, set[Cell]] = {
    "peer/old_session": {("R01", "NONE")},
    "lossy/open_sessions": {("R07", "NONE"), ("R55", "NONE")},
    "fragments/reading_on_in_a_begun_stream": {("R38", "DRAINING")},
    "sessions/memory_replaces_the_reason": {("R16", "DRAINING")},
    "validation/unknown_session": {("R68", "NONE")},
    "receiver_rows/read_a_chunk": {("R34", state) for state in ("OPEN", "PARTIAL", "DRAINING")},
    "receiver_rows/without_streams": {
        *(("R10", state) for state in ("PARTIAL", "DRAINING")),
        *(("R11", state) for state in ("PARTIAL", "DEAD")),
    },
    "receiver_rows/newer_session_was_known": {("R53", state) for state in ("NONE", "LINGER", "DRAINING", "DEAD")},
    "receiver_rows/too_many_partial": {("R64", state) for state in ("OPEN", "LINGER")},
    "receiver_rows/time_passes_in_linger": {(row, "LINGER") for row in ("R63", "R79", "R80")},
    "receiver_rows/newer_session_while_it_lingers_alone": {("R74", "LINGER")},
    "receiver_rows/a_dead_session_outlives_a_transport": {("R89", "DEAD")},
    "receiver_rows/linger_by_close_alone": {(row, "LINGER") for row in test_receiver_rows._ALONE},
    "memory_rows/reliable_pays": {("R17", state) for state in ("NONE", "OPEN", "PARTIAL", "DETACHED", "DRAINING")},
    "memory_rows/lossy_pays": {(row, state) for row in ("R57", "R58") for state in ("OPEN", "LINGER", "DRAINING")},
    "memory_rows/lossy_pays_with_what_begins_it": {("R58", state) for state in ("NONE", "DETACHED")},
}
"""Cells that a check of its own drives."""

NOT_DRIVEN: dict[Cell, str] = {
    ("S04", "OPEN"): "it would take 2^32 messages",
    ("S04", "PARTIAL"): "it would take 2^32 messages",
    **{
        (row, state): "there is no receiver that could be read, closed or idle"
        for row in ("R38", "R40", "R41", "R77", "R78")
        for state in ("DETACHED", "DEAD")
    },
    ("R79", "DETACHED"): "there is no receiver that could be idle",
    ("R79", "DEAD"): "a tombstone is over before `idle_close` is",
}


def cells() -> set[Cell]:
    """All cells of the tables of sender and receiver that can happen."""
    return {
        (row.id, state)
        for row in standard.state_rows().values()
        if row.id[0] in "SR"
        for state, cell in row.cells.items()
        if cell is not None
    }


def driven() -> set[Cell]:
    """Those that some check drives."""
    tables = (test_receiver_states.RELIABLE, test_receiver_states.LOSSY)
    parameters = [
        *test_sender_states._cells(),
        *(one for table in tables for one in test_receiver_states._cells(table)),
    ]
    return {(one.values[0], one.values[1]) for one in parameters}.union(*BY_CHECKS.values())


def test_every_cell_is_driven_or_has_its_reason() -> None:
    assert cells() - driven() == set(NOT_DRIVEN)
    assert driven() <= cells()


def test_the_checks_that_drive_cells_are_there() -> None:
    names = {name for marks in matrix._marks().values() for kind in marks.values() for name in kind}
    assert set(BY_CHECKS) <= names
    assert set(sender_rows.ROWS) == {row for row, _ in cells() if row[0] == "S"} - {"S04"}
    assert standard.limits()["receive_memory"]["min"] == test_memory_rows._MEMORY
