# SPDX-License-Identifier: Apache-2.0
"""What tests of links look at."""

from __future__ import annotations

from typing import Any

from callchannel.core import frames as wire
from callchannel.core.events import LinkEnded
from tests.core.network import Wire


def ended(link: Wire) -> int | None:
    """The code that ended the link, which was told once (CC-ERR-025)."""
    found = link.told(LinkEnded)
    assert len(found) <= 1
    return found[0].code if found else None


# --- suspension and resumption ---------------------------------------------------------------


def resumed(link: Wire, transport: int = 2, **fields: Any) -> wire.Hello:
    """Go over to another transport; the WELCOME fits but for `fields`."""
    link.replace(transport)
    (hello,) = link.take_of(wire.Hello)
    link.give(
        link.welcome(
            hello,
            **{"slot": 2, "token": b"T" * 16, "received": link.endpoint.counting.acked} | fields,  # type: ignore[arg-type]
        )
    )
    return hello
