# SPDX-License-Identifier: Apache-2.0
"""All senders of an endpoint: channels, session numbers, and who is told what (specification, sections 5.3 and 5.4)."""

from __future__ import annotations

from typing import Protocol

from callchannel.core import frames
from callchannel.core.errors import DropCounter, InvalidArgument, NoChannel, NotJoined, SenderClosed
from callchannel.core.events import Event
from callchannel.core.limits import Limits
from callchannel.core.link import Link
from callchannel.core.roster import RosterView, Target
from callchannel.core.sender import SenderOptions, SenderSession
from callchannel.core.sender_queue import SenderQueue
from callchannel.core.timers import Timers

MAX_CHANNEL = 0xFFFF
MAX_SESSION = 0xFFFF_FFFF
_REMEMBERED_SENDERS = 1_024
"""Ended senders that still say why; of older ones it is only known that they have ended."""


class SendersHost(Protocol):
    """What the sending side needs of its endpoint."""

    link: Link
    roster: RosterView
    limits: Limits
    timers: Timers

    @property
    def peer_to_peer(self) -> bool:
        """Whether the one other endpoint is the next hop."""

    @property
    def joined(self) -> bool:
        """Whether the call was joined."""

    def emit(self, event: Event) -> None:
        """Tell the application."""

    def sender_gone(self, sender: SenderSession) -> None:
        """A sender has ended."""


class _CloseTurn:
    """A session's turn on the reliable lane to write CLOSE, also where its data goes on the other lane."""

    __slots__ = ("_sender", "high")

    def __init__(self, sender: SenderQueue) -> None:
        self._sender = sender
        self.high = sender.high

    def write(self, room: int, now: int) -> bytes | None:
        """CLOSE; see `scheduling.Source`."""
        return self._sender.write_close(room)

    def write_runs(self, room: int, budget: int, now: int) -> tuple[list[bytes], int]:
        """No short way; see `scheduling.Source`."""
        return [], 0


