# SPDX-License-Identifier: Apache-2.0
"""`callchannel join`: take part in a call from a terminal, or from a script."""

from __future__ import annotations

import argparse
import asyncio
import shlex
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, Final

from callchannel.aio import Call, CallEvent, DataChannelSender, EventsMissed
from callchannel.aio.arguments import Names
from callchannel.cli.arrivals import Arrivals
from callchannel.cli.connecting import add_arguments, join, run_command
from callchannel.cli.main import FAILED, NO_CALL, OK, new_parser
from callchannel.cli.output import Output
from callchannel.cli.stdin import Pieces, lines
from callchannel.cli.verdicts import as_json, failure_text, report_of, success_text
from callchannel.core.errors import CallChannelError, ErrorCode, InvalidArgument, LinkLost, error_name
from callchannel.core.events import (
    LinkEnded,
    Participant,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantResumed,
    ParticipantSuspended,
    Resumed,
    Suspended,
)
from callchannel.escaping import quoted, visible

_HELP: Final = """/to NAME...      send to these from now on (quote names with spaces)
/except NAME...  send to everyone but these
/all             send to everyone
/file PATH       send a file
/who             say who is in the call
/quit            leave
//text           send a text that begins with a slash"""

_EPILOG: Final = f"""What you type is sent, a line a message, except for:

{_HELP}

examples:
  callchannel join http://127.0.0.1:8080 tea --identity ann
  callchannel join https://relay.example standup --token-file anna.token --save downloads
  printf '/to bob\\nhello\\n' | callchannel join http://127.0.0.1:8080 tea --identity cat
  callchannel join http://127.0.0.1:8080 tea --identity logger --listen --json > log.jsonl

The end of standard input ends it, when everything is delivered. The exit code is 1 if anything was not.
"""

_SAVED: Final = 1 << 30
"""Bytes of a file that are saved at most, unless told otherwise."""

