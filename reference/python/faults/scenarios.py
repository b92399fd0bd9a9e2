# SPDX-License-Identifier: Apache-2.0
"""All scenarios, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from callchannel.cli.output import Output
from faults import cuts
from faults.stage import Options, Result


@dataclass(frozen=True, slots=True)
class Entry:
    """A scenario."""

    what: str
    run: Callable[[Options, Output], Awaitable[Result]]


SCENARIOS: Final[dict[str, Entry]] = {
    "cuts": Entry("connections cut in mid-transfer, and restored", cuts.run),
}
