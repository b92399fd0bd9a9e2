# SPDX-License-Identifier: Apache-2.0
"""Files over a data channel.

A file travels as a stream, whatever its size: neither side holds it in memory, progress can be told, and a file that is
not complete can't be taken for one that is. Its name is the message's name. Its size stands in the content type, as
parameter `size` (as in RFC 2183), so that the receiver can tell progress too: `image/png;size=123456`. A file that
has changed its size while being read is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import mimetypes
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from callchannel.aio.arguments import Deadline
from callchannel.aio.names import numbered, safe_name
from callchannel.core.errors import InvalidArgument, MessageTooLarge, Report

if TYPE_CHECKING:
    from callchannel.aio.receiver import DataChannelReceiver, Message
    from callchannel.aio.sender import DataChannelSender

Progress = Callable[[int, int | None], object]
"""`progress(bytes_done, total)`; the total of what comes from a peer may be unknown (None)."""

ResultT = TypeVar("ResultT")

READ: Final = 262_144
"""Bytes read at a time, in a thread."""


async def send_file(
    sender: DataChannelSender,
    path: str | os.PathLike[str],
    deadline: Deadline,
    *,
    progress: Progress | None = None,
    name: str | None = None,
    content_type: str | None = None,
    **target: Any,
) -> Report:
    """See `DataChannelSender.send_file`."""
    kind = content_type or mimetypes.guess_type(os.fspath(path))[0] or "application/octet-stream"
    file, total = await _in_thread(_open, path, undo=lambda made: made[0].close())
    try:
        stream = sender.open_stream(
            name=name or safe_name(Path(path).name), content_type=f"{kind};size={total}", **target
        )
        await stream._enter(deadline)
        try:
            while piece := await _in_thread(file.read, READ):
                if stream.bytes_written + len(piece) > total:
                    break
                if deadline.left == 0:
                    await stream._time_out(deadline)
                await stream._write(piece, deadline)
                if progress is not None:
                    progress(stream.bytes_written, total)
            if stream.bytes_written + len(piece) != total:
                raise OSError(f"{os.fspath(path)!r} changed its size while it was sent")
            if not total and progress is not None:
                progress(0, 0)
        except BaseException:
            stream.abort()
            raise
        return await stream._finish(deadline)
    finally:
        file.close()


async def save(
    receiver: DataChannelReceiver,
    message: Message,
    directory: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    limit: int | None = None,
) -> Path:
    """See `DataChannelReceiver.save`."""
    total = message.size
    if limit is not None and total is not None and total > limit:
        raise MessageTooLarge(total, limit)
    file, temporary = await _in_thread(_make_temporary, directory, undo=_drop_temporary)
    try:
        done = 0
        with file:
            async for chunk in receiver.chunks(message):
                done += len(chunk)
                if limit is not None and done > limit:
                    raise MessageTooLarge(done, limit)
                await _in_thread(_write_all, file, chunk)
                if progress is not None:
                    progress(done, total)
        if total is not None and done != total:
            raise OSError(f"{done} bytes arrived of a file that has {total}")
        return await _in_thread(_publish, temporary, Path(directory), safe_name(message.name), undo=os.unlink)
    finally:
        await _in_thread(_remove, temporary)


async def _in_thread(
    call: Callable[..., ResultT], *arguments: Any, undo: Callable[[ResultT], object] | None = None
) -> ResultT:
    """What `call(*arguments)`, which runs in a thread, returns or raises.

    A task that is cancelled meanwhile waits for the end of the call: so nothing is used behind its closing, and nothing
    is done that nobody knows of. What the call has made is taken back by `undo`.
    """
    job = asyncio.get_running_loop().run_in_executor(None, call, *arguments)
    cancelled: asyncio.CancelledError | None = None
    while not job.done():
        try:
            await asyncio.wait((job,))
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is None:
        return job.result()
    if job.exception() is None and undo is not None:
        undo(job.result())
    raise cancelled


def _open(path: str | os.PathLike[str]) -> tuple[io.FileIO, int]:
    """A file, and its size."""
    _check_file(path, os.stat(path))  # before it is opened: a pipe would wait for its other end
    with contextlib.ExitStack() as on_failure:
        file = on_failure.enter_context(open(path, "rb", 0))
        status = os.fstat(file.fileno())
        _check_file(path, status)
        on_failure.pop_all()
    return file, status.st_size


def _check_file(path: str | os.PathLike[str], status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise InvalidArgument(f"{os.fspath(path)!r} is no file; write what it gives to `open_stream`")


def _make_temporary(directory: str | os.PathLike[str]) -> tuple[io.FileIO, str]:
    number, path = tempfile.mkstemp(prefix=".", suffix=".part", dir=directory)
    return open(number, "wb", 0), path


def _drop_temporary(made: tuple[io.FileIO, str]) -> None:
    file, path = made
    file.close()
    _remove(path)


def _write_all(file: Any, data: bytes) -> None:
    with memoryview(data) as view:
        done = 0
        while done < len(view):
            done += file.write(view[done:])


def _publish(temporary: str, directory: Path, name: str) -> Path:
    """Give a complete file its name, or one like it that nothing has."""
    for candidate in numbered(name):
        path = directory / candidate
        try:
            os.link(temporary, path, follow_symlinks=False)
        except FileExistsError:
            continue
        except (OSError, NotImplementedError):  # a file system without hard links
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                continue
            os.replace(temporary, path)  # what is replaced is the empty file of the line above
        return path
    raise FileExistsError(f"{directory / name} and 9,999 names like it exist")


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
