# SPDX-License-Identifier: Apache-2.0
"""Every cell of the link's state table (section 9.12), at an initiator, an acceptor and a relay (CC-LINK-064)."""

import pytest

from tests.core.states.link_world import OBSERVERS, LinkWorld
from tests.core.states.reasons import LINK
from tests.core.states.tables import Case, run


@pytest.mark.parametrize("case", LINK.parameters())
def test_cell(case: Case) -> None:
    run(LINK, case, LinkWorld(case.variant, case.row), OBSERVERS)


def test_every_cell_is_driven_or_has_a_reason() -> None:
    LINK.check_complete()


def test_every_effect_has_an_observer() -> None:
    LINK.check_effects(OBSERVERS)
