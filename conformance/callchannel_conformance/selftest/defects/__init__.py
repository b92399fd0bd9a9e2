# SPDX-License-Identifier: Apache-2.0
"""Seeded defects of behaviour. Each names the requirements that it violates and the areas of checks that must see it.

They are stated from the requirements, apply to any implementation by `proxy`, and each changes one thing.
"""

from callchannel_conformance.selftest.defects import (
    calls,
    content,
    delivery,
    lanes,
    link,
    pulls,
    reads,
    relay,
    rosters,
    sessions,
    settling,
    state,
    told,
)
from callchannel_conformance.selftest.defects.words import DEFECTS, Defect

__all__ = [
    "DEFECTS",
    "Defect",
    "calls",
    "content",
    "delivery",
    "lanes",
    "link",
    "pulls",
    "reads",
    "relay",
    "rosters",
    "sessions",
    "settling",
    "state",
    "told",
]
