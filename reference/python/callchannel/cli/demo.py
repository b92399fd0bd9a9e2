# SPDX-License-Identifier: Apache-2.0
"""`callchannel demo`: a real call of several processes on this machine, checked."""

from __future__ import annotations

import argparse
from typing import Final

from callchannel.cli.connecting import run_command
from callchannel.cli.main import FAILED, OK, new_parser
from callchannel.cli.output import Output
from callchannel.demo.group import run_group
from callchannel.demo.pair import run_pair
from callchannel.demo.scenario import Programs, Scenario
from callchannel.demo.summary import View

_EPILOG: Final = """examples:
  callchannel demo
  callchannel demo --p2p
  callchannel demo --json > demo.jsonl

A relay and five participants, each a process of its own, in a call over real WebRTC: texts, an image and a file of
20 MB to everyone, to one, to a set and to everyone but one; Lossy ticks, and what becomes of them; a connection that is
cut and comes back; somebody who leaves and comes back. It needs no network. In the end it shows who received what, as
the receiving processes measured it. The exit code is 0 if everything is as it should be, 1 if a check fails.
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = new_parser("demo", _EPILOG)
    parser.add_argument("--p2p", action="store_true", help="two processes, and no relay")
    parser.add_argument("--plain", action="store_true", help="no colours and no live line")
    parser.add_argument("--json", action="store_true", help="write events as JSON Lines")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration; returns the exit code."""
    output = Output(json=arguments.json, plain=arguments.plain)
    return perform(Scenario(), Programs(), output, p2p=arguments.p2p)


def perform(scenario: Scenario, programs: Programs, output: Output, *, p2p: bool = False) -> int:
    """Run this demonstration; returns the exit code."""
    return run_command("demo", _perform(scenario, programs, View(output), p2p))


async def _perform(scenario: Scenario, programs: Programs, view: View, p2p: bool) -> int:
    findings = await (run_pair if p2p else run_group)(scenario, programs, view)
    return FAILED if findings.faults else OK
