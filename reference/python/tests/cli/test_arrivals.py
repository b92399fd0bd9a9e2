# SPDX-License-Identifier: Apache-2.0
"""What arrives is shown and saved, and can do no harm. The messages travel in a real call, in memory."""

import base64
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callchannel.aio import Call, memory_relay
from callchannel.cli.arrivals import Arrivals
from callchannel.cli.output import Output


async def exchange(
    send: Callable[[Any], Any],
    *,
    directory: Path | None = None,
    limit: int = 1 << 20,
    json_lines: bool = False,
    sender: str = "bob",
    **options: Any,
) -> list[str]:
    """What ann is shown of what `send` does with a sender of bob's."""
    stream = io.StringIO()
    relay = memory_relay()
    async with await Call.join(relay.connect("ann")) as ann, await Call.join(relay.connect(sender)) as bob:
        await bob.wait_for("ann")
        async with bob.create_sender(**options) as outgoing:
            receivers = ann.receivers()
            await send(outgoing)
            receiver = await anext(receivers)
        await Arrivals(Output(stream, json=json_lines), directory, limit).take(receiver)
    await relay.close()
    return stream.getvalue().splitlines()


async def test_texts_are_shown() -> None:
    async def send(sender: Any) -> None:
        await sender.send_text("hello")
        await sender.send_text("for you", to=["ann"])
        await sender.send(b"plain")

    assert await exchange(send) == ['"bob": hello', '"bob" (to some): for you', '"bob": plain']


async def test_other_messages_are_described() -> None:
    async def send(sender: Any) -> None:
        await sender.send(b"\xff\x00")
        await sender.send(b"{}", content_type="application/json")
        await sender.send(b"x", name="a.txt", content_type="text/plain")

    assert await exchange(send) == [
        '"bob": (2 bytes)',
        '"bob": (application/json, 2 bytes)',
        '"bob": ("a.txt", text/plain, 1 bytes; not saved, as --save was not given)',
    ]


async def test_lossy_is_said() -> None:
    assert await exchange(lambda sender: sender.send_text("hi"), reliability="lossy") == ['"bob" (lossy): hi']


async def test_json() -> None:
    async def send(sender: Any) -> None:
        await sender.send_text("hi")
        await sender.send(b"\xff", content_type="image/png", name="p.png")

    text, data = map(json.loads, await exchange(send, json_lines=True))
    assert (text["event"], text["from"], text["text"], text["private"]) == ("message", "bob", "hi", False)
    assert "data" not in text
    assert (base64.b64decode(data["data"]), data["name"], data["size"]) == (b"\xff", "p.png", 1)


async def test_texts_and_names_that_attack(attack: str, is_harmless: Callable[[str], bool]) -> None:
    # CC-SEC-016
    async def send(sender: Any) -> None:
        await sender.send_text(attack)
        await sender.send(b"x", name=attack)
        await sender.send(b"x", content_type=attack)
        await sender.send(attack.encode(), content_type="text/html" + attack)

    shown = await exchange(send, sender=f"bob{attack}")
    assert len(shown) == 4  # no line more than there are messages
    assert all(map(is_harmless, shown))
    for line in await exchange(send, sender=f"bob{attack}", json_lines=True):
        assert is_harmless(line)


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "/etc/passwd",
        "..\\..\\evil",
        "C:\\evil",
        "..",
        ".",
        "/",
        ".bashrc",
        "a\x00b",
        "\x1b[2J",
        "invoice\u202efdp.exe",
        "CON",
        "x" * 255,
        " ",
    ],
)
async def test_files_stay_in_the_folder(name: str, tmp_path: Path, is_harmless: Callable[[str], bool]) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    shown = await exchange(lambda sender: sender.send(b"evil", name=name), directory=folder)
    (saved,) = folder.iterdir()
    assert saved.read_bytes() == b"evil"
    assert saved.resolve().parent == folder.resolve()
    assert not saved.name.startswith(".")
    assert saved.name.isprintable()
    assert [entry.name for entry in tmp_path.iterdir()] == ["downloads"]
    assert len(shown) == 1
    assert is_harmless(shown[0])
    assert "saved" in shown[0]


async def test_nothing_is_overwritten_or_followed(tmp_path: Path) -> None:
    # CC-SEC-018
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "a.txt").write_text("mine")
    (folder / "b.txt").symlink_to(tmp_path / "target")

    async def send(sender: Any) -> None:
        await sender.send(b"evil", name="a.txt")
        await sender.send(b"evil", name="a.txt")
        await sender.send(b"evil", name="b.txt")

    await exchange(send, directory=folder)
    assert (folder / "a.txt").read_text() == "mine"
    assert not (tmp_path / "target").exists()
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "a (1).txt",
        "a (2).txt",
        "a.txt",
        "b (1).txt",
        "b.txt",
    ]


async def test_a_file_that_is_too_large_is_not_saved_and_the_rest_comes(tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(os.urandom(500_000))
    folder = tmp_path / "downloads"
    folder.mkdir()

    async def send(sender: Any) -> None:
        async with sender.open_stream(name="unknown size") as stream:
            await stream.write(bytes(150_000))
        await sender.send_text("after")

    shown = await exchange(send, directory=folder, limit=100_000)
    assert "not saved" in shown[0]
    assert "MESSAGE_TOO_LARGE" in shown[0]
    assert shown[1] == '"bob": after'
    assert list(folder.iterdir()) == []


async def test_a_stream_without_a_name_is_saved_and_its_size_told(tmp_path: Path) -> None:
    async def send(sender: Any) -> None:
        async with sender.open_stream() as stream:
            await stream.write(b"abc")

    shown = await exchange(send, directory=tmp_path)
    assert shown == [f'"bob": saved "{tmp_path}/file", 3 bytes']
    events = [json.loads(line) for line in await exchange(send, directory=tmp_path, json_lines=True)]
    assert [event["event"] for event in events] == ["file", "saved"]
    assert (events[0]["size"], events[1]["bytes"], events[1]["path"]) == (None, 3, f"{tmp_path}/file (1)")


async def test_a_folder_that_can_t_be_written_to(tmp_path: Path) -> None:
    async def send(sender: Any) -> None:
        await sender.send(b"x", name="a.txt")
        await sender.send_text("after")

    shown = await exchange(send, directory=tmp_path / "gone")
    assert "not saved" in shown[0]
    assert shown[1] == '"bob": after'


async def test_an_end_by_which_something_may_be_missing() -> None:
    stream = io.StringIO()
    relay = memory_relay()
    async with await Call.join(relay.connect("ann")) as ann, await Call.join(relay.connect("bob\x1b")) as bob:
        await bob.wait_for("ann")
        sender = bob.create_sender()
        await sender.send_text("hello")
        receiver = await anext(ann.receivers())
        (slot,) = (one.slot for one in relay.relay.participants if one.identity == "ann")
        relay.relay.end_link(slot, 0x0011, "too much", relay._driver.now())
        relay._driver.wake()
        await Arrivals(Output(stream), None, 1).take(receiver)
    assert stream.getvalue().splitlines() == [
        '"bob\\x1b": hello',
        '* "bob\\x1b": messages may be missing on channel 1 (LINK_LOST)',
    ]
    await relay.close()
