# SPDX-License-Identifier: Apache-2.0
"""A WebSocket server for one adapter that can't be a process, such as a browser page: RFC 6455 as far as needed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
from typing import Final

from callchannel_conformance.outcome import AdapterError

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_WAIT: Final = 60.0
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_LONGEST: Final = 1 << 21


class WebSocket:
    """Listens on a port of the loopback interface and speaks with the first that connects. See `process.Channel`."""

    def __init__(self, port: int) -> None:
        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(_WAIT)
            try:
                self._socket, _ = server.accept()
            except TimeoutError:
                raise AdapterError("start", f"no adapter connected to port {port} within {_WAIT:g} s") from None
        self._socket.settimeout(_WAIT)
        self._buffer = b""
        self._shake_hands()

    @property
    def diagnostics(self) -> str:
        """Nothing: what the adapter logs, it logs where it runs."""
        return ""

    def exchange(self, line: bytes, timeout: float) -> bytes:
        """See `process.Channel`."""
        self._socket.settimeout(timeout)
        try:
            self._send(_TEXT, line)
            return self._receive()
        except TimeoutError:
            raise AdapterError("hang", f"no reply within {timeout:g} s") from None
        except OSError as error:
            raise AdapterError("crash", f"the connection is gone: {error}") from error

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(OSError):
            self._send(_CLOSE, b"")
        self._socket.close()

    def _shake_hands(self) -> None:
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        parts = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
        fields = {name.strip().lower(): value.strip() for name, _, value in parts}
        if b"sec-websocket-key" not in fields:
            raise AdapterError("start", "what connected speaks no WebSocket")
        accept = base64.b64encode(hashlib.sha1(fields[b"sec-websocket-key"] + _GUID, usedforsecurity=False).digest())
        self._socket.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )

    def _fill(self) -> None:
        data = self._socket.recv(65_536)
        if not data:
            raise AdapterError("crash", "the connection was closed")
        self._buffer += data
        if len(self._buffer) > _LONGEST:
            raise AdapterError("garbage", "a message is too long")

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive(self) -> bytes:
        message = b""
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
            if size > _LONGEST:
                raise AdapterError("garbage", "a message is too long")
            mask = self._take(4) if second & 0x80 else bytes(4)
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(self._take(size)))
            kind = first & 0x0F
            if kind == _CLOSE:
                raise AdapterError("crash", "the adapter closed the connection")
            if kind == _PING:
                self._send(_PONG, payload)
            elif kind != _PONG:
                message += payload
                if first & 0x80:
                    return message

    def _send(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes([0x80 | kind])
        if size < 126:
            head += bytes([size])
        elif size < 1 << 16:
            head += b"\x7e" + size.to_bytes(2, "big")
        else:
            head += b"\x7f" + size.to_bytes(8, "big")
        self._socket.sendall(head + payload)
