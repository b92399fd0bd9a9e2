# SPDX-License-Identifier: Apache-2.0
"""Mechanical mutants: the same ones each time, and all of them code."""

from __future__ import annotations

from simulator import mutants


def test_mutants_are_the_same_each_time_and_compile() -> None:
    drawn = mutants.draw(40, 1)
    assert drawn == mutants.draw(40, 1)
    for mutant in drawn:
        for text in mutants.text_of(mutant).values():
            compile(text, mutant.module, "exec")
