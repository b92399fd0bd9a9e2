# SPDX-License-Identifier: Apache-2.0
"""The suite judges the reference implementation, so it must not be made of it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "callchannel_conformance"
ROOT = PACKAGE.parent.parent
SOURCES = sorted(
    [*PACKAGE.rglob("*.py"), *(ROOT / "tools" / "vector_sources").rglob("*.py"), ROOT / "tools/vectors.py"]
)

# Blocks every module of the reference, then imports every module of the suite.
PROGRAM = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "callchannel":
            raise AssertionError(f"the suite asks for {name}")

sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
import callchannel_conformance
names = [m.name for m in pkgutil.walk_packages(callchannel_conformance.__path__, "callchannel_conformance.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
assert not any(name.partition(".")[0] == "callchannel" for name in sys.modules), "the reference is loaded"
print(*names)
"""


def imported(source: str) -> set[str]:
    """Return the top-level names that a module imports, by statement or by a call that names it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in ("import_module", "__import__", "find_spec", "run_module"):
                names.update(
                    argument.value.partition(".")[0]
                    for argument in node.args
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                )
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_the_reference(path: Path) -> None:
    assert "callchannel" not in imported(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "import callchannel",
        "import callchannel.core.frames as frames",
        "def f():\n    from callchannel.core import lanes",
        "import importlib\nimportlib.import_module('callchannel.core')",
        "__import__('callchannel')",
    ],
)
def test_the_scan_sees_imports(source: str) -> None:
    assert "callchannel" in imported(source)


def test_the_suite_loads_where_the_reference_is_blocked() -> None:
    result = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(PACKAGE.parent)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "callchannel_conformance.wire" in result.stdout.split()


def test_the_block_works() -> None:
    """The program above does fail when a module of the reference is asked for."""
    program = PROGRAM.replace("import callchannel_conformance\n", "import callchannel_conformance, callchannel\n", 1)
    result = subprocess.run(
        [sys.executable, "-I", "-c", program, str(PACKAGE.parent)], capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "the suite asks for callchannel" in result.stderr
