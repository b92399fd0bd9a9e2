# SPDX-License-Identifier: Apache-2.0
"""Who pays when `receive_memory` is out (section 7.12)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Far
from callchannel_conformance.bench.links import Acceptor, group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import read
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_MEMORY = 1_048_576
_SIZE = 16_000


def _endpoint(bench: Bench) -> Far:
    limits = {"receive_memory": _MEMORY, "window": _MEMORY, "largest_message": _MEMORY}
    return group(bench, bench.endpoint(limits=limits), largest_message=_MEMORY)


def _fill(far: Far, session: int, sizes: list[int], first: int = 1) -> None:
    for place, size in enumerate(sizes):
        far.write(f.data(bytes(size), session=session, channel=session, sequence=first + place))


@positive("CC-DELIV-059", "CC-DELIV-060")
@negative("CC-SESS-044")
def test_the_largest_pays_with_what_arrives(bench: Bench) -> None:
    """The session that would have the most with the arriving frame is the one that pays, also where it had less."""
    far = _endpoint(bench)
    _fill(far, 1, [_SIZE] * 33)
    _fill(far, 2, [_SIZE] * 31 + [_SIZE - 100])
    rest = _MEMORY - 65 * _SIZE + 100
    assert 0 < rest < _SIZE
    far.none("CC-LIMIT-013", "FAIL")
    # Session 1 has 528,000 bytes, session 2 has 511,900: with 16,300 more it has 528,200.
    far.write(f.data(bytes(16_300), session=2, channel=2, sequence=33))
    fail = far.one("CC-DELIV-059", "FAIL")
    told = (fail["session"], fail["value"], fail["reason"])
    expect_equal(told, (2, 1, f.bye("MEMORY")["code"]), "CC-DELIV-059", "session 2 would have the most")


@positive("CC-DELIV-059")
def test_of_equals_the_newest_pays(bench: Bench) -> None:
    """Of sessions with equally many bytes the one that began last pays."""
    far = _endpoint(bench)
    for session in (1, 2, 3):
        _fill(far, session, [_SIZE])
    for session in (2, 1):
        _fill(far, session, [_SIZE] * 30, first=2)
    far.none("CC-LIMIT-013", "FAIL")
    _fill(far, 3, [_SIZE] * 3, first=2)
    fail = far.one("CC-DELIV-059", "FAIL")
    expect_equal(fail["session"], 2, "CC-DELIV-059", "sessions 1 and 2 have equally many, 2 began later")
    _fill(far, 3, [_SIZE], first=5)
    far.none("CC-DELIV-060", "FAIL")


@positive("CC-FRAG-028", "CC-ERR-023")
def test_reader_of_a_stream_pays(bench: Bench) -> None:
    """Who has begun to read a stream of a session that fails for memory is told ABORTED."""
    far = _endpoint(bench)
    bench.client.needs(feature="streams")
    far.machine.take()
    far.write(f.data(bytes(_SIZE), fragment=(0, 0, False)))
    receiver = int(far.machine.take("receiver_created")[0]["receiver"])
    message = read(far.machine, receiver)
    expect(message is not None and message["stream"], "CC-FRAG-025", "a stream is handed out", actual=message)
    _fill(far, 2, [_SIZE] * 20)
    for index in range(1, 46):
        far.write(f.data(bytes(_SIZE), fragment=(index, 0, False)))
    fail = far.one("CC-DELIV-060", "FAIL")
    expect_equal((fail["session"], fail["value"]), (1, 1), "CC-SESS-044", "message 1 is discarded")
    far.machine.raises("CC-FRAG-028", "ABORTED", "read_chunk", receiver=receiver)


@positive("CC-DELIV-081", "CC-DELIV-060")
@negative("CC-DELIV-081")
def test_number_of_unread_messages(bench: Bench) -> None:
    """Empty messages have a bound, too: as many as the standard promises stay, and who has the most pays for more."""
    far = _endpoint(bench)
    _fill(far, 1, [0] * 100)
    left = _MEMORY // 64
    for first in range(1, left, 256):
        if first == _MEMORY // 256 - 255:
            far.none("CC-DELIV-081", "FAIL")
        far.write(*(f.data(b"", session=2, channel=2, sequence=first + place) for place in range(256)))
    fail = far.one("CC-DELIV-081", "FAIL")
    told = (fail["session"], fail["value"], fail["reason"])
    expect_equal(told, (2, 1, f.bye("MEMORY")["code"]), "CC-DELIV-081", "session 2 has the most messages")
    receivers = [created["receiver"] for created in far.machine.take("receiver_created")]
    expect(read(far.machine, int(receivers[0])) is not None, "CC-DELIV-081", "session 1 keeps its messages")


@positive("CC-LIMIT-018")
@negative("CC-LIMIT-018")
@pytest.mark.parametrize("name", ["window", "largest_message"])
def test_no_more_is_announced_than_memory_holds(bench: Bench, name: str) -> None:
    """An endpoint that is given less memory than its window or largest message says so, or announces less."""
    machine = bench.endpoint(limits={"receive_memory": _MEMORY, name: 2 * _MEMORY})
    if (refused := machine.creation.raised) is not None:
        expect_equal(refused.code, "INVALID_ARGUMENT", "CC-LIMIT-018", "limits that don't fit each other")
        return
    far = Acceptor(bench, machine)
    far.connect()
    hello = far.receive_hello()
    expect(hello[name] <= _MEMORY, "CC-LIMIT-018", f"{name} in HELLO", expected=_MEMORY, actual=hello[name])


@negative("CC-FRAG-057")
@positive("CC-FRAG-057")
def test_partial_messages_count_as_they_come(bench: Bench) -> None:
    """What has come of a partial message counts, not what its total announces."""
    far = _endpoint(bench)
    total = _MEMORY - 1_000

    def part(session: int, index: int) -> None:
        far.write(f.data(bytes(_SIZE), session=session, channel=session, fragment=(index, total, False)))

    for session in (1, 2, 3):
        part(session, 0)
    far.none("CC-FRAG-057", "FAIL")
    most = (_MEMORY - 2 * _SIZE) // _SIZE
    for index in range(1, most):
        part(1, index)
    far.none("CC-FRAG-057", "FAIL")
    part(1, most)
    fail = far.one("CC-FRAG-057", "FAIL")
    told = (fail["session"], fail["value"], fail["reason"])
    expect_equal(told, (1, 1, f.bye("MEMORY")["code"]), "CC-FRAG-057", "session 1 passes the bound with what came")
    part(2, 1)
    far.none("CC-FRAG-057", "FAIL")
