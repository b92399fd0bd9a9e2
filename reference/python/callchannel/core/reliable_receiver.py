# SPDX-License-Identifier: Apache-2.0
"""A Reliable session at a final recipient (specification, chapters 5 to 7; table "Receiver session", R01 to R49)."""

from __future__ import annotations

from callchannel.core import frames
from callchannel.core.errors import ErrorCode
from callchannel.core.events import Participant
from callchannel.core.extensions import ExtensionType, Metadata, read_metadata
from callchannel.core.flow import ReceiveCredit
from callchannel.core.fragments import FragmentFault, ReliableAssembly
from callchannel.core.frames import (
    DATA_HEADER,
    FRAGMENT_HEADER,
    LAST_BIT,
    PRIVATE,
    RELIABLE,
    Close,
    Data,
    Fail,
    key_of,
    start_of,
    unpack_fragment,
    unpack_header,
)
from callchannel.core.link import LinkFault
from callchannel.core.messages import Message, Reliability
from callchannel.core.receiver import COUNT_AGAIN, ReceiverHost, ReceiverSession, ReceiverState, Unread

_NO_METADATA = Metadata()


class _Partial:
    """The message that is begun and not complete."""

    __slots__ = ("assembly", "confirm", "metadata", "private", "stream", "wire")

    def __init__(self, assembly: ReliableAssembly, metadata: Metadata, flags: int) -> None:
        self.assembly = assembly
        self.metadata = metadata
        self.private = bool(flags & PRIVATE)
        self.confirm = bool(flags & frames.CONFIRM)
        self.wire = 0
        self.stream: Unread | None = None


