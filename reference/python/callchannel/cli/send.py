# SPDX-License-Identifier: Apache-2.0
"""`callchannel send`: join, send one message, see who has it, leave."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from callchannel.aio import Call, DataChannelSender
from callchannel.cli.connecting import add_arguments, join, run_command
from callchannel.cli.main import FAILED, OK, complain, new_parser
from callchannel.cli.output import Output
from callchannel.cli.stdin import Pieces
from callchannel.cli.verdicts import as_json, failure_text, report_of, success_text
from callchannel.core.errors import CallChannelError, DeadlineExceeded, InvalidArgument, LinkLost, Report
from callchannel.escaping import quoted

_EPILOG: Final = """examples:
  callchannel send http://127.0.0.1:8080 tea --identity bob "hello, all"
  callchannel send https://relay.example standup --token-file anna.token --to bob --to carol --file plan.pdf
  date | callchannel send http://127.0.0.1:8080 tea --identity clock --lossy
  callchannel send http://127.0.0.1:8080 tea --identity bob --exclude ann --confirm accepted "not for Ann"

Without TEXT and --file, the message is standard input. The exit code is 0 if everybody it was for has it, 1 if
somebody has not, or perhaps has not, who is then named; 3 if the call could not be joined.

--confirm delivered: done when the applications of all recipients have read it. --confirm accepted: done when the relay
has it; who does not get it afterwards is not told. A Lossy message is never confirmed: done when it is written.
"""

_PIECE: Final = 65_536


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = new_parser("send", _EPILOG)
    add_arguments(parser)
    parser.add_argument("text", metavar="TEXT", nargs="?", help="the message; -, or none: standard input")
    parser.add_argument("--file", metavar="PATH", help="send a file, with its name")
    whom = parser.add_argument_group("to whom (everyone, unless one is given)")
    whom.add_argument("--to", metavar="NAME", action="append", default=[], help="to this participant; repeatable")
    whom.add_argument("--exclude", metavar="NAME", action="append", default=[], help="to all but this; repeatable")
    how = parser.add_argument_group("how to send")
    kind = how.add_mutually_exclusive_group()
    kind.add_argument("--reliable", dest="reliability", action="store_const", const="reliable", default="reliable")
    kind.add_argument("--lossy", dest="reliability", action="store_const", const="lossy")
    how.add_argument("--confirm", choices=("accepted", "delivered"), help="default: delivered")
    how.add_argument("--priority", choices=("normal", "high"), default="normal")
    how.add_argument("--channel", metavar="NUMBER", type=int, default=0, help="1 to 65535; default: any")
    how.add_argument("--content-type", metavar="TYPE", help="default: text/plain, or by the file's name")
    how.add_argument("--wait", metavar="SECONDS", type=float, default=0.0, help="wait so long for those named in --to")
    how.add_argument("--timeout", metavar="SECONDS", type=float, default=60.0, help="for the verdict; default: 60")
    parser.add_argument("--json", action="store_true", help="write events as JSON Lines")
    parser.add_argument("--quiet", action="store_true", help="write nothing but errors")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Send; returns the exit code."""
    return run_command("send", _send(arguments))


async def _send(arguments: argparse.Namespace) -> int:
    _check(arguments)
    async with await join(arguments) as call:
        if arguments.to and arguments.wait:
            await _wait(call, arguments)
        return await _deliver(call, arguments, Output(json=arguments.json))


def _check(arguments: argparse.Namespace) -> None:
    if arguments.text is not None:
        try:
            arguments.text.encode()
        except UnicodeEncodeError:
            raise InvalidArgument("TEXT is not UTF-8; such bytes can be given on standard input") from None
    if arguments.file is not None:
        if arguments.text is not None:
            raise InvalidArgument("give a text or a file, not both")
        if arguments.reliability == "lossy":
            raise InvalidArgument("a file is sent Reliable")
        if not Path(arguments.file).is_file():
            raise InvalidArgument(f"{arguments.file} is no file")
    if arguments.to and arguments.exclude:
        raise InvalidArgument("give --to or --exclude, not both")


