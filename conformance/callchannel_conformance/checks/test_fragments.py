# SPDX-License-Identifier: Apache-2.0
"""Fragments and streams at an endpoint (chapter 6)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Far
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import (
    confirmed,
    failed,
    open_sender,
    payload,
    read,
    read_all,
    received,
    send,
)
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@positive("CC-FRAG-001", "CC-FRAG-002", "CC-FRAG-007", "CC-FRAG-009", "CC-FRAG-011", "CC-FRAG-004")
@negative("CC-FRAG-001", "CC-FRAG-009")
@pytest.mark.parametrize(("size", "frames"), [(0, 1), (1, 1), (16_368, 1), (16_369, 2), (40_000, 3)])
def test_written(bench: Bench, size: int, frames: int) -> None:
    """A message is cut when it does not fit one frame, into full fragments that add up."""
    far = group(bench)
    sender = open_sender(far)
    content = bytes(number % 251 for number in range(size))
    send(far, sender, content)
    data = far.take("DATA")
    expect_equal(b"".join(map(payload, data)), content, "CC-FRAG-009", "the payloads add up")
    expect_equal(len(data), frames, "CC-FRAG-011", "full frames")
    expect_equal("fragment" in data[0], frames > 1, "CC-FRAG-002", "a fragment block where it is needed")
    far.ack()
    confirmed(far.machine, sender, 1, "CC-DELIV-010")


@negative("CC-MODEL-004", "CC-FRAG-003", "CC-FRAG-012")
@positive("CC-FRAG-003", "CC-MODEL-004", "CC-FRAG-012")
@pytest.mark.parametrize("cut", [(5,), (1, 1, 1, 1, 1), (3, 2)])
def test_read_in_any_pieces(bench: Bench, cut: tuple[int, ...]) -> None:
    """A message in fragments of any size is handed out as one, whatever later fragments say of PRIVATE."""
    far = group(bench)
    content, offset = b"hello", 0
    for index, size in enumerate(cut):
        last = index == len(cut) - 1
        part = f.data(content[offset : offset + size], fragment=(index, 5, last), private=index == 0)
        if index == 0:
            receiver = received(far, part, "CC-SESS-027")
        else:
            far.write(part)
        offset += size
    got = read_all(far.machine, receiver)
    expect_equal([(m["data"], m["private"]) for m in got], [(content.hex(), True)], "CC-FRAG-003", "one message")


@negative("CC-FRAG-005", "CC-FRAG-006")
@positive("CC-FRAG-005", "CC-FRAG-006")
def test_interleaved(bench: Bench) -> None:
    """Fragments of different sessions stand between each other, written and read."""
    far = group(bench)
    one, two = open_sender(far), open_sender(far)
    far.hold()
    send(far, one, bytes(50_000))
    send(far, two, bytes(50_000))
    far.hold(held=False)
    sessions = [frame["session"] for frame in far.take("DATA")]
    expect(sessions != sorted(sessions), "CC-FRAG-005", "they take turns", actual=sessions)
    far.write(
        f.data(b"ab", session=1, channel=1, fragment=(0, 4, False)),
        f.data(b"AB", session=2, channel=2, fragment=(0, 4, False)),
    )
    far.write(
        f.data(b"CD", session=2, channel=2, fragment=(1, 4, True)),
        f.data(b"cd", session=1, channel=1, fragment=(1, 4, True)),
    )
    got = [read(far.machine, event["receiver"]) for event in far.machine.take("receiver_created")]
    expect_equal(
        [message and message["data"] for message in got],
        [b"abcd".hex(), b"ABCD".hex()],
        "CC-FRAG-006",
        "each for itself",
    )


_TABLE = [
    ("gap-and-total", f.data(b"l", fragment=(2, 6, False)), "SEQUENCE"),
    ("again", f.data(b"hel", fragment=(0, 5, False)), "SEQUENCE"),
    ("abort-gap", f.abort(index=2, total=5), "SEQUENCE"),
    ("abort-total", f.abort(index=1, total=6), "FRAGMENT"),
    ("becomes-stream", f.data(b"l", fragment=(1, 0, False)), "FRAGMENT"),
    ("too-large", f.data(b"l", fragment=(1, 0xFFFFFFFF, False)), "FRAGMENT"),
    ("short-last", f.data(b"l", fragment=(1, 5, True)), "FRAGMENT"),
    ("full-not-last", f.data(b"lo", fragment=(1, 5, False)), "FRAGMENT"),
    ("long-last", f.data(b"lost", fragment=(1, 5, True)), "FRAGMENT"),
    ("other-channel", f.data(b"lo", channel=6, fragment=(1, 5, True)), "SESSION_MISMATCH"),
    ("other-priority", f.data(b"lo", high=True, fragment=(1, 5, True)), "SESSION_MISMATCH"),
    ("next-message", f.data(b"lo", sequence=2), "SEQUENCE"),
    ("last-index", f.data(b"l", fragment=((1 << 30) - 1, 5, False)), "SEQUENCE"),
]


@negative(
    "CC-FRAG-008",
    "CC-FRAG-010",
    "CC-FRAG-044",
    "CC-FRAG-045",
    "CC-FRAG-046",
    "CC-FRAG-050",
    "CC-FRAG-051",
    "CC-LINK-087",
    "CC-SESS-042",
    "CC-LINK-085",
)
@positive("CC-FRAG-046", "CC-LINK-087", "CC-FRAG-050", "CC-FRAG-051")
@pytest.mark.parametrize(("frame", "code"), [case[1:] for case in _TABLE], ids=[case[0] for case in _TABLE])
def test_which_one_wins(bench: Bench, frame: f.Frame, code: str) -> None:
    """The table of section 6.7: "hello" is partial with "hel"."""
    far = group(bench)
    receiver = received(far, f.data(b"hel", fragment=(0, 5, False)), "CC-SESS-027")
    far.take()
    far.write(frame)
    fail = far.one("CC-FRAG-046", "FAIL")
    expect_equal(
        (fail["reason"], fail["value"]),
        (f.bye(code)["code"], 1),
        "CC-FRAG-046",
        f"FAIL with {code} and the partial message",
    )
    closed = far.machine.take("receiver_closed", receiver=receiver)
    expect_equal([event["code"] for event in closed], [code], "CC-ERR-021", "the receiver ends with it")


@negative("CC-FRAG-017")
@positive("CC-FRAG-017")
def test_abort_read(bench: Bench) -> None:
    """ABORT discards the partial message, and the session goes on."""
    far = group(bench)
    receiver = received(far, f.data(b"hel", fragment=(0, 5, False)), "CC-SESS-027")
    far.write(f.abort(index=1, total=5), f.data(b"next", sequence=2))
    got = read_all(far.machine, receiver)
    expect_equal([message["sequence"] for message in got], [2], "CC-FRAG-017", "the next message is taken")
    far.none("CC-FRAG-017", "FAIL")


@negative("CC-FRAG-047", "CC-FRAG-048", "CC-LIMIT-021", "CC-FRAG-058", "CC-SEC-011")
@positive("CC-FRAG-048", "CC-LIMIT-021", "CC-SEC-011", "CC-FRAG-047", "CC-FRAG-058")
def test_too_large(bench: Bench) -> None:
    """A message above what the receiver announced fails with TOO_LARGE at its first frame."""
    far = group(bench)
    assert far.hello is not None
    largest = far.hello["largest_message"]
    far.write(f.data(fragment=(0, largest, False)))
    far.none("CC-LIMIT-021", "FAIL")
    far.write(f.data(session=2, channel=6, fragment=(0, largest + 1, False)))
    fail = far.one("CC-FRAG-048", "FAIL")
    told = (fail["session"], fail["value"], fail["reason"])
    expect_equal(told, (2, 1, f.bye("TOO_LARGE")["code"]), "CC-FRAG-048", "TOO_LARGE")


# --- streams --------------------------------------------------------------------------------------


@negative("CC-FRAG-020", "CC-FRAG-021", "CC-FRAG-022")
@positive("CC-FRAG-019", "CC-FRAG-021", "CC-FRAG-022", "CC-FRAG-020")
def test_stream_written(bench: Bench) -> None:
    """A stream has total 0; its bytes go out as they come, and LAST says that it is finished."""
    far = group(bench, largest_message=32_768)
    sender = open_sender(far)
    stream = far.machine.do("stream_open", sender=sender)["sequence"]
    far.take()
    far.machine.do("stream_write", sender=sender, sequence=stream, data=b"one".hex())
    frame = far.one("CC-FRAG-021", "DATA")
    expect_equal((frame["fragment"]["total"], payload(frame)), (0, b"one"), "CC-FRAG-019", "total 0")
    for _ in range(5):
        far.machine.do("stream_write", sender=sender, sequence=stream, data=bytes(10_000).hex())
    expect_equal(
        sum(len(payload(frame)) for frame in far.take("DATA")), 50_000, "CC-FRAG-020", "no largest message bounds it"
    )
    far.machine.do("stream_finish", sender=sender, sequence=stream)
    frame = far.one("CC-FRAG-022", "DATA")
    expect(frame["fragment"]["last"], "CC-FRAG-022", "LAST ends it", actual=frame)
    far.ack()
    confirmed(far.machine, sender, stream, "CC-DELIV-010")


@negative("CC-DELIV-044", "CC-ERR-024", "CC-FRAG-025", "CC-FRAG-026", "CC-FRAG-027")
@positive("CC-FRAG-025", "CC-FRAG-026", "CC-FRAG-027", "CC-ERR-024", "CC-DELIV-044")
def test_stream_read(bench: Bench) -> None:
    """A stream is read chunk by chunk before it is over; its end is told behind the last byte."""
    bench.client.needs(feature="streams")
    far = group(bench)
    receiver = received(far, f.data(b"one", fragment=(0, 0, False), confirm=True), "CC-SESS-027")
    message = read(far.machine, receiver)
    expect(message is not None and message["stream"], "CC-FRAG-025", "the stream is handed out", actual=message)
    far.write(f.data(b"two", fragment=(1, 0, False), confirm=True))
    got = b""
    for _ in range(10):
        chunk = far.machine.do("read_chunk", receiver=receiver)["chunk"]
        if chunk is None:
            break
        expect(not chunk["last"], "CC-ERR-024", "the stream is not over", actual=chunk)
        got += bytes.fromhex(chunk["data"])
    expect_equal(got, b"onetwo", "CC-FRAG-026", "the bytes from its start")
    far.none("CC-DELIV-044", "RECEIPT")
    far.write(f.data(b"", fragment=(2, 0, True), confirm=True))
    chunk = far.machine.do("read_chunk", receiver=receiver)["chunk"]
    expect(chunk is not None and chunk["last"], "CC-FRAG-027", "the end is told", actual=chunk)
    far.one("CC-DELIV-044", "RECEIPT", value=1)


@positive("CC-FRAG-027", "CC-FRAG-045", "CC-DELIV-044")
@negative("CC-FRAG-027", "CC-FRAG-045")
def test_messages_behind_streams(bench: Bench) -> None:
    """Streams whose last fragment has bytes: their end is told once, and the messages behind them are read in order."""
    bench.client.needs(feature="streams")
    far = group(bench)
    receiver = received(far, f.data(b"a", fragment=(0, 0, False), confirm=True), "CC-SESS-027")
    far.write(
        f.data(b"b", fragment=(1, 0, True), confirm=True),
        f.data(b"between", sequence=2, confirm=True),
        f.data(b"c", sequence=3, fragment=(0, 0, False), confirm=True),
    )
    _reads(far, receiver, 1)
    expect_equal(_chunks(far, receiver), (b"ab", True), "CC-FRAG-027", "its bytes, then its end")
    _reads(far, receiver, 2)
    _reads(far, receiver, 3)
    expect_equal(_chunks(far, receiver), (b"c", False), "CC-FRAG-026", "what has come of it")
    far.write(f.data(b"d", sequence=3, fragment=(1, 0, True), confirm=True), f.data(b"end", sequence=4))
    expect_equal(_chunks(far, receiver), (b"d", True), "CC-FRAG-027", "its bytes, then its end")
    values = [frame["value"] for frame in far.take("RECEIPT")]
    expect_equal(values[-1:], [3], "CC-DELIV-044", "a stream has been read when its end is")
    _reads(far, receiver, 4)
    expect_equal(read(far.machine, receiver), None, "CC-FRAG-027", "nothing else is there")


def _reads(far: Far, receiver: int, sequence: int) -> None:
    """The next message that is read is this one."""
    message = read(far.machine, receiver)
    expect_equal(message and message["sequence"], sequence, "CC-FRAG-045", "the next message")


def _chunks(far: Far, receiver: int) -> tuple[bytes, bool]:
    """What is there of a stream, and whether its end was told."""
    got = b""
    while (chunk := far.machine.do("read_chunk", receiver=receiver)["chunk"]) is not None:
        got += bytes.fromhex(chunk["data"])
        if chunk["last"]:
            return got, True
    return got, False


@negative("CC-FRAG-028", "CC-ERR-023", "CC-SESS-037")
@positive("CC-FRAG-028", "CC-SESS-037", "CC-ERR-023")
@pytest.mark.parametrize("how", ["abort", "close-lost", "fail", "link"])
def test_stream_given_up(bench: Bench, how: str) -> None:
    """A stream that ends before its last fragment raises ABORTED to its reader, and gives no more bytes."""
    bench.client.needs(feature="streams")
    far = group(bench)
    receiver = received(far, f.data(b"one", fragment=(0, 0, False)), "CC-SESS-027")
    read(far.machine, receiver)
    far.machine.do("read_chunk", receiver=receiver)
    far.write(f.data(b"two", fragment=(1, 0, False)))
    far.write(
        {
            "abort": f.abort(index=2, total=0),
            "close-lost": f.close(1, reason="LOST"),
            "fail": f.fail(1, "MEMORY", recipient=2),
            "link": f.bye("GOING_AWAY"),
        }[how]
    )
    far.machine.raises("CC-FRAG-028", "ABORTED", "read_chunk", receiver=receiver)


@positive("CC-FRAG-029")
@negative("CC-FRAG-029")
def test_stream_never_begun(bench: Bench) -> None:
    """A stream that was given up before its reading began is not handed out."""
    far = group(bench)
    receiver = received(far, f.data(b"one", fragment=(0, 0, False)), "CC-SESS-027")
    far.write(f.abort(index=1, total=0), f.data(b"next", sequence=2))
    got = read_all(far.machine, receiver)
    expect_equal([message["sequence"] for message in got], [2], "CC-FRAG-029", "only the next message")


@negative("CC-FRAG-004", "CC-FRAG-017")
@positive("CC-DELIV-035", "CC-FRAG-013")
def test_stream_cancelled(bench: Bench) -> None:
    """Taking back a stream ends it with ABORT; what waits behind it goes on."""
    far = group(bench)
    sender = open_sender(far)
    stream = far.machine.do("stream_open", sender=sender)["sequence"]
    far.machine.do("stream_write", sender=sender, sequence=stream, data="6161")
    second = send(far, sender)
    expect_equal([frame["sequence"] for frame in far.take("DATA")], [stream], "CC-FRAG-004", "the next message waits")
    far.machine.do("cancel", sender=sender, sequence=stream, code="CANCELLED")
    data = far.take("DATA")
    expect_equal([frame["sequence"] for frame in data], [stream, second], "CC-FRAG-013", "ABORT, then the next")
    expect(data[0]["fragment"]["abort"], "CC-FRAG-013", "ABORT", actual=data[0])


@negative("CC-LINK-048", "CC-FRAG-007")
@positive("CC-LINK-048", "CC-FRAG-007")
def test_resume_in_mid_message(bench: Bench) -> None:
    """A resume in the middle of a message repeats what was lost, in order, then goes on."""
    far = group(bench)
    sender = open_sender(far)
    far.hold()
    send(far, sender, bytes(range(200)) * 300)
    far.pull()
    far.deaf = True
    far.pull()
    far.pull()
    far.deaf = False
    far.disconnect()
    far.resume()
    data = [seen.frame for seen in far.seen if seen.frame["type"] == "DATA"]
    expect_equal([frame["fragment"]["index"] for frame in data], [0, 1, 2, 3], "CC-LINK-048", "each fragment came once")
    expect_equal(b"".join(map(payload, data)), bytes(range(200)) * 300, "CC-LINK-048", "the bytes are those")
    far.ack()
    confirmed(far.machine, sender, 1, "CC-DELIV-010")


@negative("CC-FRAG-013")
def test_no_abort_after_fail_for_all(bench: Bench) -> None:
    """After FAIL for all nothing more of a partly written message is written, not even ABORT."""
    far = group(bench)
    sender = open_sender(far)
    far.hold()
    sequence = send(far, sender, bytes(60_000))
    part = far.pull()
    far.take()
    far.write(f.fail(1, "INTERNAL", recipient=f.NO_SLOT, sender=2, session=part[-1]["session"]))
    failed(far.machine, sender, sequence, "CC-DELIV-024", "INTERNAL")
    far.hold(held=False)
    far.none("CC-FRAG-013", "DATA", "CLOSE")


@positive("CC-FRAG-044", "CC-FRAG-045")
@negative("CC-FRAG-044", "CC-FRAG-045", "CC-FRAG-019")
def test_in_order(bench: Bench) -> None:
    """What is in order is taken: gaps between messages, ABORT, single fragments, and the message after each of them."""
    far = group(bench)
    receiver = received(far, f.data(b"1", sequence=3), "CC-SESS-027")
    far.write(f.data(b"hel", sequence=7, fragment=(0, 5, False)), f.data(b"lo", sequence=7, fragment=(1, 5, True)))
    far.write(f.data(b"x", sequence=8, fragment=(0, 5, False)), f.abort(index=1, total=5, sequence=8))
    far.write(f.data(b"whole", sequence=9, fragment=(0, 5, True)), f.data(b"end", sequence=2**32 - 1))
    far.none("CC-FRAG-044", "FAIL")
    got = read_all(far.machine, receiver)
    expect_equal([message["sequence"] for message in got], [3, 7, 9, 2**32 - 1], "CC-FRAG-045", "all that was in order")
    expect(not any(message["stream"] for message in got), "CC-FRAG-019", "a message with a total is no stream")


@positive("CC-FRAG-019")
def test_single_fragment_stream(bench: Bench) -> None:
    """Total 0 makes a stream, also in a single fragment with LAST."""
    bench.client.needs(feature="streams")
    far = group(bench)
    receiver = received(far, f.data(b"all", fragment=(0, 0, True)), "CC-SESS-027")
    message = read(far.machine, receiver)
    expect(message is not None and message["stream"], "CC-FRAG-019", "it is a stream", actual=message)


@positive("CC-SESS-067", "CC-SESS-036")
@negative("CC-SESS-067")
@pytest.mark.parametrize("ended", [False, True])
def test_reading_on_in_a_begun_stream(bench: Bench, ended: bool) -> None:
    """While a stream is begun and not read to its end there is no next message: rows R38 in OPEN and DRAINING."""
    bench.client.needs(feature="streams")
    far = group(bench)
    first, last = f.data(b"one", fragment=(0, 0, False)), f.data(b"two", fragment=(1, 0, True))
    receiver = received(far, first, "CC-SESS-027")
    far.write(last, f.data(b"next", sequence=2))
    if ended:
        far.write(f.close(2))
    expect(read(far.machine, receiver), "CC-FRAG-025", "the stream is handed out")
    for _ in range(4):
        expect_equal(read(far.machine, receiver), None, "CC-SESS-067", "nothing but the stream can be read")
        chunk = far.machine.do("read_chunk", receiver=receiver)["chunk"]
        if chunk is None or chunk["last"]:
            break
    message = read(far.machine, receiver)
    expect(message is not None and message["sequence"] == 2, "CC-SESS-067", "the next message", actual=message)
    closed = [event["code"] for event in far.machine.new_events("receiver_closed")]
    expect_equal(closed, ["NONE"] if ended else [], "CC-SESS-036", "closed when everything was read")


@positive("CC-FRAG-016")
@negative("CC-FRAG-016", "CC-FRAG-015")
def test_abort_has_the_flags(bench: Bench) -> None:
    """ABORT of a message with every flag carries them all, at the next index."""
    far = group(bench)
    sender = open_sender(far, priority="high", confirm="delivered", to=["ann"])
    far.hold()
    sequence = send(far, sender, bytes(60_000))
    part = far.pull()
    far.machine.do("cancel", sender=sender, sequence=sequence, code="CANCELLED")
    far.take()
    far.hold(held=False)
    data = far.take("DATA")
    expect(data and data[-1]["fragment"]["abort"], "CC-FRAG-016", "ABORT", actual=data)
    expect_equal(data[-1]["flags"], part[-1]["flags"], "CC-FRAG-016", "with the message's flags")
