# SPDX-License-Identifier: Apache-2.0
"""Connects a sans-IO machine, an `Endpoint` or a `Relay`, to transports and an asyncio loop.

What changes the machine (a packet, a command, a timer) only *schedules* a turn. A turn hands out
events, lets the machine write what is due into the transports that have room, and sets one timer.
There is at most one turn in an iteration of the loop, so messages that are sent together leave
together, in one packet. What a packet brings is told at once, and has a turn only where there is
something to write: an answer so comes an iteration earlier.

The buffer of a transport is kept low on purpose: what waits in the machine can still be
overtaken, replaced or taken back; what waits in a transport can not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from callchannel.aio.transport import HIGH_WATER, Transport
from callchannel.core.events import InternalError
from callchannel.core.lanes import Lane

TIMER_GRAIN: Final = 1_000
"""Microseconds. The timers of event loops are about this exact; a shorter wait would only spin."""

_LANES: Final = (Lane.RELIABLE, Lane.LOSSY)
"""In the order of writing: a new sender's roster entry goes before its Lossy data."""

EventT = TypeVar("EventT")


class Machine(Protocol[EventT]):
    """The driver's view of an `Endpoint` or a `Relay`. Times are microseconds of `Driver.now`."""

    @property
    def transport_up(self) -> Callable[..., None]:
        """`(transport, now, lossy=True, …)`: a transport can carry packets."""

    def transport_down(self, transport: int, now: int) -> None:
        """A transport is gone."""

    def lossy_lane(self, transport: int, is_open: bool, now: int) -> None:
        """The lossy lane of a transport, at this end, has opened or closed."""

    def receive(self, transport: int, lane: Lane, packet: bytes, now: int) -> None:
        """A packet arrived."""

    def handle_timeout(self, now: int) -> None:
        """The deadline has passed."""

    def deadline(self) -> int | None:
        """When `handle_timeout` is to be called."""

    @property
    def is_dirty(self) -> bool:
        """Whether `take_dirty` or `take_closing` has something."""

    def pull(self, transport: int, lane: Lane, budget: int, now: int) -> list[bytes]:
        """Packets to send, until `budget` bytes are reached; none: nothing is due."""

    def take_dirty(self) -> list[int]:
        """Transports for which `pull` may have something."""

    def take_closing(self) -> list[int]:
        """Transports to drain and close."""

    def events(self) -> list[EventT]:
        """What happened, in order."""


