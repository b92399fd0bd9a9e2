# SPDX-License-Identifier: Apache-2.0
"""Transports in virtual time."""

from __future__ import annotations

import pytest

from simulator.network import Cable, Network, Node


@pytest.mark.parametrize("passes", [False, True])
def test_what_is_held_arrives_in_order(passes: bool) -> None:
    network = Network()
    ends = Node("a", None, is_hub=False), Node("b", None, is_hub=True)
    cable = Cable(1, ends, 10, 0, iter(()))
    cable.lossy_passes = passes
    seen: list[int] = []
    network.deliver(cable, 0, lambda: seen.append(1), ordered=True)
    cable.held[0] = []
    network.deliver(cable, 0, lambda: seen.append(2), ordered=True)
    network.deliver(cable, 0, lambda: seen.append(9), ordered=False)
    while network.next_time() is not None:
        network.step()
    assert seen == ([9] if passes else [])
    network.release(cable)
    network.deliver(cable, 0, lambda: seen.append(3), ordered=True)
    network.step()
    assert seen[passes:] == [1, 2, 3]


def test_a_rate_leaves_less_room() -> None:
    network = Network()
    cable = Cable(1, (Node("a", None, is_hub=False), Node("b", None, is_hub=True)), 10, 20, iter(()))
    before = network.room(cable, 0)
    network.spend(cable, 0, 1_000)
    assert network.room(cable, 0) == before - 1_000
    network.now = 50_000
    assert network.room(cable, 0) == before
