# SPDX-License-Identifier: Apache-2.0
"""Every cell of the sender's state table (section 5.13), driven through an endpoint (CC-SESS-066)."""

import pytest

from tests.core.states.reasons import SENDER
from tests.core.states.sender_world import OBSERVERS, SenderWorld
from tests.core.states.tables import Case, run


@pytest.mark.parametrize("case", SENDER.parameters())
def test_cell(case: Case) -> None:
    world = SenderWorld(case.variant)
    world.row = case.row
    run(SENDER, case, world, OBSERVERS)


def test_every_cell_is_driven_or_has_a_reason() -> None:
    SENDER.check_complete()


def test_every_effect_has_an_observer() -> None:
    SENDER.check_effects(OBSERVERS)