class Driver:
    """Drives one machine. Make it in a running loop.

    After every command to the machine call `wake`. `on_event` is called from the loop with one
    event at a time; it may give commands. What it raises goes to the loop's exception handler and
    nowhere else. `on_transport(number, is_up)`, where given, is called when a transport has come up
    and when it is gone, whoever ended it; not when the driver itself is closed.
    """

    def __init__(
        self,
        machine: Machine[EventT],
        on_event: Callable[[EventT], object],
        on_transport: Callable[[int, bool], object] | None = None,
    ) -> None:
        self._machine: Machine[Any] = machine
        self._on_event: Callable[[Any], object] = on_event
        self._on_transport = on_transport
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._attached: dict[int, _Attachment] = {}
        self._closings: set[asyncio.Task[None]] = set()
        self._last_id = 0
        self._now = 0
        self._ready: set[int] = set()
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._again = False
        self._closed = False

    # --- time -------------------------------------------------------------------------------------

    def now(self) -> int:
        """The loop's clock in microseconds; it never goes back."""
        now = int(self._clock() * 1_000_000)
        if now > self._now:  # noqa: PLR1730 - asked for several times for each message
            self._now = now
        return self._now

    # --- transports -------------------------------------------------------------------------------

    def attach(self, transport: Transport, **options: Any) -> int:
        """Carry the machine's packets over `transport`, from when it is up; returns its number.

        `options` go to the machine's `transport_up`: a relay takes `admission`.
        """
        if self._closed:
            raise RuntimeError("the driver is closed")
        self._last_id += 1
        attachment = _Attachment(self, self._last_id, transport, options)
        self._attached[self._last_id] = attachment
        closing = self._loop.create_task(transport.wait_closed())
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)
        transport.attach(attachment)
        return self._last_id

    def detach(self, number: int) -> None:
        """Take a transport from the machine, as if it had gone down, and close it."""
        attachment = self._attached.get(number)
        if attachment is not None:
            self._lose(attachment)
            attachment.transport.close()

    @property
    def transports(self) -> tuple[int, ...]:
        """The numbers of the transports that the machine is using or waiting for."""
        return tuple(self._attached)

    def is_up(self, number: int) -> bool:
        """Whether a transport carries packets."""
        attachment = self._attached.get(number)
        return attachment is not None and attachment.is_up

    # --- turns ------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have a turn soon. Call it after every command to the machine."""
        if self._turn is None:
            self._turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        try:
            self._hand_out_events()
            if self._closed:
                return
            self._pump()
        finally:
            self._turn = None
        if self._again:
            self.wake()
        # Pulling may have made a sender writable. Who sends on being told so has the next turn.
        self._hand_out_events()
        self._set_timer()

    def _received(self) -> None:
        """A packet was taken: tell what happened. A turn that is scheduled sees to that and to the timer."""
        if self._turn is None:
            if self._machine.is_dirty:
                self.wake()  # before anybody hears of it: whoever does something soon then does it behind the turn
            self._hand_out_events()
            if self._turn is None:
                self._set_timer()

    def _hand_out_events(self) -> None:
        for event in self._machine.events():
            if isinstance(event, InternalError):
                self._report("a bug of this library ended a link with INTERNAL", event.error)
            try:
                self._on_event(event)
            except Exception as exc:
                self._report("an event callback raised", exc)

    def _pump(self) -> None:
        ready = self._ready
        ready.update(self._machine.take_dirty())
        self._ready = set()
        for number in sorted(ready):
            attachment = self._attached.get(number)
            if attachment is not None and attachment.is_up:
                try:
                    self._fill(attachment)
                except Exception as exc:
                    self._machine_failed(attachment, exc)
        for number in self._machine.take_closing():
            attachment = self._attached.pop(number, None)
            if attachment is not None:
                self._send_last_words(attachment)
                attachment.is_up = False
                attachment.transport.close()
                self._tell_transport(number, False)
        # Pulling may have made more to write; that goes into the next turn, so that others have theirs.
        self._ready.update(self._machine.take_dirty())
        self._again = bool(self._ready)

    def _tell_transport(self, number: int, is_up: bool) -> None:
        if self._on_transport is not None:
            try:
                self._on_transport(number, is_up)
            except Exception as exc:
                self._report("a transport callback raised", exc)

    def _fill(self, attachment: _Attachment) -> None:
        """Send what is due, lane by lane, up to the high water; `writable` then goes on."""
        transport = attachment.transport
        for lane in _LANES:
            if lane is Lane.LOSSY and not transport.lossy_open:
                continue
            while (room := HIGH_WATER - transport.buffered(lane)) > 0:
                for packet in self._machine.pull(attachment.number, lane, room, self.now()):
                    transport.send(lane, packet)
                    room -= len(packet)
                if room > 0:
                    break  # that was all

    def _send_last_words(self, attachment: _Attachment) -> None:
        """What a machine still has for a transport that it lets go, BYE as a rule, however full the buffer is."""
        if not attachment.is_up:
            return
        try:
            for packet in self._machine.pull(attachment.number, Lane.RELIABLE, HIGH_WATER, self.now()):
                attachment.transport.send(Lane.RELIABLE, packet)
        except Exception as exc:
            self._report("the machine raised; this is a bug", exc)

    # --- the timer --------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """One timer for all deadlines. One that is early enough is left alone: it costs nothing."""
        deadline = self._machine.deadline()
        if deadline is None or self._closed:
            self._stop_timer()
            return
        if self._timer is not None and self._timer_at <= deadline:
            return
        at = max(deadline, self.now() + TIMER_GRAIN)
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at((at + 1) / 1_000_000, self._timer_fired)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timer_fired(self) -> None:
        self._timer = None
        now = self.now()
        deadline = self._machine.deadline()
        if deadline is not None and deadline <= now:
            try:
                self._machine.handle_timeout(now)
            except Exception as exc:
                self._report("the machine raised; this is a bug", exc)
            self.wake()
        else:
            self._set_timer()

    # --- from transports --------------------------------------------------------------------------

    def _up(self, attachment: _Attachment) -> None:
        attachment.is_up = True
        self._machine.transport_up(
            attachment.number,
            self.now(),
            lossy=attachment.transport.lossy_open,
            **attachment.options,
        )
        self._may_write(attachment)
        self._tell_transport(attachment.number, True)

    def _may_write(self, attachment: _Attachment) -> None:
        self._ready.add(attachment.number)
        self.wake()

    def _lose(self, attachment: _Attachment) -> None:
        was_up, attachment.is_up = attachment.is_up, False
        if self._attached.pop(attachment.number, None) is None:
            return
        if was_up:
            try:
                self._machine.transport_down(attachment.number, self.now())
            except Exception as exc:
                self._report("the machine raised; this is a bug", exc)
            self.wake()
        self._tell_transport(attachment.number, False)

    def _machine_failed(self, attachment: _Attachment, exc: Exception) -> None:
        """A machine never raises for what a peer does. If it does, only the transport goes."""
        self._report("the machine raised; this is a bug", exc)
        self._lose(attachment)
        attachment.transport.close()

    def _report(self, message: str, exc: Exception) -> None:
        self._loop.call_exception_handler({"message": f"callchannel: {message}", "exception": exc, "driver": self})

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Stop driving, let every transport drain and close, and wait until they have ended.

        It says nothing to the peer: leave the call first, and wait for `LinkEnded`. Events are handed out all the
        same: what was received can still be read, and comes to its end.
        """
        self._closed = True
        self._stop_timer()
        for attachment in self._attached.values():
            attachment.is_up = False
            attachment.transport.close()
        self._attached.clear()
        if self._closings:
            await asyncio.wait(self._closings)


class _Attachment:
    """One transport's place in a driver: the transport's listener."""

    __slots__ = ("driver", "is_up", "number", "options", "transport")

    def __init__(self, driver: Driver, number: int, transport: Transport, options: dict[str, Any]) -> None:
        self.driver = driver
        self.number = number
        self.transport = transport
        self.options = options
        self.is_up = False

    @property
    def _is_attached(self) -> bool:
        return self.number in self.driver._attached

    def transport_up(self, transport: Transport) -> None:
        if self._is_attached:
            try:
                self.driver._up(self)
            except Exception as exc:
                self.driver._machine_failed(self, exc)

    def packet(self, lane: Lane, packet: bytes) -> None:
        if self.is_up:
            driver = self.driver
            try:
                driver._machine.receive(self.number, lane, packet, driver.now())
            except Exception as exc:
                driver._machine_failed(self, exc)
            driver._received()

    def writable(self, lane: Lane) -> None:
        if self.is_up:
            self.driver._may_write(self)

    def lossy_changed(self, is_open: bool) -> None:
        if self.is_up:
            driver = self.driver
            try:
                driver._machine.lossy_lane(self.number, is_open, driver.now())
            except Exception as exc:
                driver._machine_failed(self, exc)
            driver._may_write(self)

    def transport_down(self) -> None:
        self.driver._lose(self)
