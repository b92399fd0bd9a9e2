# SPDX-License-Identifier: Apache-2.0
"""`Call`: the application's view of a call."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeVar

from callchannel.aio.arguments import Names, check_timeout
from callchannel.aio.driver import Driver
from callchannel.aio.notices import EventStream, Notifier
from callchannel.aio.receiver import DataChannelReceiver
from callchannel.aio.receivers import ReceiverStream
from callchannel.aio.reconnecting import Connect, Connector
from callchannel.aio.sender import DataChannelSender
from callchannel.aio.transport import Transport
from callchannel.core.endpoint import Endpoint, Peer
from callchannel.core.errors import (
    DeadlineExceeded,
    ErrorCode,
    InvalidArgument,
    LinkLost,
    NotJoined,
    error_name,
)
from callchannel.core.events import (
    CustodyLost,
    Event,
    InternalError,
    Joined,
    LinkEnded,
    MessageConfirmed,
    MessageFailed,
    MessagesConfirmed,
    Participant,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantResumed,
    ParticipantSuspended,
    ReceiverClosed,
    ReceiverCreated,
    ReceiverReadable,
    RecipientFailed,
    Resumed,
    SenderEnded,
    SenderFailed,
    SenderWritable,
    Suspended,
)
from callchannel.core.limits import Limits
from callchannel.core.link import LinkState
from callchannel.core.messages import Confirm, Priority, Reliability

if TYPE_CHECKING:
    from callchannel.core.statistics import EndpointStatistics

CallEvent = (
    ParticipantJoined | ParticipantLeft | ParticipantSuspended | ParticipantResumed | Suspended | Resumed | LinkEnded
)
"""What `Call.events` yields, besides `EventsMissed`."""

JOIN_TIME: Final = 30.0
"""Seconds that joining takes at most by default, signalling included."""

_GRACE: Final = 5.0
"""Seconds beyond the core's own limits after which leaving does not wait for it any more."""

EventT = TypeVar("EventT")
OptionT = TypeVar("OptionT", Reliability, Priority, Confirm)

_SenderEvent = (
    MessagesConfirmed
    | MessageConfirmed
    | MessageFailed
    | RecipientFailed
    | SenderWritable
    | SenderFailed
    | SenderEnded
    | CustodyLost
)


