# SPDX-License-Identifier: Apache-2.0
"""Whole calls in virtual time, judged from outside (not shipped with the package).

A plan is pure data (`plan`), from Hypothesis (`strategies`) or a seed (`generate`). `world` runs it with real machines,
`judge` watches commands, results, events and packets. A failure shrinks to a minimal plan (`shrink`) and is kept as a
file that replays. `python -m simulator.soak` runs many, `python -m simulator.defects` tests the simulator itself.
"""
