# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of Linux: each process has a network of its own, joined to this one by a pair of interfaces."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass


class NotAllowed(Exception):
    """This machine does not allow namespaces. The text says what failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A network for a process. `outside` is this machine's address as it is seen from there."""

    name: str
    interface: str
    """The end of its only link that is here."""
    inside: str
    outside: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What starts a command in it."""
        return ("ip", "netns", "exec", self.name)


async def command(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a command. Raises `NotAllowed` when it fails."""
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise NotAllowed(f"`{' '.join(arguments)}` failed: {told.decode(errors='replace').strip()[:200]}")
    return told.decode(errors="replace")


def why_not() -> str:
    """Why there can be no namespaces; empty where nothing speaks against it."""
    if sys.platform != "linux":
        return f"network namespaces are of Linux, this is {sys.platform}"
    if shutil.which("ip") is None:
        return "there is no command `ip` (iproute2)"
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    return ""


async def has_netem() -> bool:
    """Whether the kernel can delay and lose packets by itself (`tc qdisc add … netem`)."""
    if shutil.which("tc") is None:
        return False
    probe = f"ccp{secrets.token_hex(3)}"
    with contextlib.suppress(NotAllowed):
        await command("ip", "link", "add", probe, "type", "veth", "peer", "name", f"{probe}b")
        try:
            await command("tc", "qdisc", "add", "dev", probe, "root", "netem", "delay", "1ms")
            return True
        except NotAllowed:
            return False
        finally:
            await command("ip", "link", "del", probe)
    return False


@contextlib.asynccontextmanager
async def namespaces(names: Sequence[str]) -> AsyncIterator[dict[str, Namespace]]:
    """A namespace for each of these, for as long as the block lasts. Raises `NotAllowed`; nothing is left behind.

    They reach this machine and nothing else, not even each other.
    """
    if why := why_not():
        raise NotAllowed(why)
    mark, block = secrets.token_hex(2), secrets.randbelow(200)
    made: dict[str, Namespace] = {}
    try:
        for number, name in enumerate(names):
            # 198.18.0.0/15 is for measuring networks (RFC 2544): nobody's own.
            network = f"198.18.{block}.{4 * number}"
            stem = network.rpartition(".")[0]
            space = Namespace(
                name=f"cc-{mark}-{number}",
                interface=f"cc{mark}{number}",
                inside=f"{stem}.{4 * number + 2}",
                outside=f"{stem}.{4 * number + 1}",
            )
            await command("ip", "netns", "add", space.name)
            made[name] = space
            await command(
                "ip", "link", "add", space.interface, "type", "veth", "peer", "name", "eth0", "netns", space.name
            )
            await command("ip", "addr", "add", f"{space.outside}/30", "dev", space.interface)
            await command("ip", "link", "set", space.interface, "up")
            for inside in (
                ("addr", "add", f"{space.inside}/30", "dev", "eth0"),
                ("link", "set", "lo", "up"),
                ("link", "set", "eth0", "up"),
            ):
                await command("ip", "-n", space.name, *inside)
        yield made
    finally:
        for space in made.values():
            with contextlib.suppress(NotAllowed):
                await command("ip", "link", "del", space.interface)
            with contextlib.suppress(NotAllowed):
                await command("ip", "netns", "del", space.name)
