# SPDX-License-Identifier: Apache-2.0
"""Rules of chapter 16 that show in the code as a whole, or over a whole call."""

from __future__ import annotations

import ast
import inspect
import io
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import callchannel
from callchannel.core import frames as wire
from callchannel.core import limits
from callchannel.core.endpoint import Endpoint
from callchannel.core.frames import RosterEntry
from callchannel.core.lanes import Lane
from callchannel.core.limits import TOMBSTONE
from tests.core.network import entropy
from tests.core.relay.scripted import SECOND, Net

PACKAGE = Path(callchannel.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))


def trees(*parts: str) -> Iterator[tuple[Path, ast.AST]]:
    """The syntax of the package's modules, or of those in some directories of it."""
    for path in SOURCES:
        if not parts or path.relative_to(PACKAGE).parts[0] in parts:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def names(tree: ast.AST) -> set[str]:
    """Every name and attribute in a module, and what it imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(item.name for item in node.names)}
    return found


def test_no_transport_without_encryption() -> None:
    """CC-SEC-001, threat T01: a link goes over WebRTC, or within one process; nothing else carries packets."""
    carriers = set()
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
                send = methods.get("send")
                if send is not None and [argument.arg for argument in send.args.args][:3] == ["self", "lane", "packet"]:
                    carriers.add((path.relative_to(PACKAGE).as_posix(), node.name))
    assert {path for path, _ in carriers} == {
        "aio/transport.py",
        "aio/memory.py",
        "webrtc/adapter.py",
        "server/connections.py",  # counts what the adapter carries
        "signalling/client.py",  # the adapter, and its connection's resource
    }, carriers
    for path, tree in trees("aio", "core", "webrtc"):
        used = names(tree) & {"socket", "open_connection", "create_connection", "create_datagram_endpoint"}
        assert not used, (path, used)


def test_tokens_are_compared_in_constant_time() -> None:
    """CC-SEC-006, threat T07: by `compare_digest`, or looked up by their hash; never by `==`."""
    seen = 0
    for path, tree in trees("core", "server", "signalling"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                parts = [node.left, *node.comparators]
                secret = [
                    part for part in parts if isinstance(part, ast.Attribute) and part.attr in {"token", "instance"}
                ]
                equal = any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
                assert not (secret and equal), f"{path}:{node.lineno}"
            elif (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) == "compare_digest"
            ):
                seen += 1
    assert seen >= 4


def test_what_a_link_writes_of_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """CC-SEC-007, CC-SEC-008, threat T25: others get no token, and neither do logs, events, statistics or errors."""
    caplog.set_level(logging.DEBUG)
    net = Net()
    ann, bob = net.joined("ann", "bob")
    ann.lose()
    ann.resume()
    thief = net.client("eve")
    thief.hello(resume=True, token=ann.token)
    net.run(SECOND)
    secrets = [ann.token, ann.instance, bob.token]
    told = io.StringIO()
    print(net.events, net.relay.statistics(), thief.frames, bob.frames, caplog.text, file=told)
    for secret in secrets:
        assert secret.hex() not in told.getvalue()
        assert repr(secret)[2:-1] not in told.getvalue()
    assert all(ann.token not in packet for client in (bob, thief) for _, packet in client.packets)


def test_nothing_is_opened_run_or_fetched() -> None:
    """CC-SEC-019, threat T22: nothing that reads messages can start a program or ask a server."""
    harmful = {"subprocess", "webbrowser", "system", "popen", "startfile", "urlopen", "eval", "exec", "execv", "pickle"}
    for path, tree in trees("cli", "aio", "core", "webrtc"):
        used = names(tree) & harmful
        assert not used, (path, used)


def test_what_a_page_shows_of_a_message_can_not_run() -> None:
    """CC-SEC-017, CC-SEC-020, threat T22: text is text, files are octets, pictures are of kinds without scripts."""
    static = PACKAGE / "web" / "static"
    scripts = {path.name: path.read_text(encoding="utf-8") for path in static.glob("*.js")}
    for name, text in scripts.items():
        for harm in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
        ):
            assert harm not in text, (name, harm)
    assert "application/octet-stream" in scripts["log.js"]
    kinds = set(re.findall(r"image/[a-z0-9+.-]+", scripts["pictures.js"]))
    assert kinds and "image/svg+xml" not in kinds


def test_an_instance_identifier_is_drawn_for_each_call() -> None:
    """CC-SEC-024, threat T26."""
    drawn = set()
    draw = entropy(7)
    for _ in range(8):
        endpoint = Endpoint(entropy=draw, identity="anna")
        endpoint.transport_up(1, 0)
        (packet,) = endpoint.pull(1, Lane.RELIABLE, 1 << 16, 0)
        drawn.add(packet[12:28])
    assert len(drawn) == 8


def test_a_relay_keeps_nothing_of_what_is_delivered(measured: Callable[[], int]) -> None:
    """CC-SEC-025: neither messages nor who sent them to whom."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    ann.say(1, b"first", session=1)
    before = measured()
    for session in range(2, 40):
        net.now += SECOND
        ann.say(1, bytes(12_000), session=session, channel=1, to=[1])
        ann.say(2, bytes(12_000), session=session, channel=1)
        ann.close(2, session=session)
        for client in (ann, bob, carol):
            client.packets.clear()
            client.frames.clear()
            client._bytes.clear()
    net.run(TOMBSTONE)
    ann.say(2, b"last", session=1)
    net.events.clear()
    for client in (ann, bob, carol):
        client.packets.clear()
        client.frames.clear()
        client._bytes.clear()
    grown = measured() - before
    assert grown < 30_000, "what is left of a megabyte that 38 sessions carried"
    assert net.relay.statistics().sessions == 1


def test_no_frame_has_room_for_an_address() -> None:
    """CC-SEC-026: what a relay tells of an endpoint is a slot, a reason and an identifier."""
    assert RosterEntry._fields == ("op", "slot", "reason", "identity")
    for path, tree in trees("core"):
        assert not names(tree) & {"address", "host", "ip", "getpeername"} - {"host"}, path


def test_extension_5_is_not_written() -> None:
    """CC-SEC-027."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    ann.say(1)
    assert all(not frame.extensions for frame in bob.got(wire.Data))
    for path, tree in trees("core", "aio"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Extension":
                assert not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 5), path


def test_limits_are_read_by_name() -> None:
    """CC-SEC-010: what a row of section 16.6 names in code is a limit, and the core has it."""
    held = {*limits.BOUNDS, *(name.lower() for name, value in inspect.getmembers(limits) if isinstance(value, int))}
    assert {"window", "receive_memory", "relay_link_memory", "replay_window", "tombstone", "open_sessions"} <= held
