# SPDX-License-Identifier: Apache-2.0
"""`callchannel COMMAND …`.

Each command is a module with `build_parser()` and `run(arguments)`; it is imported when it is asked for, since most of
them need aiortc, and `decode` needs nothing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, Protocol, cast

from callchannel import __version__
from callchannel.cli.output import survive_any_text

COMMANDS: Final = {
    "demo": "a real group call of several processes on this machine, checked",
    "relay": "run a relay",
    "join": "take part in a call: type to send, see what arrives",
    "send": "send a text, standard input or a file to a call",
    "token": "make an admission token",
    "decode": "explain packets, field by field",
}

EXTRAS: Final = frozenset(("aiohttp", "aiortc", "jwt", "prometheus_client"))
"""Libraries that come with an extra."""

OK: Final = 0
FAILED: Final = 1
"""What was asked for is not wholly done: somebody did not get it, a packet is malformed, a check failed."""
USAGE: Final = 2
NO_CALL: Final = 3
"""The call could not be joined, or was lost."""
INTERRUPTED: Final = 130

_EPILOG: Final = """examples:
  callchannel demo
  callchannel relay --open
  callchannel join http://127.0.0.1:8080 tea --identity ann
  callchannel send http://127.0.0.1:8080 tea --identity bob --to ann "hello, Ann"
  callchannel decode 01010012000700020000000500000001 6869

exit codes:
  0  done
  1  not wholly done: somebody did not get it (and is named), a packet is malformed, a check failed
  2  wrong usage
  3  the call could not be joined, or was lost
"""


class Command(Protocol):
    """A module with a command."""

    def build_parser(self) -> argparse.ArgumentParser:
        """Its arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; returns the exit code."""


def build_parser() -> argparse.ArgumentParser:
    """The arguments in front of a command's own."""
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:{width}}  {purpose}" for name, purpose in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="callchannel",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Data messages in a call.\n\ncommands:\n{listing}",
        epilog=_EPILOG + "\nThe arguments of a command: callchannel COMMAND --help",
        usage="callchannel COMMAND [ARGUMENT ...]",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the above")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    survive_any_text(sys.stdout, sys.stderr)
    arguments = build_parser().parse_args(argv)
    try:
        command = load(arguments.command)
    except ModuleNotFoundError as exc:
        if exc.name not in EXTRAS:
            raise
        print(f"callchannel: {exc.name} is missing; install it with: pip install 'callchannel[relay]'", file=sys.stderr)
        return USAGE
    try:
        return command.run(command.build_parser().parse_intermixed_args(arguments.rest))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone. What is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def load(name: str) -> Command:
    """The module of a command. Raises `ModuleNotFoundError` where a library is missing."""
    return cast(Command, importlib.import_module(f"callchannel.cli.{name}"))


def new_parser(name: str, epilog: str, description: str = "") -> argparse.ArgumentParser:
    """A parser for a command, with examples below its arguments."""
    return argparse.ArgumentParser(
        prog=f"callchannel {name}",
        description=description or COMMANDS[name][0].upper() + COMMANDS[name][1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def complain(name: str, text: object) -> None:
    """Say on standard error what is wrong."""
    print(f"callchannel {name}: {text}", file=sys.stderr)
