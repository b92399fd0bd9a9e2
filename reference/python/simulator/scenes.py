# SPDX-License-Identifier: Apache-2.0
"""Short sequences of operations that seldom meet by chance; `generate` puts some of them among the other steps.

Each scene has a few endpoints for roles: `a` is its owner, `b` and `c` are others. What it leaves open is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from simulator.plan import Step

Scene = Callable[[random.Random, int, int, int], list[Step]]


def _open(who: int, **options: object) -> Step:
    return {"do": "open", "who": who, "mode": "all", **options}


def _send(who: int, size: int, count: int = 1, sender: int = -1, **options: object) -> Step:
    return {"do": "send", "who": who, "sender": sender, "size": size, "count": count, **options}


def _on(who: int, name: str, **options: object) -> Step:
    return {"do": name, "who": who, **options}


def _wait(ms: int) -> Step:
    return {"do": "wait", "ms": ms}


def _stale_attempt(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """HELLO of an attempt comes when a later one was taken and its transport is lost."""
    ms = source.choice((30, 60, 120))
    cut = _on(a, "cut", how=source.choice(("closed", "far", "far")), newest=True)
    return [_on(a, "overtake", ms=ms, down=False), _wait(15), cut, _wait(ms)]


def _data_before_welcome(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """Lossy data overtakes WELCOME."""
    late = [_on(a, "overtake", ms=60, down=True)]
    if source.random() < 0.5:
        late = [{"do": "join", "eager": False}, _on(-1, "overtake", ms=60, down=True)]
    return [
        _open(b, lossy=True),
        *late,
        _wait(15),
        _send(b, 40, 5),
        _wait(30),
    ]


def _joins_a_stopping_relay(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A relay stops while one link is suspended, and somebody wants to join."""
    return [
        _on(b, "pause"),
        _open(a, confirm=source.choice(("accepted", "delivered"))),
        _send(a, 40_000, 5),
        _on(b, "cut", how="far"),
        _wait(15),
        {"do": "restart", "how": "stop"},
        _wait(source.choice((4, 120))),
        {"do": "join", "eager": False},
        _wait(source.choice((300, 1_500))),
    ]


