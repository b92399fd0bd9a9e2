# SPDX-License-Identifier: Apache-2.0
"""Getting transports for a link: the first, and the next when one is lost (specification, chapters 9 and 12)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from callchannel.aio.driver import Driver
from callchannel.aio.transport import Transport
from callchannel.core.errors import LinkLost

Connect = Callable[[], Awaitable[Transport]]
"""Makes a transport. What it returns need not be up yet."""

FIRST_PAUSE: Final = 0.25
"""Seconds. The pause before an attempt is drawn between 0 and this, doubled with each failure in a row."""

LONGEST_PAUSE: Final = 5.0
"""Seconds that a pause is drawn from at most: several attempts have to fit into the resume window."""

UP_TIME: Final = 15.0
"""Seconds in which a transport has to come up, as long as a silent one is waited for."""

SPARE: Final = 3
"""Transports that an acceptor holds at a time: the link's, one that takes its place, and one that nobody uses."""

logger = logging.getLogger("callchannel.aio")


class Connector:
    """Keeps a driver supplied with transports, until `run` is cancelled or a refusal is final.

    An exception of `connect` may say what to make of it, as `SignallingError` does: `retryable` False means that the
    same request is refused again, and `retry_after` is seconds that have to pass before the next (CC-SIG-068,
    CC-SIG-070). Where it also says `needs_token`, there is one more attempt, for which there may be another token.
    Exceptions that say nothing are retried, and so is a `CancelledError` that comes from within `connect`.

    The initiator of a link makes a transport when there is none. The acceptor never knows when its peer makes one, so
    `accepting` asks `connect` for the next as soon as the last has come up: it returns when the peer has made one.

    Pauses between attempts grow, and are random, so that the endpoints of a relay that has restarted do not all
    come at once.
    """

    def __init__(
        self,
        driver: Driver,
        connect: Connect,
        *,
        accepting: bool = False,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._driver = driver
        self._connect = connect
        self._accepting = accepting
        self._draw = draw
        self._failures = 0
        self._worked = False
        self._token_refused = False
        self._live: set[int] = set()
        self._changed = asyncio.Event()

    def worked(self) -> None:
        """The link is active: pauses begin anew, and an exception of `connect` is no longer the application's."""
        self._failures = 0
        self._worked = True
        self._token_refused = False

    def transport_changed(self, number: int, is_up: bool) -> None:
        """See `Driver`'s `on_transport`."""
        if not is_up:
            self._live.discard(number)
        self._changed.set()

    async def run(self) -> None:
        """Connect, again and again.

        Raises what `connect` raises before the link was first active; later a refusal that is final, once there is no
        transport left.
        """
        while True:
            try:
                transport = await self._make_transport()
            except Exception as exc:
                if not self._worked:
                    raise
                logger.info("connecting failed: %r", exc)
                if self._is_final(exc):
                    await self._until_live(0)
                    raise
                await self._pause(getattr(exc, "retry_after", None) or 0.0)
                continue
            number = self._driver.attach(transport)
            self._live.add(number)
            if not await self._comes_up(number, transport):
                self._driver.detach(number)
                await self._pause()
                continue
            most = SPARE - 1 if self._accepting else 0
            await self._until_live(most)
            if not self._accepting:
                await self._pause()

    async def _make_transport(self) -> Transport:
        try:
            return await self._connect()
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Something within it was cancelled: nobody wants to end the connecting, so it is a failure like others.
            raise LinkLost("`connect` was cancelled from within") from exc

    async def _comes_up(self, number: int, transport: Transport) -> bool:
        try:
            async with asyncio.timeout(UP_TIME):
                while number in self._live and not self._driver.is_up(number):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            logger.info("a transport did not come up in %g s", UP_TIME)
        return self._driver.is_up(number)

    async def _until_live(self, most: int) -> None:
        """Wait until there are no more transports than this."""
        while len(self._live) > most:
            self._changed.clear()
            await self._changed.wait()

    def _is_final(self, exc: Exception) -> bool:
        if getattr(exc, "retryable", True):
            return False
        before, self._token_refused = self._token_refused, True
        return before or not getattr(exc, "needs_token", False)

    async def _pause(self, least: float = 0.0) -> None:
        """Wait before the next attempt, for `least` seconds at least."""
        pause = least + self._draw() * min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        await asyncio.sleep(pause)
