# SPDX-License-Identifier: Apache-2.0
"""All scenarios, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from callchannel.cli.output import Output
from faults import cuts, endpoint_killed, lossy_networks, memory, readers, relay_killed
from faults.stage import Options, Result


@dataclass(frozen=True, slots=True)
class Entry:
    """A scenario."""

    what: str
    run: Callable[[Options, Output], Awaitable[Result]]


SCENARIOS: Final[dict[str, Entry]] = {
    "cuts": Entry("connections cut in mid-transfer, and restored", cuts.run),
    "relay": Entry("a relay killed and restarted, and one that stays away", relay_killed.run),
    "endpoint": Entry("an endpoint killed in mid-message", endpoint_killed.run),
    "reader": Entry("readers that stop reading: a stopped process, and an application", readers.run),
    "networks": Entry("loss and delay between network namespaces, and an interface taken down", lossy_networks.run),
    "memory": Entry("the memory of a relay under what makes it keep as much as it can", memory.run),
}
