# SPDX-License-Identifier: Apache-2.0
"""How the rows of the sender's state table (section 5.13) are driven: what is there before the event, and the event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from callchannel_conformance import frames as f
from callchannel_conformance.checks.sender_scene import BOB, FAULT, SenderScene
from callchannel_conformance.client import Json
from callchannel_conformance.outcome import expect_equal

_DAN: Final = 3
_WINDOW: Final = 65_536
_TABLE: Final = "CC-SESS-066"
_CONFIRMED: Final = {"confirm": "delivered", "to": ["bob"]}

Act = Callable[[SenderScene], None]
Arrange = Callable[[SenderScene, str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How a row is driven: what is there before the event, and the event."""

    event: Act
    arrange: Arrange | None = None
    """Brings the scene into a state, whose name it is given, in one of several ways."""
    hows: tuple[str, ...] = ("",)
    kinds: str = "RL"
    """Reliable, Lossy, or both, where the table leaves it open."""
    options: Json = field(default_factory=dict)
    """Of `open`."""
    limits: Json = field(default_factory=dict)
    window: int = f.WINDOW
    peer: bool = False


# --- what is there before the event ---------------------------------------------------------------


def reach(scene: SenderScene, state: str, how: str) -> None:
    """The state alone. The lane is blocked, so that it is seen what waits."""
    if state == "ENDED":
        scene.end(how or "close")
    elif state == "PARTIAL":
        scene.part()
    elif how == "fail":
        scene.written()
        scene.hold()
        scene.fail(3)
        scene.failed, scene.reason, scene.code = True, FAULT, FAULT
    else:
        scene.hold()
        if state == "CLOSING":
            scene.close()


def _with(before: Act | None = None, *, after: Act | None = None, whole: bool = False) -> Arrange:
    """The state, with something done first, and something before it is closed. *whole*: PARTIAL is made by *after*."""

    def arrange(scene: SenderScene, state: str, how: str) -> None:
        if before is not None:
            before(scene)
        if state == "ENDED":
            scene.end(how or "close")
            return
        if state == "PARTIAL" and not whole:
            scene.part()
        elif not scene.held:
            scene.hold()
        if after is not None:
            after(scene)
        if state == "CLOSING":
            scene.close()

    return arrange


def _queued(scene: SenderScene) -> None:
    scene.about = scene.send()


def _written(scene: SenderScene) -> None:
    scene.about = scene.written()


def _fill_count(scene: SenderScene) -> None:
    """64 messages are not settled, the partly written one among them."""
    count = 64 - len(scene.waiting)
    for _ in range(count):
        scene.send()
    scene.room = False


def _open_stream(scene: SenderScene) -> None:
    scene.about = scene.stream()


def _begun_stream(scene: SenderScene) -> None:
    """A stream of which three bytes are written."""
    scene.about = scene.stream(b"abc")
    scene.collect(_TABLE, "the stream begins")


def _two_streams(scene: SenderScene, state: str, how: str) -> None:
    """A stream is begun, another waits behind it."""
    _begun_stream(scene)
    scene.hold()
    scene.behind = scene.stream()


def _unwritten_stream(scene: SenderScene) -> None:
    """A stream of which nothing is written, behind what is partly written."""
    if scene.reliable:
        scene.behind = scene.stream()


def _ended_or_failed(scene: SenderScene, state: str, how: str) -> None:
    if state == "ENDED":
        scene.end(how)
    else:
        reach(scene, state, "fail")


def _closed_and_written(scene: SenderScene, state: str, how: str) -> None:
    """CLOSE is written and not acknowledged."""
    scene.close()


def _closed_and_blocked(scene: SenderScene, state: str, how: str) -> None:
    """CLOSE waits for the reliable lane, the other is free."""
    scene.far.hold()
    scene.held = True
    scene.close()


def _idle(scene: SenderScene, state: str, how: str) -> None:
    """Nothing waits: in PARTIAL because a stream has no bytes, in CLOSING because CLOSE is written."""
    if state == "ENDED":
        scene.end("close")
    elif state == "PARTIAL":
        _begun_stream(scene)
        scene.hold()
    elif state == "CLOSING":
        scene.close()


