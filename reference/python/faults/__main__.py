# SPDX-License-Identifier: Apache-2.0
"""`python -m faults [--quick] [--only NAME] [--cuts N] [--json]`: do it, and print a table."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Final

from callchannel.cli.connecting import run_command
from callchannel.cli.main import FAILED, OK, USAGE
from callchannel.cli.output import Output, survive_any_text, table
from faults.scenarios import SCENARIOS
from faults.stage import Options, Result

_EPILOG: Final = """examples:
  python -m faults
  python -m faults --quick
  python -m faults --only cuts --cuts 100
  python -m faults --only relay --only endpoint --json > faults.jsonl

Each scenario starts a relay and endpoints, a process each, over real WebRTC on this machine, and does something to
them. It needs no network. The exit code is 0 if everything is as it has to be, 1 if a check fails, 2 for a wrong
argument.
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    names = "\n".join(f"  {name:12}{scenario.what}" for name, scenario in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m faults",
        description="Faults for real, and whether anything is lost by them.",
        epilog=f"scenarios:\n{names}\n\n{_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="the short form: one cut of each kind, smaller files")
    parser.add_argument("--only", action="append", metavar="NAME", choices=list(SCENARIOS), help="repeatable")
    parser.add_argument("--cuts", type=int, default=52, metavar="N", help="cuts of the long form; default: 52")
    parser.add_argument("--json", action="store_true", help="write events as JSON Lines")
    parser.add_argument("--plain", action="store_true", help="no colours and no live line")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; returns the exit code."""
    survive_any_text(sys.stdout)
    logging.getLogger("callchannel").addHandler(logging.NullHandler())  # raw peers are in this process
    parser = build_parser()
    given = parser.parse_args(arguments)
    if given.cuts < 1:
        parser.print_usage(sys.stderr)
        print("python -m faults: --cuts has to be 1 or more", file=sys.stderr)
        return USAGE
    output = Output(json=given.json, plain=given.plain)
    return run_command(
        "faults", perform(given.only or list(SCENARIOS), Options(cuts=given.cuts, quick=given.quick), output)
    )


async def perform(names: Sequence[str], options: Options, output: Output) -> int:
    """Run scenarios one after the other; returns the exit code."""
    results: list[Result] = []
    for name in names:
        output.line(output.style(f"{name}: {SCENARIOS[name].what}", "bold"))
        began = time.monotonic()
        try:
            result = await SCENARIOS[name].run(options, output)
        except Exception as exc:  # the others go on: a long run is not to be lost
            traceback.print_exc()
            result = Result(scenario=name, faults=[f"the scenario itself failed: {exc!r}"])
        result.seconds = round(time.monotonic() - began, 1)
        results.append(result)
        output.event("scenario", ok=not result.faults, **dataclasses.asdict(result))
        for fault in result.faults:
            output.line(output.style(f"FAULT: {fault}", "red"))
    show(results, output)
    faults = sum(len(result.faults) for result in results)
    output.event("result", ok=not faults, faults=faults)
    return FAILED if faults else OK


def show(results: Sequence[Result], output: Output) -> None:
    """The table."""
    cells = [
        (result.scenario, row.what, row.measured, row.bound, "ok" if row.ok else "WRONG")
        for result in results
        for row in result.rows
    ]
    output.line()
    for line in table(("scenario", "what", "measured", "has to be", ""), cells):
        output.line(line)
    output.line()
    for result in results:
        for text in result.not_run:
            output.line(f"{result.scenario}: not run: {text}")
        for text in result.notes:
            output.line(text)
    for result in results:
        count = len(result.faults)
        told = f"{count} fault{'s' if count > 1 else ''}" if count else "everything is as it has to be"
        output.line(output.style(f"{result.scenario}: {told}, in {result.seconds:.1f} s", "red" if count else "green"))


if __name__ == "__main__":
    sys.exit(main())
