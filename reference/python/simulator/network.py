# SPDX-License-Identifier: Apache-2.0
"""Transports between machines in virtual time: latency, rate, cuts, silence, and fates of single packets."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

from simulator.records import Inc, Receiver

HIGH_WATER = 65_536
LOW_WATER = 32_768


class Node:
    """A machine, and the process around it."""

    def __init__(self, name: str, machine: Any, *, is_hub: bool) -> None:
        self.name = name
        self.machine = machine
        self.is_hub = is_hub
        self.alive = True
        self.offset = 0
        """Its clock is so much ahead (microseconds)."""
        self.frozen_until = -1
        self.inbox: list[Callable[[], None]] = []
        self.timer_at: int | None = None
        self.inc: Inc | None = None
        self.paused = False
        self.place = 0
        """Which of the plan's endpoints it is: its latency, rate and fates."""
        self.cable: Cable | None = None
        """An endpoint's newest transport."""
        self.readable: dict[Receiver, None] = {}
        self.streams: list[tuple[int, int]] = []
        """Open streams of this application: sender, sequence."""
        self.past_streams: list[tuple[int, int]] = []
        """All that it ever opened."""
        self.seed = 0
        self.troubled = False
        """Whether its process ever stood still, or its clock jumped."""
        self.eager = False
        """Whether its application sends as soon as it has joined."""


class Cable:
    """One transport. End 0 is the link's initiator, end 1 its acceptor; direction d is from end d."""

    __slots__ = (
        "blocked",
        "dead",
        "ends",
        "fates",
        "free_at",
        "held",
        "last_arrival",
        "latency",
        "let_go",
        "lossy",
        "lossy_passes",
        "number",
        "open",
        "rate",
        "timer",
        "troubled",
        "up_told",
    )

    def __init__(self, number: int, ends: tuple[Node, Node], latency: int, rate: int, fates: Iterator[Any]) -> None:
        self.number = number
        self.ends = ends
        self.latency = latency
        self.rate = rate
        self.fates = fates
        self.open = [True, True]
        """Whether what is on its way to an end arrives there: until the end is told that it is down."""
        self.let_go = [False, False]
        """Whether an end's machine has asked to close it, or was told that it is down."""
        self.up_told = [False, False]
        self.lossy = [True, True]
        self.held: list[list[Callable[[], None]] | None] = [None, None]
        """What waits in a direction that is silent."""
        self.lossy_passes = False
        """Whether packets of the lossy lane pass all the same."""
        self.blocked = False
        self.dead = False
        """Whether nothing passes any more, ever."""
        self.free_at = [0, 0]
        self.last_arrival = [0, 0]
        self.timer = [False, False]
        self.troubled = False
        """Whether anything ever went wrong with it."""


class Network:
    """The order of events. Times are microseconds."""

    def __init__(self) -> None:
        self.now = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = 0

    def at(self, when: int, what: Callable[[], None]) -> None:
        """Do something at a time; what was asked for first goes first."""
        self._serial += 1
        heapq.heappush(self._events, (max(when, self.now), self._serial, what))

    def next_time(self) -> int | None:
        """When something happens next."""
        return self._events[0][0] if self._events else None

    def step(self) -> None:
        """Do what is next."""
        when, _, what = heapq.heappop(self._events)
        self.now = when
        what()

    def deliver(self, cable: Cable, direction: int, what: Callable[[], None], *, ordered: bool, delay: int = 0) -> None:
        """Let something arrive at the other end."""
        when = max(self.now, cable.free_at[direction]) + cable.latency + delay
        if ordered:
            when = cable.last_arrival[direction] = max(when, cable.last_arrival[direction])

        def arrive() -> None:
            if cable.dead:
                return
            held = cable.held[direction]
            if held is None:
                what()
            elif ordered:
                held.append(what)
            elif cable.lossy_passes:
                what()

        self.at(when, arrive)

    def room(self, cable: Cable, direction: int) -> int:
        """How many bytes an end may write now."""
        if not cable.rate:
            return HIGH_WATER
        waiting = max(0, cable.free_at[direction] - self.now) * cable.rate // 1_000
        return HIGH_WATER - waiting

    def spend(self, cable: Cable, direction: int, size: int) -> None:
        """An end has written so many bytes."""
        if cable.rate:
            cable.free_at[direction] = max(self.now, cable.free_at[direction]) + size * 1_000 // cable.rate

    def release(self, cable: Cable) -> None:
        """What was silent speaks again; what was on its way arrives in order."""
        if cable.dead:
            return
        for direction in (0, 1):
            held, cable.held[direction] = cable.held[direction], None
            for what in held or ():
                what()  # before whatever is still on its way
