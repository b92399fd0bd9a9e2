# SPDX-License-Identifier: Apache-2.0
"""A Lossy session at a final recipient (specification, chapters 5 to 7; table "Receiver session", R50 to R89)."""

from __future__ import annotations

from typing import Protocol

from callchannel.core import frames
from callchannel.core.errors import ErrorCode
from callchannel.core.events import Participant
from callchannel.core.extensions import Metadata, read_metadata
from callchannel.core.fragments import LossyAssembly
from callchannel.core.frames import Close, Data, Fail
from callchannel.core.limits import REPLAY_WINDOW
from callchannel.core.messages import Message, Reliability
from callchannel.core.receiver import ReceiverHost, ReceiverSession, ReceiverState, Unread
from callchannel.core.replay import ReplayWindow

_NO_METADATA = Metadata()

LEAST_COUNTED = 256
"""Bytes that a complete Lossy message counts for at least: no flow control bounds how many there are (section 7.12)."""


class LossyHost(ReceiverHost, Protocol):
    """What a Lossy session needs besides."""

    def linger(self, session: LossyReceiver, now: int) -> None:
        """Call `linger_over` after `linger`."""

    def partial_begun(self, session: LossyReceiver, sequence: int, now: int) -> None:
        """A message is partial: it counts against the link's limits, and is given up in time."""

    def partial_grown(self, size: int) -> None:
        """Partial messages hold so many bytes more, or less."""

    def bound_partials(self, session: LossyReceiver, sequence: int, size: int) -> str | None:
        """Give up the oldest partial messages for a fragment of `size` bytes. Returns why its own has to go."""

    def partial_ended(self, session: LossyReceiver, sequence: int) -> None:
        """A message is partial no more."""


