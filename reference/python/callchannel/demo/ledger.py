# SPDX-License-Identifier: Apache-2.0
"""What was to arrive, what did, and what is wrong with the difference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from callchannel.escaping import quoted

KINDS: Final = ("text", "image", "file", "block")
"""What a message can be, in the order in which it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A message that is sent: what its sender knows of it."""

    id: str
    kind: str
    """One of `KINDS`."""
    sender: str
    recipients: tuple[str, ...]
    size: int
    sha256: str
    private: bool
    group: str
    """The act that it belongs to."""
    lossy: bool = False
    """It may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message that a receiving process has measured."""

    id: str
    by: str
    sender: str
    size: int
    sha256: str
    private: bool
    sent: int | None
    """Microseconds since 1970."""
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All messages of one kind from one participant to another."""

    group: str
    sender: str
    recipient: str
    kind: str
    count: int
    expected: int
    size: int
    checksum: str
    """SHA-256 over the bytes that arrived; of several messages, over their checksums."""
    latency: int | None
    """Microseconds: the median."""
    ok: bool


@dataclass(slots=True)
class Ledger:
    """Collects both sides."""

    items: dict[str, Item] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)
    began: dict[str, int] = field(default_factory=dict)
    """When the sending of an item began, where the message itself does not say."""

    def expect(self, item: Item) -> None:
        """An item is about to be sent."""
        self.items[item.id] = item

    def arrived(self, arrival: Arrival) -> None:
        """A receiving process reports one."""
        self.arrivals.append(arrival)

    def missing(self, group: str | None = None) -> list[tuple[Item, str]]:
        """What has not arrived, and where."""
        there = {(arrival.id, arrival.by) for arrival in self.arrivals}
        return [
            (item, name)
            for item in self.items.values()
            for name in item.recipients
            if not item.lossy and (item.id, name) not in there and group in (None, item.group)
        ]

    def faults(self) -> Iterator[str]:
        """What is wrong, in words that name the message and the participant."""
        for item, name in self.missing():
            yield f"{_named(item)} did not arrive at {quoted(name)}"
        seen: set[tuple[str, str]] = set()
        for arrival in self.arrivals:
            known = self.items.get(arrival.id)
            by = quoted(arrival.by)
            if known is None:
                yield f"{by} received {quoted(arrival.id, 60)}, which nobody sent"
                continue
            if arrival.by not in known.recipients:
                yield f"{by} received {_named(known)}, which was not for {by}"
            if (arrival.id, arrival.by) in seen:
                yield f"{by} received {_named(known)} twice"
            seen.add((arrival.id, arrival.by))
            if arrival.sender != known.sender:
                yield f"{by} received {_named(known)} as a message of {quoted(arrival.sender)}"
            if arrival.sha256 != known.sha256:
                yield (
                    f"{by} received other bytes for {_named(known)}: {arrival.size:,} with the checksum "
                    f"{arrival.sha256[:12]}, sent were {known.size:,} with {known.sha256[:12]}"
                )
            if arrival.private != known.private:
                yield f"{by} was told of {_named(known)} that it is {'' if arrival.private else 'not '}private"

    def rows(self) -> list[Row]:
        """The table: who received what. Whoever got what was not for them is in it, too."""
        keys: dict[tuple[str, str, str, str], None] = {}
        for item in self.items.values():
            for name in item.recipients:
                keys[item.group, item.sender, name, item.kind] = None
        for arrival in self.arrivals:
            known = self.items.get(arrival.id)
            if known is not None:
                keys[known.group, known.sender, arrival.by, known.kind] = None
        groups = list(dict.fromkeys(key[0] for key in keys))
        ordered = sorted(keys, key=lambda key: (groups.index(key[0]), key[1], key[2], KINDS.index(key[3])))
        return [self._row(*key) for key in ordered]

    def _row(self, group: str, sender: str, recipient: str, kind: str) -> Row:
        items = {
            item.id: item
            for item in self.items.values()
            if (item.group, item.sender, item.kind) == (group, sender, kind)
        }
        wanted = [item for item in items.values() if recipient in item.recipients]
        expected = len(wanted)
        got = [arrival for arrival in self.arrivals if arrival.id in items and arrival.by == recipient]
        sums = checksum([(arrival.id, arrival.sha256) for arrival in got])
        if got and all(item.lossy for item in wanted):
            wanted = [item for item in wanted if item.id in {arrival.id for arrival in got}]
        return Row(
            group=group,
            sender=sender,
            recipient=recipient,
            kind=kind,
            count=len(got),
            expected=expected,
            size=sum(arrival.size for arrival in got),
            checksum=sums[:12],
            latency=_median([latency for arrival in got if (latency := self.latency(arrival)) is not None]),
            ok=len(got) == len(wanted) and sums == checksum([(item.id, item.sha256) for item in wanted]),
        )

    def latency(self, arrival: Arrival) -> int | None:
        """Microseconds from the sending to the last byte."""
        began = arrival.sent if arrival.sent is not None else self.began.get(arrival.id)
        return None if began is None else arrival.at - began

    def overtaking(self, group: str) -> tuple[int, int]:
        """How many of a group's texts and images, of how many, arrived before its file, although that began first."""
        file_at = {
            arrival.by: arrival.at
            for arrival in self.arrivals
            if (item := self.items.get(arrival.id)) is not None and item.group == group and item.kind == "file"
        }
        others = [
            arrival.at < file_at[arrival.by]
            for arrival in self.arrivals
            if (item := self.items.get(arrival.id)) is not None
            and item.group == group
            and item.kind != "file"
            and arrival.by in file_at
        ]
        return sum(others), len(others)


def checksum(sums: list[tuple[str, str]]) -> str:
    """One checksum for the messages with these identifiers and checksums, in the order of the identifiers."""
    if len(sums) == 1:
        return sums[0][1]
    return hashlib.sha256("".join(value for _, value in sorted(sums)).encode()).hexdigest() if sums else ""


def _median(values: list[int]) -> int | None:
    return sorted(values)[len(values) // 2] if values else None


def _named(item: Item) -> str:
    return f"{quoted(item.id)} ({item.kind} from {quoted(item.sender)})"
