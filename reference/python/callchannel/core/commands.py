# SPDX-License-Identifier: Apache-2.0
"""What an application can ask and tell an endpoint (specification, chapters 2, 5 and 7).

It is the upper half of `Endpoint`: arguments are judged here, and who does the work is found. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from callchannel.core.counting import Counting
from callchannel.core.errors import DropCounter, InvalidArgument, LinkLost, NotJoined, ReceiverClosed
from callchannel.core.events import Participant
from callchannel.core.extensions import Extension, Metadata
from callchannel.core.limits import LOSSY_MESSAGE, Limits
from callchannel.core.link import Link, LinkState
from callchannel.core.messages import Confirm, Message, Priority, Reliability, StreamChunk
from callchannel.core.receivers import Receivers
from callchannel.core.roster import RosterView, Target
from callchannel.core.sender import Cancelled, SenderOptions, SenderState
from callchannel.core.senders import MAX_CHANNEL, Senders
from callchannel.core.statistics import EndpointStatistics, LinkStatistics, ReceiverStatistics, SenderStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Says that an endpoint is one of two in a peer-to-peer call, and which (specification, chapter 11)."""

    initiator: bool
    """Whether this side writes HELLO; signalling decides."""
    identity: str = ""
    """At the acceptor: who the initiator is, as signalling says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderInfo:
    """What a sender is and does at the moment."""

    channel: int
    options: SenderOptions
    target: Target
    state: SenderState
    session: int
    """Its session number; 0 before anything was written."""
    max_message_size: int
    failed_recipients: tuple[Participant, ...]
    statistics: SenderStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverInfo:
    """What a receiver is and holds at the moment."""

    channel: int
    session: int
    sender: Participant
    reliability: Reliability
    priority: Priority
    statistics: ReceiverStatistics


def _encode_metadata(metadata: Metadata | None) -> tuple[Extension, ...]:
    if metadata is None:
        return ()
    if not isinstance(metadata, Metadata):
        raise InvalidArgument(f"metadata has to be a Metadata, it is {metadata!r}")
    return metadata.encode()


class Commands:
    """The commands and the looks at an endpoint. `Endpoint` has the machine beneath, and what is declared here."""

    limits: Limits
    now: int
    """The time of the call that is being handled."""
    link: Link
    roster: RosterView
    _peer: Peer | None
    _own_identity: str
    _is_acceptor: bool
    _joined: bool
    _leaving: bool
    _left: bool
    _internal_errors: int
    _senders: Senders
    _receivers: Receivers

    # --- looking -----------------------------------------------------------------------------------------------

    @property
    def peer_to_peer(self) -> bool:
        """Whether this is a call of two without a relay."""
        return self._peer is not None

    @property
    def counting(self) -> Counting:
        """The counts of the link."""
        return self.link.counting

    @property
    def state(self) -> LinkState:
        """The state of the link (section 9.12)."""
        return self.link.state

    @property
    def joined(self) -> bool:
        """Whether the call was joined: senders may be opened until it is left."""
        return self._joined

    @property
    def identity(self) -> str:
        """The admitted identifier; before WELCOME the one that was wished."""
        return self._own_identity if self._is_acceptor else self.link.identity

    @property
    def slot(self) -> int | None:
        """This endpoint's slot, once it has joined."""
        return self.roster.own_slot if self._joined else None

    @property
    def participants(self) -> tuple[Participant, ...]:
        """Everyone in the call, this endpoint included, ascending by slot."""
        return tuple(self.roster.participant(slot) for slot in sorted(self.roster.members))

    def max_message_size(self, reliability: Reliability) -> int:
        """The largest message that can be sent now, in bytes; streams have no such limit."""
        largest = self.link.peer_largest
        return largest if reliability is Reliability.RELIABLE else min(largest, LOSSY_MESSAGE)

    def sender_info(self, sender: int) -> SenderInfo:
        """A sender at the moment. Raises `InvalidArgument`, `SenderClosed`."""
        found = self._senders.get(sender)
        return SenderInfo(
            channel=found.channel,
            options=found.options,
            target=found.target,
            state=found.state,
            session=found.session,
            max_message_size=self.max_message_size(found.options.reliability),
            failed_recipients=tuple(map(self.roster.participant, found.failed_recipients)),
            statistics=SenderStatistics(
                messages_sent=found.messages_sent,
                bytes_sent=found.bytes_sent,
                messages_confirmed=found.messages_confirmed,
                messages_failed=found.messages_failed,
                messages_waiting=found.waiting_messages,
                bytes_waiting=found.queued_bytes,
                drops=dict(found.drops.by_reason),
            ),
        )

    def receiver_info(self, receiver: int) -> ReceiverInfo:
        """An open receiver at the moment. Raises `ReceiverClosed`."""
        session = self._receivers.session_of(receiver)
        return ReceiverInfo(
            channel=session.channel,
            session=session.session,
            sender=session.owner,
            reliability=session.reliability,
            priority=session.priority,
            statistics=ReceiverStatistics(
                messages_read=session.messages_read,
                bytes_read=session.bytes_read,
                messages_unread=sum(item.ended and not item.aborted for item in session.unread),
                bytes_buffered=session.bytes_buffered,
                drops=dict(session.drops.by_reason),
            ),
        )

    def statistics(self) -> EndpointStatistics:
        """The counters of section 7.16 at the moment."""
        drops = DropCounter(dict(self.link.statistics.drops.by_reason))
        for counter in (*self._senders.drop_counters(), *self._receivers.drop_counters()):
            drops.add_all(counter)
        return EndpointStatistics(
            link=LinkStatistics.of(self.link.statistics, self.counting.unacked_bytes),
            senders_open=len(self._senders),
            receivers_open=self._receivers.open_receivers,
            bytes_buffered=self._receivers.bytes_buffered,
            drops=drops.by_reason,
            internal_errors=self._internal_errors,
        )

    # --- senders -----------------------------------------------------------------------------------------------

    def open_sender(
        self,
        now: int,
        *,
        channel: int = 0,
        reliability: Reliability = Reliability.RELIABLE,
        priority: Priority = Priority.NORMAL,
        to: Collection[str] | None = None,
        exclude: Collection[str] = (),
        confirm: Confirm = Confirm.ACCEPTED,
        latest: bool = False,
        bitrate: int | None = None,
    ) -> int:
        """Open a sender and return its number; then `send`. Writes nothing (CC-SESS-006).

        `channel` 0: the lowest free one; an open sender on a given one is closed. `to`: identifiers, none: everyone;
        `exclude`: everyone but these. `bitrate`: bits per second. Raises `InvalidArgument`, `NotJoined`, `NoChannel`,
        `LinkLost`.
        """
        self._advance(now)
        if not isinstance(channel, int) or not 0 <= channel <= MAX_CHANNEL:
            raise InvalidArgument(f"channel is {channel!r}, it has to be 0 to {MAX_CHANNEL}")
        for label, value, kind in (
            ("reliability", reliability, Reliability),
            ("priority", priority, Priority),
            ("confirm", confirm, Confirm),
        ):
            if not isinstance(value, kind):
                raise InvalidArgument(f"{label} is {value!r}, it has to be one of {', '.join(map(str, kind))}")
        if latest and reliability is Reliability.RELIABLE:
            raise InvalidArgument("latest goes with Lossy: a Reliable message is never superseded")
        if confirm is Confirm.DELIVERED and reliability is Reliability.LOSSY:
            raise InvalidArgument("confirm=delivered goes with Reliable: a Lossy message has no receipt")
        if bitrate is not None and (not isinstance(bitrate, int) or bitrate < 1):
            raise InvalidArgument(f"bitrate is {bitrate!r}, it has to be 1 bit per second or more")
        target = Target.of(to, exclude)
        self._check_joined()
        options = SenderOptions(
            channel=channel or self._senders.free_channel(),
            reliability=reliability,
            priority=priority,
            confirm=confirm,
            latest=latest,
            bitrate=bitrate,
        )
        return self._senders.open(options, target, now).id

    def set_recipients(
        self, sender: int, now: int, *, to: Collection[str] | None = None, exclude: Collection[str] = ()
    ) -> None:
        """Whom the next messages of a sender are for; numbering goes on (CC-ROSTER-043). Raises `InvalidArgument`."""
        self._advance(now)
        self._senders.get(sender).set_target(Target.of(to, exclude))

    def send(
        self,
        sender: int,
        data: bytes | bytearray | memoryview,
        now: int,
        *,
        metadata: Metadata | None = None,
        to: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> int:
        """Queue a message and return its sequence number (0: dropped without one, Lossy only).

        `to` or `exclude`: for this message alone; by default the sender's. A Reliable message is settled by
        `MessagesConfirmed`, `MessageConfirmed` or `MessageFailed`. Raises what section 14.5 lists; `WouldBlock` where
        it would have to wait: send again after `SenderWritable`.
        """
        if now > self.now:  # noqa: PLR1730 - see `read`
            self.now = now
        found = self._senders.open_senders.get(sender)
        if (
            found is not None
            and metadata is None
            and to is None
            and exclude is None
            and type(data) is bytes
            and (sequence := found.send_plain(data))
        ):
            return sequence
        found = self._senders.get(sender)
        if found.refuses():
            return 0
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidArgument(f"a message is bytes, this is {type(data).__name__}; encode text first")
        target = found.target if to is None and exclude is None else Target.of(to, exclude or ())
        extensions = _encode_metadata(metadata)
        lifetime = metadata.lifetime if metadata is not None else None
        if lifetime is not None and found.reliable:
            raise InvalidArgument("a lifetime goes with Lossy: a Reliable message does not expire")
        payload = data if type(data) is bytes else bytes(data)
        return found.send(payload, target, extensions, lifetime, now)

    def open_stream(
        self,
        sender: int,
        now: int,
        *,
        metadata: Metadata | None = None,
        to: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> int:
        """Begin a Reliable message of unknown length; then `write_stream`, `finish_stream`. Raises as `send`."""
        self._advance(now)
        found = self._senders.get(sender)
        if found.refuses():
            raise InvalidArgument("a stream needs a Reliable sender")
        target = found.target if to is None and exclude is None else Target.of(to, exclude or ())
        return found.open_stream(target, _encode_metadata(metadata), now)

    def write_stream(self, sender: int, sequence: int, chunk: bytes, now: int) -> None:
        """Add bytes to a stream. Raises `WouldBlock`, `StreamAborted`, `InvalidArgument`, `LinkLost`."""
        self._advance(now)
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise InvalidArgument(f"a stream takes bytes, this is {type(chunk).__name__}")
        self._senders.get(sender).write_stream(sequence, bytes(chunk))

    def finish_stream(self, sender: int, sequence: int, now: int) -> None:
        """Say that a stream is complete. Raises as `write_stream`."""
        self._advance(now)
        self._senders.get(sender).finish_stream(sequence)

    def cancel(self, sender: int, sequence: int, code: int, now: int) -> Cancelled:
        """Take a message back, with CANCELLED or DEADLINE as the reason, as far as that is possible (section 7.8)."""
        self._advance(now)
        return self._senders.get(sender).cancel(sequence, code)

    def close_sender(self, sender: int, now: int) -> None:
        """Close a sender: what is queued is still written. `SenderEnded` comes when all is settled."""
        self._advance(now)
        self._senders.get(sender).close()

    def _check_joined(self) -> None:
        if self._leaving or self._left:
            raise NotJoined("the call was left")
        if not self._joined:
            raise NotJoined("the call was not joined yet; wait for Joined")
        if self.link.is_dead:
            raise LinkLost("the link has ended")

    # --- receivers ---------------------------------------------------------------------------------------------

    def read(self, receiver: int, now: int) -> Message | None:
        """The next message of a receiver; None while there is none. A stream's bytes come by `read_stream`.

        Raises `ReceiverClosed`.
        """
        if now > self.now:  # noqa: PLR1730 - a call of `max` is a tenth of a read
            self.now = now
        session = self._receivers.by_number.get(receiver)
        if session is not None:
            return session.read(now)
        return self._receivers.read(receiver, now)

    def read_all(self, receiver: int, now: int) -> list[Message]:
        """All messages that `read` would give until it gives None: if the last one is a stream, its bytes come first.

        Raises `ReceiverClosed` where there is nothing, and will not be.
        """
        self._advance(now)
        session = self._receivers.by_number.get(receiver)
        messages = session.read_plain(now) if session is not None else []
        if not messages:
            while (message := self._read_next(receiver, now, messages)) is not None:
                messages.append(message)
        return messages

    def _read_next(self, receiver: int, now: int, messages: list[Message]) -> Message | None:
        try:
            return self.read(receiver, now)
        except ReceiverClosed:
            if messages:
                return None  # that these were the last is told next time
            raise

    def read_stream(self, receiver: int, now: int) -> StreamChunk | None:
        """The next bytes of the stream that `read` gave last; None while there are none.

        Raises `StreamAborted` where the stream was given up, `ReceiverClosed`.
        """
        self._advance(now)
        return self._receivers.read_stream(receiver, now)

    def close_receiver(self, receiver: int, now: int) -> None:
        """Take no more of a session: unread messages are thrown away, and their sender is told."""
        self._advance(now)
        self._receivers.close_receiver(receiver)

    def _advance(self, now: int) -> None:
        self.now = max(self.now, now)
