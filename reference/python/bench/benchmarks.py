# SPDX-License-Identifier: Apache-2.0
"""All benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bench import codec, core, fanout, file, growth, over_aiortc, quiet, suite
from bench.contest import Row
from bench.growth import Series
from bench.settings import Settings

BENCHMARKS: Final[dict[str, Callable[[Settings], Sequence[Row | Series]]]] = {
    "codec": codec.run,
    "core": core.run,
    "fanout": fanout.run,
    "quiet": quiet.run,
    "messages": over_aiortc.messages,
    "bulk": over_aiortc.bulk,
    "roundtrip": over_aiortc.roundtrip,
    "priority": over_aiortc.priority,
    "lossy": over_aiortc.with_loss,
    "suite": suite.run,
    "file": file.run,
    "growth": growth.run,
}
