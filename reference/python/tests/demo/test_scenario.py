# SPDX-License-Identifier: Apache-2.0
"""What the demonstration promises to show, as its data."""

from callchannel.demo.scenario import Delivery, Scenario


def test_the_real_one_has_what_is_promised() -> None:
    scenario = Scenario()
    assert len(scenario.participants) >= 4
    assert scenario.file_bytes == 20_000_000
    everyone = scenario.participants
    sizes = [len(delivery.recipients(everyone)) for delivery in scenario.deliveries]
    assert sizes == [len(everyone) - 1, 1, 2, len(everyone) - 2]
    assert {scenario.loses_connection, scenario.sends_to_it, scenario.leaves, scenario.sends_to_leaver} <= set(everyone)
    assert scenario.acts == ("deliver", "lossy", "cut", "leave", "return")


def test_recipients() -> None:
    everyone = ("ann", "bob", "carol")
    assert Delivery(title="", sender="ann").recipients(everyone) == ("bob", "carol")
    assert Delivery(title="", sender="ann", to=("ann", "carol")).recipients(everyone) == ("carol",)
    assert Delivery(title="", sender="ann", exclude=("carol",)).recipients(everyone) == ("bob",)
