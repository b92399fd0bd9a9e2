# SPDX-License-Identifier: Apache-2.0
"""The judge of events: what applications and the relay are told is true, comes once, and is complete."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from simulator.codes import DEADLINE, IDLE, LEFT, LINK_LOST, LOST, MEMORY, TIMEOUT, TOO_LARGE
from simulator.packet_judge import PacketJudge
from simulator.records import Inc, Message, Receiver, Sender, Violation

if TYPE_CHECKING:
    from simulator.network import Node


class EventJudge(PacketJudge):
    """Sees events, too."""

    # --- events --------------------------------------------------------------------------------------------------

    def event(self, node: Node, event: Any) -> None:
        """A machine has told something."""
        name = type(event).__name__
        handler = getattr(self, f"_on_{name}", None)
        if handler is not None:
            handler(node, event)

    def _on_EndpointJoined(self, node: Node, event: Any) -> None:
        inc = self._context
        assert inc is not None
        world = self.world
        now, quarantine = world.clock(node), world.limits.slot_quarantine
        self.rosters.joined(inc.hub, inc, event.participant.slot, now, quarantine)
        hello = next(reversed(inc.link.hellos.values()))
        for other in inc.hub.everyone:
            same = other.identity == inc.identity and other.instance == inc.instance
            if hello.flags & 2 and same and other is not inc and other.present:
                raise Violation("CC-LINK-050", f"{inc} replaces {other}, who is still there")

    def _on_EndpointSuspended(self, node: Node, event: Any) -> None:
        inc = self.world.hub_record.slots[event.participant.slot]
        inc.suspended = True
        self._had_a_reason(inc)

    def _on_EndpointResumed(self, node: Node, event: Any) -> None:
        self.world.hub_record.slots[event.participant.slot].suspended = False

    def _on_EndpointLeft(self, node: Node, event: Any) -> None:
        hub = self.world.hub_record
        if event.code == TIMEOUT and self.world.limits.resume_window:
            raise Violation("CC-LINK-040", f"the relay gives {event.participant} up with TIMEOUT")
        gone = self.rosters.left(hub, event.participant.slot, event.code, self.world.clock(node))
        for owner in hub.everyone:
            if owner.present and not hub.stopping:
                for sender in owner.senders.values():
                    owed = self._owed(sender, gone)
                    if owed is not None:
                        sender.must_fail[gone] = owed

    @staticmethod
    def _owed(sender: Sender, gone: Inc) -> int | None:
        """The smallest sequence that is owed to a recipient which has just gone (section 10.1)."""
        if not sender.reliable or gone in sender.told or gone in sender.known or sender.fail_all is not None:
            return None
        acked = gone.link.acked[1]  # a count in HELLO is no ACK: what its side wrote before may be lost
        for sequence, message in sender.messages.items():
            if message.admitted is None or gone not in message.admitted or message.aborted:
                continue
            if sender.delivered:
                done = sender.receipts.get(("at", gone), 0) >= sequence
            else:
                done = gone in message.down_last and acked >= message.down_last[gone]
            if not done:
                return sequence
        return None

    def _on_Suspended(self, node: Node, event: Any) -> None:
        inc = node.inc
        assert inc is not None
        inc.suspended_at = self.world.clock(node)
        if inc.hub is self.world.hub_record:
            self._had_a_reason(inc)
        for sender in inc.senders.values():
            if not sender.reliable:
                for message in sender.messages.values():
                    message.dead = True

    def _had_a_reason(self, inc: Inc) -> None:
        """A transport without any trouble is not lost (CC-LINK-037, 040)."""
        cables = [cable for cable in self.world._by_number.values() if inc in (cable.ends[0].inc, cable.ends[1].inc)]
        ends = [node for cable in cables for node in cable.ends]
        calm = not any(cable.troubled for cable in cables) and not any(end.troubled or not end.alive for end in ends)
        if self.in_timer and calm and cables:
            raise Violation("CC-LINK-037", f"{inc} is suspended, although nothing is wrong with its transport")

    def _on_Resumed(self, node: Node, event: Any) -> None:
        inc = node.inc
        assert inc is not None
        since = inc.suspended_at
        window = self.world.limits.resume_window
        if since is not None and not node.troubled and self.world.clock(node) - since > window + 50_000:
            raise Violation("CC-LINK-043", f"{inc} resumes after {self.world.clock(node) - since} us")
        inc.suspended_at = None

    def _on_Joined(self, node: Node, event: Any) -> None:
        assert node.inc is not None
        if node.inc.told_joined or event.slot != node.inc.slot:
            raise Violation("CC-ROSTER-026", f"{node.inc} is told that it joined: {event}")
        node.inc.told_joined = True

    def _on_ReceiverCreated(self, node: Node, event: Any) -> None:
        inc = node.inc
        assert inc is not None
        owner = inc.hub.slots.get(event.sender.slot)
        if owner is None or owner.identity != event.sender.identity:
            raise Violation("created", f"{inc} has a receiver of {event.sender}, who is nobody")
        sender = self._session(owner, event.session)
        if sender.channel != event.channel or sender.reliable != (event.reliability.value == "reliable"):
            raise Violation("CC-SESS-027", f"{inc} is told {event} of {sender}")
        receiver = Receiver(inc, event.receiver, sender)
        for other in inc.receivers.values():
            if other.sender is sender:
                if not other.closed:
                    raise Violation("CC-SESS-028", f"{inc} has two receivers of {sender}")
                receiver.last = max(receiver.last, other.last)
                receiver.lossy_read |= other.lossy_read
        inc.receivers[event.receiver] = receiver

    def _on_ReceiverClosed(self, node: Node, event: Any) -> None:
        inc = node.inc
        assert inc is not None
        receiver = inc.receivers[event.receiver]
        if receiver.closed:
            raise Violation("CC-ERR-021", f"{inc} is told twice that a receiver closed")
        receiver.closed = True
        self.world.counts[f"receiver closed {event.code:04X}"] += 1
        hop = self.flow.hop(receiver.sender, inc)
        if event.code == IDLE and receiver.sender.reliable and (hop.partial or hop.unread):
            raise Violation("CC-SESS-033", f"the receiver of {receiver.sender} at {inc} is called idle")
        if receiver.sender.reliable and event.code not in (IDLE, LINK_LOST, MEMORY, TOO_LARGE):
            if hop.end_code is not None and event.code != hop.end_code:
                raise Violation(
                    "CC-ERR-021", f"{inc} is told {event.code:04X} of {receiver.sender}, not {hop.end_code:04X}"
                )
        if event.code == MEMORY and (not receiver.sender.inc.present or inc in receiver.sender.told):
            # Row R16 in a session that was cut off: no FAIL may follow (7.11); the application that lacks them is told.
            receiver.sender.abandoned.add(inc)
        if event.code in (0, LEFT, LOST):
            self._must_have_all(inc, receiver.sender, whole_only=event.code != 0)

    def _must_have_all(self, inc: Inc, sender: Sender, *, whole_only: bool) -> None:
        """A receiver that was closed by its sender, or behind its data, has read everything (section 7.17)."""
        if not sender.reliable:
            return
        for message in sender.due.get(inc, ()):
            if whole_only and not message.whole_at_hub:
                continue
            if not (message.aborted or message.refused or self._excused(sender, inc, message)):
                raise Violation("gap", f"the receiver of {sender} at {inc} closed without {message}")

    def _excused(self, sender: Sender, inc: Inc, message: Message) -> bool:
        """Whether somebody was told that a recipient does not get a message."""
        fails = (sender.told.get(inc), sender.own.get(inc), sender.known.get(inc), sender.fail_all)
        return any(fail is not None and fail.excuses(message.sequence) for fail in fails)

    def _on_MessagesConfirmed(self, node: Node, event: Any) -> None:
        self.verdicts.accepted(self._sender(node, event), event.through)

    def _on_MessageConfirmed(self, node: Node, event: Any) -> None:
        self.verdicts.confirmed(self._sender(node, event), event.sequence, event.report, self.world.now)

    def _on_MessageFailed(self, node: Node, event: Any) -> None:
        sender = self._sender(node, event)
        self.verdicts.failed(sender, event, self.world.clock(node))
        late = {name for name, code in event.report.unknown if code == DEADLINE}
        if late:
            self._receipts_are_late(node, sender.messages[event.sequence], late)

    def _receipts_are_late(self, node: Node, message: Message, late: set[str]) -> None:
        """Unknown for want of a receipt, although it was read long ago, and nothing was in the way."""
        hub = message.sender.inc.hub
        if not hub.is_relay or hub is not self.world.hub_record or self.world.hub.troubled or message.admitted is None:
            return
        sender = message.sender
        readers = [inc for inc in message.admitted if inc not in sender.told and inc not in sender.known]
        long_ago = self.world.now - 1_500_000
        if len(message.admitted) <= self.world.plan.reported:
            devices = Counter(inc.identity for inc in message.admitted)
            for inc in readers:
                named = inc.identity in late and devices[inc.identity] == 1  # a report names no device
                if named and message.read_by.get(inc, self.world.now) < long_ago:
                    if self._are_calm(node, self.nodes[inc]):
                        raise Violation("CC-RELAY-067", f"{message} is unknown for {inc}, who has read it")
            return
        calm = self._are_calm(node, *(self.nodes[inc] for inc in readers))
        # Receipts are cumulative: whoever holds up a message before this one holds up this one.
        told, who = sender.told, message.sequence
        before = [(m, inc) for m in sender.messages.values() if m.sequence <= who for inc in m.admitted or ()]
        read = all(m.read_by.get(inc, self.world.now) < long_ago for m, inc in before if inc in readers)
        others = any(inc not in readers and inc.present and inc not in told for _, inc in before)
        if readers and calm and read and not others:
            raise Violation("CC-RELAY-068", f"{message} is unknown, although everyone has read it")

    @staticmethod
    def _are_calm(*nodes: Node) -> bool:
        """Whether nothing ever went wrong with processes and their transports, the newest and the one in use."""
        for node in nodes:
            assert node.inc is not None
            for cable in (node.cable, node.inc.link.carrier):
                if not node.alive or node.troubled or cable is None or cable.troubled or cable.rate:
                    return False
        return True

    def _on_RecipientFailed(self, node: Node, event: Any) -> None:
        sender = self._sender(node, event)
        inc = sender.inc.hub.slots[event.participant.slot]
        self.verdicts.recipient_failed(sender, inc, event)

    def _on_SenderFailed(self, node: Node, event: Any) -> None:
        sender = self._sender(node, event)
        if sender.failed != event.code:
            raise Violation("CC-SESS-025", f"{sender} failed with {event.code:04X}, not {sender.failed}")

    def _on_SenderEnded(self, node: Node, event: Any) -> None:
        sender = self._sender(node, event)
        self.verdicts.sender_ended(sender)
        node.streams = [item for item in node.streams if item[0] != sender.handle]
        accepted = any(message.outcome == "accepted" and message.begun for message in sender.messages.values())
        if event.code == LINK_LOST and sender.reliable and accepted and sender not in sender.inc.custody_lost:
            raise Violation("CC-DELIV-040", f"{sender} was not told that custody is lost")

    def _on_SenderWritable(self, node: Node, event: Any) -> None:
        sender = self._sender(node, event)
        if not sender.would_block:
            raise Violation("CC-DELIV-066", f"{sender} is writable, but never was not")
        sender.would_block = False

    def _on_CustodyLost(self, node: Node, event: Any) -> None:
        sender = self._sender(node, event)
        accepted = [m.sequence for m in sender.messages.values() if m.outcome == "accepted" and m.begun]
        if event.through != max(accepted, default=0) or not sender.reliable:
            raise Violation("CC-DELIV-040", f"{sender} lost custody through {event.through}, accepted: {accepted}")
        sender.inc.custody_lost.add(sender)

    def _on_LinkEnded(self, node: Node, event: Any) -> None:
        inc = node.inc
        assert inc is not None
        if inc.ended:
            raise Violation("CC-ERR-025", f"the link of {inc} ended twice")
        inc.ended, inc.end_code = True, event.code
        now, window = self.world.clock(node), self.world.limits.resume_window
        if event.code == TIMEOUT and inc.told_joined and not event.by_peer and window:
            raise Violation("CC-LINK-040", f"{inc} gives its link up with TIMEOUT, although it can be resumed")
        lost = event.code == LINK_LOST and inc.suspended_at is not None and not node.troubled
        if lost and node.machine.state.value == "DEAD" and now - (inc.suspended_at or 0) > window + 50_000:
            raise Violation("CC-LINK-043", f"{inc} is given up after {now - (inc.suspended_at or 0)} us")
        self.world.counts[f"link ended {event.code:04X}"] += 1
        for sender in inc.senders.values():
            self.verdicts.all_settled(sender)
            if not sender.ended:
                raise Violation("CC-LINK-058", f"{sender} has not ended with its link")

    def _sender(self, node: Node, event: Any) -> Sender:
        assert node.inc is not None
        return node.inc.senders[event.sender]