class LossyReceiver(ReceiverSession):
    """A session whose messages come in any order, at most once, or not at all."""

    __slots__ = ("_assembly", "_latest", "_lingering", "_lossy_host", "_metadata", "_replay")

    reliability = Reliability.LOSSY

    def __init__(self, host: LossyHost, owner: Participant, session: int, first: Data | None) -> None:
        super().__init__(host, owner, session, first)
        self._lossy_host = host
        self._assembly = LossyAssembly()
        self._replay = ReplayWindow()
        self._metadata: dict[int, tuple[Metadata, bool]] = {}
        self._latest = 0
        """The greatest sequence of a complete message with LATEST."""
        self._lingering = False

    @property
    def state(self) -> ReceiverState:
        """The state of chapter 5, which follows from the facts."""
        if self._lingering:
            return ReceiverState.LINGER
        if self.ended:
            return ReceiverState.DRAINING if self.receiver is not None else ReceiverState.DEAD
        return ReceiverState.OPEN if self.receiver is not None else ReceiverState.DETACHED

    @property
    def is_partial(self) -> bool:
        """Whether a message is begun and not complete."""
        return bool(len(self._assembly))

    # --- DATA --------------------------------------------------------------------------------------------------

    def data(self, frame: Data, now: int, *, superseded: bool) -> str | None:
        """Take a Lossy DATA frame. Returns why it was dropped. `superseded`: a newer session is on its channel."""
        if superseded or (self.ended and not self._lingering):
            return "ended_session"
        if not self.channel:  # LINGER by a CLOSE that overtook everything
            self.channel = frame.channel
            self.high = bool(frame.flags & frames.HIGH)
        elif frame.channel != self.channel or bool(frame.flags & frames.HIGH) != self.high:
            return "mismatch"
        sequence = frame.sequence
        if self._replay.is_done(sequence):
            return "too_old" if sequence <= self._replay.highest - REPLAY_WINDOW else "duplicate"
        self.last_sequence = max(self.last_sequence, sequence)
        fragment = frame.fragment
        known = sequence in self._assembly
        if fragment is not None and self._assembly.has(sequence, fragment.index):  # step 14
            return "duplicate"
        total = fragment.total if fragment is not None else len(frame.payload)
        if not known and total > self._host.limits.largest_message:  # step 15, at the message's first frame
            return self._give_up(sequence, "too_large")
        if known if fragment is None else self._assembly.contradiction(sequence, fragment, len(frame.payload)):  # 16
            return self._give_up(sequence, "mismatch")
        metadata = _NO_METADATA
        if frame.extensions and (fragment is None or not fragment.index):
            metadata, understood = read_metadata(frame.extensions)
            if not understood:  # step 18
                return self._give_up(sequence, "extension")
        if fragment is None:
            return self._complete(frame, frame.payload, metadata, bool(frame.flags & frames.PRIVATE), now)
        return self._add(frame, metadata, now)

    def plain_data(self, flags: int, length: int, channel: int, sequence: int, packet: bytes, offset: int) -> bool:
        """Reliable DATA is no plain case here."""
        return False

    def _add(self, frame: Data, metadata: Metadata, now: int) -> str | None:
        """A fragment, in any order."""
        assert frame.fragment is not None
        sequence = frame.sequence
        if not self._assembly.completes(sequence, frame.fragment):
            reason = self._lossy_host.bound_partials(self, sequence, len(frame.payload))
            if reason is None and not self._has_room_for_fragment(sequence, len(frame.payload)):
                reason = "memory"
            if reason is not None:
                return self._give_up(sequence, reason)
        known = sequence in self._assembly
        before = self._assembly.held_bytes
        data = self._assembly.add(sequence, frame.fragment, frame.payload)
        if not frame.fragment.index:
            self._metadata[sequence] = (metadata, bool(frame.flags & frames.PRIVATE))
        if not known and data is None:
            self._lossy_host.partial_begun(self, sequence, now)
        if data is not None:
            self._grew(before)
            if known:
                self._lossy_host.partial_ended(self, sequence)
            metadata, private = self._metadata.pop(sequence, (metadata, False))
            return self._complete(frame, data, metadata, private, now)
        self._ensure_receiver(now)
        self._grew(before)
        return None

    def _grew(self, before: int) -> None:
        change = self._assembly.held_bytes - before
        if change:
            self._lossy_host.partial_grown(change)
            self._hold(change)

    def _complete(self, frame: Data, data: bytes, metadata: Metadata, private: bool, now: int) -> str | None:
        self._replay.mark(frame.sequence)
        readable = self._is_readable()  # also where that is thrown away for this message
        latest = bool(frame.flags & frames.LATEST)
        if latest:
            if frame.sequence < self._latest:
                return "superseded"
            self._latest = frame.sequence
            self._supersede()
        size = max(len(data), LEAST_COUNTED)
        excess = self._host.make_room(self, size)
        if excess and self._shed_unread(excess) > 0:
            return "memory"
        self._ensure_receiver(now)
        self._hold(size)
        item = Unread(Message(frame.sequence, data, metadata, private), 0, latest=latest)
        item.bytes_held = size
        self.unread.append(item)
        if not readable:
            self._tell_readable()
        return None

    def _supersede(self) -> None:
        """A newer LATEST message is here: the unread older ones are of no interest any more."""
        old = [item for item in self.unread if item.latest]
        for item in old:
            self.unread.remove(item)
            self.drops.add("superseded")
        self._throw(old)

    def _give_up(self, sequence: int, reason: str) -> str:
        """Drop a message for good: its sequence is done."""
        self._forget_partial(sequence)
        self._replay.mark(sequence)
        return reason

    def _forget_partial(self, sequence: int) -> None:
        known = sequence in self._assembly
        before = self._assembly.held_bytes
        self._assembly.drop(sequence)
        self._metadata.pop(sequence, None)
        self._grew(before)
        if known:
            self._lossy_host.partial_ended(self, sequence)

    def give_up_partial(self, sequence: int, reason: str) -> None:
        """A partial message is overdue, or there are too many (rows R63, R64)."""
        self._give_up(sequence, reason)
        self.drops.add(reason)

    # --- CLOSE and FAIL ----------------------------------------------------------------------------------------

    def on_close(self, frame: Close, now: int) -> None:
        """CLOSE: late messages are taken for a while (rows R65, R66)."""
        if frame.reason in (ErrorCode.LEFT, ErrorCode.LOST):
            self.is_cut = True
        if not self.ended:
            self.ended = True
            self.end_code = frame.reason
            self._host.session_ended(self)
            self._lingering = True
            self._lossy_host.linger(self, now)

    def linger_over(self) -> None:
        """Nothing more is taken (rows R69 to R71)."""
        if self._lingering:
            self._stop_lingering()

    def _stop_lingering(self) -> None:
        self._lingering = False
        self.discard()
        self.finish(self.end_code)

    def newer_session(self) -> None:
        """A newer session is known on the channel: this one ends at once (rows R72 to R74)."""
        if self._lingering:
            self._stop_lingering()
        elif not self.ended:
            self.discard()
            self.finish(ErrorCode.NONE)

    def on_fail(self, frame: Fail) -> None:
        """FAIL by the relay (rows R67, R68)."""
        if not self.ended:
            self.has_failed = True
            self.discard()
            self.finish(frame.reason)

    def on_reliable_data(self) -> None:
        """Reliable DATA under a Lossy session's number (rows R50, R51)."""
        if not self.ended:
            self.fail(ErrorCode.SESSION_MISMATCH, self.last_sequence + 1)
            self.discard()
            self.finish(ErrorCode.SESSION_MISMATCH)

    # --- ends --------------------------------------------------------------------------------------------------

    def discard(self, reason: str = "ended_session") -> None:
        """Throw away what is partial; see `ReceiverSession`. `reason`: that of the drops."""
        for sequence in self._assembly.sequences():
            self.give_up_partial(sequence, reason)

    def link_died(self, code: int) -> None:
        """The link is dead; see `ReceiverSession`."""
        self.discard("link_dead")
        super().link_died(code)

    def _end_cut(self, code: int) -> None:
        self._lingering = False
        super()._end_cut(code)

    def _shed_unread(self, excess: int) -> int:
        """Throw the oldest unread messages away, until `excess` bytes are free. Returns how many still are not."""
        while excess > 0 and self.unread:
            item = self.unread.popleft()
            excess -= item.bytes_held
            self._throw([item])
            self.drops.add("memory")
        return excess

    def _has_room_for_fragment(self, sequence: int, size: int) -> bool:
        """Make room for a fragment that does not complete its message. False: its message has to go itself."""
        excess = self._host.make_room(self, size)
        if excess:
            excess = self._shed_unread(excess)
        for oldest in self._assembly.sequences():
            if excess <= 0 or oldest == sequence:
                break
            before = self._assembly.held_bytes
            self.give_up_partial(oldest, "memory")
            excess -= before - self._assembly.held_bytes
        return excess <= 0

    def shed_memory(self, excess: int) -> None:
        """Give `excess` bytes back: the oldest unread messages, then the oldest partial ones (rows R57, R58)."""
        excess = self._shed_unread(excess)
        while excess > 0 and (sequence := next(iter(self._assembly.sequences()), None)) is not None:
            before = self._assembly.held_bytes
            self.give_up_partial(sequence, "memory")
            excess -= before - self._assembly.held_bytes
        if self.ended and not self._lingering:
            self._after_read()

    def close_by_application(self) -> None:
        """The application closes the receiver; see `ReceiverSession`."""
        if self.receiver is None:
            return
        if not self.ended:
            self.fail(ErrorCode.CLOSED, self.last_sequence + 1)
        if self.unread:
            self.drops.add("closed", len(self.unread))
        self.discard("closed")
        self._lingering = False
        self.clear()
        self._drop_receiver()
        self.finish(ErrorCode.CLOSED)

    def _after_read(self) -> None:
        if not self._lingering:
            super()._after_read()
