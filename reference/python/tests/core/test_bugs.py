# SPDX-License-Identifier: Apache-2.0
"""A bug ends one link with INTERNAL and nothing else, and is never hidden (CC-SEC-021)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from callchannel.core import bugs
from callchannel.core.events import InternalError, LinkEnded
from callchannel.core.frames import Bye, Data, Roster, RosterOp
from callchannel.core.link import LinkState
from callchannel.core.relay import EndpointLeft
from tests.core.relay.scripted import SECOND, Net
from tests.core.scripted import accepted, data, in_group

INTERNAL = 0x16


class Bug(Exception):
    """What no test is prepared for."""


@pytest.fixture
def no_reporter() -> Iterator[None]:
    """As in production: nobody raises what the machine caught."""
    before = bugs.set_reporter(None)
    yield
    bugs.set_reporter(before)


def breaks(*_: Any, **__: Any) -> Any:
    raise Bug("something is wrong")


def break_for(monkeypatch: pytest.MonkeyPatch, victim: Any, *names: str) -> None:
    """Have methods of one object raise, and those of all others of its kind do as they did."""
    kind = type(victim)

    def breaking(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, *args, **kwargs: (breaks if self is victim else method)(self, *args, **kwargs)

    for name in names:
        monkeypatch.setattr(kind, name, breaking(getattr(kind, name)))


@pytest.mark.usefixtures("no_reporter")
def test_a_relay_that_fails_at_a_packet_goes_on_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """CC-SEC-021; threat T17: what one endpoint writes never ends the link of another."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    bob.say(1, b"before")
    break_for(monkeypatch, net.relay._by_slot[0].uplink, "receive")
    ann.say(1)
    assert ann.bye == INTERNAL
    assert ann.transport is None
    (event,) = [event for event in net.events if isinstance(event, InternalError)]
    assert isinstance(event.error, Bug)
    assert event.error.__traceback__ is not None
    assert "wrong" not in ann.one(Bye).text
    assert [event.code for event in net.events if isinstance(event, EndpointLeft)] == [INTERNAL]
    net.run(SECOND)
    bob.say(2, b"after")
    assert carol.payloads() == [b"before", b"after"]
    assert [entry.op for frame in carol.got(Roster) for entry in frame.entries] == [RosterOp.LEAVE]
    assert (bob.bye, carol.bye) == (None, None)
    assert net.relay.statistics().internal_errors == 1


