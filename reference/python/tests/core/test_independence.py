# SPDX-License-Identifier: Apache-2.0
"""The core needs nothing but the standard library, and nothing of the layers above it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import callchannel.core

CORE = Path(callchannel.core.__file__).parent
ROOT = CORE.parent.parent
MODULES = sorted(CORE.rglob("*.py"))
FORBIDDEN = {"asyncio", "socket", "ssl", "threading", "time", "random", "secrets", "selectors", "os", "logging"}
"""I/O, clocks and randomness come from outside."""


def imported(module: Path) -> set[str]:
    """The names of all modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used here"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(CORE)))
def test_imports(module: Path) -> None:
    for name in imported(module):
        top = name.partition(".")[0]
        assert top == "callchannel" or top in sys.stdlib_module_names, name
        assert top not in FORBIDDEN, name
        if top == "callchannel":
            assert name.startswith("callchannel.core"), name


def test_a_bare_interpreter_is_enough() -> None:
    """A call between two endpoints, without site-packages."""
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import callchannel.core.endpoint as core
from callchannel.core.lanes import Lane
anna = core.Endpoint(entropy=bytes, identity="anna", peer=core.Peer(initiator=True))
bob = core.Endpoint(entropy=bytes, identity="bob", peer=core.Peer(initiator=False, identity="anna"))
bob.transport_up(1, 0)
anna.transport_up(1, 0)
def carry():
    for _ in range(3):
        for here, there in ((anna, bob), (bob, anna)):
            for lane in Lane:
                for packet in here.pull(1, lane, 1 << 20, 0):
                    there.receive(1, lane, packet, 0)
carry()
sender = anna.open_sender(0)
anna.send(sender, b"hello", 0)
carry()
print(bob.read(1, 0).data)
loaded = {{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names)
print(sorted(name for name in sys.modules if name.startswith("callchannel.")
             and not name.startswith("callchannel.core")), sorted(loaded - {{"__main__"}}), "asyncio" in sys.modules)
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["b'hello'", "[] ['callchannel'] False"]
