# SPDX-License-Identifier: Apache-2.0
"""Plain messages of a sender: Reliable ones, to everyone, without blocks of their own, nothing out of the ordinary.

Most messages are plain, and there can be hundreds of thousands of them a second. So they are kept as numbers and bytes,
written in runs, and made objects of only when something asks for one: a message is cancelled, a recipient fails, the
session ends. Whatever is done here the long way would do too; a test compares them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from callchannel.core.composing import WORTH_CUTTING
from callchannel.core.frames import (
    DATA_HEADER,
    FRAGMENT,
    FRAGMENT_BLOCK,
    FRAGMENT_HEADER,
    LAST_BIT,
    pack_fragment_header,
    pack_header,
)
from callchannel.core.limits import BUNDLE_HEAD, RELIABLE_PACKET
from callchannel.core.outgoing import Outgoing
from callchannel.core.packets import bundle_room
from callchannel.core.roster import EVERYONE

_LARGEST_WHOLE: Final = RELIABLE_PACKET - DATA_HEADER


Run = tuple[bytes, int, int]
"""Frames, one behind the other, that go into one packet; how many they are; and the sequence of the last message that
is wholly written with them."""


class PlainQueue:
    """The plain messages of one sender session that are not confirmed.

    Those that wait are the last that the session numbered; so it is enough to keep their payloads.
    """

    __slots__ = ("_index", "_recipients", "_sent", "messages_sent", "offset", "unconfirmed", "waiting", "written")

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        """Payloads that are not wholly written."""
        self.offset = 0
        """How much is written of the first of them."""
        self.unconfirmed = 0
        """Messages that are wholly written and not acknowledged."""
        self.messages_sent = 0
        """Messages that were ever wholly written."""
        self.written = 0
        """Payload that was ever written, `offset` included."""
        self._index = 0  # of the next fragment of the first message that waits
        self._recipients = 0  # of that message, once a part of it is written
        self._sent: deque[tuple[int, int, int]] = deque()
        """First and last sequence, and recipients, of messages that are wholly written and not acknowledged."""

    def __len__(self) -> int:
        return self.unconfirmed + len(self.waiting)

    # --- writing -----------------------------------------------------------------------------------------------

    def next_length(self, room: int) -> int:
        """How long the next frame is in a packet with `room` bytes left; 0: it does not go there."""
        size = len(self.waiting[0])
        if size <= _LARGEST_WHOLE:
            length = DATA_HEADER + size
            return length if length <= room else 0
        most = min(room, RELIABLE_PACKET)
        length = FRAGMENT_HEADER + size - self.offset
        return 0 if length > most and room < WORTH_CUTTING else min(length, most)

    def take_runs(
        self,
        start: int,
        key: int,
        sequence: int,
        recipients: int,
        *,
        room: int,
        bundle: int,
        budget: int,
        allowed: int,
        limit: int,
        only_one: bool = False,
    ) -> list[Run]:
        """The frames of messages that wait, which are written now, packet by packet.

        `sequence` is that of the first message, `room` that of the first packet. No packet is begun after `budget`
        bytes, no frame after `limit`; and no more than `allowed` are written. `only_one`: not more than one frame.
        """
        waiting = self.waiting
        take = waiting.popleft
        runs: list[Run] = []
        begin = sequence
        if self.offset and self._recipients != recipients:
            begin += 1  # the first message is noted apart, with those whom it began for
        while waiting and budget > 0:
            if room == RELIABLE_PACKET:
                head, small = BUNDLE_HEAD, bundle
            else:
                head = room - RELIABLE_PACKET + BUNDLE_HEAD  # how much may be written until `small` is the room
                small = bundle_room(room, bundle)
            bound = room if room < allowed else allowed
            parts: list[bytes | memoryview] = []
            put = parts.append
            size = fragments = 0
            while waiting and size < limit:
                payload = take()
                length = len(payload) + DATA_HEADER
                grown = size + length
                if grown <= bound:
                    put(pack_header(start, length, key, sequence))
                    put(payload)
                    sequence += 1
                elif length <= RELIABLE_PACKET:
                    waiting.appendleft(payload)
                    break
                else:
                    offset, total = self.offset, length - DATA_HEADER
                    most = (room if size <= head else small) - size
                    length = FRAGMENT_HEADER + total - offset
                    if length > most:
                        length = most if most >= WORTH_CUTTING else 0
                    grown = size + length
                    if not length or grown > allowed:
                        waiting.appendleft(payload)
                        break
                    end = offset + length - FRAGMENT_HEADER
                    index = self._index
                    if end == total:
                        put(pack_fragment_header(start | FRAGMENT, length, key, sequence, index | LAST_BIT, total))
                        self.offset = self._index = 0
                        if sequence < begin:
                            self._wrote(sequence, begin, self._recipients)
                        sequence += 1
                    else:
                        put(pack_fragment_header(start | FRAGMENT, length, key, sequence, index, total))
                        self.offset, self._index = end, index + 1
                        if not offset:
                            self._recipients = recipients
                        waiting.appendleft(payload)
                    put(memoryview(payload)[offset:end])
                    fragments += 1
                size = grown
                if only_one:
                    break
                if size > head:
                    bound = small if small < allowed else allowed
            if not parts:
                break
            count = len(parts) // 2
            self.written += size - count * DATA_HEADER - fragments * FRAGMENT_BLOCK
            runs.append((b"".join(parts), count, sequence - 1))
            budget -= size
            allowed -= size
            limit -= size
            room = RELIABLE_PACKET
        self._wrote(begin, sequence, recipients)
        return runs

    def take_whole(self, sequence: int, recipients: int) -> bytes:
        """The payload of the first message, which is written as one frame now, and its `sequence`."""
        payload = self.waiting.popleft()
        self.written += len(payload)
        self._wrote(sequence, sequence + 1, recipients)
        return payload

    def _wrote(self, first: int, end: int, recipients: int) -> None:
        """Messages from `first` on, those before `end`, are wholly written."""
        if end > first:
            sent = self._sent
            if sent and sent[-1][1] == first - 1 and sent[-1][2] == recipients:
                sent[-1] = (sent[-1][0], end - 1, recipients)
            else:
                sent.append((first, end - 1, recipients))
            self.unconfirmed += end - first
            self.messages_sent += end - first

    # --- afterwards --------------------------------------------------------------------------------------------

    def confirm(self, through: int) -> int:
        """Everything up to `through` is acknowledged. Returns how many messages that are."""
        sent = self._sent
        count = 0
        while sent and sent[0][0] <= through:
            first, last, recipients = sent.popleft()
            if last > through:
                sent.appendleft((through + 1, last, recipients))
                last = through
            count += last - first + 1
        self.unconfirmed -= count
        return count

    def unfold_sent(self, epoch: int) -> Iterator[Outgoing]:
        """Messages that are wholly written, as objects; in here they are no more."""
        for first, last, recipients in self._sent:
            for sequence in range(first, last + 1):
                message = Outgoing(sequence, b"", EVERYONE, (), recipients, epoch)
                message.written = True
                yield message
        self._sent.clear()
        self.unconfirmed = 0

    def unfold_waiting(self, sequence: int, recipients: int, epoch: int) -> Iterator[Outgoing]:
        """The others, as objects; the first has `sequence`."""
        for payload in self.waiting:
            message = Outgoing(sequence, payload, EVERYONE, (), recipients, epoch)
            if self.offset:
                message.written = True
                message.offset, message.index = self.offset, self._index
                message.recipients = message.open = self._recipients
                self.written -= self.offset
                self.offset = self._index = 0
            yield message
            sequence += 1
        self.waiting.clear()
