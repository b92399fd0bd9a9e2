# SPDX-License-Identifier: Apache-2.0
"""The patches of the self-test apply to the code as it is, and each violates a requirement that there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from callchannel_conformance.selftest.patched import Edit, Patch, PatchError, changed, load, plant
from callchannel_conformance.selftest.worker import Order, Worker

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "reference" / "python" / "callchannel"
PATCHES = load()


def test_there_are_enough_in_every_area() -> None:
    areas = {patch.area for patch in PATCHES}
    assert len(PATCHES) >= 100
    assert {"frames", "sessions", "fragments", "delivery", "scheduling", "link", "roster", "relay", "peer"} <= areas


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_applies_and_changes_the_code(patch: Patch) -> None:
    for module, text in changed(patch, PACKAGE).items():
        before = (PACKAGE / module).read_text(encoding="utf-8")
        assert compile(text, module, "exec").co_code is not None
        assert text != before


def test_each_names_a_requirement_of_the_standard() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "spec").glob("*.md"))
    missing = [patch.name for patch in PATCHES if f"**{patch.requirement}**" not in text]
    assert not missing


def test_each_says_what_goes_wrong_and_what_shows_it() -> None:
    assert all(patch.says.endswith(".") and patch.witness.endswith(".") for patch in PATCHES)


def test_a_planted_package_is_the_changed_one(tmp_path: Path) -> None:
    patch = Patch(
        "x",
        "limits",
        "CC-LIMIT-001",
        "x.",
        "x.",
        (Edit("core/limits.py", "HIGH_BURST: Final = 4", "HIGH_BURST: Final = 5"),),
    )
    path = plant(patch, PACKAGE, tmp_path / "defect")
    code = "from callchannel.core import limits, scheduling; print(limits.HIGH_BURST, scheduling.HIGH_BURST)"
    env = {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["5", "5"]
    assert "HIGH_BURST: Final = 4" in (PACKAGE / "core" / "limits.py").read_text(encoding="utf-8")


def test_a_receiver_without_streams_that_keeps_the_limit_passes(tmp_path: Path, monkeypatch) -> None:
    """The defect `streamless-without-a-limit` dies for the limit, not for the lack of streams, which is legal."""
    gather = next(patch.edits[0] for patch in PATCHES if patch.name == "streamless-without-a-limit")
    judge = Edit(
        "core/reliable_receiver.py",
        "        try:\n            last = partial.assembly.add(fragment, frame.payload)\n",
        """        come = partial.assembly.received + len(frame.payload)
        if not partial.assembly.total and come > self._host.limits.largest_message:
            self._fault(frame, ErrorCode.TOO_LARGE)
            return
        try:
            last = partial.assembly.add(fragment, frame.payload)
""",
    )
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # as in a worker's process
    path = plant(Patch("x", "holes", "CC-FRAG-049", "x.", "x.", (gather, judge)), PACKAGE, tmp_path / "streamless")
    records = Worker().run(
        Order(
            adapter=f"env PYTHONPATH={path} {sys.executable} -m callchannel.adapter",
            shared=False,
            checks=("receiver_rows/without_streams", "receiver_rows/stream_of_the_largest_size"),
        )
    )
    assert [record["result"] for record in records] == ["PASS"] * 5


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (Edit("core/limits.py", "no such text", "x"), "0 times"),
        (Edit("core/limits.py", "Final", "x"), "it has to stand there once"),
        (Edit("core/limits.py", "HIGH_BURST: Final = 4", "HIGH_BURST: Final = ("), "does not compile"),
        (Edit("core/no_such_module.py", "a", "b"), "there is no core/no_such_module.py"),
    ],
)
def test_what_does_not_apply_fails_loudly(edit: Edit, complaint: str, tmp_path: Path) -> None:
    patch = Patch("x", "limits", "CC-LIMIT-001", "x.", "x.", (edit,))
    with pytest.raises(PatchError, match=complaint):
        plant(patch, PACKAGE, tmp_path / "defect")
    assert not (tmp_path / "defect").exists()


def test_a_name_stands_once(tmp_path: Path) -> None:
    members = ("name", "requirement", "says", "witness", "module", "old", "new")
    row = "[[patch]]\n" + "".join(f'{member} = "x"\n' for member in members)
    (tmp_path / "x.toml").write_text(row + row, encoding="utf-8")
    with pytest.raises(PatchError, match="stands twice"):
        load(tmp_path)


def test_a_patch_without_requirement_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('[[patch]]\nname = "a"\nmodule = "m"\nold = "a"\nnew = "b"\n', encoding="utf-8")
    with pytest.raises(PatchError, match="lacks 'requirement'"):
        load(tmp_path)
