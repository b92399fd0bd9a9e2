# SPDX-License-Identifier: Apache-2.0
"""The judgement of a demonstration: each fault is found, and named."""

import dataclasses
import hashlib
from typing import Any

from callchannel.demo.ledger import Arrival, Item, Ledger

DATA = b"hello"


def item(name: str = "ann.text-01", recipients: tuple[str, ...] = ("bob", "carol"), **changes: Any) -> Item:
    made = Item(
        id=name,
        kind="text",
        sender="ann",
        recipients=recipients,
        size=len(DATA),
        sha256=hashlib.sha256(DATA).hexdigest(),
        private=True,
        group="to a set",
    )
    return dataclasses.replace(made, **changes)


def arrival(by: str, name: str = "ann.text-01", data: bytes = DATA, **changes: Any) -> Arrival:
    made = Arrival(
        id=name,
        by=by,
        sender="ann",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        private=True,
        sent=1_000,
        at=3_000,
    )
    return dataclasses.replace(made, **changes)


def ledger(*arrivals: Arrival) -> Ledger:
    made = Ledger()
    made.expect(item())
    for one in arrivals:
        made.arrived(one)
    return made


def test_what_is_right_has_no_fault() -> None:
    found = ledger(arrival("bob"), arrival("carol", at=5_000))
    assert list(found.faults()) == []
    rows = found.rows()
    assert [(row.recipient, row.count, row.expected, row.size, row.latency, row.ok) for row in rows] == [
        ("bob", 1, 1, 5, 2_000, True),
        ("carol", 1, 1, 5, 4_000, True),
    ]
    assert rows[0].checksum == hashlib.sha256(DATA).hexdigest()[:12]


def test_what_is_missing() -> None:
    found = ledger(arrival("bob"))
    assert list(found.faults()) == ['"ann.text-01" (text from "ann") did not arrive at "carol"']
    assert [(row.count, row.ok) for row in found.rows()] == [(1, True), (0, False)]
    assert [(one.id, name) for one, name in found.missing("to a set")] == [("ann.text-01", "carol")]
    assert found.missing("another act") == []


def test_a_lossy_message_may_be_missing_but_not_altered() -> None:
    found = Ledger()
    found.expect(item(lossy=True))
    found.arrived(arrival("bob"))
    assert list(found.faults()) == []
    found.arrived(arrival("carol", data=b"hallo"))
    assert len(list(found.faults())) == 1
    assert [(row.recipient, row.ok) for row in found.rows()] == [("bob", True), ("carol", False)]


def test_other_bytes() -> None:
    found = ledger(arrival("bob"), arrival("carol", data=b"hellO"))
    (fault,) = found.faults()
    assert fault.startswith('"carol" received other bytes for "ann.text-01" (text from "ann")')
    assert [row.ok for row in found.rows()] == [True, False]


def test_somebody_else_got_it() -> None:
    found = ledger(arrival("bob"), arrival("carol"), arrival("eve"))
    assert list(found.faults()) == ['"eve" received "ann.text-01" (text from "ann"), which was not for "eve"']
    assert [(row.recipient, row.expected, row.ok) for row in found.rows()][-1] == ("eve", 0, False)


def test_twice() -> None:
    found = ledger(arrival("bob"), arrival("carol"), arrival("bob"))
    assert list(found.faults()) == ['"bob" received "ann.text-01" (text from "ann") twice']


def test_another_sender_and_another_privacy() -> None:
    found = ledger(arrival("bob", sender="eve"), arrival("carol", private=False))
    assert list(found.faults()) == [
        '"bob" received "ann.text-01" (text from "ann") as a message of "eve"',
        '"carol" was told of "ann.text-01" (text from "ann") that it is not private',
    ]


def test_what_nobody_sent() -> None:
    found = ledger(arrival("bob"), arrival("carol"), arrival("bob", "x\x1b[2J"))
    assert list(found.faults()) == ['"bob" received "x\\x1b[2J", which nobody sent']


def test_a_checksum_of_several_does_not_depend_on_their_order() -> None:
    one, two = Ledger(), Ledger()
    for name in ("ann.text-01", "ann.text-02"):
        for each in (one, two):
            each.expect(item(name, ("bob",)))
    arrivals = [arrival("bob", "ann.text-01"), arrival("bob", "ann.text-02")]
    for each in arrivals:
        one.arrived(each)
    for each in reversed(arrivals):
        two.arrived(each)
    assert one.rows() == two.rows()
    assert one.rows()[0].ok


def test_a_file_s_latency_begins_with_its_sending() -> None:
    found = Ledger(began={"ann.file": 500})
    found.expect(item("ann.file", ("bob",), kind="file"))
    found.arrived(arrival("bob", "ann.file", sent=None))
    assert found.rows()[0].latency == 2_500
    found.began.clear()
    assert found.rows()[0].latency is None


def test_overtaking() -> None:
    found = Ledger()
    found.expect(item("ann.file", kind="file"))
    found.expect(item("ann.text-01"))
    found.arrived(arrival("bob", "ann.text-01", at=9_000))
    assert found.overtaking("to a set") == (0, 0)
    found.arrived(arrival("bob", "ann.file", at=10_000))
    found.arrived(arrival("carol", "ann.file", at=10_000))
    found.arrived(arrival("carol", "ann.text-01", at=11_000))
    assert found.overtaking("to a set") == (1, 2)
