# SPDX-License-Identifier: Apache-2.0
"""How the processes of the demonstration talk with the one that conducts it: JSON objects, one a line.

To a process go commands, `{"do": …}`, on its standard input, whose end ends it. From it come reports,
`{"report": …}`, on its standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import callchannel
from callchannel.cli.stdin import Pieces, lines

Report = dict[str, Any]

_LINE: Final = 1 << 22
_END_TIME: Final = 8.0
"""Seconds that a process has to end by itself when its standard input has ended."""
_STDERR_LINES: Final = 20


def wall_clock() -> int:
    """Microseconds since 1970: the processes of one machine agree on it."""
    return time.time_ns() // 1_000


# ---------------------------------------------------------------------------------------------------------------
# In the process
# ---------------------------------------------------------------------------------------------------------------


def tell(report: str, /, **fields: Any) -> None:
    """Report to the conductor."""
    sys.stdout.write(json.dumps({"report": report, **fields}) + "\n")
    sys.stdout.flush()


async def commands() -> AsyncIterator[dict[str, Any]]:
    """What the conductor says, until it closes standard input or is gone."""
    async for line in lines(Pieces()):
        yield json.loads(line)


# ---------------------------------------------------------------------------------------------------------------
# In the conductor
# ---------------------------------------------------------------------------------------------------------------


class Child:
    """A process that was started. `on_report(name, report)` is called for each report, and for its end, "ended"."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, on_report: Callable[[str, Report], None]
    ) -> None:
        self.name = name
        self._process = process
        self._on_report = on_report
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._reading = asyncio.gather(self._read_reports(), self._read_stderr())

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_report: Callable[[str, Report], None],
    ) -> Child:
        """Start a process with this package on its path."""
        source = str(Path(callchannel.__file__).parents[1])
        path = os.pathsep.join(part for part in (source, os.environ.get("PYTHONPATH")) if part)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **environment},
            limit=_LINE,
        )
        return cls(name, process, on_report)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    def do(self, command: str, /, **fields: Any) -> None:
        """Tell the process to do something."""
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):  # it has ended, which is reported
            self._process.stdin.write(json.dumps({"do": command, **fields}).encode() + b"\n")

    async def end(self) -> None:
        """End the process: ask for it, and kill it if that takes too long."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            async with asyncio.timeout(_END_TIME):
                await self._process.wait()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read_reports(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            try:
                report = json.loads(line)
            except ValueError:
                self._stderr.append(line.decode(errors="replace").rstrip())
                continue
            self._on_report(self.name, report)
        code = await self._process.wait()
        self._on_report(self.name, {"report": "ended", "exit": code, "stderr": list(self._stderr)})

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._stderr.append(line.decode(errors="replace").rstrip())
