# SPDX-License-Identifier: Apache-2.0
"""Oracle of sections 7.11 and 10.7: credit, and the memory of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator import wire
from simulator.records import Hop, Inc, Sender, Violation

if TYPE_CHECKING:
    from simulator.network import Node
    from simulator.world import World

_AT_ONCE = 100_000
"""How long a frame that waits for nothing may take to be written (microseconds)."""


class Flow:
    """Judges bytes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.window = world.limits.window

    def hop(self, sender: Sender, reader: Inc) -> Hop:
        """A session's way to a reader."""
        found = sender.hops.get(reader)
        if found is None:
            found = sender.hops[reader] = Hop(self.window)
        return found

    def owner_writes(self, sender: Sender, frame: wire.Data) -> None:
        """An owner writes Reliable DATA."""
        if frame.abort:
            return
        sender.limit = sender.limit or self.window
        sender.announced = sender.announced or self.window
        sender.written += frame.length
        if sender.written > sender.limit:
            raise Violation("CC-DELIV-048", f"{sender} wrote {sender.written} bytes, its limit is {sender.limit}")

    def relay_writes(self, sender: Sender, reader: Inc, frame: wire.Data) -> None:
        """A relay writes Reliable DATA to a recipient."""
        hop = self.hop(sender, reader)
        if frame.abort:
            return
        hop.written += frame.length
        if hop.written > hop.limit:
            raise Violation("CC-RELAY-035", f"{hop.written} bytes of {sender} to {reader}, the limit is {hop.limit}")
        if hop.sizes:
            hop.queued -= hop.sizes.popleft()[1]
            self.queue_changed(hop)

    def queue_changed(self, hop: Hop) -> None:
        """A relay's queue has changed: is it full (CC-RELAY-038)?"""
        if hop.queued > self.window - wire.RELIABLE_PACKET:
            if hop.full_since is None:
                hop.full_since = self.world.clock(self.world.hub)
        elif hop.queued <= self.window // 2:
            hop.full_since = None

    def stalled(self, sender: Sender, now: int, carried_since: int) -> None:
        """A queue that stayed full has failed its recipient (CC-RELAY-039).

        What the relay decides on while the owner's link has no transport is written on the next one, which carries
        it since `carried_since`.
        """
        for reader, hop in sender.hops.items():
            if hop.full_since is None or not reader.present:
                continue
            if now < max(hop.full_since + self.world.limits.stall_time, carried_since) + _AT_ONCE:
                continue
            if reader not in sender.told and sender.fail_all is None:
                raise Violation("CC-RELAY-039", f"{reader} has held up {sender} for {now - hop.full_since} us")

    def credit_is_written(self, sender: Sender, reader: Inc) -> None:
        """Everything is read: no CREDIT is due any more (CC-DELIV-055)."""
        hop = sender.hops[reader]
        grown = hop.received + self.window - hop.announced
        tight = hop.announced - hop.received < wire.RELIABLE_PACKET
        if grown >= self.window // 4 or (grown > 0 and tight):
            raise Violation("CC-DELIV-055", f"{reader} owes {sender} {grown} bytes of credit")

    def credit_to_owner(self, sender: Sender, value: int) -> None:
        """A relay writes CREDIT."""
        if value <= sender.announced:
            raise Violation("CC-DELIV-057", f"CREDIT {value} for {sender} after {sender.announced}")
        longest = max(
            (
                hop.queued
                for reader, hop in sender.hops.items()
                if reader.present and reader not in sender.known and reader not in sender.told
            ),
            default=0,
        )
        if value > sender.received + self.window - longest:
            raise Violation(
                "CC-RELAY-036",
                f"CREDIT {value} for {sender}: {sender.received} received, {longest} queued, window {self.window}",
            )
        sender.announced = value

    def credit_by_reader(self, sender: Sender, reader: Inc, value: int) -> None:
        """A final recipient writes CREDIT."""
        hop = self.hop(sender, reader)
        if value <= hop.announced:
            raise Violation("CC-DELIV-057", f"CREDIT {value} of {reader} for {sender} after {hop.announced}")
        if value > hop.received + self.window - hop.unread:
            raise Violation(
                "CC-DELIV-051",
                f"CREDIT {value} of {reader} for {sender}: {hop.received} received, {hop.unread} of them unread",
            )
        nothing = not hop.partial and not any(reader in message.ready for message in sender.due.get(reader, ()))
        if nothing and value != hop.received + self.window and reader not in sender.own and reader not in sender.known:
            raise Violation("CC-DELIV-050", f"CREDIT {value} of {reader} for {sender}: all of {hop.received} was read")
        hop.announced = value

    # --- memory: the one look inside -----------------------------------------------------------------------------

    def look(self, node: Node) -> None:
        """An endpoint keeps its limits (chapter 15)."""
        limits = self.world.limits
        shown = node.machine.statistics()
        if not 0 <= shown.bytes_buffered <= limits.receive_memory:
            raise Violation("CC-DELIV-059", f"{node.name} buffers {shown.bytes_buffered} bytes")
        # One packet may be begun below the limit; ROSTER, CLOSE, FAIL and REFUSE are not held up.
        if shown.link.bytes_unacknowledged > limits.unacknowledged + 2 * wire.RELIABLE_PACKET:
            raise Violation("CC-LINK-035", f"{node.name} keeps {shown.link.bytes_unacknowledged} bytes")
        if node.inc is None:
            return
        for sender in node.inc.senders.values():
            if sender.ended:
                continue
            waiting = node.machine.sender_info(sender.handle).statistics.bytes_waiting
            most = limits.send_buffer if sender.reliable else limits.lossy_queue
            if not 0 <= waiting <= max(most, self.world.limits.largest_message):
                raise Violation("CC-DELIV-062", f"{sender} has {waiting} bytes waiting")

    def at_rest(self, node: Node, inc: Inc) -> None:
        """Nothing is pending: no Lossy message waits for ever, and none has vanished without a word."""
        drops = node.machine.statistics().drops
        self._no_faults(node.name, drops)
        if inc.lossy_complete - inc.lossy_read > sum(drops.values()):
            raise Violation(
                "CC-DELIV-070", f"{inc} was given {inc.lossy_complete} Lossy messages, read {inc.lossy_read}, {drops}"
            )
        for sender in inc.senders.values():
            if not (sender.reliable or sender.ended or sender.bitrate):
                waiting = node.machine.sender_info(sender.handle).statistics.bytes_waiting
                if waiting:
                    raise Violation("CC-SCHED-001", f"{waiting} bytes of {sender} wait for ever")

    def relay_at_rest(self, node: Node, living: set[int]) -> None:
        """The same for a relay; `living`: slots of endpoints that can take what is for them."""
        shown = node.machine.statistics()
        self._no_faults(node.name, shown.drops)
        for link in shown.links:
            if link.bytes_queued and link.slot in living:
                raise Violation("CC-RELAY-033", f"{link.bytes_queued} bytes for {link.identity} wait for ever")

    @staticmethod
    def _no_faults(name: str, drops: Any) -> None:
        for reason in ("malformed", "mismatch", "too_large", "extension"):
            if reason in drops:
                raise Violation("fault", f"{name} drops what well-behaved sides have written: {dict(drops)}")

    def look_relay(self, node: Node) -> None:
        """A relay keeps its limits."""
        limits = self.world.limits
        for link in node.machine.statistics().links:
            if link.bytes_queued > limits.relay_link_memory + limits.lossy_queue:
                raise Violation("CC-RELAY-041", f"{link.bytes_queued} bytes are queued for {link.identity}")
            if link.bytes_unacknowledged > limits.unacknowledged + 2 * wire.RELIABLE_PACKET + 65_536:
                raise Violation("CC-LINK-035", f"{link.bytes_unacknowledged} bytes are kept for {link.identity}")
