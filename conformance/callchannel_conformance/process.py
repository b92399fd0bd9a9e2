# SPDX-License-Identifier: Apache-2.0
"""The adapter's process, or its WebSocket: lines out, lines in, and what went wrong when none comes.

A `Channel` knows nothing of the protocol but that it is made of lines. `client.Client` stands on it.
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import json
import os
import queue
import shlex
import subprocess
import threading
from typing import Final, Protocol

from callchannel_conformance.outcome import AdapterError

LONGEST_LINE: Final = 1 << 21
"""Bytes. Longer lines are garbage: the protocol allows 1 MiB, and a reply may hold many packets."""

_STDERR_LINES: Final = 30


class Channel(Protocol):
    """Carries lines to an adapter and back."""

    def exchange(self, line: bytes, timeout: float) -> bytes:
        """Write *line* and return the next line that comes, without its end.

        Raises `AdapterError`: crash, when the adapter has ended; hang, when nothing came for *timeout* seconds.
        """

    def close(self) -> None:
        """End the adapter."""

    @property
    def diagnostics(self) -> str:
        """The last lines that the adapter wrote to standard error."""


class Process:
    """An adapter as a process: a command with its arguments, as one text."""

    def __init__(self, command: str, *, environment: dict[str, str] | None = None) -> None:
        arguments = shlex.split(command)
        if not arguments:
            raise AdapterError("start", "the command is empty")
        try:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=None if environment is None else os.environ | environment,
            )
        except OSError as error:
            raise AdapterError("start", f"{command}: {error}") from error
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES)
        for target in (self._read_lines, self._read_errors):
            threading.Thread(target=target, daemon=True).start()

    @property
    def diagnostics(self) -> str:
        """The last lines that the adapter wrote to standard error."""
        return "".join(self._errors)

    def exchange(self, line: bytes, timeout: float) -> bytes:
        """See `Channel.exchange`."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(line + b"\n")
            stdin.flush()
        except (OSError, ValueError) as error:
            raise self._crash() from error
        try:
            answer = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise AdapterError("hang", f"no reply within {timeout:g} s") from None
        if answer is None:
            raise self._crash()
        return answer

    def close(self) -> None:
        """End the process: close its input, then stop it if it does not end by itself."""
        for stream in (self._process.stdin,):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        try:
            self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for output in (self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError, ValueError):
                if output is not None:
                    output.close()

    def _crash(self) -> AdapterError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        return AdapterError("crash", f"the adapter ended with status {self._process.poll()}")

    def _read_lines(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        with contextlib.suppress(ValueError, OSError):
            while line := stdout.readline(LONGEST_LINE):
                self._lines.put(line.rstrip(b"\r\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        with contextlib.suppress(ValueError, OSError):
            while line := stderr.readline(LONGEST_LINE):
                self._errors.append(line.decode("utf-8", "replace"))


class Inline:
    """An adapter in this process: an object with `answer(request) -> reply`, both as JSON has them.

    It spares two changes of process for each op. A crash takes the runner along, so it is for adapters that one trusts.
    """

    diagnostics = ""

    def __init__(self, place: str) -> None:
        module, _, name = place.partition(":")
        try:
            self._adapter = getattr(importlib.import_module(module), name)()
        except (ImportError, AttributeError) as error:
            raise AdapterError("start", f"inline:{place}: {error}") from error

    def exchange(self, line: bytes, timeout: float) -> bytes:
        """See `Channel.exchange`. *timeout* is of no effect."""
        return json.dumps(self._adapter.answer(json.loads(line))).encode()

    def close(self) -> None:
        """Nothing is to be ended."""


def open_channel(address: str, *, environment: dict[str, str] | None = None) -> Channel:
    """Start or await the adapter of *address*: a command, `ws-listen:PORT`, or `inline:MODULE:CLASS`.

    Raises `AdapterError`.
    """
    if address.startswith("inline:"):
        return Inline(address.removeprefix("inline:"))
    if address.startswith("ws-listen:"):
        # Only who asks for a WebSocket pays for its code.
        from callchannel_conformance.websocket import WebSocket  # noqa: PLC0415

        return WebSocket(int(address.removeprefix("ws-listen:")))
    return Process(address, environment=environment)
