# SPDX-License-Identifier: Apache-2.0
"""Every cell of the receivers' state tables (section 5.14), driven through an endpoint (CC-SESS-067, 068)."""

import pytest

from tests.core.states.reasons import LOSSY, RELIABLE
from tests.core.states.receiver_effects import OBSERVERS
from tests.core.states.receiver_world import ReceiverWorld
from tests.core.states.tables import Case, run


@pytest.mark.parametrize("case", RELIABLE.parameters())
def test_reliable_cell(case: Case) -> None:
    run(RELIABLE, case, ReceiverWorld(case.variant, case.row, is_lossy=False), OBSERVERS)


@pytest.mark.parametrize("case", LOSSY.parameters())
def test_lossy_cell(case: Case) -> None:
    run(LOSSY, case, ReceiverWorld(case.variant, case.row, is_lossy=True), OBSERVERS)


@pytest.mark.parametrize("suite", [RELIABLE, LOSSY], ids=["reliable", "lossy"])
def test_every_cell_is_driven_or_has_a_reason(suite: object) -> None:
    suite.check_complete()


def test_every_effect_has_an_observer() -> None:
    RELIABLE.check_effects(OBSERVERS, LOSSY)