_UNSETTLED: Final = 256
"""Messages without a verdict for which no more lines are read."""


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = new_parser("join", _EPILOG)
    add_arguments(parser)
    parser.add_argument("--save", metavar="FOLDER", help="save files here; without it, they are not saved")
    parser.add_argument("--save-limit", metavar="BYTES", type=int, default=_SAVED, help="largest file; default: 1 GiB")
    parser.add_argument("--channel", metavar="NUMBER", type=int, default=0, help="channel to send on; default: any")
    parser.add_argument("--confirm", choices=("accepted", "delivered"), default="delivered", help="default: delivered")
    parser.add_argument("--listen", action="store_true", help="don't read standard input; stay until interrupted")
    parser.add_argument("--json", action="store_true", help="write events as JSON Lines")
    parser.add_argument("--plain", action="store_true", help="no colours and no live line")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Take part; returns the exit code."""
    return run_command("join", _join(arguments))


async def _join(arguments: argparse.Namespace) -> int:
    directory = None
    if arguments.save is not None:
        directory = Path(arguments.save)
        if not directory.is_dir():
            raise InvalidArgument(f"{arguments.save} is no folder")
    output = Output(json=arguments.json, plain=arguments.plain)
    async with await join(arguments) as call:
        return await Session(call, output, arguments, directory).run()


class Session:
    """One participation. `typed` is what is typed, in pieces of any size; None: standard input."""

    def __init__(
        self,
        call: Call,
        output: Output,
        arguments: argparse.Namespace,
        directory: Path | None,
        typed: AsyncIterator[bytes] | None = None,
    ) -> None:
        self._typed = typed
        self._events = call.events()  # from now on: nothing that happens meanwhile is missed
        self._call = call
        self._output = output
        self._arguments = arguments
        self._arrivals = Arrivals(output, directory, arguments.save_limit)
        self._sender = self._new_sender()
        self._sends: set[asyncio.Task[None]] = set()
        self._receiving: set[asyncio.Task[None]] = set()
        self._failures = 0

    def _new_sender(self, to: Names = None, exclude: Names = ()) -> DataChannelSender:
        return self._call.create_sender(
            channel=self._arguments.channel, to=to or None, exclude=exclude, confirm=self._arguments.confirm
        )

    async def run(self) -> int:
        """Take part until standard input or the call ends; returns the exit code."""
        self._greet()
        watching = asyncio.ensure_future(self._watch())
        receiving = asyncio.ensure_future(self._receive())
        typing = asyncio.ensure_future(self._listen() if self._arguments.listen else self._read())
        try:
            await asyncio.wait((watching, typing), return_when=asyncio.FIRST_COMPLETED)
            if typing.done():
                typing.result()
                await self._settle(watching)
            return self._exit_code()
        finally:
            tasks = [watching, receiving, typing, *self._sends, *self._receiving]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, watching: asyncio.Future[None]) -> None:
        """Wait for the verdicts of all sends, unless the call ends."""
        sends = asyncio.gather(*self._sends)
        await asyncio.wait((sends, watching), return_when=asyncio.FIRST_COMPLETED)
        sends.cancel()

    def _exit_code(self) -> int:
        ended = self._call.ended
        if ended is not None:
            return NO_CALL
        return FAILED if self._failures else OK

    # --- what happens ---------------------------------------------------------------------------------------------

    def _greet(self) -> None:
        call = self._call
        self._output.event("joined", identity=call.identity, participants=self._names())
        self._output.line(f"* joined as {quoted(call.identity)}")
        self._who()
        if not self._arguments.listen:
            self._output.line("* type to send; /help for more")

    def _who(self) -> None:
        others = [_shown(participant) for participant in self._call.participants if not participant.is_self]
        self._output.line(f"* in the call, besides you: {', '.join(others) or 'nobody'}")

    def _names(self) -> list[dict[str, object]]:
        return [
            {"identity": one.identity, "slot": one.slot, "self": one.is_self, "suspended": one.suspended}
            for one in self._call.participants
        ]

    async def _watch(self) -> None:
        """Tell what happens in the call, until it ends."""
        if self._call.ended is not None:
            self._told(self._call.ended)
        async for event in self._events:
            self._told(event)

    def _told(self, event: CallEvent | EventsMissed) -> None:
        output = self._output
        if isinstance(event, ParticipantJoined | ParticipantLeft | ParticipantSuspended | ParticipantResumed):
            if event.participant.is_self:
                return
            name = quoted(event.participant.identity)
            code = error_name(event.code) if isinstance(event, ParticipantLeft) else None
            kind, text = {
                ParticipantJoined: ("participant_joined", "is in the call"),
                ParticipantLeft: ("participant_left", f"has left ({code})"),
                ParticipantSuspended: ("participant_suspended", "has lost the connection"),
                ParticipantResumed: ("participant_resumed", "is back"),
            }[type(event)]
            fields = {} if code is None else {"code": code}
            output.event(kind, identity=event.participant.identity, slot=event.participant.slot, **fields)
            output.line(f"* {name} {text}")
        elif isinstance(event, Suspended):
            output.event("suspended")
            output.line("* the connection is lost; what you send waits")
        elif isinstance(event, Resumed):
            output.event("resumed")
            output.line("* the connection is back; nothing was lost")
        elif isinstance(event, LinkEnded):
            output.event("ended", code=error_name(event.code), reason=event.reason)
            reason = f": {visible(event.reason)}" if event.reason else ""
            output.line(f"* the call has ended for you ({error_name(event.code)}{reason})")
        else:
            output.event("events_missed", count=event.count)

    async def _receive(self) -> None:
        try:
            async for receiver in self._call.receivers():
                self._keep(self._receiving, self._arrivals.take(receiver))
        except LinkLost:
            pass  # told by the call's events

    # --- what is typed --------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def _read(self) -> None:
        """Obey standard input until it ends or says so."""
        async for line in lines(self._typed or Pieces()):
            text = line.decode("utf-8", "replace")
            if not text:
                continue
            if not text.startswith("/") or text.startswith("//"):
                text = text.removeprefix("/")
                self._keep(self._sends, self._send_text(text, self._sender))
            elif not self._command(text):
                return
            # The send takes its place in the sender's order before the next line is obeyed.
            await asyncio.sleep(0)
            if len(self._sends) >= _UNSETTLED:
                await asyncio.wait(self._sends, return_when=asyncio.FIRST_COMPLETED)

    def _command(self, text: str) -> bool:
        """Obey a command; returns whether to go on."""
        try:
            word, *rest = shlex.split(text)
        except ValueError as exc:
            self._complain(f"{exc}: quote names in pairs")
            return True
        try:
            if word == "/quit":
                return False
            if word == "/who":
                self._output.event("who", participants=self._names())
                self._who()
            elif word == "/all" and not rest:
                self._sender.set_participants(())
                self._output.line("* to everyone")
            elif word == "/to" and rest:
                self._sender.set_participants(rest)
                self._output.line(f"* to {', '.join(map(quoted, rest))}")
            elif word == "/except" and rest:
                self._sender.set_excluded(rest)
                self._output.line(f"* to everyone but {', '.join(map(quoted, rest))}")
            elif word == "/file" and len(rest) == 1:
                self._keep(self._sends, self._send_file(rest[0]))
            else:
                self._output.line(_HELP)
                if word != "/help":
                    self._complain(f"{visible(text, 60)} is no command")
        except CallChannelError as exc:
            self._complain(visible(str(exc)))
        return True

    async def _send_text(self, text: str, sender: DataChannelSender) -> None:
        try:
            report = await sender.send_text(text)
        except CallChannelError as exc:
            self._failed(exc, sender)
        else:
            self._output.event("sent", **as_json(report))
            if report.reached == () or report.passed_over:
                self._output.line(f"* {success_text(report)}")

    async def _send_file(self, path: str) -> None:
        """Files go through a sender of their own, so that texts don't wait for them."""
        name = quoted(Path(path).name, 40)

        def progress(done: int, total: int | None) -> None:
            self._output.status(f"sending {name}: {done * 100 // total if total else 100} %")

        try:
            file_sender = self._call.create_sender(
                to=self._sender.participants or None, exclude=self._sender.excluded, confirm=self._arguments.confirm
            )
            async with file_sender:
                report = await file_sender.send_file(path, progress=progress)
        except CallChannelError as exc:
            self._failed(exc)
        except OSError as exc:
            self._failures += 1
            self._complain(str(exc))
        else:
            self._output.status("")
            self._output.event("sent", file=path, **as_json(report))
            self._output.line(f"* {name}: {success_text(report)}")

    def _failed(self, error: CallChannelError, sender: DataChannelSender | None = None) -> None:
        self._failures += 1
        self._output.status("")
        self._output.event("not_delivered", **as_json(report_of(error), error))
        self._output.line(self._output.style(f"* {failure_text(error)}", "red"))
        if sender is self._sender and self._call.ended is None and (sender.is_closed or _needs_new_sender(error)):
            # Who failed in a session gets no more of it; a new sender starts anew.
            self._sender = self._new_sender(sender.participants, sender.excluded)
            self._keep(self._sends, sender.close())

    def _complain(self, text: str) -> None:
        self._output.event("error", detail=text)
        self._output.line(self._output.style(f"* {text}", "red"))

    def _keep(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def _needs_new_sender(error: CallChannelError) -> bool:
    report = report_of(error)
    return error.code == ErrorCode.RECIPIENT_FAILED or (report is not None and bool(report.failed or report.unknown))


def _shown(participant: Participant) -> str:
    return quoted(participant.identity) + (" (connection lost)" if participant.suspended else "")
