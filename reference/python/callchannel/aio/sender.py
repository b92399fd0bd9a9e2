# SPDX-License-Identifier: Apache-2.0
"""`DataChannelSender`: through which an application sends messages (specification, chapters 5 to 7)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from callchannel.aio.arguments import Data, Deadline, Names, check_timeout, microseconds, names, payload_of
from callchannel.aio.files import Progress, send_file
from callchannel.aio.notices import EventStream, Notifier
from callchannel.aio.outbox import Outbox, Sending
from callchannel.aio.streams import OutgoingStream
from callchannel.core.errors import (
    CallChannelError,
    DeadlineExceeded,
    ErrorCode,
    InvalidArgument,
    LinkLost,
    Report,
    SenderClosed,
    SessionFailed,
    WouldBlock,
    error_name,
)
from callchannel.core.events import (
    CustodyLost,
    MessageConfirmed,
    MessageFailed,
    MessagesConfirmed,
    RecipientFailed,
    SenderEnded,
    SenderFailed,
    SenderWritable,
)
from callchannel.core.extensions import Metadata
from callchannel.core.messages import Confirm, Reliability
from callchannel.core.sender import Cancelled

if TYPE_CHECKING:
    from callchannel.aio.driver import Driver
    from callchannel.core.endpoint import Endpoint
    from callchannel.core.statistics import SenderStatistics

SenderEvent = MessageFailed | RecipientFailed | CustodyLost | SenderFailed | SenderEnded
"""What `DataChannelSender.events` yields, besides `EventsMissed`."""

EventT = TypeVar("EventT")

_LOSSY_BURST: Final = 16_384
"""Bytes of Lossy messages that one `send` after another may queue before the event loop gets a turn to write them."""


class DataChannelSender:
    """Sends messages to everyone in the call, to some, or to everyone but some. Made by `Call.create_sender`.

    Any number of tasks may send at the same time; messages keep the order of the calls.

        async with call.create_sender() as chat:
            await chat.send_text("hello")
            await chat.send(b"for you", to=["bob"])
    """

    def __init__(
        self,
        endpoint: Endpoint,
        driver: Driver,
        *,
        report: Callable[[str, Exception], None],
        timeout: float | None,
        **options: Any,
    ) -> None:
        check_timeout(timeout)
        self._to, self._exclude = names(options.pop("to", None)), names(options.pop("exclude", ()))
        self._endpoint = endpoint
        self._driver = driver
        self._timeout = timeout
        self._id = endpoint.open_sender(driver.now(), to=self._to or None, exclude=self._exclude, **options)
        driver.wake()
        self._info = endpoint.sender_info(self._id)
        self._reliable = options["reliability"] is Reliability.RELIABLE
        self._confirms_accepted = options["confirm"] is Confirm.ACCEPTED
        self._outbox = Outbox(self._take_back, self._close_when_empty)
        self._notifier: Notifier[SenderEvent] = Notifier(report)
        self._closing = False
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lossy_burst = 0

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def channel_id(self) -> int:
        """The channel, 1 to 65,535; given by the call where 0 was asked for."""
        return self._info.channel

    @property
    def reliability(self) -> Reliability:
        """Reliable or Lossy, for the life of the sender."""
        return Reliability.RELIABLE if self._reliable else Reliability.LOSSY

    @property
    def max_message_size(self) -> int:
        """Bytes of the largest message that this sender takes now. Streams have no such limit."""
        return self._endpoint.max_message_size(self.reliability)

    @property
    def participants(self) -> tuple[str, ...]:
        """Whom messages go to by default; empty: everyone in the call but `excluded`."""
        return self._to

    @property
    def excluded(self) -> tuple[str, ...]:
        """Who does not get messages to everyone."""
        return self._exclude

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called, or the sender has ended for another reason."""
        return self._closing or self._ended.done()

    @property
    def statistics(self) -> SenderStatistics:
        """Counters and queue sizes as they are now; what is dropped after the sender's end counts, too."""
        with contextlib.suppress(SenderClosed):  # so old that the core has forgotten it
            self._info = self._endpoint.sender_info(self._id)
        return self._info.statistics

    @property
    def drops(self) -> Mapping[str, int]:
        """How many Lossy messages were dropped on this side, by reason (chapter 7)."""
        return self.statistics.drops

    # --- whom for -------------------------------------------------------------------------------------------------

    def set_participants(self, participants: Names) -> None:
        """Send to these from now on; nobody named: to everyone. Messages sent before keep their recipients.

        Numbering goes on, so a receiver sees gaps where messages were for others. Nobody has to be in the call yet.
        Raises `InvalidArgument`, `SenderClosed`.
        """
        self._set_recipients(names(participants), ())

    def set_excluded(self, participants: Names) -> None:
        """Send to everyone but these from now on. Raises `InvalidArgument`, `SenderClosed`."""
        self._set_recipients((), names(participants))

    def _set_recipients(self, to: tuple[str, ...], exclude: tuple[str, ...]) -> None:
        self._check_open()
        self._endpoint.set_recipients(self._id, self._driver.now(), to=to or None, exclude=exclude)
        self._to, self._exclude = to, exclude
        self._driver.wake()

    # --- sending --------------------------------------------------------------------------------------------------

    async def send(
        self,
        data: Data,
        *,
        to: Names = None,
        exclude: Names = None,
        content_type: str | None = None,
        name: str | None = None,
        time: int | None = None,
        lifetime: float | None = None,
        timeout: float | None = None,
    ) -> Report:
        """Send a message, and wait until it is confirmed: accepted or delivered, as the sender was made.

        `to` and `exclude` are for this message alone: an empty `to` is everyone, None what the sender is set to. Of
        what is told about the message, `lifetime` is seconds that a Lossy message may wait in a queue, `time` is the
        application's clock in microseconds.

        Reliable: waits while the link is suspended and while there is no room. Raises

        - `InvalidArgument`, `MessageTooLarge`, `SenderClosed`, `NotJoined`: nothing was sent;
        - `RecipientsUnavailable`: who was named is not in the call, or has failed in this session; nothing was sent,
          or nobody got it;
        - `Refused`, `DeliveryFailed`: see its `report`, which says who got it, who did not, who may have;
        - `LinkLost`; with a `report` (`LinkLostInFlight`) where part of it may have gone out;
        - `SendTimedOut`: `timeout` seconds have passed, by default those given to `create_sender`.

        On a timeout, and when the task is cancelled, what was not written is taken back, what was half written is
        given up, and only what was wholly written may still arrive.

        Lossy: returns at once. What can't be sent is dropped and counted in `drops`; only wrong arguments, a message
        too large, and a sender that the application itself has closed raise.
        """
        check_timeout(timeout)
        if to is None and exclude is None and content_type is None and name is None and time is None:
            plain = self._submit_plain(data) if lifetime is None else None
            if plain is not None:
                return await plain._verdict(self._timeout if timeout is None else timeout)
        target, metadata = self._options(
            to=to, exclude=exclude, content_type=content_type, name=name, time=time, lifetime=lifetime
        )
        payload = payload_of(data)
        if not self._reliable:
            report = self._send_lossy(payload, target, metadata)
            self._lossy_burst += len(payload) + 64
            if self._lossy_burst >= _LOSSY_BURST:
                self._lossy_burst = 0
                await asyncio.sleep(0)  # else a loop of sends would fill the queue that nobody may empty
            return report
        sending = self._submit(payload, target, metadata, wait=True)
        return await sending._verdict(self._timeout if timeout is None else timeout)

    def send_nowait(
        self,
        data: Data,
        *,
        to: Names = None,
        exclude: Names = None,
        content_type: str | None = None,
        name: str | None = None,
        time: int | None = None,
        lifetime: float | None = None,
    ) -> Sending:
        """Queue a message, or raise `WouldBlock` where `send` would wait for room. The rest is as in `send`.

            sending = sender.send_nowait(b"tick")
            report = await sending.result()

        A failure is also told by `on_failed`, so nobody has to await the result.
        """
        if to is None and exclude is None and content_type is None and name is None and time is None:
            sending = self._submit_plain(data) if lifetime is None else None
            if sending is not None:
                return sending
        target, metadata = self._options(
            to=to, exclude=exclude, content_type=content_type, name=name, time=time, lifetime=lifetime
        )
        payload = payload_of(data)
        if self._reliable:
            return self._submit(payload, target, metadata, wait=False)
        sending = Sending(self._outbox, lambda: 0)
        report = self._send_lossy(payload, target, metadata)
        sending._sequence = report.sequence
        sending._settle(report)
        return sending

    async def send_text(self, text: str, **options: Any) -> Report:
        """Send a text as UTF-8; `options` are those of `send`. The receiver has `message.text()`."""
        try:
            data = text.encode()
        except (AttributeError, UnicodeEncodeError) as exc:
            raise InvalidArgument(f"a text has to be one that UTF-8 can hold, it is {text!r}") from exc
        options.setdefault("content_type", "text/plain;charset=utf-8")
        return await self.send(data, **options)

    async def send_file(
        self,
        path: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
        name: str | None = None,
        content_type: str | None = None,
        to: Names = None,
        exclude: Names = None,
        time: int | None = None,
        timeout: float | None = None,
    ) -> Report:
        """Send a file of any size, and wait until it is confirmed; see `callchannel.aio.files` for how it travels.

        `progress(bytes_sent, total)` is called as bytes are handed to the link, at last with both equal. `name` and
        `content_type` are the file's own by default; `time` is as in `send`. `timeout`, in seconds, is for the whole;
        the sender's default timeout does not apply. It and cancelling wait for a read from the file that
        has begun. Raises what `send` raises, `OSError`, and `InvalidArgument` for a Lossy sender.

            await sender.send_file("holiday.mp4", progress=lambda sent, total: print(sent / total))
        """
        if not self._reliable:
            raise InvalidArgument("files need a Reliable sender")
        to, exclude = self._whom(to, exclude)
        options: dict[str, Any] = {
            "name": name,
            "content_type": content_type,
            "to": to,
            "exclude": exclude,
            "time": time,
        }
        return await send_file(self, path, Deadline(timeout), progress=progress, **options)

    def open_stream(
        self,
        *,
        to: Names = None,
        exclude: Names = None,
        content_type: str | None = None,
        name: str | None = None,
        time: int | None = None,
    ) -> OutgoingStream:
        """A message whose bytes, and whose length, come while it is being sent. Reliable senders only.

        It is for the recipients of the moment of this call.

            async with sender.open_stream(name="log.txt") as stream:
                async for line in lines:
                    await stream.write(line)

        Leaving the block ends the stream and waits for its verdict, as `send` does; an exception within gives it up.
        Entering waits for its turn. Other messages of this sender wait until the stream has ended: give it a sender
        of its own where that matters.
        """
        if not self._reliable:
            raise InvalidArgument("streams need a Reliable sender")
        to, exclude = self._whom(to, exclude)
        target, metadata = self._options(
            to=to, exclude=exclude, content_type=content_type, name=name, time=time, lifetime=None
        )
        endpoint, driver = self._endpoint, self._driver

        def begin() -> int:
            self._check_open()
            sequence = endpoint.open_stream(self._id, driver.now(), metadata=metadata, **target)
            driver.wake()
            return sequence

        return OutgoingStream(endpoint, driver, self._id, self._outbox, begin)

    def _submit_plain(self, data: Data) -> Sending | None:
        """The short way of a Reliable message with nothing but bytes; None: nothing was done, take the long way."""
        outbox = self._outbox
        if type(data) is not bytes or not self._reliable or self._closing or not outbox.is_free:
            return None
        driver = self._driver
        try:
            sequence = self._endpoint.send(self._id, data, driver.now())
        except WouldBlock:
            return None  # it waits for room, or raises
        driver.wake()
        return outbox.sent(sequence)

    def _submit(self, payload: bytes, target: dict[str, Any], metadata: Metadata | None, *, wait: bool) -> Sending:
        if self._closing:
            raise SenderClosed("the sender is closed")
        endpoint, driver, sender = self._endpoint, self._driver, self._id

        def attempt() -> int:
            sequence = endpoint.send(sender, payload, driver.now(), metadata=metadata, **target)
            driver.wake()
            return sequence

        sending = self._outbox.submit(attempt, wait=wait)
        if sending.sequence is None and not target:
            # It waits for room; recipients are those of the moment of the call.
            target.update(to=self._to or None, exclude=self._exclude)
        return sending

    def _send_lossy(self, payload: bytes, target: dict[str, Any], metadata: Metadata | None) -> Report:
        if self._closing:
            raise SenderClosed("the sender is closed")
        sequence = self._endpoint.send(self._id, payload, self._driver.now(), metadata=metadata, **target)
        self._driver.wake()
        return Report(sequence=sequence)

    def _take_back(self, sequence: int, code: int) -> Cancelled:
        taken = self._endpoint.cancel(self._id, sequence, code, self._driver.now())
        self._driver.wake()
        return taken

    def _options(
        self,
        *,
        to: Names,
        exclude: Names,
        content_type: str | None,
        name: str | None,
        time: int | None,
        lifetime: float | None,
    ) -> tuple[dict[str, Any], Metadata | None]:
        """What the core's `send` is to be told besides the bytes."""
        target: dict[str, Any] = {}
        if to is not None or exclude is not None:
            target = {"to": names(to) or None, "exclude": names(exclude)}
        if content_type is None and name is None and time is None and lifetime is None:
            return target, None
        return target, Metadata(
            content_type=content_type,
            name=name,
            time=time,
            lifetime=None if lifetime is None else microseconds("lifetime", lifetime),
        )

    def _whom(self, to: Names, exclude: Names) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """For what begins later: what it was given, else the sender's own, as they are at the call."""
        return (self._to, self._exclude) if to is None and exclude is None else (names(to), names(exclude))

    def _check_open(self) -> None:
        if self._closing:
            raise SenderClosed("the sender is closed")

    # --- being told -----------------------------------------------------------------------------------------------

    def on_failed(self, callback: Callable[[MessageFailed], object]) -> Callable[[], None]:
        """Call `callback` for each Reliable message that did not reach everyone, also where `send` raises for it.

        Returns a function that undoes it.
        """
        return self._notifier.on(MessageFailed, callback)

    def on_recipient_failed(self, callback: Callable[[RecipientFailed], object]) -> Callable[[], None]:
        """Call `callback` when a recipient gets no more of this sender's messages, from which one on, and why.

        With confirm = accepted this is the only notice of what happens to a message after it was accepted. A new
        sender reaches that recipient again. Returns a function that undoes it.
        """
        return self._notifier.on(RecipientFailed, callback)

    def on(self, kind: type[EventT], callback: Callable[[EventT], object]) -> Callable[[], None]:
        """Call `callback` for each event of type `kind`, one of `SenderEvent`. Returns a function that undoes it."""
        return self._notifier.on(kind, callback)

    def events(self) -> EventStream[SenderEvent]:
        """An iterator over what happens to this sender from now on; it ends after `SenderEnded`.

        It keeps the newest 1,024 unread events; see `EventStream`.
        """
        return self._notifier.stream()

    # --- ending ---------------------------------------------------------------------------------------------------

    async def close(self, timeout: float | None = None) -> None:
        """Send what is waiting, tell the recipients' receivers, and wait until everything is settled.

        From now on sending raises `SenderClosed`. An open stream is given up. Raises `DeadlineExceeded` after
        `timeout` seconds; the sender goes on closing then. On a link that has ended there is nothing to wait for.
        Calling it again waits again.
        """
        check_timeout(timeout)
        if not self._closing and not self._ended.done():
            self._closing = True
            if self._outbox._stream is not None:
                self._outbox._stream.cancel()
            self._close_when_empty()
        if not self._ended.done():
            await asyncio.wait((self._ended,), timeout=timeout)
            if not self._ended.done():
                raise DeadlineExceeded(f"the sender did not finish within {timeout:g} s", written=True)

    def _close_when_empty(self) -> None:
        if self._closing and not self._outbox.waiting and not self._ended.done():
            self._endpoint.close_sender(self._id, self._driver.now())
            self._driver.wake()

    async def __aenter__(self) -> DataChannelSender:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        return f"<DataChannelSender channel {self.channel_id}, {self.reliability.value}, {state}>"

    # --- from the call --------------------------------------------------------------------------------------------

    def _handle(self, event: SenderEvent | MessagesConfirmed | MessageConfirmed | SenderWritable) -> None:
        """An event of the core that concerns this sender."""
        if isinstance(event, MessagesConfirmed):
            if self._confirms_accepted:
                self._outbox.confirm(event.through)
        elif isinstance(event, SenderWritable):
            self._outbox.pump()
        elif isinstance(event, MessageConfirmed):
            self._outbox.deliver(event.report)
        else:
            if isinstance(event, MessageFailed):
                self._outbox.fail(event)
            elif isinstance(event, SenderFailed):
                self._outbox.pump()  # what waits is told
            elif isinstance(event, SenderEnded):
                self._end(_why_ended(event.code))
            self._notifier.notify(event)
            if isinstance(event, SenderEnded):
                self._notifier.end()

    def _end(self, error: CallChannelError) -> None:
        """The sender has ended, by itself or with its link; the core tells either."""
        self._info = self._endpoint.sender_info(self._id)
        self._ended.set_result(None)
        self._outbox.end(error)


def _why_ended(code: int) -> CallChannelError:
    if code in (ErrorCode.NONE, ErrorCode.SENDER_CLOSED):
        return SenderClosed("the sender is closed")
    if code == ErrorCode.LINK_LOST:
        return LinkLost("the link has ended")
    return SessionFailed(f"the sender has ended: {error_name(code)}", code=code)