def _some_stream(scene: SenderScene, state: str, how: str) -> None:
    """A stream that goes on: begun in PARTIAL, else unwritten."""
    if state == "PARTIAL":
        _begun_stream(scene)
        scene.hold()
    else:
        scene.hold()
        _open_stream(scene)


def _full_stream(scene: SenderScene, state: str, how: str) -> None:
    """As `_some_stream`, and the send buffer is full of what waits."""
    _some_stream(scene, state, how)
    scene.machine.do("stream_write", sender=scene.sender, sequence=scene.about, data="aa" * 65_536)
    scene.room = False


def _ended_stream(scene: SenderScene, state: str, how: str) -> None:
    """A stream that was finished, or given up, before."""
    _begun_stream(scene)
    if how == "finished":
        scene.machine.do("stream_finish", sender=scene.sender, sequence=scene.about)
    else:
        scene.machine.do("cancel", sender=scene.sender, sequence=scene.about, code="CANCELLED")
    scene.waiting[0].end = "LAST" if how == "finished" else "ABORT"
    scene.stream_reason = "INVALID_ARGUMENT" if how == "finished" else "CANCELLED"
    scene.collect(_TABLE, "the stream ends")
    scene.far.ack()
    reach(scene, state, "")
    scene.clean()


def _stuck(scene: SenderScene, state: str, how: str) -> None:
    """The window of 65,536 is used up: in PARTIAL in the middle of a message, else between whole ones."""
    if state == "ENDED":
        scene.end("close")
        return
    for size in [150_000] if state == "PARTIAL" else [16_000] * 5:
        scene.about = scene.send(size)
    scene.collect(_TABLE, "up to the window")
    if state == "CLOSING":
        scene.close()


def _short_life(scene: SenderScene, state: str, how: str) -> None:
    """A message whose lifetime has passed while it waits, or while its rest does."""
    scene.hold()
    scene.about = scene.send(3_000 if state == "PARTIAL" else 2, metadata={"lifetime": 100})
    if state == "PARTIAL":
        scene.pull()
        scene.absorb(scene.pulled, _TABLE, "fragment 0 is written")
    elif state == "CLOSING":
        scene.close()
    scene.bench.advance(110)


def _dan_is_gone(scene: SenderScene) -> None:
    """A message to Dan waits, and he leaves."""
    scene.about = scene.send(to=["dan"])
    scene.far.change(f.leave(_DAN))


def _all_have_failed(scene: SenderScene) -> None:
    """A message to everyone waits, and everyone fails from a later one on."""
    scene.about = scene.send()
    for slot in (0, BOB, _DAN):
        scene.fail(50, slot, "OVERRUN")


def _big(scene: SenderScene) -> None:
    scene.hold()
    scene.about = scene.send(40_000 if scene.reliable else 3_000)


def _big_part(scene: SenderScene) -> None:
    scene.about = scene.part()


def _one_part_left(scene: SenderScene) -> None:
    scene.about = scene.part()
    scene.pull()
    scene.absorb(scene.pulled, _TABLE, "fragment 1 is written")


def _cancelled_part(scene: SenderScene) -> None:
    _big_part(scene)
    scene.machine.do("cancel", sender=scene.sender, sequence=scene.about, code="CANCELLED")
    scene.waiting[0].end = "ABORT"


def _lossy_full(scene: SenderScene) -> None:
    """The queue of 4,096 bytes is as good as full."""
    for _ in range(2 if scene.partial else 4):
        scene.send(1_000)
    scene.room = False


def _unused(scene: SenderScene, state: str, how: str) -> None:
    """A sender of which nothing was ever written is closed while a message waits."""
    kind = "reliable" if scene.reliable else "lossy"
    scene.hold()
    scene.sender = int(scene.machine.do("open", reliability=kind)["sender"])
    scene.session, scene.last = 0, 0
    scene.about = scene.send()
    scene.close()


def _delivering(scene: SenderScene) -> None:
    """A message for Bob waits for his receipt; the ACK has come."""
    scene.about = scene.written()
    scene.far.ack()


# --- the events -----------------------------------------------------------------------------------


