# SPDX-License-Identifier: Apache-2.0
"""`callchannel demo`: a real call of several processes on this machine, checked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from callchannel.cli.connecting import run_command
from callchannel.cli.main import FAILED, OK, USAGE, complain, new_parser
from callchannel.cli.output import Output
from callchannel.demo.group import run_group
from callchannel.demo.pair import run_pair
from callchannel.demo.scenario import Programs, Scenario
from callchannel.demo.summary import View
from callchannel.demo.web import run_web
from callchannel.server import ConfigError

_EPILOG: Final = """examples:
  callchannel demo
  callchannel demo --p2p
  callchannel demo --json > demo.jsonl
  callchannel demo --web

A relay and five participants, each a process of its own, in a call over real WebRTC: texts, an image and a file of
20 MB to everyone, to one, to a set and to everyone but one; Lossy ticks, and what becomes of them; a connection that is
cut and comes back; somebody who leaves and comes back. It needs no network. In the end it shows who received what, as
the receiving processes measured it. The exit code is 0 if everything is as it should be, 1 if a check fails.
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = new_parser("demo", _EPILOG)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--p2p", action="store_true", help="two processes, and no relay")
    kinds.add_argument("--web", action="store_true", help="a page to join in a browser, until Ctrl-C")
    parser.add_argument("--port", type=int, help="with --web: its port; default: 8080, or any that is free")
    parser.add_argument("--plain", action="store_true", help="no colours and no live line")
    parser.add_argument("--json", action="store_true", help="write events as JSON Lines")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration; returns the exit code."""
    output = Output(json=arguments.json, plain=arguments.plain)
    if arguments.web:
        return run_command("demo", _serve(output, arguments.port))
    code = perform(Scenario(), Programs(), output, p2p=arguments.p2p)
    output.line(f"See it in a browser: {_program()} demo --web")
    return code


def _program() -> str:
    """This program as it was called, for a line to be copied."""
    return sys.argv[0] if Path(sys.argv[0]).name == "callchannel" else "callchannel"


async def _serve(output: Output, port: int | None) -> int:
    try:
        await run_web(output, port)
    except ConfigError as exc:
        complain("demo", exc)
        return USAGE
    return OK


def perform(scenario: Scenario, programs: Programs, output: Output, *, p2p: bool = False) -> int:
    """Run this demonstration; returns the exit code."""
    return run_command("demo", _perform(scenario, programs, View(output), p2p))


async def _perform(scenario: Scenario, programs: Programs, view: View, p2p: bool) -> int:
    findings = await (run_pair if p2p else run_group)(scenario, programs, view)
    return FAILED if findings.faults else OK
