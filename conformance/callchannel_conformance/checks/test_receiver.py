# SPDX-License-Identifier: Apache-2.0
"""Receivers, statistics and what an application is told at an endpoint (sections 5.8, 5.11, 7.15, 7.16, 14.3)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import standard
from callchannel_conformance.bench.links import Acceptor, group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import (
    confirmed,
    cover,
    failed,
    limit,
    open_sender,
    read,
    read_all,
    received,
    send,
    sent,
)
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@positive("CC-SESS-027", "CC-SESS-028", "CC-SEC-005")
@negative("CC-SESS-028")
def test_receivers(bench: Bench) -> None:
    """Each session has a receiver of its own, told with all that there is to tell."""
    far = group(bench)
    far.machine.take()
    far.write(f.data(b"a", session=1, high=True), f.data(b"b", session=2), f.data(b"c", session=1, sender=1, channel=9))
    created = far.machine.take("receiver_created")
    told = [(e["identity"], e["slot"], e["channel"], e["session"], e["reliability"], e["priority"]) for e in created]
    wanted = [
        ("ann", 0, 5, 1, "reliable", "high"),
        ("ann", 0, 5, 2, "reliable", "normal"),
        ("bob", 1, 9, 1, "reliable", "normal"),
    ]
    expect_equal(told, wanted, "CC-SESS-027", "owner, slot, channel, session, reliability and priority")
    got = [[message["data"] for message in read_all(far.machine, e["receiver"])] for e in created]
    expect_equal(got, [[b"a".hex()], [b"b".hex()], [b"c".hex()]], "CC-SESS-028", "messages of two sessions never mix")


@positive("CC-SESS-029", "CC-SESS-030", "CC-SESS-031", "CC-SESS-032")
@negative("CC-SESS-029", "CC-SESS-031", "CC-SESS-032", "CC-SESS-030")
def test_reading(bench: Bench) -> None:
    """Readable is told when there was nothing before, and only then; reading hands out in order, each once."""
    far = group(bench)
    far.machine.take()
    far.write(f.data(sequence=3), f.data(sequence=4))
    far.write(f.data(sequence=9))
    events = far.machine.take("receiver_created", "receiver_readable")
    names = [event["event"] for event in events]
    expect_equal(names, ["receiver_created", "receiver_readable"], "CC-SESS-029", "told once")
    receiver = events[0]["receiver"]
    got = [message["sequence"] for message in read_all(far.machine, receiver)]
    expect_equal(got, [3, 4, 9], "CC-SESS-030", "in order, each once")
    expect_equal(read(far.machine, receiver), None, "CC-SESS-031", "nothing to read: said at once")
    far.write(f.data(sequence=10))
    expect_equal(len(far.machine.take("receiver_readable")), 1, "CC-SESS-029", "told again")


@positive("CC-SESS-030")
def test_lossy_order(bench: Bench) -> None:
    """Messages of a Lossy session are handed out in the order in which they became complete."""
    far = group(bench)
    receiver = received(far, f.data(reliable=False, sequence=5), "CC-SESS-027", lane="lossy")
    for sequence in (9, 7, 8):
        far.write(f.data(reliable=False, sequence=sequence), lane="lossy")
    got = [message["sequence"] for message in read_all(far.machine, receiver)]
    expect_equal(got, [5, 9, 7, 8], "CC-SESS-030", "as they came")


@positive("CC-SESS-033", "CC-SESS-034", "CC-SESS-035")
@negative("CC-SESS-034", "CC-SESS-033", "CC-SESS-035")
@pytest.mark.parametrize("reliable", [True, False])
def test_idle_close(bench: Bench, reliable: bool) -> None:
    """The idle close ends the receiver object alone; the next message makes a new one, and numbers go on."""
    far = group(bench)
    lane = "reliable" if reliable else "lossy"
    receiver = received(far, f.data(sequence=5, reliable=reliable, confirm=reliable), "CC-SESS-027", lane=lane)
    read(far.machine, receiver)
    far.take()
    time = limit(far, "idle_close")
    bench.advance(time - 100)
    expect(not far.machine.take("receiver_closed"), "CC-LIMIT-014", "the time is not over")
    bench.advance(150)
    closed = far.machine.take("receiver_closed")
    expect_equal([event["code"] for event in closed], ["IDLE"], "CC-SESS-033", "closed for idleness")
    far.none("CC-SESS-034", "FAIL", "RECEIPT", "CREDIT")
    far.write(f.data(sequence=5, reliable=reliable), lane=lane)
    created = far.machine.take("receiver_created")
    expect_equal(created, [], "CC-SESS-034", "the last sequence, or the replay window, stays")
    if reliable:
        far.one("CC-SESS-034", "FAIL", reason=standard.codes()["SEQUENCE"])
    else:
        far.write(f.data(sequence=6, reliable=False), lane=lane)
        created = far.machine.take("receiver_created")
        expect_equal([event["session"] for event in created], [1], "CC-SESS-035", "a new receiver, the same session")
        far.write(f.data(session=2), lane="reliable")
        bench.advance(time + 50)
        far.machine.take()
        far.write(f.data(sequence=7, reliable=False), lane=lane)
        expect_equal(far.machine.take("receiver_created"), [], "CC-SESS-059", "a newer session is known on the channel")


@positive("CC-SESS-035")
def test_idle_close_reliable_goes_on(bench: Bench) -> None:
    """A Reliable session whose receiver was closed for idleness goes on with a new one."""
    far = group(bench)
    receiver = received(far, f.data(), "CC-SESS-027")
    read(far.machine, receiver)
    bench.advance(limit(far, "idle_close") + 50)
    far.machine.take()
    again = received(far, f.data(sequence=2), "CC-SESS-035")
    expect(again != receiver, "CC-SESS-035", "another receiver")
    expect_equal(len(read_all(far.machine, again)), 1, "CC-SESS-035", "the message")


@positive("CC-SESS-041", "CC-SESS-059", "CC-SESS-040")
@negative("CC-SESS-041", "CC-SESS-059", "CC-SESS-040")
def test_newer_session(bench: Bench) -> None:
    """A newer session ends a Lossy one on its channel, and no Reliable one; the greatest number is remembered."""
    far = group(bench)
    reliable = received(far, f.data(session=1), "CC-SESS-027")
    lossy = received(far, f.data(session=2, reliable=False), "CC-SESS-027", lane="lossy")
    read_all(far.machine, reliable)
    read_all(far.machine, lossy)
    far.machine.take()
    newest = received(far, f.data(session=7), "CC-SESS-027")
    far.write(f.data(session=1, sequence=2))
    expect_equal(len(read_all(far.machine, reliable)), 1, "CC-SESS-041", "the Reliable session goes on")
    closed = far.machine.all_events("receiver_closed")
    expect_equal(
        [(e["receiver"], e["code"]) for e in closed], [(lossy, "NONE")], "CC-SESS-040", "the Lossy one has ended"
    )
    read_all(far.machine, newest)
    far.write(f.close(1, session=7))
    far.machine.take()
    far.write(f.data(session=6, reliable=False), lane="lossy")
    expect_equal(far.machine.take("receiver_created"), [], "CC-SESS-059", "remembered when session 7 is forgotten")


@negative("CC-MODEL-008", "CC-ROSTER-070")
@positive("CC-MODEL-008")
def test_gaps(bench: Bench) -> None:
    """A gap in sequences is nothing to a receiver: nothing is told, nothing written."""
    far = group(bench)
    receiver = received(far, f.data(sequence=812), "CC-SESS-027")
    far.take()
    far.write(f.data(sequence=4_000_000_000), f.data(sequence=4_294_967_295))
    expect_equal(len(read_all(far.machine, receiver)), 3, "CC-MODEL-008", "all are taken")
    far.none("CC-MODEL-008", "FAIL", "RECEIPT")
    expect(not far.machine.all_events("receiver_closed"), "CC-MODEL-008", "the session goes on")


@positive("CC-FRAG-051")
@negative("CC-FRAG-051", "CC-SESS-027")
def test_whole_message_without_last(bench: Bench) -> None:
    """Fragment 0 that holds all bytes of its total without LAST is FRAGMENT by itself."""
    far = group(bench)
    far.write(f.data(b"abc", fragment=(0, 3, False)))
    fail = far.one("CC-FRAG-051", "FAIL")
    expect_equal((fail["reason"], fail["value"]), (standard.codes()["FRAGMENT"], 1), "CC-FRAG-051", "FRAGMENT")
    expect_equal(far.machine.take("receiver_created"), [], "CC-SESS-067", "R13 in NONE: no receiver")


@negative("CC-FRAG-040")
@positive("CC-FRAG-040")
def test_private_of_lossy_fragments(bench: Bench) -> None:
    """PRIVATE of a Lossy message is that of index 0, whichever comes first."""
    far = group(bench)
    receiver = received(far, f.data(reliable=False), "CC-SESS-027", lane="lossy")
    far.write(f.data(b"b" * 100, reliable=False, sequence=2, fragment=(1, 700, True)), lane="lossy")
    far.write(f.data(b"a" * 600, reliable=False, sequence=2, fragment=(0, 700, False), private=True), lane="lossy")
    got = [message["private"] for message in read_all(far.machine, receiver)]
    expect_equal(got, [False, True], "CC-FRAG-040", "from index 0")


@positive("CC-DELIV-080", "CC-ERR-019")
@negative("CC-DELIV-080")
def test_counters(bench: Bench) -> None:
    """The counters of section 7.16 are there under their names, and count."""
    bench.client.needs(feature="statistics")
    far = group(bench)
    sender, _ = sent(far, "CC-DELIV-080", b"hello")
    cover(far)
    send(far, sender, b"second")
    receiver = received(far, f.data(b"abc"), "CC-SESS-027")
    far.write(f.data(b"defg", sequence=2))
    read(far.machine, receiver)
    shown = far.machine.look()["statistics"]
    sending, reading, link = shown["senders"][str(sender)], shown["receivers"][str(receiver)], shown["link"]
    wanted = {
        "messages_sent": 2,
        "bytes_sent": 11,
        "messages_confirmed": 1,
        "messages_failed": 0,
        "messages_waiting": 1,
    }
    wanted["bytes_waiting"] = 0
    expect_equal({key: sending.get(key) for key in wanted}, wanted, "CC-DELIV-080", "the sender's")
    wanted = {"messages_read": 1, "bytes_read": 3, "messages_unread": 1, "bytes_buffered": 4}
    expect_equal({key: reading.get(key) for key in wanted}, wanted, "CC-DELIV-080", "the receiver's")
    names = ("packets_written", "bytes_written", "packets_received", "bytes_received", "frames_retransmitted")
    missing = [name for name in (*names, "bytes_unacknowledged", "resumes", "drops") if name not in link]
    expect_equal(missing, [], "CC-DELIV-080", "the link's")
    expect_equal(link["bytes_unacknowledged"], 22, "CC-DELIV-080", "what is kept")
    far.disconnect()
    far.resume(received=far.counted_in - 1)
    link = far.machine.look()["statistics"]["link"]
    expect_equal((link["resumes"], link["frames_retransmitted"]), (1, 1), "CC-DELIV-080", "resumes and repetitions")


@positive("CC-DELIV-078")
@negative("CC-DELIV-077", "CC-DELIV-078")
def test_first_reason(bench: Bench) -> None:
    """A drop is recorded once, under the reason that is found first."""
    bench.client.needs(feature="statistics")
    far = group(bench)
    received(far, f.data(reliable=False, sequence=5), "CC-SESS-027", lane="lossy")
    far.write(f.data(reliable=False, sequence=5, channel=6, extensions=[(0x7001, b"", True)]), lane="lossy")
    shown = far.machine.look()["statistics"]
    drops: dict[str, int] = {}
    for part in [shown["link"], *shown["receivers"].values()]:
        for reason, count in part["drops"].items():
            drops[reason] = drops.get(reason, 0) + count
    found = {reason: count for reason, count in drops.items() if count}
    expect_equal(found, {"mismatch": 1}, "CC-DELIV-078", "step 12 comes before 14 and 18")


@positive("CC-ERR-001", "CC-EXT-027")
@negative("CC-ERR-001")
@pytest.mark.parametrize("code", ["LINK_LOST", "GOING_AWAY", "UNKNOWN_RECIPIENT", 0x4321])
def test_reach_of_codes(bench: Bench, code: str | int) -> None:
    """A code reaches as far as its frame: FAIL the session, REFUSE the message, CLOSE the session."""
    far = group(bench)
    sender, frame = sent(far, "CC-ERR-001")
    send(far, sender)
    far.write(f.refuse(1, code, sender=2, session=frame["session"]))
    failed(far.machine, sender, 1, "CC-ERR-001", code)
    far.ack()
    confirmed(far.machine, sender, 2, "CC-ERR-001")
    receiver = received(far, f.data(), "CC-SESS-027")
    read_all(far.machine, receiver)
    far.write(f.fail(2, code, recipient=2))
    closed = far.machine.take("receiver_closed")
    expect_equal([event["code"] for event in closed], [code], "CC-ERR-001", "the session")
    far.goes_on("CC-ERR-001")


@negative("CC-ERR-006", "CC-ERR-017", "CC-LIMIT-006")
@positive("CC-ERR-006")
def test_nothing_is_sent_again(bench: Bench) -> None:
    """A message that raised is not sent again of itself, whatever the retry of its code."""
    far = group(bench)
    sender, frame = sent(far, "CC-ERR-006")
    far.write(f.refuse(1, "GOING_AWAY", sender=2, session=frame["session"]))
    far.take()
    bench.advance(20_000)
    far.none("CC-ERR-006", "DATA")
    failed(far.machine, sender, 1, "CC-ERR-006", "GOING_AWAY")


@positive("CC-ERR-026")
@negative("CC-ERR-026")
@pytest.mark.parametrize("code", ["NOT_ADMITTED", "CALL_FULL", "VERSION", "GOING_AWAY"])
def test_joining_raises(bench: Bench, code: str) -> None:
    """BYE instead of WELCOME: joining raises its code."""
    far = Acceptor(bench, bench.endpoint())
    far.connect()
    far.receive_hello()
    far.write(f.bye(code))
    ended = far.machine.take("link_ended", "joined")
    expect_equal([(e["event"], e.get("code")) for e in ended], [("link_ended", code)], "CC-ERR-026", "the code")


@positive("CC-ERR-022", "CC-ERR-002", "CC-ERR-021")
@negative("CC-ERR-022", "CC-ERR-021", "CC-SESS-036", "CC-ERR-002")
@pytest.mark.parametrize("code", ["OVERRUN", "MEMORY", "LEFT", "GOING_AWAY", "INTERNAL", "EXTENSION"])
def test_complete_messages_stay(bench: Bench, code: str) -> None:
    """Whatever ends a receiver, complete messages below v stay readable, and its code is told once, at the end."""
    far = group(bench)
    receiver = received(far, f.data(), "CC-SESS-027")
    far.write(f.data(sequence=2), f.data(sequence=3))
    far.machine.take()
    far.write(f.fail(3, code, recipient=2))
    got = [message["sequence"] for message in read_all(far.machine, receiver)]
    expect_equal(got, [1, 2], "CC-ERR-022", "those below v")
    closed = far.machine.all_events("receiver_closed")
    expect_equal([event["code"] for event in closed], [code], "CC-ERR-021", "its code, once")


@positive("CC-LIMIT-020", "CC-LIMIT-001")
@negative("CC-LIMIT-020", "CC-LIMIT-001")
def test_lossy_message_limit(bench: Bench) -> None:
    """A Lossy message has at most 65,536 bytes, however large others may be."""
    far = group(bench)
    sender = open_sender(far, reliability="lossy")
    far.machine.raises("CC-LIMIT-020", "MESSAGE_TOO_LARGE", "send", sender=sender, data="00" * 65_537)
    send(far, sender, bytes(65_536))
    expect(far.take("DATA"), "CC-LIMIT-013", "exactly the limit is allowed")


@positive("CC-SEC-024", "CC-SEC-007", "CC-SEC-008")
@negative("CC-SEC-007", "CC-SEC-008", "CC-SEC-024")
def test_instance_for_each_call(bench: Bench) -> None:
    """Two endpoints of one program have two instance identifiers, and no token is told to an application."""
    one, two = group(bench, bench.endpoint(seed=b"same")), group(bench, bench.endpoint(seed=b"other"))
    assert one.hello is not None and two.hello is not None
    expect(one.hello["token"] != two.hello["token"], "CC-SEC-024", "drawn anew")
    for far in (one, two):
        shown = repr(far.machine.events) + repr(far.machine.look())
        for token in (far.token.hex(), (far.hello or {})["token"]):
            expect(token not in shown, "CC-SEC-008", "no token in events or statistics")
