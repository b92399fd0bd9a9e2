# SPDX-License-Identifier: Apache-2.0
"""All benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench import codec, core, fanout, file, over_aiortc, quiet
from bench.contest import Row
from bench.settings import Settings

BENCHMARKS: Final[dict[str, Callable[[Settings], list[Row]]]] = {
    "codec": codec.run,
    "core": core.run,
    "fanout": fanout.run,
    "quiet": quiet.run,
    "messages": over_aiortc.messages,
    "bulk": over_aiortc.bulk,
    "roundtrip": over_aiortc.roundtrip,
    "priority": over_aiortc.priority,
    "lossy": over_aiortc.with_loss,
    "file": file.run,
}