def _do(name: str, **members: Any) -> Act:
    return lambda scene: scene.ask(name, **members)


def _send(scene: SenderScene) -> None:
    scene.ask("send", data="6d6d")
    scene.about = scene.last + 1


def _send_to_nobody(scene: SenderScene) -> None:
    scene.far.change(f.leave(_DAN))
    scene.ask("send", data="6d6d", to=["dan"])
    scene.about = scene.last + 1


def _send_large(scene: SenderScene) -> None:
    scene.ask("send", data="6d" * 1_000)
    scene.about = scene.last + 1


def _stream_calls(scene: SenderScene) -> None:
    scene.ask("stream_finish", sequence=scene.about)
    finished = scene.reply
    scene.ask("stream_write", sequence=scene.about, data="6d")
    expect_equal(finished.raised, scene.reply.raised, _TABLE, "S13: both calls raise the same")


def _stream_write(scene: SenderScene) -> None:
    scene.ask("stream_write", sequence=scene.about, data="6d")


def _stream_finish(scene: SenderScene) -> None:
    scene.ask("stream_finish", sequence=scene.about)


def _pull(scene: SenderScene) -> None:
    scene.pull()


def _pull_close(scene: SenderScene) -> None:
    scene.pull("reliable")


def _starved(scene: SenderScene) -> None:
    scene.far.ack()
    scene.bench.advance(1_000)


def _credit(value: int) -> Act:
    return lambda scene: scene.control(
        f.credit(value, recipient=f.NO_SLOT, sender=scene.own_slot, session=scene.session)
    )


def _ack(scene: SenderScene) -> None:
    scene.far.ack()


def _receipt(scene: SenderScene) -> None:
    scene.control(f.receipt(scene.about or 1, recipient=BOB, sender=scene.own_slot, session=scene.session))


def _fail_for_all(scene: SenderScene) -> None:
    scene.fail(3)


def _fail_of_bob(scene: SenderScene) -> None:
    scene.fail(scene.about or 2, BOB, "OVERRUN")


def _refuse(scene: SenderScene) -> None:
    scene.control(f.refuse(scene.about or 1, "POLICY", sender=scene.own_slot, session=scene.session))


def _cancel(scene: SenderScene) -> None:
    scene.ask("cancel", sequence=scene.about or 1, code="CANCELLED")


def _deadline(scene: SenderScene) -> None:
    scene.bench.advance(1_050)


def _close(scene: SenderScene) -> None:
    scene.ask("close")
    scene.closed = True


def _suspend(scene: SenderScene) -> None:
    scene.far.disconnect()
    scene.active = False


def _suspended(scene: SenderScene, state: str, how: str) -> None:
    reach(scene, state, how)
    _suspend(scene)
    if not scene.reliable:
        scene.waiting = []


def _resume(scene: SenderScene) -> None:
    scene.far.resume()
    scene.active, scene.held = True, False


def _bye(scene: SenderScene) -> None:
    if not scene.machine.all_events("sender_ended", sender=scene.sender):
        scene.code = "LINK_LOST"
        if not scene.closed and not scene.failed:
            scene.reason = "LINK_LOST"
    scene.far.write(f.bye("GOING_AWAY"))
    scene.dead = True