class Call:
    """One endpoint's membership of a call. Made by `Call.join` or `Call.peer_to_peer`.

        async with await Call.join(connect) as call:
            async with call.create_sender() as sender:
                await sender.send_text("hello, everybody")
            async for receiver in call.receivers():
                async for message in receiver:
                    print(receiver.sender_identifier, message.text())

    Everything belongs to the event loop in which it was made. When the link ends, every waiting send, read and iterator
    of the call ends with it: with `LinkLost`, or quietly where this endpoint left.
    """

    def __init__(self, endpoint: Endpoint, connect: Connect | Transport, *, accepting: bool) -> None:
        """Use `Call.join` or `Call.peer_to_peer`."""
        self._loop = asyncio.get_running_loop()
        self._endpoint = endpoint
        self._driver: Driver = Driver(endpoint, self._on_event, self._on_transport)
        self._senders: dict[int, DataChannelSender] = {}
        self._receivers: dict[int, DataChannelReceiver] = {}
        self._receiver_streams: weakref.WeakSet[ReceiverStream] = weakref.WeakSet()
        self._pumps: set[asyncio.Task[None]] = set()
        """What calls callbacks for messages, until it is no longer in here."""
        self._notifier: Notifier[CallEvent] = Notifier(self._report)
        self._joined: asyncio.Future[None] = self._loop.create_future()
        self._over: asyncio.Future[LinkEnded] = self._loop.create_future()
        self._leaving: asyncio.Task[None] | None = None
        self._left = False
        self._stopping_callbacks = False
        self._has_joined = False
        self._stranded: tuple[int, str] | None = None
        """Why there will be no other transport: code and text."""
        self._connector: Connector | None = None
        self._connecting: asyncio.Task[None] | None = None
        if callable(connect):
            self._connector = Connector(self._driver, connect, accepting=accepting)
            self._connecting = self._loop.create_task(self._connect(self._connector))
        else:
            self._driver.attach(connect)

    # --- joining --------------------------------------------------------------------------------------------------

    @classmethod
    async def join(
        cls,
        connect: Connect | Transport,
        *,
        identity: str = "",
        limits: Limits | None = None,
        replace: bool = False,
        timeout: float | None = JOIN_TIME,
    ) -> Call:
        """Join a group call over a relay; returns when the roster is complete and senders can send.

        `connect` is an asynchronous function that makes a transport to the relay; `callchannel.webrtc` and
        `callchannel.signalling` have such. It is called again whenever the transport is lost: the application sees
        `Suspended` and `Resumed`, and nothing is lost or doubled in between, as long as that takes no longer than the
        resume window. What it raises then is retried, unless it is a refusal that is final (`retryable` False, as
        `SignallingError` says it): that ends the call at once, with its code and text. A ready `Transport` may be given
        instead: then the loss of it ends the call at once.

        `identity` is what this endpoint asks to be called; admission may say otherwise. `replace` ends a former link
        of this same endpoint.

        Raises what the first call of `connect` raises; `LinkLost` with the code that refused it, such as NOT_ADMITTED;
        `DeadlineExceeded` after `timeout` seconds.
        """
        endpoint = Endpoint(
            entropy=os.urandom, identity=identity, limits=limits or Limits(), now=_now(), replace=replace
        )
        return await cls._start(endpoint, connect, accepting=False, timeout=timeout)

    @classmethod
    async def peer_to_peer(
        cls,
        connect: Connect | Transport,
        *,
        initiator: bool,
        identity: str,
        peer_identity: str = "",
        limits: Limits | None = None,
        timeout: float | None = JOIN_TIME,
    ) -> Call:
        """Call one other endpoint without a relay. Signalling has settled who is the link's `initiator`.

        The acceptor has to say by `peer_identity` who the initiator is; the initiator learns the acceptor's identity.
        `connect` is as in `join`; at the acceptor it waits for the initiator's next transport: it is called again as
        soon as the last one is up, since the acceptor does not see when the initiator needs a new one. Raises as
        `join` does.
        """
        endpoint = Endpoint(
            entropy=os.urandom,
            identity=identity,
            limits=limits or Limits(),
            now=_now(),
            peer=Peer(initiator=initiator, identity=peer_identity),
        )
        return await cls._start(endpoint, connect, accepting=not initiator, timeout=timeout)

    @classmethod
    async def _start(
        cls, endpoint: Endpoint, connect: Connect | Transport, *, accepting: bool, timeout: float | None
    ) -> Call:
        check_timeout(timeout)
        call = cls(endpoint, connect, accepting=accepting)
        try:
            await asyncio.wait((call._joined,), timeout=timeout)
            if not call._joined.done():
                raise DeadlineExceeded(f"the call was not joined within {timeout:g} s")
            call._joined.result()
        except BaseException:
            await call.leave()
            raise
        return call

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> str:
        """The identifier under which this endpoint was admitted."""
        return self._endpoint.identity

    @property
    def participants(self) -> tuple[Participant, ...]:
        """Everyone who is in the call now, one for each endpoint, this one included."""
        return self._endpoint.participants

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._endpoint.limits

    @property
    def is_suspended(self) -> bool:
        """Whether the transport is down: Reliable messages wait, Lossy ones are dropped."""
        return self._has_joined and not self._over.done() and self._endpoint.state is not LinkState.ACTIVE

    @property
    def ended(self) -> LinkEnded | None:
        """How the call ended, or None while it goes on."""
        return self._over.result() if self._over.done() else None

    def statistics(self) -> EndpointStatistics:
        """Counters of the link and of everything on it."""
        return self._endpoint.statistics()

    async def wait_for(self, *identifiers: str, timeout: float | None = None) -> None:
        """Wait until all of these are in the call; one that is named twice, with two endpoints.

        Raises `LinkLost` if the call ends before, `DeadlineExceeded` after `timeout` seconds.
        """
        check_timeout(timeout)
        events = self.events()
        try:
            async with asyncio.timeout(timeout):
                while not Counter(identifiers) <= Counter(participant.identity for participant in self.participants):
                    if isinstance(await anext(events, None), (LinkEnded, type(None))):
                        raise self._lost()
        except DeadlineExceeded:
            raise
        except TimeoutError as exc:
            raise DeadlineExceeded(f"not all of them joined within {timeout:g} s") from exc
        finally:
            events.close()

    # --- sending --------------------------------------------------------------------------------------------------

    def create_sender(
        self,
        *,
        channel: int = 0,
        reliability: Reliability | str = Reliability.RELIABLE,
        priority: Priority | str = Priority.NORMAL,
        to: Names = None,
        exclude: Names = (),
        confirm: Confirm | str = Confirm.ACCEPTED,
        latest: bool = False,
        bitrate: int | None = None,
        timeout: float | None = None,
    ) -> DataChannelSender:
        """Make a sender.

        `channel`: 1 to 65,535, or 0 for the lowest free one; a sender on a channel that is in use replaces the one
        there. `to`: identifiers of the participants to send to, none for everyone; `exclude`: of those to leave out.
        Both can be changed later, and for a single message. `reliability` is "reliable" or "lossy", `priority`
        "normal" or "high", among the senders of this endpoint.

        `confirm`: when `send` returns for a Reliable message: "accepted", when the relay, or the peer, has custody of
        it; "delivered", when every recipient's application has read it. `latest`: a Lossy message that waits is
        replaced by a newer one. `bitrate`: bits per second that this sender may use. `timeout`: seconds that a send
        may take unless it says otherwise.

        Raises `InvalidArgument`, `NotJoined` after `leave`, `LinkLost`, `NoChannel`.
        """
        if self._left:
            raise NotJoined("the call was left")
        sender = DataChannelSender(
            self._endpoint,
            self._driver,
            report=self._report,
            timeout=timeout,
            channel=channel,
            reliability=_option(Reliability, "reliability", reliability),
            priority=_option(Priority, "priority", priority),
            to=to,
            exclude=exclude,
            confirm=_option(Confirm, "confirm", confirm),
            latest=latest,
            bitrate=bitrate,
        )
        self._senders[sender._id] = sender
        return sender

    # --- receiving and events -------------------------------------------------------------------------------------

    def receivers(self) -> ReceiverStream:
        """An iterator over the receivers of this call: those that are there, then each new one.

        It ends when this endpoint has left, and raises `LinkLost` when the link was lost. Receivers that have ended,
        and in which nothing is unread, are passed over; so a slow consumer of it keeps no more than what is unread.

            async for receiver in call.receivers():
                tasks.create_task(handle(receiver))
        """
        stream = ReceiverStream(tuple(self._receivers.values()), self._receiver_streams)
        if self._over.done():
            stream._end(None if self._ended_quietly() else self._lost())
        return stream

    def events(self) -> EventStream[CallEvent]:
        """An iterator over what happens in the call from now on; it ends after `LinkEnded`.

        It keeps the newest 1,024 unread events; see `EventStream`. Who is there already stands in `participants`.

            async for event in call.events():
                match event:
                    case ParticipantJoined(participant=who): print(who.identity, "is here")
                    case ParticipantLeft(participant=who): print(who.identity, "has left")
        """
        return self._notifier.stream()

    def on(self, kind: type[EventT], callback: Callable[[EventT], object]) -> Callable[[], None]:
        """Call `callback` for each event of type `kind`, one of `CallEvent`, or for each new `DataChannelReceiver`.

        What it raises goes to the loop's exception handler. Returns a function that undoes it.

            call.on(ParticipantJoined, lambda event: print(event.participant.identity))
        """
        return self._notifier.on(kind, callback)

    # --- the end --------------------------------------------------------------------------------------------------

    async def leave(self) -> None:
        """Leave the call: close all senders, send what is queued, say so, close the transport.

        Takes at most `limits.leave_time` and the time that a transport needs for closing. What is not sent by then
        fails with `LinkLost`. Unread messages stay readable, but callbacks for messages end: those that are
        running are cancelled, but for one that itself awaits `leave`, which is called no more. Again: waits for the
        same end. Cancelling it cancels the waiting alone. Never raises for what happened to the call.
        """
        task = asyncio.current_task()
        if task in self._pumps:
            if self._stopping_callbacks:
                return  # nothing else is left to be waited for
            self._pumps.discard(task)
        if self._leaving is None:
            self._left = True
            self._leaving = self._loop.create_task(self._leave())
        await asyncio.shield(self._leaving)

    async def _leave(self) -> None:
        try:
            if not self._over.done():
                self._endpoint.leave(self._driver.now())
                self._driver.wake()
                await asyncio.wait((self._over,), timeout=self.limits.leave_time / 1_000_000 + _GRACE)
        finally:
            await self._stop_connecting()
            await self._driver.close()
            self._stopping_callbacks = True
            for pump in self._pumps:
                pump.cancel()
            if self._pumps:
                await asyncio.wait(self._pumps)

    async def __aenter__(self) -> Call:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    def __repr__(self) -> str:
        state = "over" if self._over.done() else "suspended" if self.is_suspended else "active"
        return f"<Call of {self.identity!a}, {len(self.participants)} participants, {state}>"

    # --- transports -----------------------------------------------------------------------------------------------

    async def _connect(self, connector: Connector) -> None:
        try:
            await connector.run()
        except Exception as exc:
            if self._joined.done():
                self._strand(getattr(exc, "code", ErrorCode.LINK_LOST), f"it could not be connected again: {exc}")
            else:
                self._fail_join(exc)

    def _strand(self, code: int, text: str) -> None:
        """There will be no other transport: what could only wait for one ends now."""
        self._stranded = code, text
        if not self._left and not self._over.done():
            self._endpoint.leave(self._driver.now())
            self._driver.wake()

    def _fail_join(self, exc: Exception) -> None:
        if not self._joined.done():
            self._joined.set_exception(exc)
            self._joined.exception()  # it counts as seen: joining may have been given up

    async def _stop_connecting(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
            self._connecting = None

    def reconnect(self) -> None:
        """Give the transport up for a new one, without waiting for it to fail; say, when the network has changed.

        Has no effect on a call over a ready transport, or one that has ended.
        """
        if self._connector is not None and not self._over.done():
            self._detach_all()

    def _on_transport(self, number: int, is_up: bool) -> None:
        if self._connector is not None:
            self._connector.transport_changed(number, is_up)
        elif not is_up and not self._over.done() and not self._driver.transports:
            if not self._joined.done():
                self._fail_join(LinkLost("the transport was lost before the call was joined"))
                self._stranded = ErrorCode.LINK_LOST, "the transport was lost"
            else:
                self._strand(ErrorCode.LINK_LOST, "the transport was lost")

    # --- from the core --------------------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ReceiverReadable):  # the most frequent one
            receiver = self._receivers.get(event.receiver)
            if receiver is not None:
                receiver._readable()
        elif isinstance(event, _SenderEvent):
            sender = self._senders.get(event.sender)
            if sender is not None:
                if isinstance(event, SenderEnded):
                    del self._senders[event.sender]
                sender._handle(event)
        elif isinstance(event, ReceiverCreated):
            made = DataChannelReceiver(
                self._endpoint, self._driver, event, registry=self._receivers, pumps=self._pumps, report=self._report
            )
            self._receivers[event.receiver] = made
            for stream in tuple(self._receiver_streams):
                stream._put(made)
            self._notifier.call_back(made)
        elif isinstance(event, ReceiverClosed):
            receiver = self._receivers.get(event.receiver)
            if receiver is not None:
                receiver._link_ended(self._left)
                receiver._closed(event.code)
        elif isinstance(event, Joined):
            self._has_joined = True
            self._link_works()
            if not self._joined.done():
                self._joined.set_result(None)
        elif isinstance(event, LinkEnded):
            self._link_ended(event)
        elif isinstance(event, InternalError):
            pass  # the driver reports it; for the application the link ends with INTERNAL
        else:
            if isinstance(event, Resumed):
                self._link_works()
            self._notifier.notify(event)

    def _link_works(self) -> None:
        if self._connector is not None:
            self._connector.worked()

    def _link_ended(self, event: LinkEnded) -> None:
        if self._stranded is not None and not self._left:
            code, reason = self._stranded
            event = LinkEnded(code=code, reason=reason, by_peer=False)
        self._over.set_result(event)
        if self._connecting is not None:
            self._connecting.cancel()
        error = self._lost()
        self._fail_join(error)
        quiet = self._ended_quietly()
        for receiver in self._receivers.values():
            receiver._link_ended(self._left)
        for stream in tuple(self._receiver_streams):
            stream._end(None if quiet else error)
        self._notifier.notify(event)
        self._notifier.end()
        # In the next iteration, when BYE was sent: whatever the link did not use is closed, too.
        self._loop.call_soon(self._detach_all)

    def _detach_all(self) -> None:
        for number in self._driver.transports:
            self._driver.detach(number)

    def _ended_quietly(self) -> bool:
        """Whether the call was left, by this endpoint or by its peer."""
        event = self._over.result()
        return self._left or (event.by_peer and event.code == ErrorCode.LEFT)

    def _lost(self) -> LinkLost:
        event = self._over.result()
        if self._left and event.code == ErrorCode.NONE:
            return LinkLost("the call was left", code=ErrorCode.LEFT)
        why = f": {event.reason}" if event.reason else ""
        return LinkLost(f"the link has ended with {error_name(event.code)}{why}", code=event.code)

    def _report(self, message: str, exc: Exception) -> None:
        self._loop.call_exception_handler({"message": f"callchannel: {message}", "exception": exc, "call": self})


def _now() -> int:
    return int(asyncio.get_running_loop().time() * 1_000_000)


def _option(kind: type[OptionT], label: str, value: OptionT | str) -> OptionT:
    try:
        return kind(value)
    except ValueError as exc:
        known = ", ".join(repr(member.value) for member in kind)
        raise InvalidArgument(f"{label} is {value!r}, it has to be one of {known}") from exc
