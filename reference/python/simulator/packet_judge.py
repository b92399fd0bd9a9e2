# SPDX-License-Identifier: Apache-2.0
"""The judge of packets: knows which frames are new, and hands each to the oracle that it concerns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from simulator import wire
from simulator.codes import ALLOWED_BYES, FAULTS, LEFT, LOST, NOT_ADMITTED, RESUME_STALE, RESUME_UNKNOWN
from simulator.delivery import Delivery
from simulator.flow import Flow
from simulator.links import LinkRecord, Links
from simulator.records import Fail, Inc, Sender, Violation
from simulator.roster import Rosters
from simulator.verdicts import Verdicts

if TYPE_CHECKING:
    from callchannel.core.lanes import Lane
    from simulator.network import Cable, Node
    from simulator.world import World


class PacketJudge:
    """Sees packets, and keeps what they say. Raises `Violation`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.step_number = -1
        self.fates: dict[int, Iterator[Any]] = {}
        """What becomes of the next packets on an endpoint's lossy lane."""
        self.flow = Flow(world)
        self.rosters = Rosters()
        self.delivery = Delivery(self.flow, self.rosters)
        self.verdicts = Verdicts(world.limits.delivered_deadline)
        self.links = Links(world.limits.ack_delay, self._first, self._taken)
        self.nodes: dict[Inc, Node] = {}
        self.in_timer = False
        """Whether what happens is a timer's doing."""
        self._context: Inc | None = None
        self._looks = 0

    # --- endpoints -----------------------------------------------------------------------------------------------

    def new_inc(self, node: Node) -> None:
        """An endpoint was made."""
        assert node.inc is not None
        node.inc.link = LinkRecord(node.inc)
        self.nodes[node.inc] = node

    def peers(self, initiator: Node, acceptor: Node) -> None:
        """Two endpoints share a link, without a relay."""
        assert initiator.inc is not None and acceptor.inc is not None
        acceptor.inc.link = initiator.inc.link
        hub = initiator.inc.hub
        for slot, inc in ((0, acceptor.inc), (1, initiator.inc)):
            inc.slot, inc.joined = slot, 1
            hub.slots[slot] = inc
            hub.everyone.append(inc)
        for inc in hub.everyone:
            inc.view = dict(hub.slots)
            inc.view_epoch = 1
        hub.epoch = 1

    def leaving(self, node: Node) -> None:
        """An application leaves."""
        assert node.inc is not None
        if not node.inc.leaving:
            node.inc.leaving_at = self.world.clock(node)
        node.inc.leaving = True
        for sender in node.inc.senders.values():
            sender.closed = True

    # --- packets -------------------------------------------------------------------------------------------------

    def wrote(self, cable: Cable, end: int, lane: Lane, frames: list[wire.Frame]) -> None:
        """A packet was pulled."""
        inc = cable.ends[0].inc
        assert inc is not None
        link: LinkRecord = inc.link
        if lane:
            for frame in frames:
                self._first(link, end, frame)
        else:
            node = cable.ends[end]
            calm = not (cable.troubled or cable.rate or node.troubled)
            self.links.wrote(link, cable, end, frames, self.world.clock(node) if calm else None)
            if frames[-1].kind == wire.BYE:
                self._bye(link, cable, end, frames[-1])

    def arrives(self, cable: Cable, end: int, lane: Lane, frames: list[wire.Frame]) -> None:
        """A packet reaches an end; its machine is given it next."""
        self._context = cable.ends[0].inc
        if cable.let_go[end]:
            self.world.counts["packets to a detached transport"] += 1
            return
        assert self._context is not None
        link: LinkRecord = self._context.link
        if not lane:
            self.links.arrives(link, cable, end, frames, self.world.clock(cable.ends[end]))
        elif cable.number in link.hellos if end else cable.ends[0].machine.state.value == "ACTIVE":
            for frame in frames:
                self._taken(link, end, frame)

    def _bye(self, link: LinkRecord, cable: Cable, end: int, frame: wire.Frame) -> None:
        """BYE: well-behaved sides find no faults in each other, and a living link can be resumed."""
        assert isinstance(frame, wire.Plain)
        inc = link.inc
        if frame.reason not in ALLOWED_BYES and (inc.hub.is_relay or frame.reason != NOT_ADMITTED):
            raise Violation("fault", f"side {end} of {inc} writes BYE {frame.reason:04X}: {frame.raw[6:]!r}")
        hello = link.hellos.get(cable.number)
        if not inc.hub.is_relay:
            return
        if not end and frame.reason == LEFT and inc.told_joined and inc.suspended_at is None:
            waited = self.world.clock(self.nodes[inc]) - inc.leaving_at
            if waited < self.world.limits.leave_time and link.acked[0] < len(link.written[0]):
                raise Violation(
                    "CC-LINK-060",
                    f"{inc} leaves with {len(link.written[0])} frames written, {link.acked[0]} acknowledged",
                )
        if end and frame.reason == RESUME_UNKNOWN and inc.present and hello is not None and hello.token == link.token:
            if inc.hub is self.world.hub_record:
                raise Violation("CC-LINK-018", f"the relay does not know the living link of {inc}")
        if end and frame.reason == RESUME_STALE and hello is not None:
            others = [other.attempt for number, other in link.hellos.items() if number != cable.number]
            if hello.attempt > max(others, default=0):
                raise Violation("CC-LINK-017", f"attempt {hello.attempt} of {inc} is called stale after {others}")

    # --- frames --------------------------------------------------------------------------------------------------

    def _session(self, owner: Inc, number: int) -> Sender:
        found = owner.sessions.get(number)
        if found is not None:
            return found
        machine = self.nodes[owner].machine
        for sender in owner.senders.values():
            if not sender.session:
                try:
                    sender.session = machine.sender_info(sender.handle).session
                except Exception as error:
                    raise Violation("sender_info", f"{sender}: {error}") from error
                if sender.session:
                    if sender.session in owner.sessions:
                        raise Violation("CC-SESS-008", f"session {sender.session} of {owner} is given twice")
                    owner.sessions[sender.session] = sender
        found = owner.sessions.get(number)
        if found is None:
            raise Violation("created", f"a frame of session {number} of {owner}, which no sender has")
        return found

    def _parties(self, link: LinkRecord, side: int) -> tuple[Inc, Inc]:
        """Peer-to-peer: who is on a side, and who is on the other."""
        slots = link.inc.hub.slots
        return slots[1 - side], slots[side]

    def _first(self, link: LinkRecord, side: int, frame: wire.Frame) -> None:
        """A frame is written for the first time."""
        inc, hub = link.inc, link.inc.hub
        if isinstance(frame, wire.Roster):
            if hub.is_relay:
                self.rosters.roster_written(hub, inc, frame, len(link.written[1]))
            return
        if not isinstance(frame, wire.Data | wire.Control):
            return
        if not hub.is_relay:
            me, other = self._parties(link, side)
            if frame.sender == me.slot and frame.kind in (wire.DATA, wire.CLOSE):
                self._owner_wrote(link, side, me, frame)
            else:
                self._reader_wrote(me, other, frame)
        elif side == 0:
            if frame.sender == inc.slot:
                self._owner_wrote(link, 0, inc, frame)
            else:
                self._reader_wrote(inc, hub.slots[frame.sender], frame)
        elif frame.sender == inc.slot:
            self._relay_told_owner(inc, frame)
        else:
            self._relay_wrote_reader(inc, hub.slots[frame.sender], frame)

    def _owner_wrote(self, link: LinkRecord, side: int, owner: Inc, frame: wire.Data | wire.Control) -> None:
        sender = self._session(owner, frame.session)
        if isinstance(frame, wire.Data):
            if frame.sender != owner.slot:
                raise Violation("CC-ROSTER-010", f"{owner} writes slot {frame.sender}")
            if bool(frame.flags & wire.RELIABLE) != sender.reliable:
                raise Violation("CC-MODEL-007", f"{sender} changes its reliability")
            self.delivery.owner_writes(owner.hub, sender, frame, len(link.written[side]))
            sender.data_bytes += 0 if frame.abort else frame.length
            if sender.bitrate:
                passed = self.world.clock(self.nodes[owner]) - sender.opened_at
                if sender.data_bytes > passed * sender.bitrate // 8_000_000 + 2 * wire.RELIABLE_PACKET:
                    raise Violation("CC-SCHED-026", f"{sender} wrote {sender.data_bytes} bytes in {passed} us")
        else:
            if sender.close_written or frame.value != sender.last:
                raise Violation("CC-SESS-018", f"CLOSE of {sender} with {frame.value}, the last is {sender.last}")
            sender.close_written = True

    def _reader_wrote(self, reader: Inc, owner: Inc, frame: wire.Data | wire.Control) -> None:
        if isinstance(frame, wire.Data) or frame.recipient != reader.slot:
            raise Violation("CC-LINK-080", f"{reader} writes {frame}")
        sender = self._session(owner, frame.session)
        if frame.kind == wire.CREDIT:
            self.flow.credit_by_reader(sender, reader, frame.value)
            return
        read = max((m.sequence for m in sender.messages.values() if reader in m.read_by), default=0)
        written = sender.receipts.get(("by", reader), 0)
        if frame.kind == wire.RECEIPT:
            if not sender.delivered or frame.value != read or frame.value <= written:
                raise Violation("CC-DELIV-042", f"RECEIPT {frame.value} of {reader} for {sender}, it has read {read}")
            sender.receipts["by", reader] = frame.value
        elif frame.kind == wire.FAIL:
            if sender.delivered and read > written and not owner.left:
                raise Violation("CC-DELIV-019", f"FAIL of {reader} for {sender} before RECEIPT {read}")
            fail = Fail(frame.value, frame.reason, bool(frame.flags & 1))
            if frame.reason in FAULTS:
                raise Violation("fault", f"{reader} finds fault {frame.reason:04X} in {sender}")
            self.delivery.fail_by_reader(sender, reader, fail, self.flow.hop(sender, reader))
            sender.own.setdefault(reader, fail)
            self.world.counts[f"FAIL {frame.reason:04X} by a recipient"] += 1
            self.delivery.settle_unread(sender, reader, fail)
            if not owner.hub.is_relay:
                sender.told.setdefault(reader, fail)

    def _relay_told_owner(self, owner: Inc, frame: wire.Data | wire.Control) -> None:
        if isinstance(frame, wire.Data):
            raise Violation("CC-RELAY-029", f"the relay writes DATA back to {owner}")
        sender = self._session(owner, frame.session)
        if frame.kind == wire.CREDIT:
            self.flow.credit_to_owner(sender, frame.value)
        elif frame.kind == wire.REFUSE:
            message = sender.messages[frame.value]
            if not message.refused:
                raise Violation("CC-RELAY-016", f"{message} is refused without a reason")
            sender.refusals = [item for item in sender.refusals if item[1] != frame.value]
            self.world.counts["REFUSE"] += 1
        elif frame.kind == wire.RECEIPT:
            self._relay_told_receipt(sender, frame)
        elif frame.kind == wire.FAIL:
            self._relay_told_fail(sender, frame)

    def _relay_told_receipt(self, sender: Sender, frame: wire.Control) -> None:
        who = None if frame.recipient == wire.NOBODY else sender.inc.hub.slots[frame.recipient]
        before = sender.receipts.get(who, 0)
        if frame.value <= before:
            raise Violation("CC-RELAY-069", f"RECEIPT {frame.value} for {sender} of {who} after {before}")
        sender.receipts[who] = frame.value
        if who is not None:
            if frame.value > sender.receipts.get(("at", who), 0):
                raise Violation("CC-RELAY-067", f"RECEIPT {frame.value} of {who} for {sender}, which it never wrote")
            return
        for sequence in range(before + 1, frame.value + 1):
            message = sender.messages.get(sequence)
            if message is None or message.admitted is None or message.aborted or message.refused:
                continue
            for inc in message.admitted:
                if inc not in sender.told and sender.receipts.get(("at", inc), 0) < sequence:
                    raise Violation("CC-RELAY-068", f"RECEIPT {frame.value} for all of {sender}, not read by {inc}")

    def _relay_told_fail(self, sender: Sender, frame: wire.Control) -> None:
        fail = Fail(frame.value, frame.reason, bool(frame.flags & 1))
        self.world.counts[f"FAIL {frame.reason:04X}"] += 1
        if frame.reason in FAULTS:
            raise Violation("fault", f"the relay finds fault {frame.reason:04X} in {sender}")
        if frame.recipient == wire.NOBODY:
            if sender.fail_all is not None:
                raise Violation("CC-RELAY-054", f"FAIL for all of {sender} twice")
            sender.fail_all = fail
            return
        who = sender.inc.hub.slots[frame.recipient]
        if who in sender.told:
            raise Violation("CC-RELAY-054", f"FAIL for {who} in {sender} twice")
        covered = sender.receipts.get(("at", who), 0)
        link = sender.inc.link
        cable = link.carrier
        at_once = cable is not None and not cable.troubled and not cable.rate
        # Where the FAIL had to wait for a transport, the RECEIPT can have come after the decision (CC-DELIV-021).
        at_once = at_once and sender.receipts.get(("when", who), 0) > link.carried_since
        if at_once and covered > max(sender.receipts.get(who, 0), sender.receipts.get(None, 0)):
            raise Violation("CC-DELIV-020", f"FAIL for {who} in {sender} before its RECEIPT {covered}")
        sender.told[who] = fail
        sender.absent = [item for item in sender.absent if item[1] is not who]
        for message in sender.messages.values():
            if fail.forbids(message.sequence) and who in message.read_by:
                raise Violation("CC-RELAY-048", f"FAIL {fail.value} for {who} in {sender}, who has read {message}")
        owed = sender.must_fail.pop(who, None)
        if owed is not None and frame.reason in (LEFT, LOST) and frame.value != owed:
            raise Violation("CC-RELAY-048", f"FAIL {frame.value} for {who} in {sender}, {owed} is owed")
        own = sender.own.get(who)
        passed_on = own is not None and sender.known.get(who) is own and own.code == fail.code
        if own is not None and passed_on and fail.value > own.value:
            raise Violation("CC-RELAY-051", f"FAIL {fail.value} for {who} in {sender}, it said {own.value}")

    def _relay_wrote_reader(self, reader: Inc, owner: Inc, frame: wire.Data | wire.Control) -> None:
        sender = self._session(owner, frame.session)
        if isinstance(frame, wire.Data):
            self.delivery.relay_writes(sender, reader, frame)
        elif frame.kind == wire.CLOSE:
            self.delivery.relay_closes(sender, reader, frame)
        elif frame.kind == wire.FAIL:
            if frame.recipient != reader.slot:
                raise Violation("CC-RELAY-050", f"FAIL to {reader} names {frame.recipient}")
            sender.known.setdefault(reader, Fail(frame.value, frame.reason, bool(frame.flags & 1)))
        else:
            raise Violation("CC-RELAY-034", f"{frame} to {reader}")

    # --- frames taken --------------------------------------------------------------------------------------------

    def _taken(self, link: LinkRecord, side: int, frame: wire.Frame) -> None:
        """A frame is taken by a side; its machine sees it next."""
        inc, hub = link.inc, link.inc.hub
        if isinstance(frame, wire.Roster):
            if hub.is_relay:
                self.rosters.roster_taken(hub, inc, frame)
            return
        if not isinstance(frame, wire.Data | wire.Control):
            return
        if not hub.is_relay:
            writer, reader = self._parties(link, 1 - side)
            if frame.kind in (wire.DATA, wire.CLOSE):
                self._hub_took(link, side, writer, frame)
                if isinstance(frame, wire.Data):
                    self._reader_took(reader, writer, frame)
            else:
                self._owner_took(reader, writer, frame)
        elif side == 1:
            if frame.sender == inc.slot:
                self._hub_took(link, 1, inc, frame)
            else:
                self._relay_took_from_reader(inc, hub.slots[frame.sender], frame)
        elif frame.sender == inc.slot:
            assert isinstance(frame, wire.Control)
            who = None if frame.recipient == wire.NOBODY else hub.slots[frame.recipient]
            self._owner_took(inc, who, frame)
        else:
            self._reader_took(inc, hub.slots[frame.sender], frame)

    def _hub_took(self, link: LinkRecord, side: int, owner: Inc, frame: wire.Data | wire.Control) -> None:
        if isinstance(frame, wire.Control):
            return
        sender = self._session(owner, frame.session)
        if not sender.reliable:
            self.delivery.lossy_taken(owner.hub, sender, frame)
            return
        if not frame.place and not frame.abort:
            refusal = None
            if owner.hub.is_relay:
                if owner.hub.stopping:
                    refusal = "GOING_AWAY"
                elif owner.muted or sender.channel == owner.hub.forbids:
                    refusal = "POLICY"
            absent, refusals = len(sender.absent), len(sender.refusals)
            self.delivery.admitted(owner.hub, sender, frame, link.received[side], refusal=refusal)
            owed = link.obligations[side]
            for count, who, _ in sender.absent[absent:]:
                owed.append((count, partial(self._lacks_fail, sender, who)))
            for count, sequence in sender.refusals[refusals:]:
                owed.append((count, partial(self._lacks_refuse, sender, sequence)))
        self.delivery.taken(owner.hub, sender, sender.messages[frame.sequence], frame)

    @staticmethod
    def _lacks_fail(sender: Sender, who: Inc) -> str | None:
        missing = who not in sender.told and sender.fail_all is None
        return f"FAIL for {who} in {sender}, who had gone" if missing else None

    @staticmethod
    def _lacks_refuse(sender: Sender, sequence: int) -> str | None:
        missing = any(item[1] == sequence for item in sender.refusals) and sender.fail_all is None
        return f"REFUSE of {sequence} of {sender}" if missing else None

    def _relay_took_from_reader(self, reader: Inc, owner: Inc, frame: wire.Data | wire.Control) -> None:
        sender = self._session(owner, frame.session)
        if frame.kind == wire.CREDIT:
            hop = self.flow.hop(sender, reader)
            hop.limit = max(hop.limit, frame.value)  # type: ignore[union-attr]
        elif frame.kind == wire.RECEIPT:
            sender.receipts["at", reader] = frame.value  # type: ignore[union-attr]
            sender.receipts["when", reader] = self.world.clock(self.world.hub)
        elif frame.kind == wire.FAIL:
            sender.known.setdefault(reader, sender.own[reader])

    def _owner_took(self, owner: Inc, who: Inc | None, frame: wire.Data | wire.Control) -> None:
        assert isinstance(frame, wire.Control)
        sender = self._session(owner, frame.session)
        if frame.kind == wire.CREDIT:
            sender.limit = max(sender.limit, frame.value)
        elif frame.kind == wire.RECEIPT:
            sender.receipt_at = self.world.now
        elif frame.kind == wire.FAIL:
            fail = Fail(frame.value, frame.reason, bool(frame.flags & 1))
            if who is None:
                sender.failed = frame.reason
            else:
                sender.barred.setdefault(who, fail)
                if not owner.hub.is_relay:
                    sender.fail_all = sender.fail_all or fail
                    sender.failed = frame.reason

    def _reader_took(self, reader: Inc, owner: Inc, frame: wire.Data | wire.Control) -> None:
        sender = self._session(owner, frame.session)
        if isinstance(frame, wire.Data):
            if sender.reliable:
                self.delivery.reader_takes(sender, reader, frame)
            else:
                self.delivery.lossy_arrives(sender, reader, frame)
        elif frame.kind == wire.FAIL:
            hop = self.flow.hop(sender, reader)
            hop.end_code = frame.reason if hop.end_code is None else hop.end_code
            fail = sender.own.setdefault(reader, Fail(frame.value, frame.reason, bool(frame.flags & 1)))
            self.delivery.settle_unread(sender, reader, fail)
        elif frame.kind == wire.CLOSE:
            hop = self.flow.hop(sender, reader)
            hop.end_code = frame.reason if hop.end_code is None else hop.end_code