ROWS: Final[dict[str, Row]] = {
    "S01": Row(event=_send),
    "S02": Row(event=_send, kinds="R", arrange=_ended_or_failed, hows=("fail", "link")),
    "S03": Row(event=_send, kinds="L", arrange=_ended_or_failed, hows=("fail", "link")),
    "S05": Row(event=_do("send", data="6d", to=["ann"], exclude=["bob"])),
    "S06": Row(event=_do("send", data="6d", exclude=["bob"]), peer=True),
    "S07": Row(event=_send, kinds="R", arrange=_with(after=_fill_count), limits={"unconfirmed_messages": 64}),
    "S08": Row(event=_send, kinds="R"),
    "S09": Row(event=_send, kinds="L", arrange=_suspended),
    "S10": Row(event=_send_to_nobody, kinds="L"),
    "S11": Row(event=_send_large, kinds="L", arrange=_with(after=_lossy_full), limits={"lossy_queue": 4_096}),
    "S12": Row(event=_send, kinds="L"),
    "S13": Row(event=_stream_calls, kinds="R", arrange=_ended_stream, hows=("finished", "cancelled")),
    "S14": Row(event=_stream_write, kinds="R", arrange=_full_stream, limits={"send_buffer": 65_536}),
    "S15": Row(event=_stream_write, kinds="R", arrange=_some_stream),
    "S16": Row(event=_stream_finish, kinds="R", arrange=_some_stream),
    "S17": Row(event=_pull, kinds="L", arrange=_short_life),
    "S18": Row(event=_pull, kinds="R", arrange=_with(after=_dan_is_gone)),
    "S19": Row(event=_pull, kinds="R", arrange=_with(after=_all_have_failed)),
    "S20": Row(event=_pull, kinds="L", arrange=_with(after=_dan_is_gone)),
    "S21": Row(event=_pull, kinds="R", arrange=_with(after=_cancelled_part, whole=True)),
    "S22": Row(event=_starved, kinds="R", arrange=_stuck, window=_WINDOW),
    "S23": Row(event=_pull, arrange=_with(after=_queued)),
    "S24": Row(event=_pull, arrange=_with(after=_big)),
    "S25": Row(event=_pull, arrange=_with(after=_big_part, whole=True)),
    "S26": Row(event=_pull, arrange=_with(after=_one_part_left, whole=True)),
    "S27": Row(event=_pull_close, arrange=_closed_and_blocked),
    "S28": Row(event=_pull, arrange=_idle),
    "S29": Row(event=_credit(_WINDOW + 20_000), kinds="R", arrange=_stuck, window=_WINDOW),
    "S30": Row(event=_credit(_WINDOW), kinds="R", arrange=_stuck, window=_WINDOW),
    "S31": Row(event=_ack, kinds="R", arrange=_with(_written), hows=("fail",)),
    "S32": Row(event=_receipt, kinds="R", arrange=_with(_delivering), options=_CONFIRMED),
    "S33": Row(event=_fail_for_all, kinds="R", arrange=_with(_written, after=_queued)),
    "S34": Row(event=_fail_of_bob, kinds="R", arrange=_with(after=_big_part, whole=True), options={"to": ["bob"]}),
    "S35": Row(event=_fail_of_bob, arrange=_with(_written)),
    "S36": Row(event=_refuse, kinds="R", arrange=_with(after=_big_part, whole=True)),
    "S37": Row(event=_refuse, kinds="R", arrange=_with(_written)),
    "S38": Row(event=_refuse, arrange=_with()),
    "S39": Row(event=_cancel, arrange=_with(after=_queued)),
    "S40": Row(event=_cancel, kinds="R", arrange=_with(after=_big_part, whole=True)),
    "S41": Row(event=_cancel, kinds="L", arrange=_with(after=_big_part, whole=True)),
    "S42": Row(event=_cancel, kinds="R", arrange=_with(_written)),
    "S43": Row(event=_cancel, arrange=_with()),
    "S44": Row(
        event=_deadline,
        kinds="R",
        arrange=_with(_delivering),
        options=_CONFIRMED,
        limits={"delivered_deadline": 1_000},
    ),
    "S45": Row(event=_close, kinds="R", arrange=_two_streams),
    "S46": Row(event=_close, arrange=_with(after=_unwritten_stream)),
    "S47": Row(event=_suspend, kinds="R", arrange=_with(after=_queued)),
    "S48": Row(event=_suspend, kinds="L", arrange=_with(after=_queued)),
    "S49": Row(event=_resume, arrange=_suspended),
    "S50": Row(event=_bye, kinds="R", arrange=_with(_written, after=_queued)),
    "S51": Row(event=_bye, kinds="L", arrange=_with(_written, after=_queued)),
    "S52": Row(event=_cancel, arrange=_unused),
    "S53": Row(event=_ack, arrange=_closed_and_written),
    "S54": Row(event=_ack, kinds="R", arrange=_ended_or_failed, hows=("fail",)),
}
"""All rows but S04, which would take 2^32 messages."""
