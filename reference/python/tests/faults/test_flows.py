# SPDX-License-Identifier: Apache-2.0
"""The judge of numbered messages finds what is wrong, and nothing where nothing is."""

import pytest

from callchannel.demo.payloads import text
from faults.flows import Flow, flow_faults, tick_faults, verdict_faults


def counted(*numbers: int) -> Flow:
    flow = Flow("ann accepted")
    for number in numbers:
        flow.take(text("ann accepted", number).encode())
    return flow


def judged(flow: Flow, sent: int) -> list[str]:
    return list(flow_faults("bob", flow.name, sent, flow.fields()))


def test_all_in_order() -> None:
    assert judged(counted(1, 2, 3), 3) == []
    assert judged(counted(), 0) == []


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ((1, 2, 2, 3), "1 duplicates"),
        ((1, 3), "1 gaps"),
        ((2, 1, 3), "1 disordered"),
        ((1, 2), "received 2 of 3"),
        ((1, 2, 3, 4), "received 4 of 3"),
    ],
)
def test_what_is_wrong_is_named(numbers: tuple[int, ...], told: str) -> None:
    assert any(told in fault for fault in judged(counted(*numbers), 3))


def test_other_bytes_are_damaged() -> None:
    flow = counted(1, 2)
    flow.take(text("ann accepted", 3).encode() + b"!")
    flow.take(b"\xff")
    assert any("2 damaged" in fault for fault in judged(flow, 3))


def test_ticks_may_be_lost_and_nothing_else() -> None:
    good = {"count": 7, "damaged": 0, "duplicates": 0}
    assert list(tick_faults("bob", "ann ticks", 10, good)) == []
    for bad in ({"count": 11}, {"count": 0}, {"damaged": 1}, {"duplicates": 2}):
        assert list(tick_faults("bob", "ann ticks", 10, good | bad))


def test_each_text_has_one_verdict() -> None:
    assert list(verdict_faults("ann", 3, {"confirmed": 3})) == []
    assert list(verdict_faults("ann", 0, {})) == []
    for verdicts in ({"confirmed": 2}, {"confirmed": 4}, {"confirmed": 2, "unknown": 1}, {"confirmed": 3, "failed": 1}):
        assert list(verdict_faults("ann", 3, verdicts))
