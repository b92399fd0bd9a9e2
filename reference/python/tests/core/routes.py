# SPDX-License-Identifier: Apache-2.0
"""What tests of routes share."""

from tests.core.relay.scripted import Client, Net

LEFT, LOST, OVERRUN = 0x27, 0x28, 0x24


def four(**limits: int) -> tuple[Net, list[Client]]:
    net = Net(**limits)
    return net, net.joined("ann", "bob", "carol", "dan")
