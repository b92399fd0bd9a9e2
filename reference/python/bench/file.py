# SPDX-License-Identifier: Apache-2.0
"""A file through a relay: three processes over aiortc, with the programs that a user has; throughput, and memory.

Memory is constant if none of the processes has grown from the second quarter of the transfer to the last.
"""

from __future__ import annotations

import hashlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.contest import Row
from bench.settings import Settings

GROWTH: Final = 16.0
"""Megabytes by which a process may grow and still count as constant."""
_CHUNK: Final = 1 << 20
_PATIENCE: Final = 3_600
"""Seconds that the whole transfer may take."""
_START: Final = 20.0
"""Seconds that a process may take to be ready."""


class _Process:
    """A `callchannel` command, and samples of its memory."""

    def __init__(self, *arguments: str) -> None:
        self.samples: list[float] = []
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "callchannel", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        return self._process.returncode

    def said(self) -> str:
        """The end of what it wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read()[-2_000:].decode(errors="replace")

    def sample(self) -> None:
        """Note how much memory it has now, in megabytes."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                self.samples.append(int(line.split()[1]) / 1024)

    def growth(self) -> float:
        """Megabytes from the second quarter to the last."""
        quarter = max(1, len(self.samples) // 4)
        return statistics.median(self.samples[-quarter:]) - statistics.median(self.samples[quarter : 2 * quarter])

    def end(self) -> None:
        """Stop it."""
        if self.runs:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _make(path: Path, size: int) -> str:
    """A file whose blocks differ; returns its digest."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(size // _CHUNK):
            block = hashlib.sha256(number.to_bytes(8, "big")).digest() * (_CHUNK // 32)
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the relay does not listen")


def run(settings: Settings) -> list[Row]:
    """1 GB; the quick form sends 32 MiB."""
    size = (32 << 20) if settings.quick else (1 << 30)
    return send(size)


def send(size: int) -> list[Row]:
    """Send a file of `size` bytes, a multiple of 1 MiB."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.bin", Path(folder) / "saved"
        target.mkdir()
        wanted = _make(source, size)
        relay = _Process("relay", "--open", "--port", str(port))
        processes = {"relay": relay}
        try:
            _wait_until_ready(port)
            processes["receiver"] = _Process(
                "join", url, "bench", "--identity", "bob", "--listen", "--save", str(target), "--save-limit", str(size)
            )
            start = time.perf_counter()
            processes["sender"] = sender = _Process(
                "send",
                url,
                "bench",
                "--identity",
                "ann",
                "--file",
                str(source),
                "--to",
                "bob",
                "--wait",
                "20",
                "--confirm",
                "delivered",
                "--timeout",
                str(_PATIENCE),
            )
            while sender.runs:
                for process in processes.values():
                    if process.runs:
                        process.sample()
                time.sleep(0.25)
            seconds = time.perf_counter() - start
            if sender.code:
                raise RuntimeError(f"the sender ended with status {sender.code} after {seconds:.0f} s: {sender.said()}")
            (saved,) = target.iterdir()
            assert _digest(saved) == wanted, "the file that arrived is another one"
        finally:
            for process in reversed(processes.values()):
                process.end()
    rows = [Row(benchmark="file", work=f"{size >> 20:,} MiB through the relay", unit="MB/s", ours=size / seconds / 1e6)]
    for name, process in processes.items():
        growth = process.growth()
        rows.append(
            Row(
                benchmark="file",
                work=f"memory of the {name}, at most {max(process.samples):.0f} MB: growth",
                unit="MB",
                ours=max(0.0, growth),
                target=f"≤ {GROWTH:g}",
                verdict="reached" if growth <= GROWTH else "missed",
            )
        )
    return rows
