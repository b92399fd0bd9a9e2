# SPDX-License-Identifier: Apache-2.0
import asyncio
import errno
import io
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from callchannel.aio import SendTimedOut, files
from callchannel.core.errors import ErrorCode, InvalidArgument, MessageTooLarge, StreamAborted
from callchannel.core.sender import CancelOutcome


async def received(call: Any) -> tuple[Any, Any]:
    receiver = await anext(call.receivers())
    return receiver, await receiver.receive()


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
async def test_a_file_of_any_size_arrives_with_progress(pair: Any, tmp_path: Path, size: int) -> None:
    source = tmp_path / "photo.png"
    source.write_bytes(os.urandom(size))
    target = tmp_path / "downloads"
    target.mkdir()
    async with pair() as it:
        sender = it.ann.create_sender()
        sent: list[tuple[int, int | None]] = []
        got: list[tuple[int, int | None]] = []
        sending = asyncio.create_task(sender.send_file(source, progress=lambda *now: sent.append(now)))
        receiver, message = await received(it.bob)
        assert message.is_stream and message.size == size
        assert (message.name, message.content_type) == ("photo.png", f"image/png;size={size}")
        path = await receiver.save(message, target, progress=lambda *now: got.append(now))
        assert path == target / "photo.png" and path.read_bytes() == source.read_bytes()
        await sending
        assert sent[-1] == (size, size) and sent == sorted(sent)
        assert not size or got[-1] == (size, size)
        assert os.listdir(target) == ["photo.png"]


async def test_saving_replaces_nothing_and_stays_in_the_directory(pair: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    target = tmp_path / "downloads"
    target.mkdir()
    (target / "link.txt").symlink_to(outside)
    (target / "there.txt").write_text("there")
    names = ["../outside.txt", str(outside), "link.txt", "there.txt", "there.txt", "..", None, ".hidden", "a/b\\c.txt"]
    expected = [
        "outside.txt",
        "outside (1).txt",
        "link (1).txt",
        "there (1).txt",
        "there (2).txt",
        "file",
        "file (1)",
        "hidden",
        "c.txt",
    ]
    async with pair() as it:
        sender = it.ann.create_sender()
        receiver = None
        for number, (name, saved) in enumerate(zip(names, expected, strict=True)):
            await sender.send(str(number).encode(), name=name)
            receiver = receiver or await anext(it.bob.receivers())
            path = await receiver.save(await receiver.receive(), target)
            assert path == target / saved and path.read_text() == str(number)
            assert path.stat().st_mode & 0o077 == 0
    assert outside.read_text() == "mine" and (target / "there.txt").read_text() == "there"
    assert sorted(os.listdir(target)) == sorted([*expected, "link.txt", "there.txt"])


async def test_without_hard_links(pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise PermissionError("not on this file system")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "a.txt").write_text("there")
    async with pair() as it:
        await it.ann.create_sender().send(b"new", name="a.txt")
        receiver, message = await received(it.bob)
        assert (await receiver.save(message, tmp_path)).name == "a (1).txt"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "there", "a (1).txt": "new"}


