# SPDX-License-Identifier: Apache-2.0
"""The judge: is told of every command, result, event, packet and read, and hands each to the oracle concerned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.event_judge import EventJudge
from simulator.records import Inc, Message, Receiver, Sender, Violation

if TYPE_CHECKING:
    from simulator.network import Node

_LOOK_EVERY = 4


class Judge(EventJudge):
    """Sees a call from outside. Raises `Violation`."""

    # --- commands ------------------------------------------------------------------------------------------------

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
        sender.bitrate, sender.opened_at = options["bitrate"] or 0, self.world.clock(node)
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
        elif message.outcome is None and not message.finished:
            raise Violation("CC-SESS-066", f"{message} takes no bytes: {error!r}")

    def finished_stream(self, node: Node, handle: int, sequence: int, error: Exception | None) -> None:
        """A stream was finished."""
        assert node.inc is not None
        message = node.inc.senders[handle].messages[sequence]
        if error is not None and message.outcome is None and not message.finished:
            raise Violation("CC-SESS-066", f"{message} can't be finished: {error!r}")
        message.finished = message.finished or error is None

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

    # --- after each step -----------------------------------------------------------------------------------------

    def quiescent(self) -> None:
        """Nothing is pending, everything is read: what was due has been written."""
        if self.world.hub_record.is_relay and self.world.hub.alive:
            lives = [inc for inc, node in self.nodes.items() if node.alive and not (inc.ended or inc.leaving)]
            here = {inc.slot for inc in lives if inc.present and inc.hub is self.world.hub_record}
            self.flow.relay_at_rest(self.world.hub, here)
        for inc, node in self.nodes.items():
            if inc.ended or not node.alive or inc.hub.dead or not inc.present:
                continue
            self.flow.at_rest(node, inc)
            for sender in inc.senders.values():
                if sender.would_block and not (sender.closed or sender.ended or sender.failed is not None):
                    raise Violation("CC-DELIV-066", f"{sender} was never told that it is writable again")
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
        """What can be seen at any time: memory, what is overdue."""
        self._looks += 1
        if not self._looks % _LOOK_EVERY:
            self.look_now()

    def look_now(self) -> None:
        """The same, at once."""
        for node in self.world.nodes:
            if node.alive:
                self.flow.look(node)
                if node.inc is not None and not node.troubled and node.frozen_until < 0:
                    self.verdicts.overdue(node.inc, self.world.clock(node))
        hub = self.world.hub
        if self.world.hub_record.is_relay and hub.alive:
            self.flow.look_relay(hub)
            for inc in self.world.hub_record.members():
                link = inc.link
                cable = link.carrier
                # Its newest transport may not be in use yet: a relay writes on the one that it has answered.
                if hub.troubled or cable is None or cable.let_go[1] or cable.troubled or cable.rate:
                    continue
                for sender in inc.senders.values():
                    self.flow.stalled(sender, self.world.clock(hub), link.carried_since)