def _leaves_while_resuming(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """The time for leaving is over while the link is being resumed."""
    return [
        _open(a),
        _send(a, 700),
        _on(a, "cut", how="down"),
        _send(a, 700),
        _on(a, "leave"),
        *([_on(a, "cut", how="closed"), _on(a, "leave")] if source.random() < 0.3 else []),
        _on(a, "connect"),
        _on(a, "leave"),
        _on(a, "cut", how="both"),
        _wait(2_600),
    ]


def _bitrate(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """Lossy messages that wait for their bitrate are taken back, or their recipients go."""
    mask = 1 << b if source.random() < 0.5 else 255
    lifetime = source.choice((0, 0, 40))
    steps = [_open(a, lossy=True, bitrate=400_000, mode="to", mask=mask)]
    steps.append(_send(a, 30_000, source.choice((1, 2)), lifetime=lifetime))
    steps.append(_wait(source.choice((30, 60))))
    if source.random() < 0.3:
        steps.append(_on(a, "close", sender=-1))
    if mask == 255 or source.random() < 0.3:
        steps.append(_on(a, "cancel", sender=-1, back=source.choice((0, 1))))
    else:
        steps += [_on(b, source.choice(("kick", "leave"))), _wait(700)]
    return steps


def _all_fail(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """Every recipient fails while messages wait, and the sender is closed, perhaps."""
    steps = [_on(who, "pause") for who in (b, c)]
    steps += [_open(a), _send(a, 40_000, 5), _wait(60)]
    if source.random() < 0.6:
        steps.append(_on(a, "close", sender=-1))
    steps += [_on(who, "close_receiver", receiver=-1, read=0) for who in (b, c)]
    return [*steps, _wait(60), _send(a, 5), _wait(60), _on(a, "cancel", sender=-1, back=source.choice((0, 1, 3)))]


def _slot_again(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """Somebody leaves messages unread, and its slot is given again."""
    lossy = source.random() < 0.5
    steps = [_on(b, "pause"), _open(a, lossy=lossy, confirm="delivered"), _send(a, 700, 2), _wait(60)]
    if source.random() < 0.5:
        steps += [_on(a, "close", sender=-1), _wait(source.choice((60, 700)))]
    steps += [_on(a, source.choice(("leave", "kick"))), _wait(130_000)]
    return [*steps, {"do": "join", "eager": True}, _wait(60), _on(b, "read", receiver=0, count=2)]


def _late_lossy(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A newer Lossy session, while packets of the older one are late, or unread."""
    steps = [_on(b, "pause")] if source.random() < 0.6 else []
    if source.random() < 0.3:
        steps.append(_on(b, "cut", how="late"))
    steps += [_open(a, lossy=True, channel=7), _send(a, source.choice((40, 3_000)), source.choice((1, 5)))]
    if source.random() < 0.4:
        steps.append(_wait(source.choice((4, 120, 2_600))))
    if source.random() < 0.3:
        steps += [_on(a, "close", sender=-1), _wait(source.choice((4, 15, 700)))]
    if source.random() < 0.2:
        steps += [_on(a, "close", sender=-1), _on(a, "leave"), _wait(60)]
    return [*steps, _open(a, lossy=True, channel=7, high=source.random() < 0.5), _send(a, 40, 2), _wait(15)]


def _closed_stream(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A stream ends, or is given up, while it is read; its receiver closes, perhaps."""
    how = source.choice(("finish", "cancel", "close"))
    steps = [_on(b, "pause"), _open(a, confirm="delivered"), {"do": "stream", "who": a, "sender": -1}]
    steps += [{"do": "write", "who": a, "sender": -1, "size": 700, "count": 3}, _wait(60)]
    steps += [_on(b, "read", receiver=-1, count=2)]
    if source.random() < 0.4:
        steps += [_on(b, "close_receiver", receiver=-1, read=source.choice((0, 1)))]
    steps += [{"do": how, "who": a, "sender": -1, "back": 0}]
    if source.random() < 0.5:
        steps += [_on(a, "close", sender=-1)]
    steps += [_wait(source.choice((4, 60))), _on(b, "read", receiver=-1, count=1), _on(b, "read", receiver=-1, count=1)]
    return [*steps, {"do": "write", "who": a, "sender": -1, "size": 40, "count": 1, "past": True}]


def _newer_first(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A sender of high priority takes a channel, and its data comes before the CLOSE of the older one."""
    steps = [_open(a, channel=9), _send(a, 40), _wait(source.choice((60, 2_600)))]
    if source.random() < 0.4:
        steps += [_on(b, "close_receiver", receiver=-1, read=0), _wait(60)]
    steps += [_on(a, "cut", how="block")] if source.random() < 0.7 else []
    steps += [_open(a, channel=9, high=True), _send(a, 40), _on(a, "heal"), _wait(60)]
    return steps


def _reader_closes_late(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A receiver is closed when its session is complete and unread."""
    steps = [_on(b, "pause"), _open(a, confirm="accepted"), _send(a, 40, 2), _wait(60), _on(a, "close", sender=-1)]
    return [*steps, _wait(60), _on(b, "close_receiver", receiver=-1, read=source.choice((0, 1))), _wait(60)]


def _many_sessions(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """More sessions than may be open."""
    lossy = source.random() < 0.5
    return [step for _ in range(18) for step in (_open(a, lossy=lossy), _send(a, 5))] + [_wait(60)]


def _memory(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """One reader is given more than it may hold."""
    steps = [_on(b, "pause")]
    for who in (a, c, a, c, a, c):
        steps += [_open(who, lossy=source.random() < 0.15), _send(who, 40_000, 5)]
        if source.random() < 0.2:
            steps += [_wait(15), _on(who, "close", sender=-1)]
    return [*steps, _wait(120), _open(a), _send(a, 20_000, 5), _wait(120)]


def _overrun(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A recipient is failed, because it does not read or is away; what becomes of its session then."""
    steps = [_open(a, confirm=source.choice(("accepted", "delivered"))), _send(a, 5)]
    if source.random() < 0.5:
        steps += [_on(b, "pause"), _send(a, 40_000, 5), _wait(1_500)]
    else:
        steps += [_wait(source.choice((60, 2_600)))]
        if source.random() < 0.4:
            steps += [_on(b, "close_receiver", receiver=-1, read=0)]
        steps += [_on(b, "cut", how="far"), _send(a, 40_000, 5), _wait(1_500), _on(b, "connect"), _wait(60)]
    ends = ([_on(a, "leave")], [_on(a, "close", sender=-1)], [_on(b, "close_receiver", receiver=-1, read=1)], [])
    return [*steps, *source.choice(ends), _wait(60)]


def _peer_closes(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A reader fails the session while the ACK of what it has read is not due."""
    steps = [_open(a), _send(a, 5), _wait(60), _on(b, "pause"), _send(a, source.choice((5, 40_000)), 2), _wait(15)]
    steps += [_on(b, "close_receiver", receiver=-1, read=1), _wait(4), _send(a, 5, past=True)]
    return [*steps, {"do": "write", "who": a, "sender": -1, "size": 5, "count": 1, "past": True}]


def _named_gone(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """The only recipient of messages that wait leaves."""
    steps = [_on(b, "pause"), _open(a, mode="to", mask=1 << b), _send(a, 40_000, 3), _wait(60)]
    steps += [_on(a, "close", sender=-1)] if source.random() < 0.6 else []
    return [*steps, _on(b, source.choice(("kick", "leave", "kill"))), _wait(60)]


def _dead(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A link has ended; its application goes on for a while."""
    steps = [_open(a, lossy=source.random() < 0.5), _send(a, 40), _on(a, source.choice(("kick", "leave"))), _wait(30)]
    steps += [_send(a, 5, past=True), _on(a, "connect"), _on(a, "close", sender=-1, past=True), _on(a, "leave")]
    return [*steps, _on(a, "cancel", sender=-1, back=0, past=True), _open(a)]


def _replaced_and_gone(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A Lossy session is followed by a newer one on its channel, and its CLOSE does not come: rows R65 and R74."""
    idle = source.random() < 0.5
    steps = [_on(b, "unpause" if idle else "pause"), _open(a, lossy=True, channel=11), _send(a, 40), _wait(60)]
    if idle:
        steps += [_wait(2_600), _on(b, "cut", how="late")]
    else:
        steps.append(_on(a, "cut", how="late"))
    steps += [_open(a, lossy=True, channel=11), _send(a, 40, 3), _wait(60)]
    return steps if idle else [*steps, _on(a, "kick"), _wait(60)]


def _lossy_memory(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A Lossy session that has ended holds nearly all memory of a reader, and another wants some: row R57."""
    mask = 1 << b
    steps = [_on(b, "pause"), _open(a, lossy=True, mode="to", mask=mask)]
    for _ in range(18):
        steps += [_send(a, 60_000), _wait(30)]
    if source.random() < 0.8:
        steps += [_on(a, "close", sender=-1), _wait(700)]
    return [*steps, _open(c, mode="to", mask=mask), _send(c, 40_000, 3), _wait(60)]


def _hello_never_comes(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """A relay gives a transport up whose HELLO is late, and the link goes on: row L51."""
    steps = [_open(a), _send(a, 40), _on(a, "connect"), _on(a, "cut", how="up", newest=True), _wait(10_200)]
    return [*steps, _send(a, 40), _on(a, "connect"), _wait(60)]


def _surplus_transport(source: random.Random, a: int, b: int, c: int) -> list[Step]:
    """Who waits for WELCOME is given another transport, which it closes; what still comes on it is of no interest."""
    steps = [{"do": "join", "eager": source.random() < 0.5}, _on(-1, "cut", how="down"), _on(-1, "connect")]
    if source.random() < 0.6:
        steps.append({"do": "restart", "how": source.choice(("stop", "closed"))})
    return [*steps, _wait(15), _on(-1, "heal"), _wait(60)]


SCENES: dict[str, tuple[Scene, bool]] = {
    "stale attempt": (_stale_attempt, True),
    "data before welcome": (_data_before_welcome, True),
    "joins a stopping relay": (_joins_a_stopping_relay, False),
    "leaves while resuming": (_leaves_while_resuming, True),
    "bitrate": (_bitrate, True),
    "all fail": (_all_fail, True),
    "slot again": (_slot_again, False),
    "late lossy": (_late_lossy, True),
    "closed stream": (_closed_stream, True),
    "newer first": (_newer_first, True),
    "reader closes late": (_reader_closes_late, True),
    "many sessions": (_many_sessions, True),
    "memory": (_memory, False),
    "dead": (_dead, True),
    "overrun": (_overrun, True),
    "peer closes": (_peer_closes, True),
    "named gone": (_named_gone, False),
    "replaced and gone": (_replaced_and_gone, True),
    "lossy memory": (_lossy_memory, False),
    "hello never comes": (_hello_never_comes, True),
    "surplus transport": (_surplus_transport, False),
}
"""By name: the scene, and whether it makes sense without a relay."""

LIMITS: dict[str, dict[str, int]] = {
    "memory": {"window": 262_144, "receive_memory": 1_048_576, "unacknowledged": 1_048_576, "stall_time": 5_000_000},
    "many sessions": {"open_sessions": 16},
    "slot again": {"resume_window": 20_000_000},
    "newer first": {"idle_close": 1_500_000},
    "late lossy": {"idle_close": 1_500_000},
    "overrun": {"idle_close": 1_500_000, "stall_time": 1_000_000},
    "peer closes": {"ack_delay": 25_000, "ack_frames": 16},
    "replaced and gone": {"idle_close": 1_500_000},
    "lossy memory": {"receive_memory": 1_048_576, "idle_close": 6_000_000},
    "hello never comes": {"resume_window": 20_000_000},
}
"""What a scene needs."""

LONG = frozenset({"slot again", "lossy memory", "hello never comes"})
"""Scenes that take long to run."""


def draw(source: random.Random, *, endpoints: int, peer: bool) -> tuple[str, list[Step]]:
    """One scene, with its roles given to endpoints that are there from the beginning."""
    names = [name for name, (_, for_peers) in SCENES.items() if for_peers or not peer]
    name = source.choices(names, [0.3 if name in LONG else 1 for name in names])[0]
    a, b, c = source.sample(range(endpoints), 3) if endpoints > 2 else (*source.sample((0, 1), 2), 0)
    return name, SCENES[name][0](source, a, b, c)
