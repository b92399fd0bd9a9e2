# SPDX-License-Identifier: Apache-2.0
"""Patches of shipped code fail loudly where they do not apply."""

from __future__ import annotations

import pytest

from simulator import patching


@pytest.mark.parametrize(
    ("module", "old"),
    [
        ("callchannel.core.flow", "no such text"),
        ("callchannel.core.flow", "self"),
        ("callchannel.core.no_such_module", "x"),
    ],
)
def test_a_patch_that_does_not_apply(module: str, old: str) -> None:
    with pytest.raises(patching.DoesNotApply):
        patching.apply([patching.Patch(module, old, "")])


def test_code_that_is_imported_is_not_changed() -> None:
    with pytest.raises(RuntimeError, match="imported"):
        patching.install({"simulator.patching": ""})


def test_nothing_is_found_in_code_as_it_is() -> None:
    search = patching.Search(budget=2, kept=[])
    assert patching.try_in_process({}, search)["rule"] is None


@pytest.mark.parametrize(
    ("text", "rule"),
    [("while True: pass", "hang"), ("raise OSError", "import")],
)
def test_code_that_does_not_get_as_far_as_a_plan(text: str, rule: str) -> None:
    search = patching.Search(budget=2, kept=[], seconds=2 if rule == "hang" else 60)
    assert patching.try_in_process({"callchannel.core.flow": text}, search)["rule"] == rule