async def _wait(call: Call, arguments: argparse.Namespace) -> None:
    with contextlib.suppress(DeadlineExceeded):  # sending says who is not there
        await call.wait_for(*dict.fromkeys(arguments.to), timeout=arguments.wait)


async def _deliver(call: Call, arguments: argparse.Namespace, output: Output) -> int:
    sender = call.create_sender(
        channel=arguments.channel,
        reliability=arguments.reliability,
        priority=arguments.priority,
        to=arguments.to or None,
        exclude=arguments.exclude,
        confirm=arguments.confirm or ("accepted" if arguments.reliability == "lossy" else "delivered"),
    )
    try:
        report = await _message(sender, arguments, output)
    except InvalidArgument:
        raise
    except CallChannelError as exc:
        if isinstance(exc, LinkLost) and report_of(exc) is None:
            raise
        return _failed(exc, output)
    except OSError as exc:
        output.status("")
        complain("send", exc)
        return FAILED
    if arguments.reliability == "lossy":
        return await _lossy_outcome(call, sender, arguments, output)
    output.status("")
    if not arguments.quiet:
        output.line(success_text(report))
    output.event("sent", **as_json(report))
    return OK


async def _message(sender: DataChannelSender, arguments: argparse.Namespace, output: Output) -> Report:
    kind, timeout = arguments.content_type, arguments.timeout
    if arguments.file is not None:
        name = quoted(Path(arguments.file).name, 40)
        return await sender.send_file(
            arguments.file, content_type=kind, timeout=timeout, progress=_progress(name, output, arguments.quiet)
        )
    if arguments.text not in (None, "-"):
        if kind is None:
            return await sender.send_text(arguments.text, timeout=timeout)
        return await sender.send(arguments.text.encode(), content_type=kind, timeout=timeout)
    return await _standard_input(sender, kind, timeout)


async def _standard_input(sender: DataChannelSender, kind: str | None, timeout: float) -> Report:
    """Standard input as one message; as a stream if it is larger than a message may be."""
    pieces = Pieces()
    begun = bytearray()
    async for piece in pieces:
        begun += piece
        if len(begun) > sender.max_message_size:
            break
    else:
        if kind is None and _is_text(begun):
            kind = "text/plain;charset=utf-8"
        return await sender.send(begun, content_type=kind, timeout=timeout)
    async with sender.open_stream(content_type=kind) as stream:
        await stream.write(begun)
        async for piece in pieces:
            await stream.write(piece)
        return await stream.finish(timeout)


def _is_text(data: bytearray) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _progress(name: str, output: Output, quiet: bool) -> Callable[[int, int | None], None]:
    """Tell how far a file is: in the live line, or at every tenth."""
    told = -1

    def progress(done: int, total: int | None) -> None:
        nonlocal told
        percent = 100 if not total else done * 100 // total
        output.status(f"{name}: {percent} % of {total or 0:,} bytes")
        if percent // 10 == told:
            return
        told = percent // 10
        output.event("progress", done=done, total=total)
        if not output.is_live and not quiet:
            output.line(f"{name}: {percent} % of {total or 0:,} bytes")

    return progress


async def _lossy_outcome(call: Call, sender: DataChannelSender, arguments: argparse.Namespace, output: Output) -> int:
    present = {participant.identity for participant in call.participants if not participant.is_self}
    absent = [name for name in dict.fromkeys(arguments.to) if name not in present]
    await sender.close()
    drops = dict(sender.drops)
    output.event("sent", lossy=True, absent=absent, drops=drops)
    if not drops:
        if not arguments.quiet:
            output.line("written; a Lossy message is not confirmed")
        return OK
    counted = ", ".join(f"{reason} {count}" for reason, count in drops.items())
    named = " for " + ", ".join(map(quoted, absent)) if absent else ""
    complain("send", f"dropped{named}: {counted}")
    return FAILED


def _failed(error: CallChannelError, output: Output) -> int:
    output.status("")
    output.event("not_delivered", **as_json(report_of(error), error))
    complain("send", failure_text(error))
    return FAILED
