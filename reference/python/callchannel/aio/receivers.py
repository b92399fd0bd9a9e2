# SPDX-License-Identifier: Apache-2.0
"""The iterator over the receivers of a call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final
from weakref import WeakSet

from callchannel.aio.receiver import DataChannelReceiver
from callchannel.core.errors import LinkLost

_FEW: Final = 64
"""Receivers that may wait before the ended ones among them are looked for."""


class ReceiverStream:
    """Receivers, as they come. Made by `Call.receivers`."""

    def __init__(self, there: Iterable[DataChannelReceiver], streams: WeakSet[ReceiverStream]) -> None:
        self._pending: deque[DataChannelReceiver] = deque(there)
        self._look_at = _FEW
        self._streams = streams
        self._is_over = False
        self._error: LinkLost | None = None
        self._changed = asyncio.Event()
        streams.add(self)

    def __aiter__(self) -> ReceiverStream:
        return self

    async def __anext__(self) -> DataChannelReceiver:
        while True:
            while self._pending:
                receiver = self._pending.popleft()
                if not receiver.is_closed:
                    return receiver
            if self._is_over:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """End the iteration."""
        self._pending.clear()
        self._end(None)

    def _put(self, receiver: DataChannelReceiver) -> None:
        if len(self._pending) >= self._look_at:
            self._pending = deque(item for item in self._pending if not item.is_closed)
            self._look_at = max(_FEW, 2 * len(self._pending))
        self._pending.append(receiver)
        self._changed.set()

    def _end(self, error: LinkLost | None) -> None:
        self._is_over = True
        self._error = error
        self._streams.discard(self)
        self._changed.set()
