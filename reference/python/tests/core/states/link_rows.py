# SPDX-License-Identifier: Apache-2.0
"""The rows of the table in section 9.12: what arranges each, and what causes its event."""

from __future__ import annotations

from collections.abc import Iterator

from callchannel.core import frames as wire
from callchannel.core.errors import ErrorCode
from callchannel.core.lanes import Lane
from callchannel.core.messages import Reliability
from callchannel.core.relay import Admission
from tests.core.scripted import SECOND, hello, welcome
from tests.core.states.link_world import OTHER, PAYLOAD, LinkWorld
from tests.core.states.tables import Suite, spec

LINK = Suite(spec().state_table("09-link", "9.12 States"))
row = LINK.row
Steps = Iterator[None]
BOTH = ("acceptor", "relay")
ALL = ("initiator", "acceptor", "relay")
ENDPOINTS = ("initiator", "acceptor")
LONG_JOIN = {"join_time": 60 * SECOND}


# --- transports ----------------------------------------------------------------------------------------------------


@row("L01", "CONNECTING SUSPENDED DEAD", "initiator")
def transport_up(w: LinkWorld, state: str) -> Steps:
    w.arrange(state, transport=state != "CONNECTING")
    yield
    w.up()


@row("L02", "CONNECTING ACTIVE RESUMING DEAD", "initiator")
def second_transport(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.up()


@row("L03", "ACTIVE DEAD", "initiator")
def second_transport_without_resume(w: LinkWorld, state: str) -> Steps:
    w.arrange(state, resume_window=0)
    yield
    w.up()


@row("L04", "CONNECTING ACTIVE SUSPENDED DEAD", *BOTH)
def unbound_transport(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.up()


@row("L05", "CONNECTING ACTIVE RESUMING DEAD", "initiator")
@row("L06", "CONNECTING ACTIVE DEAD", *BOTH)
def transport_down(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.machine.transport_down(w.first_own, w.now)


@row("L07", "ACTIVE DEAD", *ALL)
def transport_down_without_resume(w: LinkWorld, state: str) -> Steps:
    w.arrange(state, resume_window=0)
    yield
    w.machine.transport_down(w.first_own, w.now)


def detach_first(w: LinkWorld, state: str) -> None:
    """Bring the link into a state, with a transport behind it that was detached and is still up."""
    if state == "CONNECTING":
        w.arrange(state)
        w.old = w.up()  # closed at once, row L02: it never was current
        return
    w.arrange("ACTIVE")
    first = w.own
    if state in ("SUSPENDED", "RESUMING"):
        w.wait(15 * SECOND)  # silence detaches
        w.own = None
        if state == "RESUMING":
            w.own = w.up()
            w.pull()
    elif state == "ACTIVE":
        w.own = w.up()
        if w.is_initiator:
            said = next(frame for frame in w.pull() if isinstance(frame, wire.Hello))
            w.give(welcome(said, received=w.received))
        else:
            w.give(w.resume_hello())
        w.pull()
        w.give(wire.Ack(w.link.counting.written))
    else:
        w.leave_active(state)
    w.old = first


@row("L08", "ACTIVE SUSPENDED DEAD", *ALL)
@row("L08", "CONNECTING RESUMING", "initiator")
def detached_down(w: LinkWorld, state: str) -> Steps:
    detach_first(w, state)
    yield
    w.machine.transport_down(w.old, w.now)


@row("L34", "ACTIVE SUSPENDED DEAD", *ALL)
@row("L34", "CONNECTING RESUMING", "initiator")
def detached_packet(w: LinkWorld, state: str) -> Steps:
    detach_first(w, state)
    yield
    w.offer(w.data(), transport=w.old)


# --- time ----------------------------------------------------------------------------------------------------------


@row("L09", "CONNECTING ACTIVE RESUMING", "initiator")
@row("L10", "ACTIVE", *BOTH)
def silence(w: LinkWorld, state: str) -> Steps:
    w.arrange(state, limits=LONG_JOIN)
    w.wait(15 * SECOND - 1)
    w.pull()
    yield
    w.wait(1)


@row("L11", "ACTIVE", *ALL)
def silence_without_resume(w: LinkWorld, state: str) -> Steps:
    w.arrange(state, resume_window=0)
    w.wait(15 * SECOND - 1)
    w.pull()
    yield
    w.wait(1)


@row("L12", "CONNECTING", "initiator", "initiator-without transport")
@row("L13", "CONNECTING", *BOTH)
def handshake_time_over(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    if w.how:
        w.make()
        w.own = None
        w.up()
        w.own = w.new
    w.wait(10 * SECOND - 1)
    w.pull()
    yield
    w.wait(1)


@row("L14", "SUSPENDED RESUMING", "initiator")
@row("L15", "SUSPENDED", *BOTH)
def resume_window_over(w: LinkWorld, state: str) -> Steps:
    w.arrange("SUSPENDED")
    w.wait(20 * SECOND)
    if state == "RESUMING":
        w.own = w.up()
        w.pull()
    w.wait(10 * SECOND - 1)
    yield
    w.wait(1)


# --- HELLO ---------------------------------------------------------------------------------------------------------


def offer_unbound(w: LinkWorld, frame: wire.Hello, **options: object) -> None:
    """HELLO on an unbound transport: the link's own, where it has none yet, or another."""
    if w.first_state == "CONNECTING":
        w.new = w.own or 0
    else:
        w.up(**options)
    w.give(frame, transport=w.new)


@row("L16", "CONNECTING", *BOTH)
@row("L16", "ACTIVE SUSPENDED", "relay")
@row("L16", "DEAD", *BOTH)
def fresh_hello(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    offer_unbound(w, hello(attempt=3) if state == "CONNECTING" else hello(token=OTHER))


@row("L17", "ACTIVE SUSPENDED DEAD", *BOTH, instead={"CONNECTING": "L16"})
def replacing_hello(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    offer_unbound(w, hello(replace=True))


@row("L18", "CONNECTING ACTIVE SUSPENDED DEAD", "relay-not admitted", "relay-too small", "relay-stopping")
@row("L18", "ACTIVE SUSPENDED", "acceptor", "acceptor-other instance")
@row("L18", "DEAD", "acceptor-left")
def refused_hello(w: LinkWorld, state: str) -> Steps:
    frame, options = hello(), {}
    code = "CALL_FULL"
    if w.how == "too small":
        frame, code = hello(largest_message=100_000), "TOO_SMALL"
    elif w.how == "stopping":
        code = "GOING_AWAY"
    elif w.how == "other instance":
        frame = hello(token=OTHER, replace=True)
    elif w.how == "left":
        code = "NOT_ADMITTED"
    w.arrange(state)
    if w.how == "not admitted":
        options, code = {"admission": None}, "NOT_ADMITTED"
        if state == "CONNECTING":
            w.machine.transport_down(w.own, w.now)
            w.own = w.up(admission=None)
    if w.how == "stopping":
        w.machine._is_drained = lambda: False  # somebody is still owed something
        w.machine.stop(w.now)
    if w.how == "left":
        w.make(resume_window=30 * SECOND)
        w.own = w.up()
        w.shake_hands(True, 30)
        w.senders = {}
        w.machine.leave(w.now)
        w.give(wire.Ack(1))
        w.pull()
    w.codes["REASON"] = code
    yield
    offer_unbound(w, frame, **options)


@row("L19", "ACTIVE SUSPENDED DEAD", *BOTH)
def resuming_hello(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    offer_unbound(w, w.resume_hello())


@row("L20", "CONNECTING ACTIVE SUSPENDED DEAD", *BOTH)
def resume_of_no_link(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    offer_unbound(w, hello(token=OTHER, attempt=2, resume=True))


@row("L21", "ACTIVE SUSPENDED DEAD", "relay")
def resume_of_somebody_else(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    offer_unbound(w, w.resume_hello(), admission=Admission(identity="eve"))


@row("L22", "ACTIVE SUSPENDED DEAD", *BOTH)
def resume_with_stale_attempt(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    offer_unbound(w, w.resume_hello(attempt=1))


@row("L23", "ACTIVE SUSPENDED DEAD", "acceptor", "relay", "acceptor-back", "relay-back")
def resume_with_impossible_count(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    offer_unbound(w, w.resume_hello(received=0 if w.how else 99))


@row("L24", "CONNECTING RESUMING", "initiator")
@row("L24", "ACTIVE DEAD", *ALL)
def hello_out_of_place(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.offer(hello(attempt=9))


# --- WELCOME -------------------------------------------------------------------------------------------------------


def fitting(w: LinkWorld, **fields: object) -> wire.Welcome:
    received = w.received if w.link is not None else 0
    return wire.Welcome(
        **(
            {
                "slot": 2,
                "token": b"T" * 16,
                "attempt": w.machine.link.attempt,
                "window": 262_144,
                "largest_message": 16_777_216,
                "resume_ms": 30_000,
                "identity": "carol",
                "received": received,
            }
            | fields
        )
    )


@row("L25", "CONNECTING ACTIVE RESUMING DEAD", "initiator")
def fitting_welcome(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.offer(fitting(w))


@row("L26", "CONNECTING ACTIVE RESUMING DEAD", "initiator-attempt", "initiator-count")
@row("L26", "RESUMING", "initiator-token", "initiator-slot", "initiator-count back")
def welcome_that_does_not_fit(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    wrong = {
        "attempt": {"attempt": 99},
        "count": {"received": 99},
        "count back": {"received": 0},
        "token": {"token": OTHER},
        "slot": {"slot": 3},
    }
    yield
    w.offer(fitting(w, **wrong[w.how]))


@row("L27", "CONNECTING ACTIVE RESUMING DEAD", "initiator")
def welcome_of_other_version(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.offer(fitting(w, version=2))


@row("L28", "CONNECTING ACTIVE DEAD", *BOTH)
def welcome_to_acceptor(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.offer(welcome(hello(), slot=1))


# --- other frames --------------------------------------------------------------------------------------------------


@row("L29", "CONNECTING ACTIVE RESUMING DEAD", "initiator")
@row("L30", "CONNECTING ACTIVE DEAD", *BOTH)
def bye(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    w.codes["PEER"] = "0x5000"
    yield
    w.offer(wire.Bye(0x5000, "text"))
    w.offered = "bye"
    w.new = 0 if w.link is not None or w.is_initiator else w.own or 0


@row("L51", "RESUMING", "initiator")
def late(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.offer(wire.Bye(ErrorCode.TIMEOUT, "text"))


@row("L31", "CONNECTING ACTIVE RESUMING DEAD", "initiator")
@row("L32", "CONNECTING ACTIVE DEAD", *BOTH)
def other_frame(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.offer(w.data())


@row("L33", "CONNECTING ACTIVE DEAD", *ALL)
@row("L33", "RESUMING", "initiator")
def frame_on_lossy_lane(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    w.reason = ("not_active", 1)
    yield
    w.offer(w.lossy(), lane=Lane.LOSSY)


FAULTS = {"empty": b"", "length": bytes([0x43, 0, 0, 3]), "type": bytes([0x3F, 0, 0, 4])}
CODES = {"empty": "PACKET_SIZE", "length": "FRAME_LENGTH", "type": "UNKNOWN_TYPE"}


@row("L35", "CONNECTING ACTIVE RESUMING", *(f"initiator-{fault}" for fault in FAULTS), instead={"DEAD": "L31"})
@row("L36", "CONNECTING ACTIVE", *(f"{who}-{fault}" for who in BOTH for fault in FAULTS), instead={"DEAD": "L32"})
def fatal_fault(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    w.codes["FAULT"] = CODES[w.how]
    yield
    w.offer(FAULTS[w.how])


@row("L37", "CONNECTING ACTIVE SUSPENDED RESUMING DEAD", "initiator")
@row("L38", "ACTIVE SUSPENDED DEAD", *BOTH)
def own_decision(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    w.codes["OWN"] = "INTERNAL"
    yield
    if w.who == "relay":
        w.machine.end_link(0, ErrorCode.INTERNAL, "a bug", w.now)
    else:
        w.machine.link.end(ErrorCode.INTERNAL, "a bug", w.now)


@row("L38", "CONNECTING", "relay", "acceptor")
def own_decision_unbound(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    w.codes["OWN"] = "GOING_AWAY" if w.who == "relay" else "LEFT"
    yield
    if w.who == "relay":
        w.machine.stop(w.now)
        w.wait(10 * SECOND)
    else:
        w.machine.leave(w.now)


# --- the application -----------------------------------------------------------------------------------------------


def unjoined(w: LinkWorld, state: str) -> None:
    w.arrange(state, joined=False)


@row("L39", "CONNECTING ACTIVE SUSPENDED RESUMING DEAD", "initiator")
@row("L42", "CONNECTING ACTIVE SUSPENDED RESUMING DEAD", "initiator")
@row("L44", "CONNECTING ACTIVE SUSPENDED RESUMING DEAD", "initiator", "initiator-lossy")
def before_joining(w: LinkWorld, state: str) -> Steps:
    """Sending needs a sender, which nobody can open yet; whatever number is given, the answer is the same."""
    unjoined(w, state)
    lossy = w.row == "L42" or w.how == "lossy"
    yield
    if w.row == "L44":
        w.call("open_sender", reliability=Reliability.LOSSY if lossy else Reliability.RELIABLE)
    else:
        w.call("send", 1, PAYLOAD)


@row("L40", "ACTIVE SUSPENDED DEAD", *ENDPOINTS)
@row("L43", "ACTIVE SUSPENDED DEAD", *ENDPOINTS)
@row("L40", "RESUMING", "initiator")
@row("L43", "RESUMING", "initiator")
def send(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    w.reason = ("link_dead" if state == "DEAD" else "suspended", 1)
    yield
    w.call("send", w.senders[w.row == "L40"], PAYLOAD)


@row("L41", "ACTIVE SUSPENDED DEAD", *ENDPOINTS)
@row("L41", "RESUMING", "initiator")
def send_without_room(w: LinkWorld, state: str) -> Steps:
    w.arrange(state, limits={"send_buffer": 65_536})
    if state != "DEAD":
        w.machine.send(w.senders[True], bytes(65_536), w.now)
    yield
    w.call("send", w.senders[True], PAYLOAD)


@row("L45", "ACTIVE SUSPENDED DEAD", *ENDPOINTS)
@row("L45", "RESUMING", "initiator")
def open_sender(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.call("open_sender")


def leaving(w: LinkWorld, state: str) -> None:
    """An endpoint that leaves, and waits; or has left."""
    w.arrange("ACTIVE")
    w.machine.leave(w.now)
    w.pull()
    if state == "DEAD":
        w.give(wire.Ack(len(w.counted)))
        w.pull()
    elif state != "ACTIVE":
        w.leave_active(state)


@row("L46", "ACTIVE SUSPENDED DEAD", *ENDPOINTS)
@row("L46", "RESUMING", "initiator")
def open_sender_when_leaving(w: LinkWorld, state: str) -> Steps:
    leaving(w, state)
    yield
    w.call("open_sender")


@row("L47", "CONNECTING ACTIVE SUSPENDED DEAD", *ENDPOINTS)
@row("L47", "RESUMING", "initiator")
def leave(w: LinkWorld, state: str) -> Steps:
    w.arrange(state)
    w.pull()
    yield
    w.call("leave")


@row("L48", "ACTIVE SUSPENDED DEAD", *ENDPOINTS)
@row("L48", "RESUMING", "initiator")
def leave_again(w: LinkWorld, state: str) -> Steps:
    leaving(w, state)
    yield
    w.machine.leave(w.now)


@row("L49", "ACTIVE", *ENDPOINTS)
def drained(w: LinkWorld, state: str) -> Steps:
    leaving(w, state)
    yield
    w.give(wire.Ack(len(w.counted)))


@row("L50", "ACTIVE SUSPENDED", *ENDPOINTS)
@row("L50", "RESUMING", "initiator")
def leave_time_over(w: LinkWorld, state: str) -> Steps:
    leaving(w, state)
    w.wait(5 * SECOND - 1)
    w.pull()
    yield
    w.wait(1)