async def test_a_file_may_carry_a_time(pair: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("there")
    async with pair() as it:
        await it.ann.create_sender().send_file(tmp_path / "a.txt", time=1_700_000_000_000_000)
        _, message = await received(it.bob)
        assert (message.name, message.time) == ("a.txt", 1_700_000_000_000_000)


async def test_a_file_is_for_the_recipients_of_the_moment_of_the_call(meeting: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("for bob")
    async with meeting() as it:
        ann, bob, cat = await it.join_all("ann", "bob", "cat")
        for options in ({}, {"to": (told := ["bob"])}):
            sender = ann.create_sender(to=["bob"])
            sending = asyncio.create_task(sender.send_file(tmp_path / "secret.txt", **options))
            await asyncio.sleep(0)
            sender.set_participants(["cat"])
            if options:
                told[:] = ["cat"]
            await sending
            await sender.send(b"for cat")
        for call, data in ((bob, b""), (cat, b"for cat")):
            receivers = call.receivers()
            assert [(await (await anext(receivers)).receive()).data for _ in range(2)] == [data] * 2


async def test_a_limit_bounds_what_is_saved(pair: Any, tmp_path: Path) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        await sender.send(bytes(101))
        receiver, message = await received(it.bob)
        with pytest.raises(MessageTooLarge):
            await receiver.save(message, tmp_path, limit=100)
        for announced in ("application/x", "application/x;size=99"):
            async with sender.open_stream(content_type=announced) as stream:
                await stream.write(bytes(101))
            with pytest.raises(MessageTooLarge):
                await receiver.save(await receiver.receive(), tmp_path, limit=100)
    assert list(tmp_path.iterdir()) == []


async def test_a_stream_of_another_length_than_announced_is_no_file(pair: Any, tmp_path: Path) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        async with sender.open_stream(content_type="text/plain; SIZE=5") as stream:
            await stream.write(b"four")
        receiver, message = await received(it.bob)
        with pytest.raises(OSError, match="4 bytes arrived of a file that has 5"):
            await receiver.save(message, tmp_path)
    assert list(tmp_path.iterdir()) == []


class Gate:
    """A function that a thread calls, and that goes on when it may."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._reached, self._may_go_on = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self._reached.set()
        assert self._may_go_on.wait(10)
        try:
            return self._call(*arguments, **options)
        except Exception as exc:
            self.error = exc
            raise

    async def cancel(self, task: Any) -> None:
        """Cancel a task while its thread is in the function."""
        await asyncio.to_thread(self._reached.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        self._may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task


def watch_files(monkeypatch: pytest.MonkeyPatch, read: Any = io.FileIO.read) -> list[io.FileIO]:
    """The files that the module opens from now on, which are read by `read`."""
    opened: list[io.FileIO] = []

    class Watched(io.FileIO):
        def read(self, size: int | None = -1) -> Any:
            return read(self, size)

    def watched(path: Any, mode: str, *_: Any) -> io.FileIO:
        opened.append(Watched(path, mode))
        return opened[-1]

    monkeypatch.setattr(files, "open", watched, raising=False)
    return opened


@pytest.mark.parametrize(
    ("module", "name"), [(tempfile, "mkstemp"), (files, "_write_all"), (os, "link"), (os, "unlink")]
)
async def test_a_cancelled_save_leaves_nothing(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    opened = watch_files(monkeypatch)
    async with pair() as it:
        await it.ann.create_sender().send(b"x", name="a.txt")
        receiver, message = await received(it.bob)
        gate = Gate(getattr(module, name))
        monkeypatch.setattr(module, name, gate)
        await gate.cancel(asyncio.create_task(receiver.save(message, tmp_path)))
    assert gate.error is None
    assert [file.closed for file in opened] == [True]
    assert [path.name for path in tmp_path.iterdir()] == (["a.txt"] if name == "unlink" else [])


@pytest.mark.parametrize("within", ["open", "read"])
async def test_a_cancelled_sending_of_a_file_leaves_it_closed(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: str
) -> None:
    (tmp_path / "a.txt").write_text("there")
    gate = Gate(os.fstat if within == "open" else io.FileIO.read)
    if within == "open":
        opened = watch_files(monkeypatch)
        monkeypatch.setattr(os, "fstat", gate)
    else:
        opened = watch_files(monkeypatch, gate)
    async with pair() as it:
        sender = it.ann.create_sender()
        await gate.cancel(asyncio.create_task(sender.send_file(tmp_path / "a.txt")))
        assert gate.error is None
        assert [file.closed for file in opened] == [True]
        await sender.send(b"the sender goes on")


async def test_a_pipe_that_nobody_writes_to_is_no_file(pair: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    async with pair() as it:
        with pytest.raises(InvalidArgument, match="open_stream"):
            await it.ann.create_sender().send_file(tmp_path / "pipe")


async def test_an_aborted_file_leaves_nothing(pair: Any, tmp_path: Path) -> None:
    async with pair() as it:
        stream = await it.ann.create_sender().open_stream(name="a.txt").__aenter__()
        await stream.write(b"half")
        receiver, message = await received(it.bob)
        saving = asyncio.create_task(receiver.save(message, tmp_path))
        await asyncio.sleep(1)
        stream.abort()
        with pytest.raises(StreamAborted):
            await saving
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [b"longer by this", None])
async def test_a_file_that_changes_while_it_is_sent_is_given_up(
    pair: Any, tmp_path: Path, change: bytes | None
) -> None:
    source = tmp_path / "growing.log"
    source.write_bytes(bytes(3_000_000))
    target = tmp_path / "downloads"
    target.mkdir()
    async with pair() as it:
        sender = it.ann.create_sender()

        def alter(done: int, total: int | None) -> None:
            if done < 400_000:
                with open(source, "r+b") as file:
                    if change is None:
                        file.truncate(2_000_000)
                    else:
                        file.seek(0, 2)
                        file.write(change)

        sending = asyncio.create_task(sender.send_file(source, progress=alter))
        receiver, message = await received(it.bob)
        with pytest.raises(StreamAborted):
            await receiver.save(message, target)
        with pytest.raises(OSError, match="changed its size"):
            await sending
    assert list(target.iterdir()) == []


async def test_what_can_not_be_sent_as_a_file(pair: Any, tmp_path: Path) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        with pytest.raises(FileNotFoundError):
            await sender.send_file(tmp_path / "nothing")
        with pytest.raises(OSError):
            await sender.send_file(tmp_path)
        with pytest.raises(InvalidArgument):
            await sender.send_file("/dev/null")
        with pytest.raises(InvalidArgument):
            await it.ann.create_sender(reliability="lossy").send_file(__file__)
        assert (await sender.send(b"x")).sequence == 1


async def test_sending_a_file_has_a_time(pair: Any, tmp_path: Path) -> None:
    source = tmp_path / "large.bin"
    source.write_bytes(bytes(5_000_000))
    async with pair() as it:
        sender = it.ann.create_sender()
        with pytest.raises(SendTimedOut, match="within 20 s") as caught:
            await sender.send_file(source, timeout=20)
        assert caught.value.outcome is CancelOutcome.ABORTED and caught.value.report is not None
        await sender.send(b"the sender goes on")
        with pytest.raises(InvalidArgument):
            await sender.send_file(source, timeout=-1)


async def test_a_file_that_was_written_may_still_arrive(pair: Any, tmp_path: Path) -> None:
    source = tmp_path / "small.bin"
    source.write_bytes(os.urandom(1_000))
    async with pair() as it:
        with pytest.raises(SendTimedOut, match=r"within 0\.3 s; all of it was written") as caught:
            await it.ann.create_sender(confirm="delivered").send_file(source, timeout=0.3)
        assert caught.value.outcome is CancelOutcome.UNKNOWN
        assert caught.value.report is not None and caught.value.report.unknown == (("bob", ErrorCode.DEADLINE),)
        receiver, message = await received(it.bob)
        path = await receiver.save(message, tmp_path)
        assert path.read_bytes() == source.read_bytes()


async def test_nothing_goes_out_of_a_file_that_never_had_its_turn(pair: Any, tmp_path: Path) -> None:
    source = tmp_path / "small.bin"
    source.write_bytes(b"x")
    async with pair() as it:
        sender = it.ann.create_sender()
        async with sender.open_stream() as stream:
            with pytest.raises(SendTimedOut) as caught:
                await sender.send_file(source, timeout=3)
            assert caught.value.outcome is CancelOutcome.REMOVED
            await stream.write(b"goes on")
        assert sender.statistics.messages_sent == 1


class Unreadable(io.FileIO):
    """A file on a server that does not answer."""

    def read(self, size: int | None = -1) -> bytes:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


async def test_a_file_that_can_not_be_read_is_not_late(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("there")
    monkeypatch.setattr(files, "open", lambda path, *_, **__: Unreadable(path), raising=False)
    async with pair() as it:
        with pytest.raises(TimeoutError) as caught:
            await it.ann.create_sender().send_file(tmp_path / "a.txt", timeout=3)
        assert caught.value.errno == errno.ETIMEDOUT
