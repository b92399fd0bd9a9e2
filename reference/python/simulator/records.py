# SPDX-License-Identifier: Apache-2.0
"""What the judge keeps of a call: endpoints, senders, messages, sessions at readers. Data without behaviour."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

from simulator.wire import Data

_POOL = random.Random(7).randbytes(1 << 19)
_POOL += _POOL


class Violation(AssertionError):
    """A requirement is broken. `rule` is its ID, or what it says in a word."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


def payload(serial: int, size: int) -> bytes:
    """Bytes that belong to one message alone: its number, then bytes from a place of their own."""
    start = serial * 7_919 % 400_000
    return (serial.to_bytes(8, "big") + _POOL[start : start + size])[:size]


class Fail:
    """A FAIL about a recipient in a session."""

    __slots__ = ("code", "uncertain", "value")

    def __init__(self, value: int, code: int, uncertain: bool) -> None:
        self.value = value
        self.code = code
        self.uncertain = uncertain

    def excuses(self, sequence: int) -> bool:
        """Whether a message need not arrive."""
        return sequence >= self.value

    def forbids(self, sequence: int) -> bool:
        """Whether a message must not be read: UNCERTAIN says that the recipient may have what was written to it."""
        return sequence >= self.value and not self.uncertain


class Inc:
    """One endpoint in a call, from its first HELLO to the end of its link: an incarnation of an application."""

    def __init__(self, serial: int, identity: str, hub: Hub) -> None:
        self.serial = serial
        self.identity = identity
        self.hub = hub
        self.slot = -1
        self.joined = 0
        """Epoch of its JOIN; 0: not yet."""
        self.left = 0
        self.left_at = 0
        self.leave_code = 0
        self.to_know: dict[Inc, int] = {}
        """Who was there when it left: the count of the frame that told them, 0: not told yet."""
        self.muted = False
        self.told_joined = False
        self.suspended = False
        self.ended = False
        """Whether LinkEnded was told."""
        self.end_code = 0
        self.leaving = False
        self.leaving_at = 0
        """Its own time when its application left first."""
        self.gone = False
        """Whether its process was killed."""
        self.senders: dict[int, Sender] = {}
        self.sessions: dict[int, Sender] = {}
        self.receivers: dict[int, Receiver] = {}
        self.view: dict[int, Inc] = {}
        """The roster that it was told, by slot."""
        self.view_epoch = 0
        self.series: list[Any] = []
        self.link: Any = None
        self.instance = b""
        """The token of its fresh HELLO."""
        self.suspended_at: int | None = None
        """Its own time when it was told that it is suspended."""
        self.custody_lost: set[Sender] = set()
        self.forwarded: dict[int, int] = {}
        """By channel: the newest session of which the relay has written anything to somebody."""
        self.lossy_complete = 0
        """Lossy messages of which every packet has come here."""
        self.lossy_read = 0

    def __repr__(self) -> str:
        return f"{self.identity}#{self.serial}"

    @property
    def present(self) -> bool:
        """Whether it is in the call, as its hub sees it."""
        return bool(self.joined) and not self.left


class Hub:
    """One life of a relay, or a call of two: slots and epochs."""

    def __init__(self, *, is_relay: bool, forbids: int = 0) -> None:
        self.is_relay = is_relay
        self.forbids = forbids
        """The channel that its policy forbids; 0: none."""
        self.dead = False
        self.stopping = False
        self.epoch = 0
        self.slots: dict[int, Inc] = {}
        """Who has a slot, or had it last."""
        self.everyone: list[Inc] = []

    def members(self) -> list[Inc]:
        """Who is in the call."""
        return [inc for inc in self.everyone if not inc.left]

    def at(self, epoch: int) -> list[Inc]:
        """Who was in an epoch."""
        return [inc for inc in self.everyone if inc.joined <= epoch and (not inc.left or epoch < inc.left)]