class ReliableReceiver(ReceiverSession):
    """A session whose messages come in order, once, without a gap that its owner does not know of."""

    reliability = Reliability.RELIABLE

    __slots__ = (
        "_fragment_start",
        "_partial",
        "_plain_start",
        "_receipt_written",
        "credit",
        "key",
        "read_confirm",
    )

    def __init__(self, host: ReceiverHost, owner: Participant, session: int, first: Data) -> None:
        super().__init__(host, owner, session, first)
        self.credit = ReceiveCredit(host.limits.window)
        self.key = key_of(self.channel, self.slot, session)
        """What the headers of all its frames have in common."""
        self._plain_start = start_of(RELIABLE | (frames.HIGH if self.high else 0))
        self._fragment_start = self._plain_start | frames.FRAGMENT
        self._partial: _Partial | None = None
        self.read_confirm = 0
        """The greatest sequence with CONFIRM that the application has read."""
        self._receipt_written = 0

    @property
    def state(self) -> ReceiverState:
        """The state of chapter 5, which follows from the facts."""
        if self.ended:
            return ReceiverState.DRAINING if self.receiver is not None else ReceiverState.DEAD
        if self._partial is not None:
            return ReceiverState.PARTIAL
        return ReceiverState.OPEN if self.receiver is not None else ReceiverState.DETACHED

    @property
    def is_partial(self) -> bool:
        """Whether a message is begun and not complete."""
        return self._partial is not None

    # --- DATA --------------------------------------------------------------------------------------------------

    def data(self, frame: Data, now: int, *, may_begin: bool) -> None:
        """Take a Reliable DATA frame (steps 12 to 19). `may_begin`: False: the owner has too many sessions open."""
        if self.ended:
            return
        if frame.channel != self.channel or bool(frame.flags & frames.HIGH) != self.high:
            self._fault(frame, ErrorCode.SESSION_MISMATCH)
            return
        fragment = frame.fragment
        abort = fragment is not None and fragment.abort
        if not abort:  # step 13
            if not self.credit.accepts(frame.length):
                raise LinkFault(ErrorCode.FLOW_CONTROL, f"session {self.session} passed its limit of bytes")
            self.credit.receive(frame.length)
            self._host.owe_credit(self)
        partial = self._partial
        if partial is None:
            if frame.sequence <= self.last_sequence or (fragment is not None and fragment.index):
                self._fault(frame, ErrorCode.SEQUENCE)
            elif not may_begin:
                self._fault(frame, ErrorCode.TOO_MANY_SESSIONS)
            else:
                self._begin(frame, now)
        elif fragment is None or frame.sequence != self.last_sequence:
            self._fault(frame, ErrorCode.SEQUENCE)
        else:
            self._continue(partial, frame, now)

    def plain_run(
        self, start: int, length: int, sequence: int, packet: bytes, offset: int, now: int
    ) -> tuple[int, int]:
        """Take frames, one behind the other, where nothing is out of the ordinary; see `link.Host.link_received_plain`.

        These are whole messages, or fragments of messages of known length. `start`, `length` and `sequence` are those
        of the frame at `offset`.
        """
        host, credit, partial = self._host, self.credit, self._partial
        size = len(packet)
        if (
            self.ended
            or self.receiver is None
            or (self._unread and not self._is_readable())
            or host.bytes_buffered + size - offset > host.limits.receive_memory
        ):
            return 0, offset
        plain = self._plain
        before = len(plain)
        stop = offset + credit.announced - credit.received
        if stop > size:  # noqa: PLR1730 - a call of `min` for each packet shows
            stop = size
        if start & ~PRIVATE == self._plain_start:
            if partial is not None:
                return 0, offset
            count, end = self._take_whole(start, length, sequence, packet, offset, stop)
            held = end - offset - count * DATA_HEADER
            self._plain_bytes += held
        elif start == self._fragment_start:
            if partial is not None and (partial.stream is not None or partial.confirm):
                return 0, offset
            count, end = self._take_fragments(length, sequence, packet, offset, stop)
            held = end - offset - count * FRAGMENT_HEADER
        else:
            return 0, offset
        if count:
            self.active_at = now
            self.bytes_buffered += held
            host.bytes_buffered += held
            credit.receive(end - offset)
            if not credit.look_at or (not plain and credit.is_low):
                host.owe_credit(self)
            if not before and plain and not self._unread:
                self._tell_readable()
            host.arrived += count
            if host.arrived >= COUNT_AGAIN:
                host.count_unread()
        return count, end

    def _take_whole(
        self, start: int, length: int, sequence: int, packet: bytes, offset: int, stop: int
    ) -> tuple[int, int]:
        """Take whole messages that end before `stop`. Returns how many, and where they end."""
        put, key = self._plain.append, self.key
        private = bool(start & PRIVATE)
        last_header = len(packet) - DATA_HEADER
        last, count = self.last_sequence, 0
        while sequence > last and (end := offset + length) <= stop and length >= DATA_HEADER:
            put(Message(sequence, packet[offset + DATA_HEADER : end], _NO_METADATA, private))
            count += 1
            last = sequence
            offset = end
            if offset > last_header:
                break
            next_start, length, next_key, sequence = unpack_header(packet, offset)
            if next_start != start or next_key != key:
                break
        self.last_sequence = last
        return count, offset

    def _take_fragments(self, length: int, sequence: int, packet: bytes, offset: int, stop: int) -> tuple[int, int]:
        """Take fragments that end before `stop`. Returns how many, and where they end."""
        size = len(packet)
        partial, last, count = self._partial, self.last_sequence, 0
        while (end := offset + length) <= stop and (payload_size := length - FRAGMENT_HEADER) > 0:
            place, total = unpack_fragment(packet, offset + DATA_HEADER)
            if partial is not None:
                assembly = partial.assembly
                if sequence != last or not assembly.fits(place, total, payload_size):
                    break
            # A first fragment is not the last one, and carries less than all.
            elif place or sequence <= last or not payload_size < total <= self._host.limits.largest_message:
                break
            else:
                assembly = ReliableAssembly(sequence, total)
                partial = _Partial(assembly, _NO_METADATA, RELIABLE)
                last = sequence
            # A view spares a copy until the message is joined; but a small one must not keep a large packet.
            if 2 * payload_size > size:
                assembly.put(memoryview(packet)[offset + FRAGMENT_HEADER : end], payload_size)
            else:
                assembly.put(packet[offset + FRAGMENT_HEADER : end], payload_size)
            partial.wire += length
            if place >= LAST_BIT:
                self._plain.append(Message(sequence, assembly.join(), partial.metadata, partial.private))
                self._plain_bytes += total
                self._plain_extra[sequence] = partial.wire - total - DATA_HEADER
                partial = None
            count += 1
            offset = end
            if offset + FRAGMENT_HEADER > size:
                break
            start, length, key, sequence = unpack_header(packet, offset)
            if start != self._fragment_start or key != self.key:
                break
        self._partial, self.last_sequence = partial, last
        return count, offset

    def _begin(self, frame: Data, now: int) -> None:
        """The first frame of a message, in order."""
        fragment = frame.fragment
        if fragment is not None and fragment.total > self._host.limits.largest_message:
            self._fault(frame, ErrorCode.TOO_LARGE)
            return
        metadata = _NO_METADATA
        if fragment is not None and not fragment.last and fragment.total and len(frame.payload) == fragment.total:
            self._fault(frame, ErrorCode.FRAGMENT)
            return
        if frame.extensions:
            # CC-EXT-018: lifetime says nothing about a Reliable message.
            metadata, understood = read_metadata(
                item for item in frame.extensions if item.type != ExtensionType.LIFETIME
            )
            if not understood:
                self._fault(frame, ErrorCode.EXTENSION)
                return
        if self._pays(frame):
            return
        self.last_sequence = frame.sequence
        self._ensure_receiver(now)
        if fragment is None:
            private, confirm = bool(frame.flags & PRIVATE), bool(frame.flags & frames.CONFIRM)
            self._hold(len(frame.payload))
            self._put(Unread(Message(frame.sequence, frame.payload, metadata, private), frame.length, confirm=confirm))
            return
        partial = self._partial = _Partial(ReliableAssembly(frame.sequence, fragment.total), metadata, frame.flags)
        if partial.assembly.is_stream:
            message = Message(frame.sequence, b"", metadata, partial.private, is_stream=True)
            partial.stream = Unread(message, 0, confirm=partial.confirm)
            self._put(partial.stream)
        self._take(partial, frame, partial.assembly.add(fragment, frame.payload))

    def _continue(self, partial: _Partial, frame: Data, now: int) -> None:
        """A fragment of the partial message."""
        fragment = frame.fragment
        assert fragment is not None
        try:
            last = partial.assembly.add(fragment, frame.payload)
        except FragmentFault as fault:
            self._fault(frame, fault.code)
            return
        self._ensure_receiver(now)
        if fragment.abort:
            self.discard()
        elif self._host.make_room(self, len(frame.payload)):
            self._hold(len(frame.payload))  # it goes with the rest of its message
            self.shed_memory(frame.sequence)
        else:
            self._take(partial, frame, last)

    def _pays(self, frame: Data) -> bool:
        """Whether the first frame of a message passes the memory limit, and this session pays: it has failed then."""
        if not self._host.make_room(self, len(frame.payload)):
            return False
        self.shed_memory(frame.sequence)
        return True

    def _take(self, partial: _Partial, frame: Data, last: bool) -> None:
        """A fragment that nothing speaks against."""
        partial.wire += frame.length
        self._hold(len(frame.payload))
        if partial.stream is not None:
            self._add_chunk(partial.stream, partial, frame, last=last)
        elif last:
            self._partial = None
            message = Message(frame.sequence, partial.assembly.join(), partial.metadata, partial.private)
            self._put(Unread(message, partial.wire, confirm=partial.confirm))

    def _add_chunk(self, stream: Unread, partial: _Partial, frame: Data, *, last: bool) -> None:
        partial.assembly.take_chunks()
        readable = self._is_readable()
        stream.bytes_held += len(frame.payload)
        stream.wire += frame.length
        if frame.payload:
            stream.chunks.append((frame.payload, frame.length))
        if last:
            self._partial = None
            stream.ended = True
            if not frame.payload:
                # An empty last fragment: its header is consumed with the chunk before it, or now.
                if stream.chunks:
                    data, wire = stream.chunks.pop()
                    stream.chunks.append((data, wire + frame.length))
                else:
                    stream.wire -= frame.length
                    self._consumed(frame.length)
        if not readable and self._is_readable():
            self._tell_readable()

    def _fault(self, frame: Data, code: int) -> None:
        """The owner broke a rule, or asks too much: FAIL, with a value above everything handed out (CC-SESS-042)."""
        value = self.last_sequence if self._partial is not None else max(frame.sequence, self.last_sequence + 1)
        self.fail(code, value)
        self.discard()
        self.finish(code)

    def read(self, now: int) -> Message | None:
        """Hand out the next message; see `ReceiverSession`."""
        if self._unread or not self._plain:
            return super().read(now)
        message = self._plain.popleft()
        size = len(message.data)
        self._plain_bytes -= size
        self.active_at = now
        self.messages_read += 1
        self.bytes_read += size
        self.bytes_buffered -= size
        self._host.bytes_buffered -= size
        self._consumed(DATA_HEADER + size + (self._plain_extra.pop(message.sequence, 0) if self._plain_extra else 0))
        return message

    def read_plain(self, now: int) -> list[Message]:
        """All messages that came the short way, at once; none, where others stand before them."""
        if self._unread or not self._plain:
            return []
        messages = list(self._plain)
        size = self._plain_bytes
        wire = size + len(messages) * DATA_HEADER
        if self._plain_extra:
            wire += sum(self._plain_extra.values())
            self._plain_extra.clear()
        self._plain.clear()
        self._plain_bytes = 0
        self.active_at = now
        self.messages_read += len(messages)
        self.bytes_read += size
        self._hold(-size)
        self._consumed(wire)
        return messages

    # --- CLOSE and FAIL ----------------------------------------------------------------------------------------

    def on_close(self, frame: Close) -> None:
        """CLOSE: nothing of the session follows (rows R23 to R30)."""
        if frame.reason in (ErrorCode.LEFT, ErrorCode.LOST):
            self._end_cut(frame.reason)
            return
        self.complete = True
        if self.ended:
            if self.receiver is None:
                self._host.forget(self)
            return
        if self._partial is not None or frame.value < self.last_sequence:
            value = self.last_sequence if self._partial is not None else self.last_sequence + 1
            self.fail(ErrorCode.SEQUENCE, value)
            self.discard()
            self.finish(ErrorCode.SEQUENCE)
        else:
            self.finish(frame.reason)

    def on_fail(self, frame: Fail) -> None:
        """FAIL by the relay: nothing from its value on is delivered (rows R31 to R33)."""
        if self.complete:
            return
        self.has_failed = True
        if self._partial is not None:
            self.discard()
        gone = [item for item in self.unread if item.message.sequence >= frame.value and not item.aborted]
        self._throw(gone)
        for item in gone:
            item.bytes_held = item.wire = 0
            if item.started:
                item.chunks.clear()
                item.aborted = True
            else:
                self.unread.remove(item)
        self.finish(frame.reason)

    # --- ends --------------------------------------------------------------------------------------------------

    def discard(self) -> None:
        """Throw away what is partial; see `ReceiverSession`."""
        partial, self._partial = self._partial, None
        if partial is None:
            return
        stream = partial.stream
        if stream is None:
            self._hold(-partial.assembly.received)
            self._consumed(partial.wire)
        elif stream in self.unread:
            self._throw([stream])
            stream.chunks.clear()
            stream.bytes_held = stream.wire = 0
            if stream.started:
                stream.aborted = True
                self._tell_readable()
            else:
                self.unread.remove(stream)

    def shed_memory(self, sequence: int | None = None) -> None:
        """This session holds the most when memory is out: it fails (rows R16, R17).

        `sequence`: of the frame that passed the limit, where it is one of this session.
        """
        self._fail_unread(ErrorCode.MEMORY, sequence)
        self.clear()
        self.end_code = ErrorCode.MEMORY  # also where the session had ended with another code
        self.finish(ErrorCode.MEMORY)

    def close_by_application(self) -> None:
        """The application closes the receiver; see `ReceiverSession`."""
        if self.receiver is None:
            return
        if not self.ended or self.complete:
            self._fail_unread(ErrorCode.CLOSED)
        self.clear()
        self._drop_receiver()
        self.finish(ErrorCode.CLOSED)

    def _fail_unread(self, code: int, arriving: int | None = None) -> None:
        """FAIL from the first message that is not read on, `arriving` among them (CC-SESS-044)."""
        partial = [self.last_sequence] if self._partial is not None else []
        unread = [item.message.sequence for item in self.unread if not item.aborted]
        last = [arriving] if arriving is not None else []
        self.fail(code, next(iter(unread + partial + last), self.last_sequence + 1))

    # --- RECEIPT and CREDIT ------------------------------------------------------------------------------------

    def _consumed(self, wire: int) -> None:
        credit = self.credit
        credit.consumed += wire
        if credit.consumed >= credit.look_at or (self._partial is not None and not self._unread and not self._plain):
            self._host.owe_credit(self)

    def _note_read(self, item: Unread) -> None:
        if item.confirm:
            self.read_confirm = item.message.sequence
            self._host.owe_credit(self)

    def take_receipt(self) -> None:
        """The RECEIPT that is due was written, with `read_confirm` as its value (CC-DELIV-042 to 044)."""
        self._receipt_written = self.read_confirm

    @property
    def receipt_due(self) -> bool:
        """Whether a RECEIPT has to be written."""
        return not self.is_cut and self.read_confirm > self._receipt_written

    def credit_due(self) -> int | None:
        """The value of the CREDIT that is due."""
        if self.ended or self.is_cut:
            return None
        # A stream holds the limit down until it is read to its end, also while it is partial.
        limit = self.credit.limit(holds_unread=bool(self._unread or self._plain))
        return limit if self.credit.is_due(limit) else None
