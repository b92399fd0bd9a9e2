# SPDX-License-Identifier: Apache-2.0
"""What Reliable and Lossy sessions share at a final recipient (specification, chapter 5; tables "Receiver session").

A session outlives its receiver object: an idle one is closed and made again. What is particular to a mode is in
`reliable_receiver` and `lossy_receiver`.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from callchannel.core.errors import DropCounter, ErrorCode, ReceiverClosed, StreamAborted
from callchannel.core.events import Event, Participant, ReceiverCreated, ReceiverReadable
from callchannel.core.events import ReceiverClosed as ReceiverClosedEvent
from callchannel.core.frames import DATA_HEADER, Data
from callchannel.core.limits import Limits
from callchannel.core.messages import Message, Priority, Reliability, StreamChunk


class ReceiverState(enum.Enum):
    """States of a session at a final recipient; the tables of chapter 5 have all transitions."""

    NONE = "NONE"
    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    """Reliable: one message is begun and not complete."""
    DETACHED = "DETACHED"
    """The receiver was closed for idleness; the session goes on."""
    LINGER = "LINGER"
    """Lossy: CLOSE has come, late messages are still taken."""
    DRAINING = "DRAINING"
    """The session has ended; unread messages keep the receiver open."""
    DEAD = "DEAD"
    """The session has ended; what still comes is dropped."""


class ReceiverHost(Protocol):
    """What a session at a recipient needs of the collection that holds it."""

    limits: Limits
    bytes_buffered: int
    """Payload of all unread and partial messages."""
    arrived: int
    """Reliable messages that became readable since `count_unread` was called."""

    def count_unread(self) -> None:
        """Hold the number of unread Reliable messages to its bound (CC-DELIV-081)."""

    @property
    def emit(self) -> Callable[[Event], None]:
        """Tell the application."""

    def new_receiver(self, session: ReceiverSession) -> int:
        """A number for a receiver object."""

    def receiver_gone(self, receiver: int, code: int, *, aborted: bool = False) -> None:
        """The receiver object is closed. `aborted`: in the middle of a stream, as its reader is to be told."""

    def make_room(self, session: ReceiverSession, size: int) -> int:
        """Let others pay for `size` bytes more. Returns how many bytes this session itself has to give up."""

    def owe_fail(self, session: ReceiverSession, value: int, code: int) -> None:
        """Write FAIL, behind the RECEIPT that is due."""

    def owe_credit(self, session: ReceiverSession) -> None:
        """RECEIPT or CREDIT may be due."""

    def watch_idle(self, session: ReceiverSession, now: int) -> None:
        """Call `idle_over` when `idle_close` has passed without `touch_idle`."""

    def session_ended(self, session: ReceiverSession) -> None:
        """The session is not open any more."""

    def forget(self, session: ReceiverSession) -> None:
        """Nothing of the session has to be remembered."""

    def bury(self, session: ReceiverSession) -> None:
        """The session is DEAD; Lossy: start its tombstone."""


class Unread:
    """A message that the application has not taken whole: complete, or a stream."""

    started = False
    """A stream whose message was handed out."""
    aborted = False
    """A stream that was given up while it was read: what is left of it is that its reader has to be told."""
    chunks: deque[tuple[bytes, int]]
    """Of a stream: payload and wire bytes of each chunk that is there."""

    def __init__(self, message: Message, wire: int, *, confirm: bool = False, latest: bool = False) -> None:
        self.message = message
        self.wire = wire
        """Bytes of its DATA frames that are not consumed yet."""
        self.confirm = confirm
        self.latest = latest
        self.bytes_held = len(message.data)
        self.ended = not message.is_stream
        """Whether its last fragment has come."""
        if message.is_stream:
            self.chunks = deque()


COUNT_AGAIN: Final = 1_024
"""After so many Reliable messages it is looked how many are unread: counting each would cost more than the message."""
_NOTHING: Final[deque[Unread]] = deque(maxlen=0)
_NO_MESSAGES: Final[deque[Message]] = deque(maxlen=0)


class ReceiverSession:
    """One session of another endpoint, and its receiver object while there is one."""

    reliability: Reliability

    __slots__ = (
        "_host",
        "_plain",
        "_plain_bytes",
        "_plain_extra",
        "_readable",
        "_reader_cut",
        "_unread",
        "active_at",
        "bytes_buffered",
        "bytes_read",
        "channel",
        "complete",
        "drops",
        "end_code",
        "ended",
        "has_failed",
        "high",
        "is_cut",
        "last_sequence",
        "messages_read",
        "owner",
        "receiver",
        "serial",
        "session",
        "slot",
    )

    def __init__(self, host: ReceiverHost, owner: Participant, session: int, first: Data | None) -> None:
        self.owner = owner
        self.slot = owner.slot
        self.session = session
        self.channel = first.channel if first is not None else 0
        self.high = bool(first is not None and first.flags & 0x02)
        self.receiver: int | None = None
        """The number of the receiver object, while there is one."""
        self._readable: ReceiverReadable | None = None  # the event, which is the same each time
        self._unread: deque[Unread] = deque()
        self._plain: deque[Message] = deque()
        """Messages that came the short way, behind `_unread`."""
        self._plain_bytes = 0
        """Their payload."""
        self._plain_extra: dict[int, int] = {}
        """By sequence, of those that came in fragments: what these cost beyond the header of a whole message."""
        self.drops = DropCounter()
        self.messages_read = 0
        self.bytes_read = 0
        self.bytes_buffered = 0
        self.last_sequence = 0
        self.ended = False
        """Whether the session has ended here: nothing more is taken."""
        self.end_code: int = ErrorCode.NONE
        self.complete = False
        """Whether nothing of it can follow: closed, cut, or the link is dead."""
        self.is_cut = False
        self.serial = 0
        """Its place among all sessions of this endpoint, by when they began."""
        self._reader_cut = False
        self.has_failed = False
        """Whether a FAIL was written or read: no other is written (CC-SESS-047)."""
        self.active_at = 0
        self._host = host

    def lighten(self) -> None:
        """The session is DEAD, and there can be many of those: keep no more than tells that it is over."""
        self._readable = None
        self._unread = _NOTHING
        self._plain = _NO_MESSAGES

    # --- looking -----------------------------------------------------------------------------------------------

    @property
    def unread(self) -> deque[Unread]:
        """Messages that the application has not taken whole."""
        if self._plain:
            extra = self._plain_extra
            self._unread.extend(
                Unread(message, DATA_HEADER + len(message.data) + extra.get(message.sequence, 0))
                for message in self._plain
            )
            self._plain.clear()
            self._plain_bytes = 0
            extra.clear()
        return self._unread

    @property
    def priority(self) -> Priority:
        """The session's priority at its owner."""
        return Priority.HIGH if self.high else Priority.NORMAL

    @property
    def is_partial(self) -> bool:
        """Whether a message is begun and not complete."""
        raise NotImplementedError

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is unread or partial."""
        return not self.unread and not self.is_partial

    @property
    def has_unread(self) -> bool:
        """Whether something is there to be read, beyond the news that a stream was given up."""
        return any(not item.aborted for item in self.unread)

    # --- receiver objects --------------------------------------------------------------------------------------

    def _ensure_receiver(self, now: int) -> None:
        if self.receiver is None:
            self.receiver = self._host.new_receiver(self)
            self._host.emit(
                ReceiverCreated(
                    receiver=self.receiver,
                    channel=self.channel,
                    session=self.session,
                    sender=self.owner,
                    reliability=self.reliability,
                    priority=self.priority,
                )
            )
            self._host.watch_idle(self, now)
        self.active_at = now

    def _hold(self, size: int) -> None:
        self.bytes_buffered += size
        self._host.bytes_buffered += size

    def _put(self, item: Unread) -> None:
        """A message has become readable."""
        readable = self._is_readable()
        self.unread.append(item)
        if not readable:
            self._tell_readable()
        host = self._host
        host.arrived += 1
        if host.arrived >= COUNT_AGAIN:
            host.count_unread()

    @property
    def unread_messages(self) -> int:
        """How many messages were not taken whole."""
        return len(self._unread) + len(self._plain)

    def _is_readable(self) -> bool:
        if not self._unread:
            return bool(self._plain)
        first = self._unread[0]
        return not first.started or first.ended or first.aborted or bool(first.chunks)

    def _tell_readable(self) -> None:
        if self.receiver is not None:
            event = self._readable
            if event is None or event.receiver != self.receiver:
                event = self._readable = ReceiverReadable(receiver=self.receiver)
            self._host.emit(event)

    def _close_receiver(self, code: int) -> None:
        """The receiver object closes, and the application is told."""
        if self.receiver is not None:
            receiver, self.receiver = self.receiver, None
            aborted = bool(self.unread) or self._reader_cut
            self.unread.clear()
            self._host.receiver_gone(receiver, code, aborted=aborted)
            self._host.emit(ReceiverClosedEvent(receiver=receiver, code=code))

    # --- reading -----------------------------------------------------------------------------------------------

    def read(self, now: int) -> Message | None:
        """Hand out the next message; None while there is none, or a stream is being read."""
        item = self.unread[0] if self.unread else None
        if item is None or item.started:
            return None
        self.active_at = now
        message = item.message
        if message.is_stream:
            item.started = True
            return message
        self.unread.popleft()
        size = item.bytes_held
        self.bytes_read += len(message.data)
        self.messages_read += 1
        self.bytes_buffered -= size
        self._host.bytes_buffered -= size
        self._consumed(item.wire)
        if item.confirm:
            self._note_read(item)
        if self.ended:
            self._after_read()
        return message

    def read_plain(self, now: int) -> list[Message]:
        """All messages that came the short way of Reliable sessions, at once."""
        return []

    def read_stream(self, now: int) -> StreamChunk | None:
        """Hand out what is there of the stream that `read` gave last; None while nothing is."""
        item = self.unread[0] if self.unread else None
        if item is None or not item.started:
            raise ReceiverClosed("no stream is being read; take one with `read`", code=ErrorCode.INVALID_ARGUMENT)
        self.active_at = now
        if item.aborted:  # CC-FRAG-028
            self.unread.popleft()
            self._after_read()
            self._consumed(0)  # what is partial behind it may go on
            raise StreamAborted("the sender gave the stream up")
        if item.chunks:
            data, wire = item.chunks.popleft()
            last = item.ended and not item.chunks
            if last:
                self.unread.popleft()
            self._handed_out(item, len(data), wire)
            if last:
                self._read_whole(item)
            return StreamChunk(data, last)
        if item.ended:  # its last fragment was empty
            self.unread.popleft()
            self._consumed(0)  # what is partial behind it may go on
            self._read_whole(item)
            return StreamChunk(b"", True)
        return None

    def _handed_out(self, item: Unread, size: int, wire: int) -> None:
        item.bytes_held -= size
        item.wire -= wire
        self.bytes_read += size
        self._hold(-size)
        self._consumed(wire)

    def _read_whole(self, item: Unread) -> None:
        self.messages_read += 1
        self._note_read(item)
        self._after_read()

    def _after_read(self) -> None:
        if self.ended and not self.has_unread:
            self._close_receiver(self.end_code)
            self._settle_end()

    def _consumed(self, wire: int) -> None:
        """Bytes were handed out or thrown away."""

    def _note_read(self, item: Unread) -> None:
        """A message was read to its end."""

    # --- throwing away -----------------------------------------------------------------------------------------

    def _throw(self, items: Iterable[Unread]) -> None:
        for item in items:
            self._hold(-item.bytes_held)
            self._consumed(item.wire)

    def clear(self) -> None:
        """Throw away everything unread and partial; who had begun to read it is told at the next read."""
        items = list(self.unread)
        self._reader_cut = any(item.started for item in items)
        self.unread.clear()
        self._throw(items)
        self.discard()

    def discard(self) -> None:
        """Throw away what is partial; who had begun to read it is told at the next read."""
        raise NotImplementedError

    # --- ends --------------------------------------------------------------------------------------------------

    def fail(self, code: int, value: int) -> None:
        """Write FAIL, unless one was written or read, or nothing may be written (CC-SESS-047)."""
        if not (self.has_failed or self.is_cut):
            self.has_failed = True
            self._host.owe_fail(self, value, code)

    def finish(self, code: int) -> None:
        """The session has ended here: close the receiver with `code`, as soon as everything is read (CC-SESS-036)."""
        if not self.ended:
            self.ended = True
            self.end_code = code
            self._host.session_ended(self)
        if not self.has_unread:
            self._close_receiver(self.end_code)
            self._settle_end()

    def _settle_end(self) -> None:
        """The session has ended and nothing is unread: remember it as long as something can follow."""
        if self.complete:
            self._host.forget(self)
        else:
            self._host.bury(self)

    def cut(self) -> None:
        """Nothing is written about the session from now on, and nothing follows."""
        self.is_cut = True
        self.complete = True

    def idle_over(self) -> None:
        """`idle_close` has passed with nothing unread or partial: the receiver closes, the session goes on."""
        self._close_receiver(ErrorCode.IDLE)

    def occupant_changed(self) -> None:
        """The slot has another occupant, although no CLOSE has come (rows R45, R46, R83 to R85)."""
        self._end_cut(ErrorCode.LOST)

    def link_died(self, code: int) -> None:
        """The link is dead (rows R47, R48, R86 to R88)."""
        self._end_cut(code)

    def _end_cut(self, code: int) -> None:
        self.cut()
        self.discard()
        self.finish(code)

    def close_by_application(self) -> None:
        """The application closes the receiver (rows R39, R40, R78)."""
        raise NotImplementedError

    def _drop_receiver(self) -> None:
        """The receiver object goes by its application's own wish: it is not told."""
        if self.receiver is not None:
            receiver, self.receiver = self.receiver, None
            self._host.receiver_gone(receiver, ErrorCode.CLOSED, aborted=self._reader_cut)
