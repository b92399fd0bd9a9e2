# SPDX-License-Identifier: Apache-2.0
"""Events are values that say what happened."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from callchannel.core import events
from callchannel.core.events import Event, Participant

KINDS = typing.get_args(Event)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_events_are_frozen_values(kind: type) -> None:
    assert dataclasses.is_dataclass(kind)
    assert kind.__doc__
    fields = {field.name: field.name for field in dataclasses.fields(kind)}
    event = kind(**fields)
    assert event == kind(**fields)
    assert hash(event) == hash(kind(**fields))
    for name in fields:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, name, None)


def test_every_event_of_the_module_is_in_the_union() -> None:
    found = {kind for kind in vars(events).values() if isinstance(kind, type) and kind.__module__ == events.__name__}
    assert found - {Participant} == set(KINDS)


def test_two_devices_share_the_identity_not_the_slot() -> None:
    """CC-ROSTER-003."""
    assert Participant("ann", 1) != Participant("ann", 2)
    assert Participant("ann", 1).identity == Participant("ann", 2).identity
