# SPDX-License-Identifier: Apache-2.0
"""Makes a failing plan small: steps, fates and settings go, as long as the same requirement is broken."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from simulator.plan import OPERATIONS, SIZES, WAITS, Plan
from simulator.run import Result, run


def shrink(plan: Plan, rule: str, *, budget: int = 1_500, runner: Callable[[Plan], Result] = run) -> Plan:
    """A smaller plan that breaks `rule`, after at most `budget` runs."""
    best = copy.deepcopy(plan)
    left = budget
    progress = True
    while progress and left > 0:
        progress = False
        for candidate in _smaller(best):
            left -= 1
            if left <= 0:
                break
            if runner(candidate).rule == rule:
                best = candidate
                progress = True
                break
    return best


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Simpler plans, the most drastic ones first."""
    count = len(plan.steps)
    size = count // 2
    while size:
        for start in range(count - size, -1, -size):
            yield _with(plan, steps=plan.steps[:start] + plan.steps[start + size :])
        size //= 2
    blank = Plan()
    for name in ("limits", "latency", "rate", "no_lossy", "paused", "muted", "rated", "fates", "reconnect", "rejoin"):
        if getattr(plan, name) != getattr(blank, name):
            yield _with(plan, **{name: getattr(blank, name)})
    for name in plan.limits:
        yield _with(plan, limits={key: value for key, value in plan.limits.items() if key != name})
    if plan.endpoints > 2:
        yield _with(plan, endpoints=plan.endpoints - 1)
    for who, fates in enumerate(plan.fates):
        if fates:
            yield _with(plan, fates=[*plan.fates[:who], [], *plan.fates[who + 1 :]])
        for place, fate in enumerate(fates):
            if fate != "ok":
                changed = [*fates[:place], "ok", *fates[place + 1 :]]
                yield _with(plan, fates=[*plan.fates[:who], changed, *plan.fates[who + 1 :]])
    for name in ("latency", "rate", "paused", "muted", "rated", "no_lossy"):
        for place in range(len(getattr(plan, name))):
            fewer = list(getattr(plan, name))
            del fewer[place]
            yield _with(plan, **{name: fewer})
    for place, step in enumerate(plan.steps):
        for label, values in OPERATIONS[step["do"]].items():
            for simpler in _simpler(step.get(label), values, label):
                steps = list(plan.steps)
                steps[place] = step | {label: simpler}
                yield _with(plan, steps=steps)


def _simpler(value: object, values: object, label: str) -> Iterator[object]:
    if label in ("ms", "size") and isinstance(value, int):
        ladder = sorted(set(WAITS if label == "ms" else SIZES))
        yield from [item for item in ladder if item < value][:6]
    elif isinstance(values, int) and isinstance(value, int):
        yield from {0, value // 2, value - 1} & set(range(value))
    elif isinstance(values, tuple) and value in values:
        yield from list(dict.fromkeys(values))[: list(dict.fromkeys(values)).index(value)]


def _with(plan: Plan, **changes: object) -> Plan:
    return Plan(**(vars(plan) | changes))
