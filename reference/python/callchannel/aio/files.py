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
import mimetypes
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from callchannel.aio.arguments import Deadline
from callchannel.aio.names import numbered, safe_name
from callchannel.core.errors import InvalidArgument, MessageTooLarge, Report

if TYPE_CHECKING:
    from callchannel.aio.receiver import DataChannelReceiver, Message
    from callchannel.aio.sender import DataChannelSender

Progress = Callable[[int, int | None], object]
"""`progress(bytes_done, total)`; the total of what comes from a peer may be unknown (None)."""

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
    file = await asyncio.to_thread(open, path, "rb", 0)
    try:
        status = await asyncio.to_thread(os.fstat, file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InvalidArgument(f"{os.fspath(path)!r} is no file; write what it gives to `open_stream`")
        total = status.st_size
        stream = sender.open_stream(
            name=name or safe_name(Path(path).name), content_type=f"{kind};size={total}", **target
        )
        await stream._enter(deadline)
        try:
            while piece := await asyncio.to_thread(file.read, READ):
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
    number, temporary = await asyncio.to_thread(tempfile.mkstemp, prefix=".", suffix=".part", dir=directory)
    try:
        done = 0
        with open(number, "wb", 0) as file:
            async for chunk in receiver.chunks(message):
                done += len(chunk)
                if limit is not None and done > limit:
                    raise MessageTooLarge(done, limit)
                await asyncio.to_thread(_write_all, file, chunk)
                if progress is not None:
                    progress(done, total)
        if total is not None and done != total:
            raise OSError(f"{done} bytes arrived of a file that has {total}")
        return await asyncio.to_thread(_publish, temporary, Path(directory), safe_name(message.name))
    finally:
        await asyncio.to_thread(_remove, temporary)


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
