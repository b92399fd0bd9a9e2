# SPDX-License-Identifier: Apache-2.0
"""Marks that say which requirements a check judges.

A *positive* check shows that what the standard asks for is done. A *negative* check puts a fault, or a temptation to do
what is forbidden, before the implementation.
"""

from __future__ import annotations

import pytest

from callchannel_conformance import standard


def positive(*requirements: str) -> pytest.MarkDecorator:
    """The check shows that these requirements are followed. Raises `KeyError` for an unknown ID."""
    return _mark("positive", requirements)


def negative(*requirements: str) -> pytest.MarkDecorator:
    """The check tries to have these requirements broken. Raises `KeyError` for an unknown ID."""
    return _mark("negative", requirements)


def _mark(kind: str, requirements: tuple[str, ...]) -> pytest.MarkDecorator:
    for name in requirements:
        standard.requirement(name)
    return pytest.mark.requirement(*requirements, kind=kind)
