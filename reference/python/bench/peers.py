# SPDX-License-Identifier: Apache-2.0
"""Other protocols' sans-IO cores, two of each connected in memory, as senders of messages in one direction.

All are used alike: `send` messages, then `pump`: what one side wrote is fed to the other, and what that received is
checked by `check` in order. Each has its C parts, and windows that never make it wait.
"""

from __future__ import annotations

from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import wsproto
import wsproto.connection
import wsproto.events
from websockets.frames import Frame
from websockets.protocol import Protocol, Side, State

Check = Callable[[bytes], None]


class WebSockets:
    """Two protocols of the websockets library; frames from a server are not masked, which is faster."""

    def __init__(self, check: Check, *, from_client: bool = False) -> None:
        sides = [Protocol(Side.SERVER, state=State.OPEN), Protocol(Side.CLIENT, state=State.OPEN)]
        self._sender, self._receiver = reversed(sides) if from_client else sides
        self._check = check
        self._send = self._sender.send_binary

    def send(self, message: bytes) -> None:
        """Write one message."""
        self._send(message)

    def pump(self) -> None:
        """Let everything arrive and be read."""
        for data in self._sender.data_to_send():
            self._receiver.receive_data(data)
        check = self._check
        for event in self._receiver.events_received():
            assert isinstance(event, Frame)
            check(bytes(event.data))


class WsProto:
    """Two connections of wsproto, from server to client."""

    def __init__(self, check: Check) -> None:
        self._sender = wsproto.connection.Connection(wsproto.ConnectionType.SERVER)
        self._receiver = wsproto.connection.Connection(wsproto.ConnectionType.CLIENT)
        self._check = check
        self._out: list[bytes] = []

    def send(self, message: bytes) -> None:
        """Write one message."""
        self._out.append(self._sender.send(wsproto.events.BytesMessage(message)))

    def pump(self) -> None:
        """Let everything arrive and be read."""
        self._receiver.receive_data(b"".join(self._out))
        self._out.clear()
        parts: list[bytes] = []
        for event in self._receiver.events():
            assert isinstance(event, wsproto.events.BytesMessage)
            parts.append(bytes(event.data))
            if event.message_finished:
                self._check(parts[0] if len(parts) == 1 else b"".join(parts))
                parts = []


class Http2:
    """One HTTP/2 stream by h2; each message is a DATA frame of its own, and its window is given back."""

    def __init__(self, check: Check) -> None:
        self._sender = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._receiver = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._check = check
        self._sender.initiate_connection()
        self._receiver.initiate_connection()
        self._receiver.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 24})
        self._receiver.increment_flow_control_window(1 << 24)
        self._sender.send_headers(
            1, [(":method", "POST"), (":path", "/"), (":scheme", "https"), (":authority", "a")], end_stream=False
        )
        for _ in range(3):
            self.pump()

    def send(self, message: bytes) -> None:
        """Write one message."""
        self._sender.send_data(1, message)

    def pump(self) -> None:
        """Let everything arrive and be read."""
        receiver = self._receiver
        for event in receiver.receive_data(self._sender.data_to_send()):
            if isinstance(event, h2.events.DataReceived):
                assert event.data is not None and event.flow_controlled_length is not None
                receiver.acknowledge_received_data(event.flow_controlled_length, 1)
                self._check(event.data)
        back = receiver.data_to_send()
        if back:
            self._sender.receive_data(back)
