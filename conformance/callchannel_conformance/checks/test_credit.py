# SPDX-License-Identifier: Apache-2.0
"""Flow control to the byte: what counts, when CREDIT is due, and that no byte is lost (sections 7.10 and 7.11)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Far
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import open_sender, read, read_all, received, send
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_FULL = 16_384
_WINDOW = 65_536
_SMALL_WINDOW = {"window": _WINDOW}


def _whole(far: Far, sequence: int, size: int, **fields: object) -> None:
    """A Reliable message whose frame has *size* bytes."""
    far.write(f.data(bytes(size - 16), sequence=sequence, **fields))  # type: ignore[arg-type]


@positive("CC-DELIV-050", "CC-LIMIT-013")
@negative("CC-LINK-084", "CC-DELIV-055")
@pytest.mark.parametrize("confirm", [False, True])
def test_window_to_the_byte(bench: Bench, confirm: bool) -> None:
    """A window can be used up to its last byte; one byte more is FLOW_CONTROL."""
    far = group(bench, bench.endpoint(limits=_SMALL_WINDOW))
    for sequence in range(1, 5):
        _whole(far, sequence, _FULL, confirm=confirm)
    far.goes_on("CC-LIMIT-013")
    far.none("CC-DELIV-051", "CREDIT")
    _whole(far, 5, 16)
    far.ended("CC-LINK-084", "FLOW_CONTROL")


@positive("CC-DELIV-055", "CC-DELIV-052")
def test_credit_for_a_stuck_writer(bench: Bench) -> None:
    """Where less than a full frame is left, CREDIT is due as soon as the limit has grown at all."""
    far = group(bench, bench.endpoint(limits=_SMALL_WINDOW))
    receiver = received(far, f.data(bytes(84)), "CC-SESS-027")
    for sequence in range(2, 5):
        _whole(far, sequence, _FULL)
    _whole(far, 5, 10_000)
    far.none("CC-DELIV-051", "CREDIT")
    read(far.machine, receiver)
    credit = far.one("CC-DELIV-055", "CREDIT")
    expect_equal(credit["value"], _WINDOW + 100, "CC-DELIV-056", "the consumed bytes and a window")


@positive("CC-DELIV-055")
@negative("CC-DELIV-057")
def test_exactly_a_quarter(bench: Bench) -> None:
    """CREDIT is due when the limit has grown by exactly a quarter of the window, not by one byte less."""
    far = group(bench, bench.endpoint(limits=_SMALL_WINDOW))
    receiver = received(far, f.data(bytes(_FULL - 17)), "CC-SESS-027")
    _whole(far, 2, 17)
    _whole(far, 3, 16)
    read(far.machine, receiver)
    far.none("CC-DELIV-057", "CREDIT")
    read(far.machine, receiver)
    credit = far.one("CC-DELIV-055", "CREDIT")
    expect_equal(credit["value"], _WINDOW + _FULL + 16, "CC-DELIV-056", "the consumed bytes and a window")


@negative("CC-DELIV-049")
@pytest.mark.parametrize("to", [None, ["bob"]])
def test_credit_never_goes_back(bench: Bench, to: list[str] | None) -> None:
    """A CREDIT below the limit in force changes nothing."""
    far = group(bench, window=_WINDOW)
    options = {} if to is None else {"to": to}
    sender = open_sender(far, **options)
    send(far, sender, b"first")
    session = far.one("CC-SESS-007", "DATA")["session"]
    far.write(f.credit(200_000, sender=2, recipient=f.NO_SLOT, session=session))
    far.write(f.credit(70_000, sender=2, recipient=f.NO_SLOT, session=session))
    for _ in range(10):
        send(far, sender, bytes(10_000))
    written = far.take("DATA")
    expect_equal(len(written), 10, "CC-DELIV-049", "100,160 bytes are within the greater limit")


@positive("CC-DELIV-046")
@negative("CC-DELIV-048")
@pytest.mark.parametrize("to", [None, ["bob"]])
def test_headers_count(bench: Bench, to: list[str] | None) -> None:
    """Whole frames count, headers and blocks too: of many small messages no more is written than fits."""
    far = group(bench, bench.endpoint(limits={"unconfirmed_messages": 4_096}), window=_WINDOW)
    far.hold()
    options = {} if to is None else {"to": to}
    sender = open_sender(far, **options)
    for _ in range(3_000):
        send(far, sender, b"0123456789")
    far.hold(held=False)
    sizes = [len(seen.raw) for seen in far.seen if seen.frame["type"] == "DATA"]
    expect(sum(sizes) <= _WINDOW, "CC-DELIV-048", f"{sum(sizes)} of {_WINDOW} bytes were written")
    expect(sum(sizes) > _WINDOW - sizes[0], "CC-DELIV-046", "another frame would have fit", actual=sum(sizes))


@positive("CC-DELIV-054")
@negative("CC-FRAG-017", "CC-DELIV-046")
def test_aborted_bytes_come_back(bench: Bench) -> None:
    """What was aborted is consumed: a session in which many messages are given up never gets stuck."""
    far = group(bench, bench.endpoint(limits=_SMALL_WINDOW))
    receiver = received(far, f.data(bytes(4)), "CC-SESS-027")
    read(far.machine, receiver)
    spent = 20
    for sequence in range(2, 12):
        for index in range(2):
            far.write(f.data(bytes(_FULL - 24), sequence=sequence, fragment=(index, 50_000, False)))
            spent += _FULL
        far.write(f.abort(index=2, total=50_000, sequence=sequence))
        limit = max([_WINDOW, *(frame["value"] for frame in far.new("CREDIT"))])
        expect(limit >= spent + _WINDOW // 2, "CC-DELIV-054", f"{spent} bytes were aborted", actual=limit)
    limit = max(frame["value"] for frame in far.take("CREDIT"))
    expect(limit <= spent + _WINDOW, "CC-DELIV-046", "ABORT does not count, nor does anything twice", actual=limit)
    _whole(far, 12, 100)
    expect_equal(len(read_all(far.machine, receiver)), 1, "CC-FRAG-017", "the session goes on")
    for sequence in range(13, 18):
        _whole(far, sequence, 10_000)
        read(far.machine, receiver)
    credit = far.take("CREDIT")[-1]["value"]
    consumed = spent + 100 + 50_000
    expect(
        consumed + _WINDOW - _WINDOW // 4 < credit <= consumed + _WINDOW,
        "CC-DELIV-054",
        "all bytes are consumed, aborted ones too",
        expected=consumed + _WINDOW,
        actual=credit,
    )


@positive("CC-DELIV-054", "CC-DELIV-044")
def test_stream_bytes_come_back(bench: Bench) -> None:
    """All bytes of a stream's fragments are consumed with their payload, headers too."""
    far = group(bench, bench.endpoint(limits=_SMALL_WINDOW))
    bench.client.needs(feature="streams")
    receiver = received(far, f.data(b"x", fragment=(0, 0, False)), "CC-SESS-027")
    message = read(far.machine, receiver)
    expect(message is not None and message["stream"], "CC-FRAG-025", "a stream is handed out", actual=message)
    far.machine.do("read_chunk", receiver=receiver)
    spent, index = 25, 1
    while spent < 3 * _WINDOW:
        far.write(*(f.data(b"y", fragment=(index + place, 0, False)) for place in range(600)))
        index += 600
        spent += 600 * 25
        while far.machine.do("read_chunk", receiver=receiver)["chunk"] is not None:
            pass
        limit = max([_WINDOW, *(frame["value"] for frame in far.new("CREDIT"))])
        expect(limit > spent + _WINDOW - _WINDOW // 4, "CC-DELIV-054", f"{spent} bytes were read", actual=limit)
    far.write(f.data(b"z", fragment=(index, 0, True)))
    far.machine.do("read_chunk", receiver=receiver)
    far.none("CC-DELIV-042", "RECEIPT")


@positive("CC-LINK-084", "CC-DELIV-046")
@negative("CC-DELIV-050")
def test_abort_needs_no_credit(bench: Bench) -> None:
    """ABORT is taken where not a byte of the window is left."""
    far = group(bench, bench.endpoint(limits=_SMALL_WINDOW))
    received(far, f.data(bytes(_FULL - 16)), "CC-SESS-027")
    for index in range(2):
        far.write(f.data(bytes(_FULL - 24), sequence=2, fragment=(index, 100_000, False)))
    far.write(f.data(bytes(_FULL - 24), sequence=2, fragment=(2, 100_000, False)))
    far.none("CC-DELIV-051", "CREDIT")
    far.write(f.abort(index=3, total=100_000, sequence=2))
    far.goes_on("CC-LINK-084")


@negative("CC-DELIV-058")
def test_no_credit_after_the_end(bench: Bench) -> None:
    """What is read after CLOSE gives no CREDIT."""
    far = group(bench, bench.endpoint(limits=_SMALL_WINDOW))
    receiver = received(far, f.data(bytes(_FULL - 16)), "CC-SESS-027")
    for sequence in range(2, 5):
        _whole(far, sequence, _FULL)
    far.write(f.close(4))
    far.take()
    expect_equal(len(read_all(far.machine, receiver)), 4, "CC-SESS-036", "what is unread stays")
    far.none("CC-DELIV-058", "CREDIT")


@positive("CC-DELIV-051", "CC-DELIV-052", "CC-DELIV-055")
@negative("CC-DELIV-055", "CC-DELIV-052")
@pytest.mark.parametrize("aborted", [False, True], ids=["empty end", "aborted"])
def test_message_behind_a_stream(bench: Bench, aborted: bool) -> None:
    """The end of a stream is read that has no bytes: a large message that waits behind it may go on."""
    bench.client.needs(feature="streams")
    far = group(bench, bench.endpoint(limits=_SMALL_WINDOW))
    receiver = received(far, f.data(b"x", fragment=(0, 0, False)), "CC-SESS-027")
    message = read(far.machine, receiver)
    expect(message is not None and message["stream"], "CC-FRAG-025", "a stream is handed out", actual=message)
    far.machine.do("read_chunk", receiver=receiver)
    far.write(f.abort(index=1, total=0) if aborted else f.data(b"", fragment=(1, 0, True)))
    got = 25 if aborted else 25 + 24
    for index, size in enumerate((_FULL, _FULL, _FULL, 12_000)):
        far.write(f.data(bytes(size - 24), sequence=2, fragment=(index, 200_000, False)))
        got += size
    if aborted:
        # What ABORT discards is consumed when it comes, or when the reader is told: CREDIT may have gone out before.
        far.machine.raises("CC-FRAG-028", "ABORTED", "read_chunk", receiver=receiver)
        most = max([0, *(frame["value"] for frame in far.take("CREDIT"))])
        expect(most >= 3 * _FULL + 25 + _WINDOW // 2, "CC-DELIV-052", "the writer may go on", actual=most)
        return
    most = max([_WINDOW, *(frame["value"] for frame in far.take("CREDIT"))])
    expect(most <= 49 + _WINDOW, "CC-DELIV-051", "the stream is not read to its end", actual=most)
    chunk = far.machine.do("read_chunk", receiver=receiver)["chunk"]
    expect_equal(chunk, {"data": "", "last": True}, "CC-FRAG-027", "the end of the stream")
    limits = [frame["value"] for frame in far.take("CREDIT")]
    expect_equal(limits[-1:], [got + _WINDOW // 2], "CC-DELIV-052", "half a window above what came")


@positive("CC-DELIV-056", "CC-DELIV-054")
@negative("CC-DELIV-056")
@pytest.mark.parametrize("parted_first", [False, True])
def test_consumed_to_the_byte(bench: Bench, parted_first: bool) -> None:
    """A whole message and one in two fragments wait: what is consumed with each is counted to the byte."""
    far = group(bench, bench.endpoint(limits=_SMALL_WINDOW))
    receiver = received(far, f.data(bytes(4)), "CC-SESS-027")
    read(far.machine, receiver)
    spent = 20
    for sequence in (2, 3):
        if (sequence == 2) == parted_first:
            total = 2 * (_FULL - 24)
            for index, last in ((0, False), (1, True)):
                part = f.data(bytes(_FULL - 24), sequence=sequence, fragment=(index, total, last))
                far.write(part)
        else:
            _whole(far, sequence, _FULL)
    far.take()
    for sequence in (2, 3):
        message = read(far.machine, receiver)
        expect_equal(message and message["sequence"], sequence, "CC-MODEL-006", "the next message")
        spent += 2 * _FULL if (sequence == 2) == parted_first else _FULL
        credit = far.one("CC-DELIV-055", "CREDIT")
        expect_equal(credit["value"], spent + _WINDOW, "CC-DELIV-056", "the consumed bytes and a window")