class Senders:
    """The senders of one link."""

    def __init__(self, host: SendersHost, earlier: Senders | None = None) -> None:
        """`earlier`: those of the link before this one, which have ended."""
        self.link = host.link
        self.roster = host.roster
        self.limits = host.limits
        self.emit = host.emit
        self.last_sender: int = earlier.last_sender if earlier is not None else 0
        """The greatest number of a sender so far."""
        self._host = host
        self.open_senders: dict[int, SenderSession] = {}
        """Those that have not ended, by number."""
        self._ended: dict[int, SenderSession] = earlier._ended if earlier is not None else {}
        self._past_drops: DropCounter = earlier._past_drops if earlier is not None else DropCounter()
        self._by_session: dict[int, SenderSession] = {}
        self._by_channel: dict[int, list[SenderSession]] = {}
        self._lowest_free = 1
        self._last_session = 0
        self._close_turns: dict[SenderQueue, _CloseTurn] = {}

    @property
    def peer_to_peer(self) -> bool:
        """Whether the one other endpoint is the next hop."""
        return self._host.peer_to_peer

    def __len__(self) -> int:
        return len(self.open_senders)

    # --- commands ------------------------------------------------------------------------------------------------

    def open(self, options: SenderOptions, target: Target, now: int) -> SenderSession:
        """A new sender; an open one on its channel is closed (CC-SESS-005). `options.channel` is not 0."""
        if self._last_session + len(self.open_senders) >= MAX_SESSION:
            raise NoChannel("the link has used its last session number; join anew")
        for other in self._by_channel.get(options.channel, ()):
            other.close()
        self.last_sender += 1
        sender = SenderSession(self, self.last_sender, options, target, now)
        self.open_senders[sender.id] = sender
        self._by_channel.setdefault(options.channel, []).append(sender)
        return sender

    def free_channel(self) -> int:
        """The lowest channel without a sender. Raises `NoChannel`."""
        while self._lowest_free in self._by_channel:
            self._lowest_free += 1
        if self._lowest_free > MAX_CHANNEL:
            raise NoChannel("all 65,535 channels are in use; close a sender")
        return self._lowest_free

    def get(self, sender: int) -> SenderSession:
        """A sender by its number, also one that has ended. Raises `InvalidArgument`, `SenderClosed`."""
        found = self.open_senders.get(sender) or self._ended.get(sender)
        if found is not None:
            return found
        if 1 <= sender <= self.last_sender:
            raise SenderClosed(f"sender {sender} has ended")
        if not self._host.joined:
            raise NotJoined("the call was not joined yet; wait for Joined, then open a sender")
        raise InvalidArgument(f"there is no sender {sender}")

    def all(self) -> list[SenderSession]:
        """Those that have not ended."""
        return list(self.open_senders.values())

    def drop_counters(self) -> list[DropCounter]:
        """What each sender dropped; of those that ended long ago, the sum."""
        senders = (*self._ended.values(), *self.open_senders.values())
        return [self._past_drops, *(sender.drops for sender in senders)]

    # --- from the wire -------------------------------------------------------------------------------------------

    def control(self, frame: frames.Frame) -> None:
        """CREDIT, RECEIPT, REFUSE or FAIL for a session of this endpoint; of an unknown one it is dropped."""
        assert isinstance(frame, frames.Control)
        sender = self._by_session.get(frame.session)
        if sender is None:
            return
        if isinstance(frame, frames.Credit):
            sender.on_credit(frame)
        elif isinstance(frame, frames.Receipt):
            sender.on_receipt(frame)
        elif isinstance(frame, frames.Refuse):
            sender.on_refuse(frame)
        elif isinstance(frame, frames.Fail):
            sender.on_fail(frame)

    def suspended(self) -> None:
        """The link is suspended: Lossy messages are dropped (CC-LINK-042)."""
        for sender in self.all():
            sender.clear_lossy("suspended")

    def link_died(self) -> None:
        """The link is dead: every sender ends."""
        for sender in self.all():
            sender.link_died()

    def slot_joined(self, slot: int) -> None:
        """A slot has another occupant."""
        for sender in self.all():
            sender.slot_joined(slot)

    def lane_changed(self) -> None:
        """Lossy sessions write on the other lane from now on."""
        for sender in self.open_senders.values():
            if not sender.reliable:
                for scheduler in self.link.data:
                    scheduler.remove(sender)
                self.schedule(sender)

    # --- for the senders -----------------------------------------------------------------------------------------

    def allot_session(self, sender: SenderQueue) -> int:
        """The next session number of the link; who waited for this one may write (CC-SESS-007, 009)."""
        self._last_session += 1
        self._by_session[self._last_session] = self.open_senders[sender.id]
        for other in self._by_channel[sender.channel]:
            if other is not sender:
                self.schedule(other)
        return self._last_session

    def must_wait(self, sender: SenderQueue) -> bool:
        """Whether an older sender on the channel has something to write and no session number yet."""
        return any(
            other.id < sender.id and not other.session and other.has_to_write
            for other in self._by_channel[sender.channel]
        )

    def schedule(self, sender: SenderQueue) -> None:
        """Let a sender write when it is its turn."""
        link = self.link
        (link.reliable_scheduler if sender.reliable else link.lossy_scheduler).add(sender)
        link.touch()

    def rest(self, sender: SenderQueue) -> None:
        """A Reliable sender has nothing to write at the moment."""
        self.link.reliable_scheduler.remove(sender)

    def schedule_close(self, sender: SenderQueue) -> None:
        """Let a sender write CLOSE when it is its turn on the reliable lane."""
        turn = self._close_turns.setdefault(sender, _CloseTurn(sender))
        self.link.reliable_scheduler.add(turn)
        self.link.touch()

    def wake_at(self, sender: SenderQueue, at: int) -> None:
        """Schedule a sender at a time (bitrate)."""
        self._host.timers.set(("bitrate", sender), at, lambda _now: self.schedule(sender))

    def watch_receipts(self, sender: SenderQueue, at: int) -> None:
        """Look after overdue receipts at a time."""
        self._host.timers.set(("receipts", sender), at, sender.expire)

    def sender_ended(self, sender: SenderQueue) -> None:
        """A sender has ended: its channel is free."""
        ended = self.open_senders.pop(sender.id)
        self._ended[sender.id] = ended
        if len(self._ended) > _REMEMBERED_SENDERS:
            self._past_drops.add_all(self._ended.pop(next(iter(self._ended))).drops)
        self._by_session.pop(sender.session, None)
        on_channel = self._by_channel[sender.channel]
        on_channel.remove(ended)
        if not on_channel:
            del self._by_channel[sender.channel]
            self._lowest_free = min(self._lowest_free, sender.channel)
        for name in ("bitrate", "receipts"):
            self._host.timers.cancel((name, sender))
        for scheduler in self.link.data:
            scheduler.remove(sender)
        turn = self._close_turns.pop(sender, None)
        if turn is not None:
            self.link.reliable_scheduler.remove(turn)
        for other in on_channel:
            self.schedule(other)
        self._host.sender_gone(ended)
