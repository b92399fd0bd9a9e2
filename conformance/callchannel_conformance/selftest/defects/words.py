# SPDX-License-Identifier: Apache-2.0
"""The words in which seeded defects are stated, and the place where they are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from callchannel_conformance import standard
from callchannel_conformance.selftest.proxy import Change, Frames, Memory

Json = dict[str, Any]
When = Callable[[Json], bool]
Areas = tuple[str, ...] | str


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect: it violates each of `requirements`; checks of `areas` that cite them have to fail."""

    requirements: tuple[str, ...]
    areas: tuple[str, ...]
    change: Change


DEFECTS: Final[dict[str, Defect]] = {}
"""All of them by name."""

ORDER: Final = ("RELIABLE", "HIGH", "PRIVATE", "CONFIRM", "LATEST")


def add(name: str, requirements: str, areas: Areas, change: Change) -> None:
    """Keep a defect. *requirements*: IDs, with spaces between. Raises `KeyError` for an unknown ID."""
    violated = tuple(requirements.split())
    for requirement in violated:
        standard.requirement(requirement)
    assert name not in DEFECTS, name
    named = (areas,) if isinstance(areas, str) else areas
    more = ("relay_delivery", "relay_limits", "relay_roster", "relay_sessions") if "relay" in named else ()
    DEFECTS[name] = Defect(violated, (*named, *more), change)


def writes(name: str, requirements: str, areas: Areas, change: Frames) -> None:
    """A defect in frames that the implementation writes."""
    add(f"w-{name}", requirements, areas, Change(writes=change))


def reads(name: str, requirements: str, areas: Areas, change: Frames) -> None:
    """A defect in how it takes frames that it reads."""
    add(f"r-{name}", requirements, areas, Change(reads=change))


def packets(
    name: str, requirements: str, areas: Areas, change: Callable[[list[Json], str, Memory], list[Json]]
) -> None:
    """A defect in how it bundles."""
    add(f"w-{name}", requirements, areas, Change(packet=change))


def event(name: str, requirements: str, areas: Areas, kind: str, change: Callable[[Json], list[Json]]) -> None:
    """A defect in an event that the application is told."""
    add(
        f"e-{name}",
        requirements,
        areas,
        Change(event=lambda told, memory: change(told) if told["event"] == kind else [told]),
    )


def value(name: str, requirements: str, areas: Areas, op: str, change: Callable[[Json], Json]) -> None:
    """A defect in what a call returns or raises."""

    def reply(request: Json, reply: Json, memory: Memory) -> Json:
        if request["op"] == op and isinstance(reply.get("ok"), dict):
            reply["ok"] = change(reply["ok"])
        return reply

    add(f"v-{name}", requirements, areas, Change(reply=reply))


def asks(name: str, requirements: str, areas: Areas, op: str, change: Callable[[Json], Json]) -> None:
    """A defect in how it takes a call of the application."""
    add(
        f"q-{name}",
        requirements,
        areas,
        Change(request=lambda request, memory: change(request) if request["op"] == op else request),
    )


# --- frames ---------------------------------------------------------------------------------------


def fields(kind: str, when: When = lambda frame: True, **changes: Any) -> Frames:
    """Change fields of frames of a kind: a value, or a function of the old one."""

    def change(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
        if frame["type"] != kind or not when(frame):
            return None
        new = dict(frame)
        for name, to in changes.items():
            new[name] = to(frame[name]) if callable(to) else to
        return [new]

    return change


def drop(kind: str, when: When = lambda frame: True) -> Frames:
    """Leave frames of a kind out."""
    return lambda frame, lane, memory: [] if frame["type"] == kind and when(frame) else None


def twice(kind: str, when: When = lambda frame: True) -> Frames:
    """Each frame of a kind two times."""
    return lambda frame, lane, memory: [frame, frame] if frame["type"] == kind and when(frame) else None


def without(member: str, when: When = lambda frame: True) -> Frames:
    """DATA without its extensions, or another member that can be missing."""
    return lambda frame, lane, memory: (
        [{k: v for k, v in frame.items() if k != member}] if frame["type"] == "DATA" and when(frame) else None
    )


def flag(name: str, is_set: bool) -> Callable[[list[str]], list[str]]:
    """Set or clear a flag of DATA."""
    return lambda flags: [
        one for one in ORDER if (one in flags or (one == name and is_set)) and (one != name or is_set)
    ]


def fragment(**changes: Any) -> Callable[[Json], Json]:
    """Change fields of a fragment."""
    return lambda part: {**part, **{k: v(part[k]) if callable(v) else v for k, v in changes.items()}}


def reliable(frame: Json) -> bool:
    """Whether DATA is Reliable."""
    return "RELIABLE" in frame["flags"]


def is_part(frame: Json) -> bool:
    """Whether DATA is a fragment with payload."""
    return "fragment" in frame and not frame["fragment"]["abort"]


def is_abort(frame: Json) -> bool:
    """Whether DATA ends its message by ABORT."""
    return bool(frame.get("fragment", {}).get("abort"))


def private(frame: Json) -> bool:
    """Whether DATA has a recipient block that names somebody."""
    return bool(frame.get("recipients", {}).get("slots"))


def code(name: str) -> int:
    """An error code."""
    return standard.codes()[name]


# --- replies --------------------------------------------------------------------------------------


def raised(old: str, new: str) -> Callable[[Json], Json]:
    """Raise *new* in place of *old*."""
    return lambda ok: {**ok, "raised": {**ok["raised"], "code": new}} if ok.get("raised", {}).get("code") == old else ok


def message(**changes: Any) -> Callable[[Json], Json]:
    """Change fields of a message that was read."""

    def change(ok: Json) -> Json:
        read = ok.get("value", {}).get("message")
        if read is None:
            return ok
        new = {**read, **{k: v(read[k]) if callable(v) else v for k, v in changes.items()}}
        return {**ok, "value": {"message": new}}

    return change
