# SPDX-License-Identifier: Apache-2.0
"""The site, and small made-up trees for the checks to look at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.faults import ROOT

README = """\
# A standard

| | |
|---|---|
| Document version | {version} |

| chapter | about | requirements |
|---|---|---|
| [1. One](01-one.md) | x | CC-ONE |
| [2. Two](02-two.md) | y | CC-TWO, CC-TOO |
"""


def cc(area: str, number: int) -> str:
    """A requirement ID, put together so that the check of citations does not take it for one of this project."""
    return f"CC-{area}-{number:03}"


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node. Without it the tests that need it are skipped; in CI they fail."""
    program = shutil.which("node")
    if program is None:
        say = "there is no Node on this machine: install Node 20 or newer"
        if os.environ.get("CI") == "true":
            pytest.fail(say)
        pytest.skip(say)
    return program


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture
def rule() -> Callable[..., str]:
    """Writes a requirement: `rule("ONE", 1)` is the paragraph of CC-ONE's first."""

    def write(area: str, number: int, text: str = "A thing MUST be.") -> str:
        return f"**{cc(area, number)}** {text}\n\n"

    return write


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Makes a project: `tree(one="text of chapter 1", two="text of chapter 2")` gives its root."""

    def make(
        one: str = "", two: str = "", *, version: str = "0.1", released: bool = False, withdrawn: str = ""
    ) -> Path:
        spec = tmp_path / "spec"
        registry = spec / "registry"
        registry.mkdir(parents=True, exist_ok=True)
        for path in sorted((ROOT / "spec" / "registry").glob("*.toml")):
            shutil.copy(path, registry)
        line = f'"{withdrawn}" = "0.2: not needed"\n' if withdrawn else ""
        marks = f"released = {['0.1'] if released else []}\n[withdrawn]\n{line}"
        (registry / "requirements.toml").write_text(marks, "utf-8")
        (spec / "README.md").write_text(README.format(version=version), "utf-8")
        (spec / "01-one.md").write_text(f"# 1. One\n\n{one}", "utf-8")
        (spec / "02-two.md").write_text(f"# 2. Two\n\n{two}", "utf-8")
        return tmp_path

    return make
