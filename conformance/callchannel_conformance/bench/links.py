# SPDX-License-Identifier: Apache-2.0
"""Far sides that know the handshake: `Acceptor` towards an endpoint that initiates, `Initiator` towards an acceptor.

`group`, `called`, `calling` and `member` make the usual situations in one call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Far, Frame
from callchannel_conformance.bench.machine import Bench, Machine
from callchannel_conformance.outcome import Violation, expect, expect_equal

MEMBERS: Final[Mapping[int, str]] = {0: "ann", 1: "bob", 2: "me", 3: "dan"}
"""The usual group call: the endpoint under test is `me` in slot 2."""

EPOCH: Final = 4


class Acceptor(Far):
    """Plays the relay, or the accepting peer, towards an endpoint under test."""

    def __init__(self, bench: Bench, machine: Machine) -> None:
        super().__init__(bench, machine, "acceptor" if machine.kind == "peer" else "relay")
        self.welcome_fields: dict[str, Any] = {}

    def receive_hello(self, *, resume: bool = False) -> Frame:
        """The HELLO that the machine wrote on the current transport."""
        requirement = "CC-LINK-011" if resume else "CC-LINK-007"
        hello = self.one(requirement, "HELLO", resume=resume)
        self.attempt = hello["attempt"]
        self.hello = hello
        return hello

    def answer(self, *, deliver_snapshot: bool = True, received: int = 0, **fields: Any) -> None:
        """Write WELCOME, and the snapshot on a fresh link."""
        self.welcome_fields |= fields
        known: dict[str, Any] = {
            "slot": self.peer_slot,
            "identity": self.members[self.peer_slot or 0],
            "token": self.token,
            **self.welcome_fields,
        }
        self.monitor.sessions.window = known.get("window", f.WINDOW)
        self.active = True
        self.welcome = f.welcome(attempt=self.attempt, received=received, **known)
        self.write(self.welcome)
        if deliver_snapshot:
            self.snapshot()

    def snapshot(self) -> None:
        """Write the roster."""
        joins = [f.join(slot, identity) for slot, identity in sorted(self.members.items())]
        self.write(f.roster(self.epoch, *joins, snapshot=True))

    def join(self, members: Mapping[int, str] = MEMBERS, slot: int = 2, epoch: int = EPOCH, **fields: Any) -> None:
        """Let the endpoint join a call with these members, in this slot."""
        lossy = fields.pop("lossy", True)
        self.members = dict(members)
        self.peer_slot = slot
        self.epoch = epoch
        self.connect(lossy=lossy)
        self.receive_hello()
        self.answer(**fields)
        self.take()
        joined = self.machine.take("joined")
        expect(joined, "CC-LINK-064", "joining is complete with the snapshot", actual=self.machine.events)

    def resume(self, *, received: int | None = None, lossy: bool = True, repeat: bool = True) -> Frame:
        """Let the endpoint resume on a new transport. Returns its HELLO. *received*: the count to tell it."""
        self.connect(lossy=lossy)
        hello = self.receive_hello(resume=True)
        self.take_up(hello, received=received, repeat=repeat)
        return hello

    def take_up(self, hello: Frame, *, received: int | None = None, repeat: bool = True) -> None:
        """Answer the HELLO of a resume, and retransmit what it does not cover."""
        count = self.counted_in if received is None else received
        self.told = max(self.told, count)
        self.monitor.resumed_at(count)
        self.answer(deliver_snapshot=False, received=count)
        if repeat:
            for raw in self.written[hello["received"] :]:
                self.write_bytes(raw)

    def change(self, *entries: Frame) -> None:
        """Write a change of the roster."""
        for entry in entries:
            if entry["op"] == "JOIN":
                self.members[entry["slot"]] = entry["id"]
                self.epoch += 1
                self.monitor.sessions.forget_slot(entry["slot"])
            elif entry["op"] == "LEAVE":
                self.members.pop(entry["slot"], None)
                self.epoch += 1
        self.write(f.roster(self.epoch, *entries))


class Initiator(Far):
    """Plays an endpoint towards a relay under test, or the initiating peer towards an accepting one."""

    def __init__(self, bench: Bench, machine: Machine, identity: str = "ann") -> None:
        super().__init__(bench, machine, "initiator")
        self.identity = identity
        self.instance = identity.encode().ljust(16, b"\xa5")[:16]
        self.hello_fields: dict[str, Any] = {}
        self.auto_ack = True

    def say_hello(self, **fields: Any) -> Frame:
        """Write a fresh HELLO on the current transport."""
        self.hello_fields |= fields
        self.attempt += 1
        known: dict[str, Any] = {"token": self.instance, "identity": self.identity, **self.hello_fields}
        self.monitor.sessions.window = known.get("window", f.WINDOW)
        hello = f.hello(attempt=self.attempt, **known)
        self.write(hello)
        return hello

    def join(self, *, may_send: bool = True, admitted: str | None = None, lossy: bool = True, **fields: Any) -> None:
        """Join: transport, HELLO, WELCOME, snapshot."""
        admission: Any = ...
        if self.machine.kind == "relay":
            admission = {"identity": admitted or self.identity, "may_send": may_send}
        self.admission = admission
        self.connect(lossy=lossy, admission=admission)
        self.say_hello(**fields)
        self.joined()

    def joined(self) -> None:
        """WELCOME and the snapshot have come."""
        came = self.take()
        kinds = [frame["type"] for frame in came]
        if not kinds or kinds[0] != "WELCOME":
            raise Violation("CC-LINK-022", "HELLO has to be answered with WELCOME", expected="WELCOME", actual=came)
        welcome = came[0]
        self.own_slot = welcome["slot"]
        self.token = bytes.fromhex(welcome["token"])
        if self.machine.kind == "peer":
            self.peer_slot = 0
        expect("ROSTER" in kinds, "CC-ROSTER-016", "the snapshot has to follow WELCOME", actual=came)
        self.epoch = self.monitor.rosters.epoch
        self.members = dict(self.monitor.rosters.members)

    def resume(self, *, received: int | None = None, lossy: bool = True, repeat: bool = True, **fields: Any) -> Frame:
        """Resume on a new transport and return the WELCOME. *received*: the count to tell the machine."""
        if self.machine.kind == "relay":
            self.connect(lossy=lossy, admission=self.admission)
        else:
            self.connect(lossy=lossy)
        self.attempt += 1
        count = self.counted_in if received is None else received
        known: dict[str, Any] = {"token": self.token, "identity": self.identity, **self.hello_fields, **fields}
        known.pop("replace", None)
        self.told = max(self.told, count)
        self.monitor.resumed_at(count)
        before = len(self.seen)
        self.write(f.hello(attempt=self.attempt, received=count, resume=True, **known))
        # What was not taken before may hold the WELCOME of an earlier transport.
        answer = [seen.frame for seen in self.seen[before:] if seen.transport == self.transport]
        welcome = answer[0] if answer else None
        if welcome is None or welcome["type"] != "WELCOME":
            raise Violation("CC-LINK-022", "HELLO has to be answered with WELCOME", expected="WELCOME", actual=answer)
        if repeat:
            for raw in self.written[welcome["received"] :]:
                self.write_bytes(raw)
        return welcome


def group(bench: Bench, machine: Machine | None = None, **options: Any) -> Acceptor:
    """An endpoint under test that has joined a group call, and the scripted relay of it."""
    far = Acceptor(bench, machine or bench.endpoint())
    far.join(**options)
    return far


def called(bench: Bench, machine: Machine | None = None, **options: Any) -> Initiator:
    """An accepting peer under test that was called by `ann`."""
    far = Initiator(bench, machine or bench.peer("acceptor", peer_identity="ann"), "ann")
    far.join(**options)
    return far


def calling(bench: Bench, machine: Machine | None = None, **options: Any) -> Acceptor:
    """An initiating peer under test that has called `bob`."""
    far = Acceptor(bench, machine or bench.peer("initiator"))
    far.join(members={0: "bob", 1: "me"}, slot=1, epoch=1, **options)
    return far


def member(relay: Machine, identity: str, **options: Any) -> Initiator:
    """A scripted endpoint that has joined the relay under test."""
    far = Initiator(relay.bench, relay, identity)
    far.join(**options)
    return far


def settle(*fars: Far) -> None:
    """Let far sides acknowledge until nothing new comes."""
    for _ in range(20):
        waiting = [far for far in fars if far.active and far.transport is not None and far.told < far.counted_in]
        if not waiting:
            return
        for far in waiting:
            far.ack()
    expect_equal(False, True, "CC-LINK-036", "acknowledgements never come to an end")