class Sender:
    """A sender of an application, and its session."""

    def __init__(self, inc: Inc, handle: int, *, reliable: bool, delivered: bool, latest: bool, channel: int) -> None:
        self.inc = inc
        self.handle = handle
        self.reliable = reliable
        self.delivered = delivered
        self.latest = latest
        self.channel = channel
        self.high = False
        self.session = 0
        self.messages: dict[int, Message] = {}
        self.last = 0
        self.closed = False
        self.close_written = False
        self.ended = False
        self.failed: int | None = None
        self.fail_all: Fail | None = None
        self.barred: dict[Inc, Fail] = {}
        """FAILs that the owner has been given."""
        self.told: dict[Inc, Fail] = {}
        """FAILs that are on the wire to the owner."""
        self.own: dict[Inc, Fail] = {}
        """FAILs that a recipient wrote, or the relay to a recipient."""
        self.known: dict[Inc, Fail] = {}
        """Those of them that the relay is sure to know of."""
        self.abandoned: set[Inc] = set()
        """Whose application has closed its receiver."""
        self.due: dict[Inc, deque[Message]] = {}
        """Reliable messages that were admitted for a recipient and not read, in order."""
        self.confirmed_through = 0
        self.open_from = 1
        """Every message below has its outcome."""
        self.receipt_at = 0
        """When the owner was given a RECEIPT last."""
        self.receipts: dict[Any, int] = {}
        """Greatest RECEIPT that the relay told of a recipient, of all (None); that a recipient wrote ("by", who), that
        came to the relay ("at", who), and when it did, by the hub's clock ("when", who)."""
        self.refused_last = 0
        self.partial: Message | None = None
        """The message whose fragments the hub is being given."""
        self.would_block = False
        self.bitrate = 0
        self.opened_at = 0
        self.data_bytes = 0
        """Bytes of DATA written, ABORT excepted."""
        self.absent: list[tuple[int, Inc, int]] = []
        """(count of the frame, who is gone, sequence): FAILs that have to precede an ACK."""
        self.refusals: list[tuple[int, int]] = []
        # Bytes of DATA on the owner's hop.
        self.written = 0
        self.limit = 0
        self.received = 0
        self.announced = 0
        self.hops: dict[Inc, Hop] = {}
        self.must_fail: dict[Inc, int] = {}
        """Who left while something was owed: the value of the FAIL that has to come."""

    def __repr__(self) -> str:
        return f"{self.inc}/sender {self.handle}/session {self.session}"


class Hop:
    """A Reliable session on its way from the relay to one recipient; in a peer-to-peer call the only way."""

    def __init__(self, window: int) -> None:
        self.queued = 0
        """Bytes that the relay admitted and has not written."""
        self.sizes: deque[tuple[int, int]] = deque()
        self.written = 0
        self.limit = window
        """What the writer was given."""
        self.received = 0
        self.announced = window
        """What the reader has written."""
        self.unread = 0
        """Bytes of complete messages that the application has not read."""
        self.last = 0
        """The greatest sequence of which anything has come."""
        self.closed = False
        self.partial = False
        """Whether a message is begun and not complete at the reader."""
        self.end_code: int | None = None
        """The code of the first CLOSE or FAIL that reached the reader."""
        self.full_since: int | None = None
        """Since when the relay's queue counts as full, by the relay's clock."""


class Message:
    """One message of a sender."""

    __slots__ = (
        "aborted",
        "admitted",
        "allowed",
        "begun",
        "cancelled",
        "confirmed",
        "count",
        "data",
        "dead",
        "down_last",
        "failed_names",
        "finished",
        "frames",
        "is_stream",
        "meant",
        "names",
        "outcome",
        "parts",
        "read_by",
        "ready",
        "refused",
        "sender",
        "sequence",
        "targets",
        "whole",
        "whole_at_hub",
        "wire",
    )

    def __init__(self, sender: Sender, sequence: int, data: bytes, meant: tuple[str, frozenset[Inc]]) -> None:
        self.sender = sender
        self.sequence = sequence
        self.data = data
        self.is_stream = False
        self.finished = False
        self.meant = meant
        """"all", "to" or "but", and who that was by the sender's roster at the send."""
        self.names: list[str] = []
        """Identifiers that the application excluded."""
        self.targets: frozenset[Inc] | None = None
        """Who it is for, as the sender's endpoint can know it when it writes the first frame."""
        self.begun = False
        self.whole = False
        """Whether the last frame was written by the owner."""
        self.whole_at_hub = False
        self.admitted: frozenset[Inc] | None = None
        """Who gets it; None: the hub has nothing of it yet."""
        self.allowed: dict[int, set[Inc]] = {}
        """Lossy: by fragment, who may get it."""
        self.aborted = False
        self.refused = False
        self.cancelled = False
        self.outcome: str | None = None
        self.confirmed = False
        self.count = 0
        self.read_by: dict[Inc, int] = {}
        self.failed_names: dict[str, int] = {}
        self.frames: list[Data] = []
        self.down_last: dict[Inc, int] = {}
        """To whom the last frame was written, and the count of that frame on their link."""
        self.dead = False
        """Lossy: dropped, because its link was not active."""
        self.ready: set[Inc] = set()
        """At whom it is complete and unread."""
        self.wire: dict[Inc, int] = {}
        self.parts: dict[Inc, set[int]] = {}
        """Lossy: fragments that have come, by reader."""

    def __repr__(self) -> str:
        return f"message {self.sequence} of {self.sender}"


class Receiver:
    """A receiver object at an endpoint."""

    __slots__ = ("closed", "handle", "inc", "last", "lossy_read", "sender", "stream", "stream_at")

    def __init__(self, inc: Inc, handle: int, sender: Sender) -> None:
        self.inc = inc
        self.handle = handle
        self.sender = sender
        self.closed = False
        self.last = 0
        self.stream: Message | None = None
        self.stream_at = 0
        self.lossy_read: set[int] = set()
