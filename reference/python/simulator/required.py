# SPDX-License-Identifier: Apache-2.0
"""Which cells of the state tables plans can't hit, and why; every other cell has to be hit by a long run.

A row alone stands for all its cells, "R18: DRAINING" for some.
"""

from __future__ import annotations

from collections import Counter

from simulator.tables import Cell, cells

_CLOSE_COMES_FIRST = (
    "a relay writes CLOSE before it gives the slot again, and that is later than the end of a tombstone"
)

OUT_OF_REACH: dict[str, str] = {
    # --- what well-behaved machines do not do ------------------------------------------------------------------------
    "R01 R02 R03 R04 R05 R06 R12 R13 R14 R15 R25 R26 R27 R28 R50 R51 R52": "a fault: no well-behaved owner makes it",
    "L21 L23 L24 L26 L27 L28 L35 L36": "a fault: no well-behaved side makes it",
    "L31: CONNECTING RESUMING": "a fault: nothing but WELCOME or BYE comes before WELCOME",
    "L32: CONNECTING": "a fault: nothing but HELLO comes before HELLO",
    "L25: ACTIVE": "a fault: a second WELCOME",
    "R67": "the relay fails a Lossy session only after a fault",
    "R68: OPEN DETACHED LINGER DEAD": "the relay fails a Lossy session only after a fault",
    # --- what the order of frames excludes ---------------------------------------------------------------------------
    "S29: ENDED": "no CREDIT is written for a session whose CLOSE or FAIL came before",
    "S30": "a CREDIT is written only when it is higher than the one before, and they stay in order",
    "S38: ENDED": "REFUSE is written before the ACK without which the session does not end",
    "R18 R19 R20 R21 R22: DRAINING": "nothing of a session follows its CLOSE, or a FAIL of the relay",
    "R31": "nothing of a session follows its CLOSE",
    "R32 R33: DRAINING": "a relay writes one FAIL for a session and recipient",
    "R65 R66: LINGER": "a relay writes one CLOSE for a session and recipient",
    "R45 R46: OPEN PARTIAL DETACHED DEAD": "a relay writes CLOSE to everyone before it gives the slot again",
    "R83 R84: OPEN LINGER DETACHED DEAD": _CLOSE_COMES_FIRST,
    "R85: OPEN LINGER DETACHED": _CLOSE_COMES_FIRST,
    "R54 R60 R62: DRAINING": "half a second after CLOSE nothing of a session is on its way any more",
    "R56: NONE DETACHED": "what makes a message one to be given up came before, and opened the receiver",
    "R56: DRAINING DEAD": "whatever comes for a session that has ended is dropped for that reason first",
    "L30: CONNECTING": "an endpoint writes HELLO before BYE",
    "L09: CONNECTING": "the join time is over before the silence is long enough",
    # --- what has no object or no timer ------------------------------------------------------------------------------
    "R38 R77 R40 R78: DETACHED DEAD": "there is no receiver object that an application could use",
    "R41 R79: DETACHED DEAD": "the timer ends with the receiver object",
    "L05 L06 L07: DEAD": "a dead link has no transport of its own",
    "L02 L03: DEAD": "a dead link has no current transport",
    "L19 L22: DEAD": "a relay forgets a dead link, and with it the token: row L20",
    "L25 L29 L30 L31 L32 L33: DEAD": "a dead link has no transport of its own: row L34",
    "L37: CONNECTING ACTIVE SUSPENDED RESUMING DEAD": "an endpoint has no reason of its own but leaving",
    "L38: DEAD": "a relay forgets a dead link",
    "L41: DEAD": "the senders of a dead link hold nothing: row L40",
    "L39 L42": "there is no sender before the snapshot",
    "L44: ACTIVE SUSPENDED RESUMING": "WELCOME and the snapshot of so few endpoints come in one packet",
    # --- what takes more than a plan has -----------------------------------------------------------------------------
    "S04": "takes 4,294,967,295 messages",
    "R08 R09": "the sender and the relay have the same limit, and are asked first",
    "R10 R11": "every simulated receiver takes streams",
    "R17: NONE DETACHED": "takes dozens of sessions that hold nearly as much as a new one",
    "R57: LINGER": "takes many Lossy sessions, all full, that are closed within half a second",
    "R58": "takes many Lossy sessions, each with no more than a message",
}
"""Rows, or rows and states, and the reason."""

ENOUGH = 20_000
"""Plans looked at after which a cell that was never hit is a failure."""


def _expand(entry: str) -> set[Cell]:
    rows, _, states = entry.partition(":")
    chosen = set(states.split())
    found = {cell for cell in cells() if cell[0] in rows.split() and (not chosen or cell[1] in chosen)}
    missing = [row for row in rows.split() if not any(cell[0] == row for cell in found)]
    if missing:
        raise ValueError(f"{entry!r} names cells that the tables do not have: {missing}")
    return found


def out_of_reach() -> dict[Cell, str]:
    """The reason for each cell that plans can't hit. Raises `ValueError` when the tables have changed too much."""
    return {cell: why for entry, why in OUT_OF_REACH.items() for cell in _expand(entry)}


def missing(hits: Counter[Cell]) -> list[Cell]:
    """Cells that have to be hit and were not."""
    excused = out_of_reach()
    return [cell for cell in cells() if cell not in excused and not hits[cell]]


def surprises(hits: Counter[Cell]) -> list[Cell]:
    """Cells that were hit although plans can't: the reason is wrong. What only takes very much may happen."""
    return sorted(cell for cell, why in out_of_reach().items() if hits[cell] and not why.startswith("takes "))
