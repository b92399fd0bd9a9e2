# SPDX-License-Identifier: Apache-2.0
"""All sessions that an endpoint receives: finding them, their limits, and what is written for them.

Steps 12 to 19 of the validation order happen here and in the sessions (specification, chapters 5 to 7, section 9.13).
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from callchannel.core.counting import Counting
from callchannel.core.errors import DropCounter, ErrorCode, ReceiverClosed, StreamAborted, error_name
from callchannel.core.events import Event
from callchannel.core.frames import (
    CONTROL_LENGTH,
    Close,
    Credit,
    Data,
    Fail,
    Receipt,
)
from callchannel.core.limits import LINGER, LOSSY_PARTIAL_TIME, TOMBSTONE, Limits
from callchannel.core.lossy_receiver import LEAST_COUNTED, LossyReceiver
from callchannel.core.messages import Message, StreamChunk
from callchannel.core.receiver import ReceiverSession
from callchannel.core.reliable_receiver import ReliableReceiver
from callchannel.core.roster import RosterView
from callchannel.core.scheduling import NO_ROOM
from callchannel.core.timers import Timers

_CHANNELS = 1_024
"""Of so many channels of an owner the newest session is remembered at the least (CC-SESS-059)."""
_REMEMBERED_ENDS = 1_024
"""Receivers that have ended and still say why; of older ones it is only known that they are closed."""
_REMEMBERED_ABORTS = 256
SESSION_COST = 1_024
"""Bytes that a session or a FAIL counts for: so many of each kind as this goes into `receive_memory` (CC-SESS-069)."""


class ReceiversHost(Protocol):
    """What the receiving side needs of its endpoint."""

    roster: RosterView
    limits: Limits
    timers: Timers

    @property
    def now(self) -> int:
        """The time of the call that is being handled."""

    @property
    def counting(self) -> Counting:
        """The counts of the link."""

    @property
    def peer_to_peer(self) -> bool:
        """Whether the one other endpoint is the next hop."""

    def emit(self, event: Event) -> None:
        """Tell the application."""

    def touch(self) -> None:
        """There may be something to write."""

    def dropped(self, reason: str) -> None:
        """Something was dropped that belongs to no receiver."""

    def overwhelmed(self, text: str) -> None:
        """More is to be remembered than memory allows: end the link when the present input has been dealt with."""


class Receivers:
    """The sessions of all other endpoints, at this one."""

    def __init__(self, host: ReceiversHost) -> None:
        self.limits = host.limits
        self.bytes_buffered = 0
        """Payload of all unread and partial messages."""
        self.emit = host.emit
        self._host = host
        self._sessions: dict[tuple[int, int], ReliableReceiver | LossyReceiver] = {}
        self.by_key: dict[int, ReliableReceiver] = {}
        """Reliable sessions by what the headers of their frames have in common."""
        self._of_slot: dict[int, dict[int, ReliableReceiver | LossyReceiver]] = {}
        self._open: dict[int, int] = {}
        """How many sessions of each slot have not ended."""
        self._lossy: dict[tuple[int, int], LossyReceiver] = {}
        """For each slot and channel, the Lossy session that a newer one would end."""
        self._most = host.limits.receive_memory // SESSION_COST
        self._most_unread = host.limits.receive_memory // LEAST_COUNTED
        self.arrived = 0
        """Reliable messages that became readable since they were counted."""
        self._dead: dict[ReceiverSession, None] = {}
        """DEAD sessions that may be forgotten, the oldest first."""
        self._dead_for_good: dict[ReceiverSession, None] = {}
        """Those that may not: until CLOSE their DATA could pass for that of a new session."""
        self._newest: dict[int, dict[int, int]] = {}
        """For each slot and channel, the greatest session number known there (CC-SESS-059)."""
        self._greatest_reliable = 0
        self._serial = 0
        self.by_number: dict[int, ReliableReceiver | LossyReceiver] = {}
        self._last_receiver = 0
        self._ends: dict[int, int] = {}
        self._aborted: dict[int, None] = {}
        self._partials: dict[tuple[LossyReceiver, int], int] = {}
        """Partial Lossy messages, oldest first, and when each is given up."""
        self._partial_bytes = 0
        self._past_drops = DropCounter()
        self._fails: deque[tuple[ReceiverSession, Fail]] = deque()
        self._fails_written = 0
        self._fails_acked = 0
        self._owing: dict[ReliableReceiver, None] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    # --- from the wire -----------------------------------------------------------------------------------------

    def data(self, frame: Data, now: int) -> None:
        """DATA of a slot that is known or draining (steps 12 to 19)."""
        session = self._sessions.get((frame.sender, frame.session))
        if frame.reliable:
            self._reliable_data(frame, session, now)
        else:
            self._lossy_data(frame, session, now)

    def _reliable_data(self, frame: Data, session: ReliableReceiver | LossyReceiver | None, now: int) -> None:
        if isinstance(session, LossyReceiver):
            session.on_reliable_data()
            return
        may_begin = True
        if session is None:
            if self._host.peer_to_peer and frame.session <= self._greatest_reliable:  # CC-SESS-060
                return
            may_begin = self._may_begin(frame.sender)
            session = ReliableReceiver(self, self._host.roster.participant(frame.sender), frame.session, frame)
            self._add(session, now)
            self._greatest_reliable = max(self._greatest_reliable, frame.session)
        session.data(frame, now, may_begin=may_begin)

    def _lossy_data(self, frame: Data, session: ReliableReceiver | LossyReceiver | None, now: int) -> None:
        if isinstance(session, ReliableReceiver):
            self._record(session, "mismatch")  # CC-SESS-048
            return
        newest = self._newest.get(frame.sender, {}).get(frame.channel, 0)
        if session is None:
            if frame.session < newest:
                self._host.dropped("ended_session")
                return
            if not self._may_begin(frame.sender):
                self._host.dropped("open_sessions")
                return
            session = LossyReceiver(self, self._host.roster.participant(frame.sender), frame.session, frame)
            self._add(session, now)
        elif not session.channel and frame.session > newest:
            self._became_known(session, frame.channel)
        reason = session.data(frame, now, superseded=frame.session < newest)
        if reason is not None:
            self._record(session, reason)

    def _record(self, session: ReliableReceiver | LossyReceiver, reason: str) -> None:
        """A frame was dropped: with its receiver, or with the link where there is none (CC-DELIV-079)."""
        if session.receiver is not None:
            session.drops.add(reason)
        else:
            self._host.dropped(reason)

    def _may_begin(self, slot: int) -> bool:
        """Whether a further session of this owner may be open (CC-SESS-052, 069)."""
        dead = len(self._dead) + len(self._dead_for_good)
        return (
            self._open.get(slot, 0) < self.limits.open_sessions
            and len(self._sessions) - dead < self._most
            and len(self.by_number) < self._most
        )

    def close(self, frame: Close, now: int) -> None:
        """CLOSE of a slot that is known or draining."""
        session = self._sessions.get((frame.sender, frame.session))
        if session is None:
            # CLOSE has overtaken the Lossy DATA of its session, or the session is long over (CC-SESS-039).
            session = LossyReceiver(self, self._host.roster.participant(frame.sender), frame.session, None)
            self._insert(session)
        if isinstance(session, LossyReceiver):
            session.on_close(frame, now)
        else:
            session.on_close(frame)
            if frame.sender not in self._host.roster.members:
                session.cut()  # its owner has left: its slot can be given again before all is read

    def fail(self, frame: Fail) -> None:
        """FAIL by the relay, to this endpoint as a recipient."""
        session = self._sessions.get((frame.sender, frame.session))
        if session is not None:
            session.on_fail(frame)

    def slot_left(self, slot: int) -> None:
        """An owner has left: nothing is written any more about what it had closed before.

        What is unread can stay so for longer than the slot is kept; a RECEIPT would speak of its next occupant then.
        """
        for session in self._of_slot.get(slot, {}).values():
            if session.complete:
                session.cut()

    def slot_joined(self, slot: int) -> None:
        """A slot has a new occupant: what is there of the old one is cut from the wire (CC-SESS-054)."""
        for session in list(self._of_slot.get(slot, {}).values()):
            session.occupant_changed()
            self.forget(session)
        self._newest.pop(slot, None)

    def start_anew(self) -> None:
        """Another link begins: its sessions are others, and what is unread of earlier links stays readable.

        It counts against `receive_memory` as before, until it is read.
        """
        for session in list(self._sessions.values()):
            self.forget(session)
        self._newest.clear()
        self._greatest_reliable = self._fails_written = self._fails_acked = 0

    def link_died(self, code: int) -> None:
        """The link is dead: complete messages stay readable (CC-LINK-059)."""
        for session in list(self._sessions.values()):
            session.link_died(code)
        self._fails.clear()
        self._owing.clear()

    # --- sessions ----------------------------------------------------------------------------------------------

    def _insert(self, session: ReliableReceiver | LossyReceiver) -> None:
        self._serial += 1
        session.serial = self._serial
        self._sessions[session.slot, session.session] = session
        if isinstance(session, ReliableReceiver):
            self.by_key[session.key] = session
        self._of_slot.setdefault(session.slot, {})[session.session] = session
        self._open[session.slot] = self._open.get(session.slot, 0) + 1

    def session_ended(self, session: ReceiverSession) -> None:
        """A session is not open any more."""
        left = self._open.get(session.slot, 0) - 1
        if left > 0:
            self._open[session.slot] = left
        else:
            self._open.pop(session.slot, None)

    def _add(self, session: ReliableReceiver | LossyReceiver, now: int) -> None:
        session.active_at = now
        self._insert(session)
        self._became_known(session, session.channel)

    def _became_known(self, session: ReliableReceiver | LossyReceiver, channel: int) -> None:
        """The newest session of a channel ends the older Lossy ones there (CC-SESS-040)."""
        newest = self._newest.setdefault(session.slot, {})
        if session.session > newest.get(channel, 0):
            newest.pop(channel, None)
            newest[channel] = session.session
            if len(newest) > _CHANNELS:
                del newest[next(iter(newest))]
            older = self._lossy.pop((session.slot, channel), None)
            if isinstance(session, LossyReceiver):
                self._lossy[session.slot, channel] = session
            if older is not None:
                older.newer_session()

    def forget(self, session: ReceiverSession) -> None:
        """Nothing of a session has to be remembered; a receiver with unread messages lives on by its number."""
        key = (session.slot, session.session)
        if self._sessions.get(key) is session:
            del self._sessions[key]
            if isinstance(session, ReliableReceiver):
                del self.by_key[session.key]
            of_slot = self._of_slot[session.slot]
            del of_slot[session.session]
            if not of_slot:
                del self._of_slot[session.slot]
            if self._lossy.get((session.slot, session.channel)) is session:
                del self._lossy[session.slot, session.channel]
            self._dead.pop(session, None)
            self._dead_for_good.pop(session, None)
            if session.receiver is None:
                self._past_drops.add_all(session.drops)
        for name in ("idle", "linger", "tombstone"):
            self._host.timers.cancel((name, session.serial))

    def bury(self, session: ReceiverSession) -> None:
        """A session is DEAD. A Lossy one is forgotten in time, a Reliable one at its CLOSE."""
        self._host.timers.cancel(("idle", session.serial))
        session.lighten()
        lossy = isinstance(session, LossyReceiver)
        if lossy:
            self._host.timers.set(
                ("tombstone", session.serial), self._host.now + TOMBSTONE, lambda _now: self.forget(session)
            )
        # Between peers a number says whether a Reliable session is over, so that it need not be kept (CC-SESS-060).
        (self._dead if lossy or self._host.peer_to_peer else self._dead_for_good)[session] = None
        if len(self._dead) + len(self._dead_for_good) > self._most:  # CC-SESS-070
            if self._dead:
                self.forget(next(iter(self._dead)))
            else:
                self._host.overwhelmed(f"more than {self._most} sessions that ended wait for CLOSE")

    # --- receiver objects --------------------------------------------------------------------------------------

    def new_receiver(self, session: ReceiverSession) -> int:
        """A number for a receiver object."""
        self._last_receiver += 1
        assert isinstance(session, ReliableReceiver | LossyReceiver)
        self.by_number[self._last_receiver] = session
        return self._last_receiver

    def receiver_gone(self, receiver: int, code: int, *, aborted: bool = False) -> None:
        """A receiver object is closed."""
        session = self.by_number.pop(receiver)
        if self._sessions.get((session.slot, session.session)) is not session:
            self._past_drops.add_all(session.drops)
        self._ends[receiver] = code
        if len(self._ends) > _REMEMBERED_ENDS:
            del self._ends[next(iter(self._ends))]
        if aborted:
            self._aborted[receiver] = None
            if len(self._aborted) > _REMEMBERED_ABORTS:
                del self._aborted[next(iter(self._aborted))]

    @property
    def open_receivers(self) -> int:
        """How many receiver objects are open."""
        return len(self.by_number)

    def drop_counters(self) -> list[DropCounter]:
        """What each session dropped; of those that are forgotten, the sum."""
        return [self._past_drops, *(session.drops for session in {*self._sessions.values(), *self.by_number.values()})]

    def session_of(self, receiver: int) -> ReliableReceiver | LossyReceiver:
        """The session of an open receiver. Raises `ReceiverClosed`."""
        session = self.by_number.get(receiver)
        if session is None:
            code = self._ends.get(receiver, ErrorCode.CLOSED)
            raise ReceiverClosed(f"receiver {receiver} has ended: {error_name(code)}", code=code)
        return session

    def read(self, receiver: int, now: int) -> Message | None:
        """The next message of a receiver."""
        return self.session_of(receiver).read(now)

    def read_stream(self, receiver: int, now: int) -> StreamChunk | None:
        """The next bytes of the stream that is being read."""
        if receiver in self._aborted:
            del self._aborted[receiver]
            raise StreamAborted("the stream ended with its session, before it was complete")
        return self.session_of(receiver).read_stream(now)

    def close_receiver(self, receiver: int) -> None:
        """The application closes a receiver; one that is closed stays so."""
        session = self.by_number.get(receiver)
        if session is not None:
            session.close_by_application()

    def watch_idle(self, session: ReceiverSession, now: int) -> None:
        """Close the receiver object when it was idle for `idle_close`; one lazy timer for each."""
        if self.limits.idle_close:
            self._host.timers.set(
                ("idle", session.serial), now + self.limits.idle_close, lambda at: self._idle_timer(session, at)
            )

    def _idle_timer(self, session: ReceiverSession, now: int) -> None:
        if session.receiver is None or session.ended:
            return
        due = session.active_at + self.limits.idle_close
        if due > now:
            self.watch_idle(session, due - self.limits.idle_close)
        elif session.is_quiet:
            session.idle_over()
        else:
            self.watch_idle(session, now)

    # --- limits ------------------------------------------------------------------------------------------------

    def make_room(self, session: ReceiverSession, size: int) -> int:
        """Before `size` bytes more are held: beyond `receive_memory` whoever would hold the most pays (CC-DELIV-059).

        Returns how many bytes the session of the frame has to give up, when it is the one. Others have paid then.
        """
        while (excess := self.bytes_buffered + size - self.limits.receive_memory) > 0:
            holders = {*self.by_number.values(), *self._sessions.values()}
            most = max(holders, key=lambda item: (item.bytes_buffered + size * (item is session), item.serial))
            if most is session:
                return excess
            if isinstance(most, LossyReceiver):
                most.shed_memory(excess)
            else:
                most.shed_memory()
        return 0

    def count_unread(self) -> None:
        """CC-DELIV-081: beyond so many unread Reliable messages, whoever holds the most of them pays."""
        self.arrived = 0
        counts = {
            session: session.unread_messages
            for session in {*self.by_number.values(), *self._sessions.values()}
            if isinstance(session, ReliableReceiver)
        }
        # As often as it is looked, so many can have come; and with many sessions it is looked less often.
        self.arrived = -len(counts)
        excess = sum(counts.values()) - self._most_unread
        while excess > 0:
            most = max(counts, key=lambda session: (counts[session], session.serial))
            excess -= counts.pop(most)
            most.shed_memory()

    def linger(self, session: LossyReceiver, now: int) -> None:
        """A Lossy session was closed: late messages are taken for `linger`."""
        self._host.timers.set(("linger", session.serial), now + LINGER, lambda _now: session.linger_over())

    def partial_begun(self, session: LossyReceiver, sequence: int, now: int) -> None:
        """A Lossy message is partial (CC-FRAG-039 to 042)."""
        self._partials[session, sequence] = now + LOSSY_PARTIAL_TIME
        if len(self._partials) == 1:
            self._arm_partials()

    def partial_grown(self, size: int) -> None:
        """Partial Lossy messages hold so many bytes more, or less."""
        self._partial_bytes += size

    def bound_partials(self, session: LossyReceiver, sequence: int, size: int) -> str | None:
        """Give up the oldest partial Lossy messages beyond the limits (CC-FRAG-041, 042); see `LossyHost`."""
        new = (session, sequence) not in self._partials
        limits = self.limits
        while (many := len(self._partials) + new > limits.lossy_partial_messages) or (
            self._partial_bytes + size > limits.lossy_partial_bytes
        ):
            reason = "partial_count" if many else "partial_memory"
            oldest, number = next(iter(self._partials))
            if (oldest, number) == (session, sequence):
                return reason
            oldest.give_up_partial(number, reason)
        return None

    def partial_ended(self, session: LossyReceiver, sequence: int) -> None:
        """A Lossy message is partial no more: its session may be idle from now on (CC-SESS-033)."""
        session.active_at = self._host.now
        self._partials.pop((session, sequence), None)

    def _arm_partials(self) -> None:
        first = next(iter(self._partials.values()), None)
        if first is not None:
            self._host.timers.set("partials", first, self._partials_timer)

    def _partials_timer(self, now: int) -> None:
        while self._partials:
            (session, sequence), due = next(iter(self._partials.items()))
            if due > now:
                break
            session.give_up_partial(sequence, "partial_timeout")
        self._arm_partials()

    # --- what is written ---------------------------------------------------------------------------------------

    def owe_fail(self, session: ReceiverSession, value: int, code: int) -> None:
        """FAIL has to be written, behind the RECEIPT that is due (CC-SCHED-011)."""
        fail = Fail(session.slot, self._host.roster.own_slot, session.session, value, code)
        self._fails.append((session, fail))
        if len(self._fails) + self._fails_written - self._fails_acked > self._most:  # CC-SESS-071
            self._host.overwhelmed(f"more than {self._most} FAIL frames are not acknowledged")
        self._host.touch()

    def owe_credit(self, session: ReceiverSession) -> None:
        """RECEIPT or CREDIT may be due; which and how much is seen when the packet is made."""
        assert isinstance(session, ReliableReceiver)
        if session.receipt_due or session.credit_due() is not None:
            self._owing[session] = None
            self._host.touch()

    @property
    def has_to_write(self) -> bool:
        """Whether a FAIL, RECEIPT or CREDIT may be due."""
        return bool(self._fails or self._owing)

    def next_control(self) -> bytes | None:
        """The next FAIL, or the RECEIPT that goes before it."""
        while self._fails and self._fails[0][0].is_cut:  # CC-SESS-054: its slot may have another occupant by now
            self._fails.popleft()
        if not self._fails:
            return None
        session, fail = self._fails[0]
        if isinstance(session, ReliableReceiver) and session.receipt_due:
            return self._receipt(session).encode()
        return fail.encode()

    def control_written(self) -> int:
        """What `next_control` returned is being written. Returns the mark for `acked`."""
        session, _ = self._fails[0]
        if isinstance(session, ReliableReceiver) and session.receipt_due:
            session.take_receipt()
        else:
            self._fails.popleft()
            self._fails_written += 1
        return self._fails_written

    def acked(self, mark: int, now: int) -> None:
        """So many FAIL frames have arrived; see `counting.Acknowledged`."""
        self._fails_acked = mark

    def next_credit(self, room: int) -> bytes | None:
        """The next RECEIPT or CREDIT that is due, from values as they are now; it counts as written."""
        while self._owing:
            session = next(iter(self._owing))
            if session.receipt_due:
                if room < CONTROL_LENGTH:
                    return NO_ROOM
                frame = self._receipt(session).encode()
                session.take_receipt()
            elif (limit := session.credit_due()) is not None:
                if room < CONTROL_LENGTH:
                    return NO_ROOM
                session.credit.announce(limit)
                frame = Credit(session.slot, self._host.roster.own_slot, session.session, limit).encode()
            else:
                del self._owing[session]
                continue
            self._host.counting.write(frame)
            return frame
        return None

    def _receipt(self, session: ReliableReceiver) -> Receipt:
        return Receipt(session.slot, self._host.roster.own_slot, session.session, session.read_confirm)
