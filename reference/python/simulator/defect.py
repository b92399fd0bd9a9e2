# SPDX-License-Identifier: Apache-2.0
"""What a seeded defect is."""

from __future__ import annotations

from typing import NamedTuple

from simulator.patching import Patch


class Defect(NamedTuple):
    """A change of shipped code that breaks a requirement."""

    name: str
    source: str
    """`why`: undoes a reason of the design; else the area."""
    rule: str
    patches: tuple[Patch, ...]
    survives: str = ""
    """Why well-behaved machines can't show it; empty: it has to be caught."""
    plan: str = ""
    """The kept plan that shows it, where that has another name than `witness-` and the defect's."""


def one(
    name: str, source: str, rule: str, module: str, old: str, new: str, survives: str = "", plan: str = ""
) -> Defect:
    """A defect of one patch; `module` stands under `callchannel.core`."""
    return Defect(name, source, rule, (Patch(f"callchannel.core.{module}", old, new),), survives, plan)
