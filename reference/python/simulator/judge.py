# SPDX-License-Identifier: Apache-2.0
"""The judge: is told of every command, result, event, packet and read, and hands each to the oracle concerned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from simulator import wire
from simulator.codes import (
    ALLOWED_BYES,
    DEADLINE,
    FAULTS,
    IDLE,
    LEFT,
    LINK_LOST,
    LOST,
    MEMORY,
    NOT_ADMITTED,
    RESUME_STALE,
    RESUME_UNKNOWN,
    TOO_LARGE,
)
from simulator.delivery import Delivery
from simulator.flow import Flow
from simulator.links import LinkRecord, Links
from simulator.records import Fail, Inc, Message, Receiver, Sender, Violation
from simulator.roster import Rosters
from simulator.verdicts import Verdicts

if TYPE_CHECKING:
    from callchannel.core.lanes import Lane
    from simulator.network import Cable, Node
    from simulator.world import World

_POLICY_CHANNEL = 13
_LOOK_EVERY = 4


class Judge:
    """Sees a call from outside. Raises `Violation`."""

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
        self.coverage: Any = None
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

    def before_up(self, cable: Cable, end: int) -> None:
        """A transport comes up at one end."""
        if self.coverage is not None:
            self.coverage.up(cable, end)

    def let_go(self, cable: Cable, end: int, *, down: bool = False) -> None:
        """An end does not use a transport any more; `down`: because it was told that it is gone."""
        if self.coverage is not None:
            self.coverage.let_go(cable, end, down=down)

    def leaving(self, node: Node) -> None:
        """An application leaves."""
        assert node.inc is not None
        node.inc.leaving = True
        for sender in node.inc.senders.values():
            sender.closed = True

    # --- packets -------------------------------------------------------------------------------------------------

    def wrote(self, cable: Cable, end: int, lane: Lane, frames: list[wire.Frame]) -> None:
        """A packet was pulled."""
        inc = cable.ends[0].inc
        assert inc is not None
        link: LinkRecord = inc.link
        if self.coverage is not None:
            self.coverage.wrote(link, end, frames)
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
        if self.coverage is not None:
            self.coverage.arrives(link, cable, end, frames)
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
        if end and frame.reason == RESUME_UNKNOWN and inc.present and hello is not None and hello.token == link.token:
            if inc.hub is self.world.hub_record:
                raise Violation("CC-LINK-018", f"the relay does not know the living link of {inc}")
        if end and frame.reason == RESUME_STALE and hello is not None and hello.attempt > link.taken:
            raise Violation("CC-LINK-017", f"attempt {hello.attempt} of {inc} is called stale after {link.taken}")

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
                self.rosters.roster_written(hub, inc, frame)
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
        if covered > max(sender.receipts.get(who, 0), sender.receipts.get(None, 0)):
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
        if passed_on and fail.value > own.value:
            raise Violation("CC-RELAY-051", f"FAIL {fail.value} for {who} in {sender}, it said {own.value}")  # type: ignore[union-attr]

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
                if isinstance(frame, wire.Data) and frame.flags & wire.RELIABLE:
                    self.delivery.reader_takes(self._session(writer, frame.session), reader, frame)
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
        if not frame.index and not frame.abort:
            refusal = None
            if owner.hub.is_relay:
                if owner.hub.stopping:
                    refusal = "GOING_AWAY"
                elif owner.muted or sender.channel == _POLICY_CHANNEL:
                    refusal = "POLICY"
            absent, refusals = len(sender.absent), len(sender.refusals)
            self.delivery.admitted(owner.hub, sender, frame, link.received[side], refusal=refusal)
            owed = link.obligations[side]
            for count, who, _ in sender.absent[absent:]:
                owed.append((count, lambda who=who: self._lacks_fail(sender, who)))
            for count, sequence in sender.refusals[refusals:]:
                owed.append((count, lambda sequence=sequence: self._lacks_refuse(sender, sequence)))
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
        elif frame.kind == wire.FAIL:
            sender.known.setdefault(reader, sender.own[reader])

    def _owner_took(self, owner: Inc, who: Inc | None, frame: wire.Data | wire.Control) -> None:
        assert isinstance(frame, wire.Control)
        sender = self._session(owner, frame.session)
        if frame.kind == wire.CREDIT:
            sender.limit = max(sender.limit, frame.value)
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
        elif frame.kind == wire.FAIL:
            hop = self.flow.hop(sender, reader)
            hop.end_code = frame.reason if hop.end_code is None else hop.end_code
            fail = sender.own.setdefault(reader, Fail(frame.value, frame.reason, bool(frame.flags & 1)))
            self.delivery.settle_unread(sender, reader, fail)
        elif frame.kind == wire.CLOSE:
            hop = self.flow.hop(sender, reader)
            hop.end_code = frame.reason if hop.end_code is None else hop.end_code

    # --- commands ------------------------------------------------------------------------------------------------

    def command(self, node: Node, name: str, arguments: tuple[Any, ...], error: Exception | None) -> None:
        """An application has called a command; its result was not looked at yet."""
        if self.coverage is not None:
            self.coverage.command(node, name, arguments, error)

    def opened(self, node: Node, options: dict[str, Any], handle: int | None, error: Exception | None) -> None:
        """It has, or was told why not."""
        inc = node.inc
        assert inc is not None
        if error is not None:
            name = type(error).__name__
            fits = (name == "NotJoined" and (not inc.told_joined or inc.leaving)) or (name == "LinkLost" and inc.ended)
            if not fits:
                raise Violation("CC-SESS-001", f"{inc} can't open a sender: {error!r}")
            return
        assert handle is not None
        info = node.machine.sender_info(handle)
        channel = options["channel"]
        taken = {sender.channel for sender in inc.senders.values() if not sender.ended}
        if channel:
            for sender in inc.senders.values():
                if sender.channel == channel and not sender.ended:
                    sender.closed = True
                    node.streams = [item for item in node.streams if item[0] != sender.handle]
        else:
            channel = next(number for number in range(1, 65_536) if number not in taken)
        if info.channel != channel:
            raise Violation("CC-SESS-002", f"{inc} got channel {info.channel}, {channel} is free")
        sender = Sender(
            inc,
            handle,
            reliable=options["reliability"].value == "reliable",
            delivered=options["confirm"].value == "delivered",
            latest=options["latest"],
            channel=channel,
        )
        sender.high = options["priority"].value == "high"
        inc.senders[handle] = sender

    def before_send(self, node: Node, sender: Sender, options: dict[str, Any]) -> tuple[str, frozenset[Inc], list[str]]:
        """An application sends: whom it means by the roster that it knows."""
        assert node.inc is not None
        if "to" not in options and "exclude" not in options:
            target = node.machine.sender_info(sender.handle).target
            options = {"to": target.to, "exclude": target.exclude}
        return self.rosters.meant(node.inc, options)

    def sent(
        self,
        node: Node,
        sender: Sender,
        data: bytes,
        sequence: int | None,
        error: Exception | None,
        meant: tuple[str, frozenset[Inc], list[str]],
    ) -> None:
        """A message has its number, or its send raised."""
        how, chosen, names = meant
        if error is not None:
            self._send_raised(node, sender, error, meant)
            return
        assert sequence is not None
        if not sequence and not sender.reliable:
            return
        if sender.closed or (sender.failed is not None and sender.reliable):
            raise Violation("CC-SESS-025", f"{sender} takes a message, although it is closed or failed")
        if sequence != sender.last + 1:
            raise Violation("CC-SESS-012", f"{sender} gives {sequence} after {sender.last}")
        if how == "to" and names and sender.reliable:
            raise Violation("CC-ROSTER-039", f"{sender} takes a message to {names}, who are not there")
        sender.last = sequence
        message = Message(sender, sequence, data, (how, chosen))
        message.names = names if how == "but" else []
        message.dead = not sender.reliable and node.machine.state.value != "ACTIVE"
        sender.messages[sequence] = message
        self.world.counts["messages"] += 1

    def _send_raised(
        self, node: Node, sender: Sender, error: Exception, meant: tuple[str, frozenset[Inc], list[str]]
    ) -> None:
        name, inc = type(error).__name__, sender.inc
        how, chosen, names = meant
        failed = [other for other in chosen if other in sender.barred]
        fits = {
            "SenderClosed": sender.closed,
            "LinkLost": inc.ended,
            "SessionFailed": sender.failed is not None,
            "WouldBlock": sender.reliable,
            "MessageTooLarge": True,
            "RecipientsUnavailable": sender.reliable and (bool(failed) if how != "to" else bool(names or failed)),
            "TooManyRecipients": not sender.reliable,
        }
        if not fits.get(name, False):
            raise Violation("CC-ERR-020", f"{sender} raises {error!r}")
        if name == "WouldBlock":
            sender.would_block = True
        if name == "RecipientsUnavailable" and how == "to":
            told = sorted(error.names)  # type: ignore[attr-defined]
            right = sorted({*names} | {other.identity for other in failed}) if names or failed else []
            if sorted(set(told)) != right:
                raise Violation("CC-DELIV-028", f"{sender} raises for {told}, it has to be {right}")

    def opened_stream(
        self,
        node: Node,
        sender: Sender,
        sequence: int | None,
        error: Exception | None,
        meant: tuple[str, frozenset[Inc], list[str]],
    ) -> bool:
        """A stream has its number, or its opening raised."""
        if error is not None and type(error).__name__ == "InvalidArgument" and not sender.reliable:
            return False
        self.sent(node, sender, b"", sequence, error, meant)
        if error is not None:
            return False
        assert sequence is not None
        sender.messages[sequence].is_stream = True
        return sender.messages[sequence].outcome is None

    def wrote_stream(self, node: Node, handle: int, sequence: int, chunk: bytes, error: Exception | None) -> None:
        """Bytes were given to a stream."""
        assert node.inc is not None
        message = node.inc.senders[handle].messages[sequence]
        if error is None:
            if message.outcome is not None and message.begun:
                raise Violation("CC-SESS-066", f"{message} takes bytes after it was {message.outcome}")
            message.data += chunk
        elif type(error).__name__ == "WouldBlock":
            message.sender.would_block = True
        elif message.outcome is None:
            raise Violation("CC-SESS-066", f"{message} takes no bytes: {error!r}")

    def finished_stream(self, node: Node, handle: int, sequence: int, error: Exception | None) -> None:
        """A stream was finished."""
        assert node.inc is not None
        message = node.inc.senders[handle].messages[sequence]
        message.finished = error is None
        if error is not None and message.outcome is None:
            raise Violation("CC-SESS-066", f"{message} can't be finished: {error!r}")

    def cancelled(self, node: Node, sender: Sender, sequence: int, answer: Any, error: Exception | None) -> None:
        """A message was taken back."""
        if error is not None:
            raise Violation("CC-DELIV-037", f"cancel of {sequence} of {sender} raises {error!r}")
        if sequence in sender.messages:
            message = sender.messages[sequence]
            if not sender.reliable and answer.outcome.value == "settled":
                return
            self.verdicts.taken_back(sender, sequence, answer.outcome.value, answer.report)
            if message.is_stream and answer.outcome.value != "settled":
                node.streams = [item for item in node.streams if item != (sender.handle, sequence)]

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, node: Node, receiver: Receiver, message: Any) -> None:
        """An application was given a message."""
        assert node.inc is not None
        self.world.counts["reads"] += 1
        self.delivery.reads(node.inc, receiver, message, self.world.now)

    def chunk(self, node: Node, receiver: Receiver, chunk: Any) -> None:
        """An application was given bytes of a stream."""
        assert node.inc is not None
        self.delivery.reads_chunk(node.inc, receiver, chunk, self.world.now)

    def read_raised(self, node: Node, receiver: Receiver, error: Exception) -> None:
        """Reading raised: the receiver is closed, or a stream was given up."""
        name = type(error).__name__
        if name == "StreamAborted":
            stream = receiver.stream
            receiver.stream = None
            if stream is None:
                raise Violation("CC-FRAG-028", f"{node.inc} is told ABORTED without a stream")
        elif name != "ReceiverClosed" or not receiver.closed:
            raise Violation("CC-SESS-031", f"reading raises {error!r}")

    def closing_receiver(self, node: Node, receiver: Receiver) -> None:
        """An application closes a receiver."""
        receiver.closed = True
        receiver.sender.abandoned.add(receiver.inc)

    # --- events --------------------------------------------------------------------------------------------------

    def event(self, node: Node, event: Any) -> None:
        """A machine has told something."""
        name = type(event).__name__
        if self.coverage is not None:
            self.coverage.event(self.world.hub_record, node, name, event)
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
        acked = gone.link.covered[1]
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
        self.verdicts.confirmed(self._sender(node, event), event.sequence, event.report)

    def _on_MessageFailed(self, node: Node, event: Any) -> None:
        sender = self._sender(node, event)
        self.verdicts.failed(sender, event, self.world.clock(node))
        if any(code == DEADLINE for _, code in event.report.unknown):
            self._receipts_are_late(node, sender.messages[event.sequence])

    def _receipts_are_late(self, node: Node, message: Message) -> None:
        """Unknown for want of a receipt, although all have read it long ago, and nothing was in the way."""
        hub = message.sender.inc.hub
        if not hub.is_relay or hub is not self.world.hub_record or self.world.hub.troubled or message.admitted is None:
            return
        sender = message.sender
        readers = [inc for inc in message.admitted if inc not in sender.told and inc not in sender.known]
        involved = [node, *(self.nodes[inc] for inc in readers)]
        calm = all(
            other.alive
            and not other.troubled
            and other.cable is not None
            and not other.cable.troubled
            and not other.cable.rate
            for other in involved
        )
        long_ago = self.world.now - 1_500_000
        before = [m for m in sender.messages.values() if m.sequence <= message.sequence and m.admitted]
        read = all(
            m.read_by.get(inc, self.world.now) < long_ago for m in before for inc in readers if inc in m.admitted
        )
        others = any(
            inc not in readers and inc.present and inc not in sender.told for m in before for inc in m.admitted
        )
        if readers and calm and read and not others:
            raise Violation("CC-RELAY-068", f"{message} is unknown, although everyone has read it")

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

    # --- after each step -----------------------------------------------------------------------------------------

    def quiescent(self) -> None:
        """Nothing is pending, everything is read: what was due has been written."""
        for inc, node in self.nodes.items():
            if inc.ended or not node.alive or inc.hub.dead or not inc.present:
                continue
            for sender in inc.senders.values():
                for gone, value in sender.must_fail.items():
                    if not sender.ended:
                        raise Violation("CC-RELAY-046", f"{sender} was never told that {gone} failed from {value} on")
                for reader, hop in sender.hops.items():
                    lives = not reader.ended and self.nodes[reader].alive and reader.present
                    over = sender.ended or sender.closed or sender.failed is not None or hop.end_code is not None
                    if sender.reliable and lives and not over and not hop.partial and not hop.unread:
                        if reader not in sender.own and reader not in sender.known and not self.nodes[reader].troubled:
                            self.flow.credit_is_written(sender, reader)

    def look(self) -> None:
        """What can be seen at any time: memory."""
        self._looks += 1
        if not self._looks % _LOOK_EVERY:
            self.look_now()

    def look_now(self) -> None:
        """The same, at once."""
        for node in self.world.nodes:
            if node.alive:
                self.flow.look(node)
        hub = self.world.hub
        if self.world.hub_record.is_relay and hub.alive:
            self.flow.look_relay(hub)
            for inc in self.world.hub_record.members():
                cable = self.nodes[inc].cable
                if hub.troubled or cable is None or cable.troubled or cable.rate:
                    continue
                for sender in inc.senders.values():
                    self.flow.stalled(sender, self.world.clock(hub))
