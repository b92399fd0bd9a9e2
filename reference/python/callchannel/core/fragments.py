# SPDX-License-Identifier: Apache-2.0
"""Cutting messages into fragments, and joining them again (specification, chapter 6).

Nothing here knows of sessions, links or time beyond the numbers it is given, so both directions are tested alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from callchannel.core.errors import ErrorCode
from callchannel.core.frames import LAST_BIT, MAX_INDEX, Fragment


class FragmentFault(Exception):
    """A fragment does not fit its message. `code` is SEQUENCE, FRAGMENT or TOO_LARGE. Caught by the session."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class ReliableAssembly:
    """One Reliable message on its way in: fragments come in order, without a gap."""

    __slots__ = ("_chunks", "next_index", "received", "sequence", "total")

    def __init__(self, sequence: int, total: int) -> None:
        self.sequence = sequence
        self.total = total
        """The length that its first fragment announced; 0: none."""
        self.next_index = 0
        self.received = 0
        self._chunks: list[bytes | memoryview] = []

    @property
    def is_stream(self) -> bool:
        """Whether the message has no announced length."""
        return not self.total

    def add(self, fragment: Fragment, payload: bytes) -> bool:
        """Take the next fragment. Returns whether it was the last. Raises `FragmentFault`."""
        if fragment.index != self.next_index:
            raise FragmentFault(
                ErrorCode.SEQUENCE, f"fragment {fragment.index} of message {self.sequence}, expected {self.next_index}"
            )
        if fragment.total != self.total:
            raise FragmentFault(
                ErrorCode.FRAGMENT, f"total {fragment.total} in message {self.sequence}, it began with {self.total}"
            )
        if fragment.abort:
            return False
        if fragment.index == MAX_INDEX and not fragment.last:  # CC-FRAG-052
            raise FragmentFault(ErrorCode.FRAGMENT, f"message {self.sequence} has used its last index without an end")
        received = self.received + len(payload)
        if self.total and (received > self.total or fragment.last != (received == self.total)):
            raise FragmentFault(
                ErrorCode.FRAGMENT,
                f"{received} of {self.total} bytes of message {self.sequence} at fragment {fragment.index}"
                + (", the last" if fragment.last else ""),
            )
        self.put(payload, len(payload))
        return fragment.last

    def fits(self, place: int, total: int, size: int) -> bool:
        """Whether a fragment is the next one of a message of known length: what `add` would take.

        `place`: its index, and the bit that says that it is the last.
        """
        rest = total - self.received - size
        return total == self.total and (
            place == self.next_index < MAX_INDEX if rest > 0 else rest == 0 and place == self.next_index | LAST_BIT
        )

    def put(self, payload: bytes | memoryview, size: int) -> None:
        """Take the next fragment, which fits and has `size` bytes of payload."""
        self.received += size
        self.next_index += 1
        if size:
            self._chunks.append(payload)

    def take_chunks(self) -> list[bytes | memoryview]:
        """Hand out what has come so far and not been handed out (streams)."""
        chunks, self._chunks = self._chunks, []
        return chunks

    def join(self) -> bytes:
        """The whole message."""
        return b"".join(self._chunks)


@dataclass(slots=True)
class _LossyPartial:
    sequence: int
    total: int
    chunks: dict[int, bytes] = field(default_factory=dict)
    received: int = 0
    last_index: int | None = None


class LossyAssembly:
    """The Lossy messages of one session that are on their way in: fragments come in any order, or not at all.

    Bounded per message here (count and bytes); how many messages and bytes a link may hold in all, and for how long,
    is counted by the caller.
    """

    __slots__ = ("_partials", "held_bytes")

    def __init__(self) -> None:
        self._partials: dict[int, _LossyPartial] = {}  # oldest first
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._partials)

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._partials

    def has(self, sequence: int, index: int) -> bool:
        """Whether this fragment is there already."""
        partial = self._partials.get(sequence)
        return partial is not None and index in partial.chunks

    def completes(self, sequence: int, fragment: Fragment) -> bool:
        """Whether a fragment that is not there yet, and contradicts nothing, is the one that is missing."""
        partial = self._partials.get(sequence)
        last = fragment.index if fragment.last else partial.last_index if partial is not None else None
        return last is not None and (len(partial.chunks) if partial is not None else 0) == last

    def sequences(self) -> list[int]:
        """The messages that are partial, oldest first."""
        return list(self._partials)

    def add(self, sequence: int, fragment: Fragment, payload: bytes) -> bytes | None:
        """Take a fragment; a duplicate is ignored. Returns the message when it is complete.

        Raises `FragmentFault` on a contradiction, and has dropped the message then.
        """
        if self.has(sequence, fragment.index):
            return None
        fault = self.contradiction(sequence, fragment, len(payload))
        if fault:
            self.drop(sequence)
            raise FragmentFault(ErrorCode.FRAGMENT, f"{fault} in Lossy message {sequence}")
        partial = self._partials.get(sequence)
        if partial is None:
            partial = self._partials[sequence] = _LossyPartial(sequence, fragment.total)
        partial.chunks[fragment.index] = payload
        partial.received += len(payload)
        self.held_bytes += len(payload)
        if fragment.last:
            partial.last_index = fragment.index
        if partial.last_index is None or len(partial.chunks) <= partial.last_index:
            return None
        self.drop(sequence)
        return b"".join(partial.chunks[index] for index in range(len(partial.chunks)))

    def contradiction(self, sequence: int, fragment: Fragment, size: int) -> str | None:
        """What a fragment that is not there yet contradicts in its message (CC-FRAG-053); None: nothing."""
        partial = self._partials.get(sequence) or _LossyPartial(sequence, fragment.total)
        if fragment.total != partial.total:
            return f"total {fragment.total} after {partial.total}"
        received = partial.received + size
        if received > partial.total:
            return f"more than {partial.total} bytes"
        last = fragment.index if fragment.last else partial.last_index
        if last is not None and len(partial.chunks) == last and received < partial.total:
            return f"{received} of {partial.total} bytes"
        if fragment.last:
            if partial.last_index is not None:
                return "a second last fragment"
            if any(index > fragment.index for index in partial.chunks):
                return f"last fragment {fragment.index} before others"
        elif partial.last_index is not None and fragment.index > partial.last_index:
            return f"fragment {fragment.index} after the last"
        return None

    def drop(self, sequence: int) -> None:
        """Forget a partial message."""
        partial = self._partials.pop(sequence, None)
        if partial is not None:
            self.held_bytes -= partial.received
