# SPDX-License-Identifier: Apache-2.0
"""Oracle of delivery: who gets what, once, in order, whole, and without a gap (chapters 5, 6, 7 and 10)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from simulator import wire
from simulator.flow import Flow
from simulator.records import Fail, Hop, Hub, Inc, Message, Receiver, Sender, Violation
from simulator.roster import Rosters

if TYPE_CHECKING:
    from callchannel.core.messages import Message as Handed
    from callchannel.core.messages import StreamChunk


class Delivery:
    """Judges messages on their way."""

    def __init__(self, flow: Flow, rosters: Rosters) -> None:
        self.flow = flow
        self.rosters = rosters

    # --- the owner writes ----------------------------------------------------------------------------------------

    def owner_writes(self, hub: Hub, sender: Sender, frame: wire.Data, count: int) -> None:
        """DATA leaves its owner for the first time."""
        message = sender.messages.get(frame.sequence)
        if message is None:
            raise Violation("created", f"{sender} wrote message {frame.sequence}, which nobody sent")
        if frame.channel != sender.channel or bool(frame.flags & wire.HIGH) != sender.high:
            raise Violation("CC-MODEL-007", f"{sender} wrote channel {frame.channel}, flags {frame.flags:02X}")
        if bool(frame.flags & wire.CONFIRM) != sender.delivered:
            raise Violation("CC-DELIV-012", f"CONFIRM in {message} is wrong")
        if sender.close_written and sender.reliable:
            raise Violation("CC-SESS-021", f"{message} was written behind CLOSE")
        if sender.reliable:
            self.flow.owner_writes(sender, frame)
            if sender.fail_all is not None and sender.failed is not None:
                raise Violation("CC-SESS-023", f"{message} was written after FAIL for all")
            if message.outcome is not None and not frame.abort and not message.begun:
                raise Violation("CC-DELIV-034", f"{message} was written after it was {message.outcome}")
        if message.dead:
            raise Violation("CC-LINK-042", f"{message} was written, although its link had been lost before")
        if not message.begun:
            if frame.abort:
                raise Violation("CC-FRAG-014", f"ABORT of {message}, of which nothing was written")
            message.begun = True
            self._begins(hub, message, frame)
        if frame.abort and message.whole:
            raise Violation("CC-FRAG-014", f"ABORT of {message} behind its last fragment")
        if frame.abort:
            message.aborted = True
        elif frame.last:
            message.whole = True
            message.count = count

    def _begins(self, hub: Hub, message: Message, frame: wire.Data) -> None:
        sender = message.sender
        self.rosters.block_written(hub, message, frame)
        how, chosen = message.meant
        if how == "to":
            message.targets = chosen
        else:
            there = [inc for inc in sender.inc.view.values() if inc is not sender.inc and inc not in sender.barred]
            excluded = message.names if how == "but" else ()
            message.targets = frozenset(inc for inc in there if inc.identity not in excluded)

    # --- the relay, or the peer, takes it ------------------------------------------------------------------------

    def admitted(
        self, hub: Hub, sender: Sender, frame: wire.Data, count: int, *, refusal: str | None
    ) -> Message | None:
        """The first frame of a Reliable message is taken: that moment fixes who gets it."""
        message = sender.messages[frame.sequence]
        if sender.fail_all is not None:
            message.admitted = frozenset()
            return message
        if refusal is not None:
            message.admitted, message.refused = frozenset(), True
            sender.refusals.append((count, frame.sequence))
            return message
        if hub.is_relay:
            meant = self.rosters.denoted(hub, sender.inc, frame.block)
            if frame.block is None:  # CC-ROSTER-074: the owner did not know that they had gone
                meant += [inc for inc in message.targets or () if inc.left]
        else:
            meant = [inc for inc in hub.everyone if inc is not sender.inc]
        there = frozenset(inc for inc in meant if not inc.left and inc not in sender.told and inc not in sender.known)
        waiting = {inc for _, inc, _ in sender.absent}
        for inc in meant:
            if inc.left and inc not in sender.told and inc not in sender.known and inc not in waiting:
                sender.absent.append((count, inc, frame.sequence))
        message.admitted = there
        for inc in there:
            sender.due.setdefault(inc, deque()).append(message)
        return message

    def taken(self, hub: Hub, sender: Sender, message: Message, frame: wire.Data) -> None:
        """Any Reliable DATA frame is taken by the hub."""
        if not frame.abort:
            sender.received += frame.length
        if frame.abort:
            message.aborted = True
        elif frame.last:
            message.whole_at_hub = True
        message.frames.append(frame)
        if not hub.is_relay or frame.abort:
            return
        for inc in message.admitted or ():
            if inc.present and inc not in sender.known and inc not in sender.told:
                hop = self.flow.hop(sender, inc)
                hop.queued += frame.length
                hop.sizes.append((frame.sequence, frame.length))
                self.flow.queue_changed(hop)

    def lossy_taken(self, hub: Hub, sender: Sender, frame: wire.Data) -> None:
        """Lossy DATA is taken by the hub: each fragment has a set of its own (CC-ROSTER-069)."""
        message = sender.messages.get(frame.sequence)
        if message is None:
            raise Violation("created", f"{sender} wrote Lossy message {frame.sequence}, which nobody sent")
        meant = self.rosters.denoted(hub, sender.inc, frame.block) if hub.is_relay else hub.everyone
        if frame.session < sender.inc.forwarded.get(frame.channel, 0):
            meant = []  # a newer session is on the channel (CC-RELAY-008, 009)
        found = {inc for inc in meant if not inc.left and inc is not sender.inc}
        message.allowed.setdefault(frame.place, set()).update(found)
        if frame.last:
            message.whole_at_hub = True
        message.frames.append(frame)

    # --- the relay writes ----------------------------------------------------------------------------------------

    def relay_writes(self, sender: Sender, reader: Inc, frame: wire.Data) -> None:
        """A relay writes DATA to a reader."""
        message = sender.messages.get(frame.sequence)
        if message is None or (message.admitted is None and not message.allowed):
            raise Violation("created", f"the relay wrote {frame.sequence} of {sender}, which it never got")
        if sender.inc is reader:
            raise Violation("CC-RELAY-029", f"{message} goes back to its owner")
        if frame.block is not None:
            raise Violation("CC-RELAY-026", f"{message} has its block still")
        same = [item for item in message.frames if item.place == frame.place and item.abort == frame.abort]
        if not any(wire.without_block(item) == frame.raw for item in same):
            raise Violation("CC-RELAY-025", f"a frame of {message} to {reader} is not what its owner wrote")
        forwarded = sender.inc.forwarded
        forwarded[frame.channel] = max(forwarded.get(frame.channel, 0), frame.session)
        if sender.reliable:
            self._relay_writes_reliable(sender, reader, message, frame)
        elif reader not in message.allowed.get(frame.place, ()):
            raise Violation("CC-ROSTER-059", f"{message} goes to {reader}, for whom it is not")

    def _relay_writes_reliable(self, sender: Sender, reader: Inc, message: Message, frame: wire.Data) -> None:
        assert message.admitted is not None
        if reader not in message.admitted:
            raise Violation("CC-ROSTER-059", f"{message} goes to {reader}, for whom it is not")
        hop = self.flow.hop(sender, reader)
        if hop.closed:
            raise Violation("CC-RELAY-032", f"{message} to {reader} behind CLOSE")
        failed = sender.known.get(reader)
        if failed is not None and failed.forbids(message.sequence):
            raise Violation("CC-SESS-065", f"{message} to {reader} behind FAIL {failed.value}")
        self.rosters.needs_join(sender, reader)
        self.flow.relay_writes(sender, reader, frame)
        if frame.last and not frame.abort:
            message.down_last[reader] = len(reader.link.written[1])

    def relay_closes(self, sender: Sender, reader: Inc, frame: wire.Control) -> None:
        """A relay writes CLOSE of a session to a reader."""
        hop = self.flow.hop(sender, reader)
        if hop.closed:
            raise Violation("CC-SESS-016", f"CLOSE of {sender} to {reader} twice")
        hop.closed = True
        given = sender.reliable and reader not in sender.due
        if given or (
            not sender.reliable
            and not any(reader in who for m in sender.messages.values() for who in m.allowed.values())
        ):
            raise Violation("CC-RELAY-031", f"CLOSE of {sender} to {reader}, who got nothing of it")
        if hop.queued and reader not in sender.known and reader not in sender.told and sender.fail_all is None:
            raise Violation("CC-RELAY-032", f"CLOSE of {sender} to {reader} before {hop.queued} bytes of it")

    # --- the reader takes and reads ------------------------------------------------------------------------------

    def reader_takes(self, sender: Sender, reader: Inc, frame: wire.Data) -> None:
        """Reliable DATA reaches a final recipient."""
        hop = self.flow.hop(sender, reader)
        message = sender.messages[frame.sequence]
        hop.last = max(hop.last, frame.sequence)
        hop.partial = not (frame.last or frame.abort)
        if frame.abort:
            return
        hop.received += frame.length
        message.wire[reader] = message.wire.get(reader, 0) + frame.length
        if frame.last and reader not in sender.own:
            message.ready.add(reader)
            if not message.is_stream:
                hop.unread += message.wire[reader]

    @staticmethod
    def lossy_arrives(sender: Sender, reader: Inc, frame: wire.Data) -> None:
        """Lossy DATA reaches a final recipient."""
        message = sender.messages[frame.sequence]
        parts = message.parts.setdefault(reader, set())
        if frame.place not in parts:
            parts.add(frame.place)
            last = next((item.place for item in message.frames if item.last), None)
            reader.lossy_complete += last is not None and len(parts) == last + 1

    def reads(self, reader: Inc, receiver: Receiver, handed: Handed, now: int) -> None:
        """An application was given a message."""
        sender = receiver.sender
        message = sender.messages.get(handed.sequence)
        if message is None:
            raise Violation("created", f"{reader} read {handed.sequence} of {sender}, which nobody sent")
        if handed.is_stream != message.is_stream:
            raise Violation("CC-FRAG-019", f"{reader} read {message} as a stream: {handed.is_stream}")
        if sender.reliable:
            if handed.sequence <= receiver.last:
                raise Violation("CC-SESS-030", f"{reader} read {message} after {receiver.last}")
        elif handed.sequence in receiver.lossy_read:
            raise Violation("CC-DELIV-072", f"{reader} read {message} twice")
        if message.is_stream:
            receiver.stream, receiver.stream_at = message, 0
            return
        if handed.data != message.data:
            raise Violation("mixed", f"{reader} read {len(handed.data)} bytes of {message} that were never sent")
        self._read_whole(reader, receiver, message, now)

    def reads_chunk(self, reader: Inc, receiver: Receiver, chunk: StreamChunk, now: int) -> None:
        """An application was given bytes of a stream."""
        message = receiver.stream
        assert message is not None
        end = receiver.stream_at + len(chunk.data)
        if chunk.data != message.data[receiver.stream_at : end]:
            raise Violation("CC-FRAG-026", f"{reader} read bytes of {message} that were never written")
        receiver.stream_at = end
        if chunk.last:
            if end != len(message.data) or not message.finished:
                raise Violation("CC-FRAG-027", f"{reader} was told the end of {message} at {end}")
            receiver.stream = None
            self._read_whole(reader, receiver, message, now)

    def _read_whole(self, reader: Inc, receiver: Receiver, message: Message, now: int) -> None:
        sender = message.sender
        sequence = message.sequence
        if reader in message.read_by:
            raise Violation("duplicate", f"{reader} read {message} twice")
        if reader.gone:
            raise Violation("simulator", "a dead process reads")
        message.read_by[reader] = now
        receiver.last = max(receiver.last, sequence)
        if sender.reliable:
            self._read_reliable(reader, message)
            return
        receiver.lossy_read.add(sequence)
        reader.lossy_read += 1
        if sender.latest and sequence < receiver.last:
            raise Violation("CC-DELIV-076", f"{reader} read {message} after {receiver.last}")
        indexes = range(max(message.allowed, default=0) + 1)
        if not all(reader in message.allowed.get(index, ()) for index in indexes):
            raise Violation("CC-ROSTER-060", f"{reader} read {message}, which is not for it")

    def _read_reliable(self, reader: Inc, message: Message) -> None:
        sender, sequence = message.sender, message.sequence
        if message.admitted is None or reader not in message.admitted:
            raise Violation("CC-ROSTER-060", f"{reader} read {message}, which is not for it")
        if message.refused:
            raise Violation("CC-DELIV-031", f"{reader} read {message}, which was refused")
        for fail in (sender.told.get(reader), sender.own.get(reader), sender.fail_all):
            if fail is not None and fail.forbids(sequence):
                raise Violation(
                    "CC-DELIV-022", f"{reader} read {message}, although FAIL said that it never would from {fail.value}"
                )
        self.failed_is_true(message, reader.identity)
        due = sender.due[reader]
        while due:
            missed = due.popleft()
            if missed is message:
                break
            if not (missed.aborted or missed.refused or missed.cancelled):
                raise Violation("gap", f"{reader} read {message} without {missed}")
        hop = self.flow.hop(sender, reader)
        if reader in message.ready:
            message.ready.discard(reader)
            if not message.is_stream:
                hop.unread -= message.wire[reader]
        else:
            raise Violation("created", f"{reader} read {message} before all of it was there")

    @staticmethod
    def failed_is_true(message: Message, identity: str) -> None:
        """Whoever was reported as failed has not read the message, and never will (section 7.17)."""
        failed = message.failed_names.get(identity, 0)
        if not failed:
            return
        known = [inc for inc in message.targets or () if inc.identity == identity]
        read = sum(inc in message.read_by for inc in known)
        if read + failed > len(known):
            raise Violation("verdict", f"{message} was reported as failed for {identity}, who reads it")

    # --- FAIL ------------------------------------------------------------------------------------------------------

    def fail_by_reader(self, sender: Sender, reader: Inc, fail: Fail, hop: Hop) -> None:
        """A final recipient writes FAIL."""
        if fail.uncertain:
            raise Violation("CC-SESS-046", f"{reader} wrote UNCERTAIN for {sender}")
        if reader in sender.own:
            return  # the relay's FAIL crossed it
        first = min((m.sequence for m in sender.due.get(reader, ()) if self._is_here(m, reader)), default=hop.last + 1)
        if sender.reliable and fail.value > first:
            raise Violation(
                "CC-SESS-044", f"{reader} failed {sender} from {fail.value} on, the first unread is {first}"
            )
        for message in sender.messages.values():
            if message.sequence >= fail.value and reader in message.read_by:
                raise Violation("CC-SESS-044", f"{reader} failed {sender} from {fail.value} on, but has read {message}")

    @staticmethod
    def _is_here(message: Message, reader: Inc) -> bool:
        return reader in message.wire and not (message.aborted or message.refused)

    def settle_unread(self, sender: Sender, reader: Inc, fail: Fail) -> None:
        """What a FAIL discards at a reader is not unread any more."""
        hop = self.flow.hop(sender, reader)
        for message in sender.messages.values():
            if message.sequence >= fail.value and reader in message.ready:
                message.ready.discard(reader)
                if not message.is_stream:
                    hop.unread -= message.wire[reader]