@pytest.mark.usefixtures("no_reporter")
def test_a_relay_that_fails_at_writing_goes_on_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """CC-SEC-021: the link that is written is the one that is served."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    break_for(monkeypatch, net.relay._by_slot[1].downlink.reliable_turns, "pull", "write")
    ann.say(1, b"one")
    assert bob.bye == INTERNAL
    ann.say(2, b"two")
    assert carol.payloads() == [b"one", b"two"]
    assert (ann.bye, carol.bye) == (None, None)
    assert net.relay.statistics().internal_errors == 1


@pytest.mark.usefixtures("no_reporter")
@pytest.mark.parametrize(
    ("of", "timer"),
    [(lambda port: port.link, "_on_ack_timer"), (lambda port: port.uplink, "_on_rate_timer")],
)
def test_a_relay_that_fails_at_a_timer_goes_on_with_the_others(
    of: Callable[[Any], Any], timer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CC-SEC-021: the link whose timer it is; timers of the others that are due at the same time fire."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    owner = of(net.relay._by_slot[0])
    break_for(monkeypatch, owner, timer)
    net.relay._timers.set("broken", net.now + 1, getattr(owner, timer))
    net.run(SECOND)
    assert (ann.bye, bob.bye, carol.bye) == (INTERNAL, None, None)
    assert [event.code for event in net.events if isinstance(event, EndpointLeft)] == [INTERNAL]
    bob.say(1, b"after")
    assert carol.payloads() == [b"after"]
    assert net.relay.statistics().internal_errors == 1


@pytest.mark.usefixtures("no_reporter")
def test_a_relay_that_fails_at_a_timer_of_a_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(stall_time=2 * SECOND)
    ann, bob, carol = net.joined("ann", "bob", "carol")
    ann.say(1)
    (route,) = net.relay._by_slot[1].downlink.routes
    break_for(monkeypatch, route, "_on_stall")
    net.relay._timers.set("broken", net.now + 1, route._on_stall)
    net.run(SECOND)
    assert (ann.bye, bob.bye, carol.bye) == (None, INTERNAL, None)


@pytest.mark.usefixtures("no_reporter")
def test_a_relay_that_fails_at_a_timer_of_the_call_ends_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    ann, bob = net.joined("ann", "bob")
    net.relay._timers.set("broken", net.now + 1, breaks)
    net.run(SECOND)
    ann.say(1)
    assert len(bob.got(Data)) == 1
    assert net.relay.statistics().internal_errors == 1


@pytest.mark.usefixtures("no_reporter")
def test_a_relay_that_fails_before_there_is_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    ann, bob = net.joined("ann", "bob")
    monkeypatch.setattr(net.relay, "_join", breaks)
    eve = net.join("eve")
    assert eve.bye == INTERNAL
    assert eve.transport is None
    monkeypatch.undo()
    ann.say(1)
    assert len(bob.got(Data)) == 1
    assert net.join("dan").bye is None


@pytest.mark.usefixtures("no_reporter")
@pytest.mark.parametrize("start", [in_group, accepted])
def test_an_endpoint_that_fails_at_a_packet(start: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    script = start()
    sender = 0 if start is in_group else 1
    break_for(monkeypatch, script.machine._receivers, "data")
    script.give(data(1, 1, sender=sender))
    assert script.machine.state is LinkState.DEAD
    assert [type(event) for event in script.events()[-3:]].count(InternalError) == 1
    assert script.of(LinkEnded) == [LinkEnded(code=INTERNAL, reason=bugs.BYE_TEXT, by_peer=False)]
    assert script.pull() == [Bye(INTERNAL, bugs.BYE_TEXT)]
    assert script.machine.statistics().internal_errors == 1


@pytest.mark.usefixtures("no_reporter")
def test_an_endpoint_that_fails_at_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    script = in_group()
    sender = script.machine.open_sender(script.now)
    break_for(monkeypatch, script.machine.link.data[0], "pull", "write")
    script.machine.send(sender, b"hi", script.now)
    assert script.pull() == [Bye(INTERNAL, bugs.BYE_TEXT)]
    assert script.machine.state is LinkState.DEAD
    assert script.closed == [script.transport]


@pytest.mark.usefixtures("no_reporter")
def test_an_endpoint_that_fails_at_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    script = in_group()
    script.machine.timers.set("broken", script.now + 1, breaks)
    script.wait(2, alive=False)
    assert script.machine.state is LinkState.DEAD
    assert script.of(LinkEnded) == [LinkEnded(code=INTERNAL, reason=bugs.BYE_TEXT, by_peer=False)]
    assert script.pull() == [Bye(INTERNAL, bugs.BYE_TEXT)]


@pytest.mark.usefixtures("no_reporter")
def test_an_acceptor_that_fails_before_there_is_a_link_takes_the_next_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    script = accepted()
    second = script.up()
    script.give(b"\x08" + bytes(3))
    assert script.pull(transport=second)[0].code != INTERNAL  # malformed, no bug
    third = script.up()
    break_for(monkeypatch, script.machine._lobby, "receive")
    script.give(b"\x08")
    assert script.pull(transport=third) == [Bye(INTERNAL, bugs.BYE_TEXT)]
    assert script.machine.state is LinkState.ACTIVE


def test_the_tests_themselves_fail_at_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reporter that all tests run under raises what the machine would have survived."""
    net = Net()
    ann, _ = net.joined("ann", "bob")
    break_for(monkeypatch, net.relay._by_slot[0].uplink, "receive")
    with pytest.raises(Bug):
        ann.say(1)
    script = in_group()
    break_for(monkeypatch, script.machine._receivers, "data")
    with pytest.raises(Bug):
        script.give(data(1, 1))


@pytest.mark.usefixtures("no_reporter")
def test_a_reporter_is_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Exception] = []
    bugs.set_reporter(told.append)
    script = in_group()
    break_for(monkeypatch, script.machine._receivers, "data")
    script.give(data(1, 1))
    assert [type(error) for error in told] == [Bug]
    assert bugs.set_reporter(None) == told.append
