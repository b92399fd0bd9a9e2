# SPDX-License-Identifier: Apache-2.0
"""Joining a call from the command line: what `join` and `send` share."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import os
import signal
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from callchannel.aio import Call
from callchannel.cli.main import INTERRUPTED, NO_CALL, USAGE, complain
from callchannel.core.errors import CallChannelError, ErrorCode, InvalidArgument
from callchannel.escaping import visible
from callchannel.signalling.client import Connect, Token, connect_factory

TOKEN_VARIABLE: Final = "CALLCHANNEL_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which call, and who joins."""
    parser.add_argument("url", metavar="URL", help="the relay's base, such as https://relay.example")
    parser.add_argument("call", metavar="CALL", help="name of the call")
    who = parser.add_argument_group("who joins (give one)")
    who.add_argument("--identity", metavar="NAME", help="identifier, at a relay in open mode")
    who.add_argument("--token-file", metavar="PATH", help="file with an admission token; read for each connection")
    who.add_argument("--token-env", metavar="NAME", help=f"environment variable with it; default: {TOKEN_VARIABLE}")
    how = parser.add_argument_group("how")
    how.add_argument("--ca-file", metavar="PATH", help="certificates to trust instead of the system's, PEM")
    how.add_argument("--allow-plain", action="store_true", help="send the token over plain HTTP beyond this machine")


def connect_of(arguments: argparse.Namespace) -> Connect:
    """What `Call.join` takes. Raises `InvalidArgument`."""
    given = [arguments.identity, arguments.token_file, arguments.token_env]
    if sum(item is not None for item in given) > 1:
        raise InvalidArgument("give one of --identity, --token-file and --token-env")
    variable = arguments.token_env or TOKEN_VARIABLE
    token: Token | None = None
    if arguments.token_file is not None:
        token = _from_file(Path(arguments.token_file))
    elif arguments.identity is None:
        token = os.environ.get(variable, "").strip()
        if not token:
            raise InvalidArgument(f"give --identity, --token-file, or a token in the environment variable {variable}")
    tls: ssl.SSLContext | bool = True
    if arguments.ca_file is not None:
        try:
            tls = ssl.create_default_context(cafile=arguments.ca_file)
        except OSError as exc:
            raise InvalidArgument(f"{arguments.ca_file} can't be used: {exc}") from None
    return connect_factory(
        arguments.url,
        arguments.call,
        token=token,
        identity=arguments.identity,
        allow_plain=arguments.allow_plain,
        tls=tls,
    )


def _from_file(path: Path) -> Token:
    def read() -> str:
        try:
            return path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidArgument(f"no token can be read from {path}: {exc}") from None

    read()
    return read


async def join(arguments: argparse.Namespace) -> Call:
    """Join the call. Raises what `Call.join` raises."""
    return await Call.join(connect_of(arguments))


def run_command(name: str, work: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine; returns the exit code. SIGTERM and SIGINT cancel it, so that it leaves the call."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_guarded(name, work))


def loop_factory() -> Any:
    """uvloop's, where that is installed."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("uvloop").new_event_loop
    return None


async def _guarded(name: str, work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.get_running_loop().create_task(work)
    _cancel_on_signals(task)
    try:
        return await task
    except asyncio.CancelledError:
        return INTERRUPTED
    except InvalidArgument as exc:
        complain(name, visible(str(exc)))
        return USAGE
    except CallChannelError as exc:
        code = ErrorCode(exc.code).name if exc.code in list(ErrorCode) else f"0x{exc.code:04X}"
        complain(name, visible(f"{exc} [{code}]"))
        return NO_CALL


def _cancel_on_signals(task: asyncio.Task[int]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            loop.add_signal_handler(number, task.cancel)
