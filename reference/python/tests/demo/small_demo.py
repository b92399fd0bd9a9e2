# SPDX-License-Identifier: Apache-2.0
"""The demonstration in small, for the tests: `small_demo.py [alter|drop|misroute|none] [--p2p] [--json]`."""

import sys
from pathlib import Path

from callchannel.cli.demo import perform
from callchannel.cli.main import survive_any_text
from callchannel.cli.output import Output
from callchannel.demo.scenario import Delivery, Programs, Scenario

SMALL = Scenario(texts=3, text_interval=0.02, file_bytes=2_000_000, image_side=32, ticks=20, cut_file_bytes=1_000_000)

FAULTY = Scenario(
    acts=("deliver",),
    participants=("ann", "bob", "carol"),
    deliveries=(
        Delivery(title="to a set", sender="ann", to=("bob", "carol")),
        Delivery(title="to one", sender="bob", to=("carol",)),
    ),
    texts=3,
    text_interval=0.02,
    file_bytes=2_000_000,
    image_side=16,
    patience=4.0,
)


def main() -> int:
    """Run it; returns the exit code."""
    survive_any_text(sys.stdout)
    fault, *options = sys.argv[1:]
    output = Output(json="--json" in options)
    if fault == "none":
        return perform(SMALL, Programs(), output, p2p="--p2p" in options)
    relay = (sys.executable, str(Path(__file__).with_name("faulty_relay.py")), fault)
    return perform(FAULTY, Programs(relay=relay), output)


raise SystemExit(main())
