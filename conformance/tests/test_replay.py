# SPDX-License-Identifier: Apache-2.0
"""A saved counterexample gives the same result in another checkout: what a check says, what was drawn, what two did."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from callchannel_conformance.selftest.patched import Edit, Patch, plant

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "reference" / "python" / "callchannel"
GOOD = f"{sys.executable} -m callchannel.adapter"
CODEC = f"{sys.executable} -m callchannel_conformance.selftest.wire_adapter"
NEVER_SETTLES = Edit("core/counting.py", "for owner, mark in settled.items():", "for owner, mark in ():")


def command(package: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The suite's command, of the checkout whose `conformance` folder is *package*."""
    path = os.pathsep.join([str(package), str(ROOT / "reference" / "python")])
    return subprocess.run(
        [sys.executable, "-m", "callchannel_conformance", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another checkout: its `conformance` folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    ignored = shutil.ignore_patterns("__pycache__", "tests", "results")
    shutil.copytree(ROOT / "conformance", folder / "conformance", ignore=ignored)
    shutil.copytree(ROOT / "spec" / "vectors", folder / "spec" / "vectors")
    return folder / "conformance"


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An implementation in which no ACK settles anything."""
    path = plant(Patch("x", "x", "x", "x.", "x.", (NEVER_SETTLES,)), PACKAGE, tmp_path_factory.mktemp("x") / "broken")
    return f"env PYTHONPATH={path} {GOOD}"


def results(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str]]:
    """What became of each file, and why."""
    lines = [line.split(": ", 1) for line in done.stdout.splitlines()]
    return [(first.split()[0], detail) for first, detail in lines]


def saved(adapter: str, *arguments: str, cwd: Path) -> list[Path]:
    """The replay files of a run."""
    done = command(ROOT / "conformance", "run", "--adapter", adapter, *arguments, cwd=cwd)
    assert done.returncode == 1, done.stdout + done.stderr
    return sorted((cwd / "replays").glob("*.json"))


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (("--check", "sender/close"), ()),
        (("--check", "plans/fixed[slow-reader]"), ()),
        (("--check", "plans/pair_fixed[slow-reader-relay-for-the-other]", "--other-adapter", "BROKEN"), ("BROKEN",)),
        (("--check", "sender/close", "--seed", "77"), ()),
    ],
    ids=["check", "plan", "pair", "seed"],
)
def test_the_same_result_elsewhere(
    arguments: tuple[str, ...], more: tuple[str, ...], elsewhere: Path, broken: str, tmp_path: Path
) -> None:
    first = GOOD if more else broken
    files = saved(first, *[broken if part == "BROKEN" else part for part in arguments], cwd=tmp_path)
    assert len(files) == 1
    message = json.loads(files[0].read_text("utf-8"))["message"]
    (tmp_path / "there").mkdir()
    for other, status in ((broken, "FAILED"), (GOOD, "FIXED")):
        adapters = ("--adapter", GOOD if more else other, *(("--other-adapter", other) if more else ()))
        found = results(command(elsewhere, "replay", *adapters, str(files[0]), cwd=tmp_path / "there"))
        assert [result for result, _ in found] == [status], found
        assert status == "FIXED" or found[0][1] == message


def test_what_was_drawn_is_replayed_without_drawing(elsewhere: Path, tmp_path: Path) -> None:
    """A packet that was drawn is in the file, and Hypothesis is not needed to send it again."""
    defective = f"{CODEC} without-CC-FRAME-012"
    files = saved(defective, "--check", "codec/drawn_faults[mutated]", cwd=tmp_path)
    content = json.loads(files[0].read_text("utf-8"))
    assert content["plan"]["call"] == "codec" and content["plan"]["packet"]
    (tmp_path / "hypothesis.py").write_text("raise ImportError('a replay draws nothing')\n", "utf-8")
    found = results(command(elsewhere, "replay", "--adapter", defective, str(files[0]), cwd=tmp_path))
    assert found == [("FAILED", content["message"])]
    found = results(command(elsewhere, "replay", "--adapter", CODEC, str(files[0]), cwd=tmp_path))
    assert [result for result, _ in found] == ["FIXED"]


def test_a_failure_of_two_asks_for_the_second(broken: str, tmp_path: Path) -> None:
    check = "plans/pair_fixed[slow-reader-relay-for-the-other]"
    files = saved(GOOD, "--check", check, "--other-adapter", broken, cwd=tmp_path)
    done = command(ROOT / "conformance", "replay", "--adapter", GOOD, str(files[0]), cwd=tmp_path)
    assert done.returncode == 3
    assert "--other-adapter" in done.stderr
