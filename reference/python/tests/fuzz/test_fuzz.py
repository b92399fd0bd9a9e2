# SPDX-License-Identifier: Apache-2.0
"""The fuzz targets without a fuzzer: on the seeds, on what Hypothesis makes, and on inputs that showed a fault once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core import bugs
from callchannel.core.endpoint import Endpoint
from callchannel.core.relay import Relay
from callchannel.core.relay.route import Route
from fuzz import codec, endpoint, programs, relay
from fuzz.programs import Choices, Kind, Operation
from fuzz.targets import FOUND, NAMES, Target, load

BODIES = st.binary(max_size=24)
PACKETS = st.sampled_from(programs.packets()).map(lambda packet: Operation(*packet))
OPERATIONS = st.lists(
    st.one_of(
        st.builds(Operation, st.just(Kind.FRAMES), BODIES),
        st.builds(Operation, st.sampled_from((Kind.FRAMES, Kind.TALK, Kind.COMMAND)), BODIES),
        st.builds(Operation, st.sampled_from(Kind), BODIES),
        PACKETS,
    ),
    max_size=30,
)
PROGRAMS = st.builds(
    lambda first, steps: bytes([first]) + b"".join(step.encode() for step in steps), st.integers(0, 255), OPERATIONS
)


@pytest.mark.parametrize("name", NAMES)
def test_seeds(name: str) -> None:
    """All of them, and the memory of some; that of the codec is looked at in test_memory."""
    target = load(name)
    found = list(target.seeds())
    assert len(found) >= 60
    for seed in found:
        target.run(seed)
    for seed in found[::20] if name != "codec" else ():
        target.run_measured(seed)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_that_showed_a_fault_once(name: str) -> None:
    target = load(name)
    for path in target.found():
        try:
            target.run(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path} shows its fault again") from error


def test_every_kept_input_has_a_target() -> None:
    assert FOUND.is_dir()
    assert {path.parent.name for path in FOUND.glob("*/*")} <= set(NAMES)


@given(st.booleans(), st.one_of(st.binary(max_size=1_200), st.sampled_from(programs.packets()).map(lambda p: p[1])))
def test_property_codec(lossy: bool, packet: bytes) -> None:
    """CC-FRAME-004, CC-SEC-013."""
    codec.run(bytes([lossy]) + packet)


@given(PROGRAMS)
def test_property_endpoint(program: bytes) -> None:
    """CC-SEC-010, CC-SEC-013."""
    endpoint.run(program)


@given(PROGRAMS)
def test_property_relay(program: bytes) -> None:
    """CC-SEC-010, CC-SEC-013, CC-SEC-021: the others' messages all come, in order."""
    relay.run(program)


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_are_an_input(name: str) -> None:
    target = load(name)
    chance = random.Random(7)
    for size in (0, 1, 2, 3, 4, 50, 300):
        target.run(chance.randbytes(size))


def test_the_mutator_makes_programs() -> None:
    """It never makes more than it may, and what it makes runs."""
    chance = random.Random(3)
    target = load("endpoint")
    assert target.mutate is not None
    program = next(target.seeds())
    for seed in range(200):
        program = target.mutate(program, 3_000, seed, lambda body, most: chance.randbytes(min(len(body) + 2, most)))
        assert len(program) <= 3_000
    target.run(program)
    assert target.mutate(b"", 100, 1, lambda body, most: b"x")


def test_choices_end_with_the_first_one() -> None:
    choices = Choices(b"\x05")
    assert choices and choices.pick("abcd") == "b"
    assert not choices and choices.pick("abcd") == "a"
    assert choices.number(2) == 0 and not choices.one_in(2)


# --- the targets notice --------------------------------------------------------------------------------------------


def fails(target: Target) -> int:
    """How many of its seeds show a fault."""
    count = 0
    for seed in target.seeds():
        try:
            target.run(seed)
        except Exception:
            count += 1
    return count


def test_a_target_notices_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the machine would survive it."""

    def breaks(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Endpoint, "_receive_roster", breaks)
    assert fails(load("endpoint")) > 10
    assert fails(load("relay")) > 10
    assert bugs.set_reporter(bugs.raise_bug) is bugs.raise_bug


def test_the_relay_target_notices_a_message_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    grew = Route.grew

    def loses(route: Route, now: int) -> None:
        if len(route.queue) == 1 and len(route.queue[0][0]) == 16 + 4 * 2:
            route.queued -= route.queue[0][2]
            route.queue.clear()
        grew(route, now)

    monkeypatch.setattr(Route, "grew", loses)
    assert fails(load("relay")) > 3


def test_the_relay_target_notices_a_link_that_ends_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Relay.receive

    def ends(machine: Relay, transport: int, lane: object, packet: bytes, now: int) -> None:
        receive(machine, transport, lane, packet, now)  # type: ignore[arg-type]
        if packet[:1] == b"\x02" and transport > 2:
            machine.end_link(0, 1, "", now)

    monkeypatch.setattr(Relay, "receive", ends)
    assert fails(load("relay")) > 3


def test_memory_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    target = load("codec")
    target.run_measured(b"\0" + bytes(1_000))
    hoard: list[bytes] = []
    greedy = target._replace(run=lambda data: hoard.append(bytes(2 << 20)))
    with pytest.raises(AssertionError, match="bytes were held"):
        greedy.run_measured(b"")
