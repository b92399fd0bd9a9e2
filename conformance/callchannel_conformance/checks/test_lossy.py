# SPDX-License-Identifier: Apache-2.0
"""Lossy messages at an endpoint: queues, the replay window, LATEST, fragments, and reasons of drops."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Far
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import limit, open_sender, read_all, received, send
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


def _drops(far: Far) -> dict[str, int]:
    """All drops that the machine shows, by reason."""
    far.bench.client.needs(feature="statistics")
    shown = far.machine.look()["statistics"]
    found: dict[str, int] = {}
    for part in [shown["link"], *shown["senders"].values(), *shown["receivers"].values()]:
        for reason, count in part["drops"].items():
            if count:
                found[reason] = found.get(reason, 0) + count
    return found


def _lossy(far: Far, sequence: int, payload: bytes = b"hi", **fields: object) -> None:
    lane = str(fields.pop("lane", "lossy"))
    far.write(f.data(payload, reliable=False, sequence=sequence, **fields), lane=lane)  # type: ignore[arg-type]


@negative("CC-LINK-003", "CC-LINK-004", "CC-MODEL-010")
@positive("CC-MODEL-010", "CC-LINK-004", "CC-LINK-003")
def test_lanes(bench: Bench) -> None:
    """Lossy DATA takes the lossy lane while this end of it is open, and the reliable one otherwise."""
    far = group(bench)
    sender = open_sender(far, reliability="lossy")
    send(far, sender)
    expect_equal(far.seen[-1].lane, "lossy", "CC-MODEL-010", "the lossy lane is open")
    far.lossy_lane(False)
    send(far, sender)
    data = [seen for seen in far.seen if seen.frame["type"] == "DATA"]
    expect_equal(data[-1].lane, "reliable", "CC-LINK-004", "the lossy lane is closed")
    far.goes_on("CC-LINK-003")
    far.lossy_lane(True)
    send(far, sender)
    data = [seen for seen in far.seen if seen.frame["type"] == "DATA"]
    expect_equal(data[-1].lane, "lossy", "CC-MODEL-010", "it is open again")


@negative("CC-LINK-005", "CC-MODEL-011", "CC-FRAG-037")
@positive("CC-MODEL-011", "CC-LINK-005", "CC-FRAG-037")
def test_either_lane(bench: Bench) -> None:
    """Lossy DATA is taken from either lane, fragments of one message included, in any order."""
    far = group(bench)
    receiver = received(far, f.data(b"one", reliable=False), "CC-SESS-027")
    _lossy(far, 2, b"t" * 100, fragment=(1, 700, True))
    _lossy(far, 2, b"h" * 600, fragment=(0, 700, False), lane="reliable")
    got = read_all(far.machine, receiver)
    wanted = [b"one".hex(), (b"h" * 600 + b"t" * 100).hex()]
    expect_equal([message["data"] for message in got], wanted, "CC-LINK-005", "both messages arrive whole")


@negative("CC-DELIV-067", "CC-LINK-042")
@positive("CC-DELIV-067", "CC-LINK-042", "CC-ERR-017")
def test_suspended(bench: Bench) -> None:
    """While the link is suspended Lossy messages are dropped and recorded, and the send does not raise (S09, S48)."""
    far = group(bench)
    sender = open_sender(far, reliability="lossy")
    far.hold("lossy")
    send(far, sender)
    far.disconnect()
    reply = far.machine.op("send", sender=sender, data="00")
    expect_equal(reply.raised, None, "CC-DELIV-067", "no state of the link makes it raise")
    expect(not far.machine.all_events("message_failed"), "CC-ERR-017", "nothing that happens later makes it raise")
    expect_equal(_drops(far).get("suspended"), 2, "CC-DELIV-077", "both are recorded")
    far.resume()
    far.none("CC-LINK-042", "DATA")
    expect_equal(send(far, sender), 3, "CC-DELIV-067", "numbers go on")


@positive("CC-DELIV-068", "CC-DELIV-077", "CC-DELIV-079", "CC-DELIV-069")
@negative("CC-DELIV-069", "CC-DELIV-068", "CC-DELIV-079")
def test_queue_full(bench: Bench) -> None:
    """The oldest waiting messages go when the queue is full; one alone always stays (S11)."""
    far = group(bench, bench.endpoint(limits={"lossy_queue": 4_096}))
    sender = open_sender(far, reliability="lossy")
    far.hold("lossy")
    for _ in range(6):
        send(far, sender, bytes(1_000))
    far.hold("lossy", held=False)
    expect_equal(
        [frame["sequence"] for frame in far.take("DATA")], [3, 4, 5, 6], "CC-DELIV-068", "as few as suffice are dropped"
    )
    expect_equal(_drops(far).get("queue_full"), 2, "CC-DELIV-077", "they are recorded, each once")
    shown = far.machine.look()["statistics"]["senders"][str(sender)]["drops"]
    expect_equal(shown.get("queue_full"), 2, "CC-DELIV-079", "with the sender")
    far.hold("lossy")
    send(far, sender, bytes(6_000))
    far.hold("lossy", held=False)
    expect(far.take("DATA"), "CC-DELIV-069", "a message alone in its queue stays")


@positive("CC-DELIV-070", "CC-DELIV-071", "CC-DELIV-072")
@negative("CC-DELIV-072", "CC-DELIV-070")
def test_replay_window(bench: Bench) -> None:
    """The example of section 7.14, frame by frame."""
    far = group(bench)
    receiver = received(far, f.data(b"5", reliable=False, sequence=5), "CC-SESS-027", lane="lossy")

    def write(sequence: int, taken: bool, **fields: object) -> None:
        before = len(got)
        _lossy(far, sequence, **fields)  # type: ignore[arg-type]
        got.extend(message["sequence"] for message in read_all(far.machine, receiver))
        expect_equal(got[before:], [sequence] if taken else [], "CC-DELIV-070", f"sequence {sequence}")

    got: list[int] = [message["sequence"] for message in read_all(far.machine, receiver)]
    write(3, True)
    write(3, False)
    write(2000, False, payload=bytes(512), fragment=(0, 600, False))
    write(1030, True)
    write(7, True)
    write(6, False)
    write(2000, True, payload=bytes(88), fragment=(1, 600, True))
    write(976, False)
    drops = _drops(far)
    expect_equal((drops.get("duplicate"), drops.get("too_old")), (1, 2), "CC-DELIV-077", "how the drops are recorded")


@negative("CC-DELIV-073", "CC-DELIV-074")
@positive("CC-DELIV-074", "CC-DELIV-073")
def test_latest_sender(bench: Bench) -> None:
    """A newer LATEST message replaces an unwritten one for the same recipients; one that needs fragments raises."""
    far = group(bench)
    sender = open_sender(far, reliability="lossy", latest=True)
    far.machine.raises("CC-DELIV-073", "MESSAGE_TOO_LARGE", "send", sender=sender, data="00" * 1_140)
    far.hold("lossy")
    send(far, sender, b"a")
    send(far, sender, b"b", to=["bob"])
    send(far, sender, b"c")
    far.hold("lossy", held=False)
    data = far.take("DATA")
    expect_equal(
        [bytes.fromhex(frame["payload"]) for frame in data], [b"b", b"c"], "CC-DELIV-074", "a is superseded by c"
    )
    expect(all("LATEST" in frame["flags"] for frame in data), "CC-DELIV-074", "LATEST is set", actual=data)
    expect_equal(_drops(far).get("superseded"), 1, "CC-DELIV-078", "it is recorded")


@positive("CC-DELIV-075", "CC-DELIV-076")
@negative("CC-DELIV-076", "CC-DELIV-075")
def test_latest_receiver(bench: Bench) -> None:
    """A newer LATEST message supersedes unread older ones; an older one that comes later is dropped, read or not."""
    far = group(bench)
    receiver = received(far, f.data(b"plain", reliable=False, sequence=1), "CC-SESS-027", lane="lossy")
    _lossy(far, 2, b"a", latest=True)
    _lossy(far, 4, b"c", latest=True)
    _lossy(far, 3, b"b", latest=True)
    got = [message["sequence"] for message in read_all(far.machine, receiver)]
    expect_equal(got, [1, 4], "CC-DELIV-075", "only LATEST messages supersede and are superseded")
    _lossy(far, 3, b"b", latest=True)
    expect_equal(read_all(far.machine, receiver), [], "CC-DELIV-076", "also when the newer one was read")


@positive("CC-FRAG-001", "CC-FRAG-033", "CC-FRAG-034", "CC-FRAG-035", "CC-FRAG-032")
@negative("CC-FRAG-032", "CC-FRAG-033", "CC-FRAG-034")
def test_lossy_fragments_written(bench: Bench) -> None:
    """A Lossy message is cut into fragments of legal sizes that add up; beyond 65,536 bytes it raises."""
    far = group(bench)
    sender = open_sender(far, reliability="lossy")
    far.machine.raises("CC-FRAG-032", "MESSAGE_TOO_LARGE", "send", sender=sender, data="00" * 65_537)
    far.take()
    send(far, sender, bytes(range(256)) * 256)
    data = far.take("DATA")
    parts = [bytes.fromhex(frame["payload"]) for frame in data]
    expect_equal(b"".join(parts), bytes(range(256)) * 256, "CC-FRAG-034", "the payloads add up")
    expect(all(frame["fragment"]["total"] == 65_536 for frame in data), "CC-FRAG-034", "one total")
    expect(
        len(parts) <= 128 and all(len(part) >= 512 for part in parts[:-1]), "CC-FRAG-033", "sizes", actual=len(parts)
    )
    expect_equal(
        [frame["fragment"]["last"] for frame in data].index(True), len(data) - 1, "CC-FRAG-034", "LAST is last"
    )
    expect(all(len(part) == 1_126 for part in parts[:-1]), "CC-FRAG-035", "fragments are as long as they may be")
    send(far, sender, bytes(1_134))
    data = far.take("DATA")
    expect("fragment" not in data[0], "CC-FRAG-002", "what fits one frame has no fragment block", actual=data[0])


@positive("CC-FRAG-039", "CC-FRAG-054", "CC-SEC-015", "CC-FRAG-038", "CC-FRAG-053")
@negative("CC-FRAG-038", "CC-FRAG-053", "CC-SEC-015", "CC-FRAG-054")
@pytest.mark.parametrize(
    ("second", "complete"),
    [
        ({"payload": b"x" * 600, "fragment": (0, 700, False)}, True),
        ({"payload": b"x" * 100, "fragment": (1, 701, True)}, False),
        ({"payload": b"x" * 600, "fragment": (1, 700, False)}, False),
        ({"payload": b"x" * 99, "fragment": (1, 700, True)}, False),
        ({"payload": b"x" * 20}, False),
    ],
    ids=["index-again", "other-total", "too-many-bytes", "too-few-bytes", "no-block"],
)
def test_lossy_contradictions(bench: Bench, second: dict[str, object], complete: bool) -> None:
    """A fragment that is there already is dropped; one that contradicts its message gives it up."""
    far = group(bench)
    receiver = received(far, f.data(b"first", reliable=False), "CC-SESS-027", lane="lossy")
    _lossy(far, 2, b"h" * 600, fragment=(0, 700, False))
    _lossy(far, 2, **second)  # type: ignore[arg-type]
    _lossy(far, 2, b"t" * 100, fragment=(1, 700, True))
    got = read_all(far.machine, receiver)
    expect_equal(len(got), 2 if complete else 1, "CC-FRAG-053", "whether the message completes")
    if complete:
        expect_equal(got[1]["data"], (b"h" * 600 + b"t" * 100).hex(), "CC-FRAG-038", "the first bytes stay")
    far.none("CC-SESS-045", "FAIL")
    far.goes_on("CC-LINK-071")


@negative("CC-FRAG-041", "CC-FRAG-042", "CC-FRAG-043")
@positive("CC-FRAG-041", "CC-FRAG-042", "CC-FRAG-043")
def test_partial_count(bench: Bench) -> None:
    """Beyond `lossy_partial_messages` the oldest partial message is given up."""
    far = group(bench)
    count = limit(far, "lossy_partial_messages")
    receiver = received(far, f.data(b"first", reliable=False), "CC-SESS-027", lane="lossy")
    for sequence in range(2, count + 3):
        _lossy(far, sequence, b"h" * 600, fragment=(0, 700, False))
    for sequence in range(2, count + 3):
        _lossy(far, sequence, b"t" * 100, fragment=(1, 700, True))
    got = [message["sequence"] for message in read_all(far.machine, receiver)]
    expect_equal(got, [1, *range(3, count + 3)], "CC-FRAG-042", "the oldest partial message was given up, and no other")


@positive("CC-DELIV-077", "CC-ROSTER-012")
@negative("CC-ROSTER-012")
def test_unknown_sender(bench: Bench) -> None:
    """Lossy DATA of an unknown sender is dropped, and the link goes on; a later frame of its packet stands."""
    far = group(bench)
    far.write(f.data(reliable=False, sender=9), f.data(reliable=False, sender=0), lane="lossy")
    expect_equal(len(far.machine.new_events("receiver_created")), 1, "CC-ROSTER-012", "the frame alone is dropped")
    expect_equal(_drops(far).get("unknown_sender"), 1, "CC-DELIV-077", "it is recorded")
    far.write(f.data(reliable=False, sender=9))
    far.goes_on("CC-ROSTER-012")


@negative("CC-SESS-039")
@positive("CC-SESS-039")
def test_close_before_data(bench: Bench) -> None:
    """CLOSE of an unknown session is that of a Lossy session whose DATA may still come, within `linger`."""
    far = group(bench)
    far.write(f.close(1, session=3))
    receiver = received(far, f.data(b"late", reliable=False, session=3), "CC-SESS-039", lane="lossy")
    expect_equal(len(read_all(far.machine, receiver)), 1, "CC-SESS-039", "it is readable")
    bench.advance(550)
    expect_equal(
        [event["code"] for event in far.machine.take("receiver_closed")],
        ["NONE"],
        "CC-SESS-038",
        "it ends after linger",
    )
    far.write(f.data(b"later", reliable=False, session=3, sequence=2), lane="lossy")
    expect(not far.machine.take("receiver_created"), "CC-SESS-058", "a tombstone")


@negative("CC-SESS-052", "CC-LINK-086", "CC-LIMIT-011")
@positive("CC-SESS-052", "CC-LINK-086", "CC-LIMIT-006", "CC-LIMIT-011")
@pytest.mark.parametrize("reliable", [True, False])
def test_open_sessions(bench: Bench, reliable: bool) -> None:
    """A session beyond `open_sessions` of its owner is failed, or dropped if it is Lossy (R07, R55)."""
    far = group(bench, bench.endpoint(limits={"open_sessions": 16}))
    for number in range(1, 17):
        far.write(f.data(session=number, channel=number))
    far.machine.take()
    far.take()
    far.write(f.data(session=17, channel=17, reliable=reliable), lane="reliable" if reliable else "lossy")
    expect(not far.machine.take("receiver_created"), "CC-SESS-052", "no receiver is made")
    if reliable:
        fail = far.one("CC-SESS-052", "FAIL")
        told = (fail["session"], fail["value"], fail["reason"])
        expect_equal(told, (17, 1, f.bye("TOO_MANY_SESSIONS")["code"]), "CC-SESS-052", "FAIL")
    else:
        far.none("CC-SESS-052", "FAIL")
        expect_equal(_drops(far).get("open_sessions"), 1, "CC-LIMIT-011", "it is recorded")
    far.write(f.data(session=18, channel=18, sender=1))
    expect(far.machine.take("receiver_created"), "CC-SESS-052", "the limit is for one owner")


@positive("CC-FRAG-039")
@negative("CC-FRAG-039", "CC-LIMIT-014")
@pytest.mark.parametrize("late", [False, True])
def test_partial_time(bench: Bench, late: bool) -> None:
    """A partial Lossy message waits for 2 seconds from its first fragment on, and no longer."""
    far = group(bench)
    time = limit(far, "lossy_partial_time")
    receiver = received(far, f.data(b"first", reliable=False), "CC-SESS-027", lane="lossy")
    _lossy(far, 2, b"h" * 600, fragment=(0, 1_300, False))
    bench.advance(time - 100)
    _lossy(far, 2, b"m" * 600, fragment=(1, 1_300, False))
    bench.advance(150 if late else 50)
    _lossy(far, 2, b"t" * 100, fragment=(2, 1_300, True))
    expect_equal(len(read_all(far.machine, receiver)), 1 if late else 2, "CC-FRAG-039", "whether it was given up")


@positive("CC-FRAG-037")
@negative("CC-FRAG-037")
@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_any_order(bench: Bench, order: tuple[int, ...]) -> None:
    """A Lossy message is complete when all its fragments are there, in whatever order; and not before."""
    far = group(bench)
    receiver = received(far, f.data(b"first", reliable=False), "CC-SESS-027", lane="lossy")
    read_all(far.machine, receiver)
    for number, index in enumerate(order):
        size = 100 if index == 2 else 600
        _lossy(far, 2, bytes([97 + index]) * size, fragment=(index, 1_300, index == 2))
        got = read_all(far.machine, receiver)
        expect_equal(len(got), 1 if number == 2 else 0, "CC-FRAG-037", f"after {number + 1} of 3 fragments")
    expect_equal(got[0]["data"], (b"a" * 600 + b"b" * 600 + b"c" * 100).hex(), "CC-FRAG-037", "in order of the index")
