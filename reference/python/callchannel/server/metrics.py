# SPDX-License-Identifier: Apache-2.0
"""What a server tells of itself: figures, and metrics in the text format of Prometheus.

Nothing here has a label that peers choose: no call, no identity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

import callchannel
from callchannel.core.lanes import Lane

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
"""The content type of `Exposition.text`."""


@dataclass(slots=True, kw_only=True)
class Figures:
    """The state of a server at one moment. Counters only grow as long as the server lives."""

    calls: int = 0
    connections: int = 0
    waiting: int = 0
    """Connections that have not come up yet."""
    participants: int = 0
    suspended: int = 0
    sessions: int = 0
    held: int = 0
    joined: int = 0
    timed_out: int = 0
    given_up: int = 0
    packets: dict[tuple[str, Lane], int] = field(default_factory=dict)
    """By direction ("received" or "sent") and lane."""
    packet_bytes: dict[tuple[str, Lane], int] = field(default_factory=dict)
    unbound: int = 0
    """Transports on which no HELLO has come yet."""
    queued: int = 0
    unacknowledged: int = 0
    frames_forwarded: int = 0
    internal_errors: int = 0
    """Bugs that ended a link with INTERNAL."""
    drops: Counter[str] = field(default_factory=Counter)
    """By reason."""
    offers: Counter[str] = field(default_factory=Counter)
    """By result."""
    is_stopping: bool = False


class Exposition(Collector):
    """Makes metrics of `Figures`, which `measure` returns whenever somebody asks."""

    def __init__(self, measure: Callable[[], Figures]) -> None:
        self._measure = measure
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """All metrics."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are checked by the tests, and measuring is for those who ask."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All metrics, measured now."""
        now = self._measure()
        yield _labelled(GaugeMetricFamily, "build", "Always 1; the version is a label.", "version", {version(): 1})
        for name, text, value in (
            ("calls", "Calls.", now.calls),
            ("participants", "Endpoints in all calls: links that live.", now.participants),
            ("links_suspended", "Links that wait for a transport.", now.suspended),
            ("sessions", "Open sessions of all endpoints.", now.sessions),
            ("transports_unbound", "Transports on which no HELLO has come yet.", now.unbound),
            ("queued_bytes", "Bytes queued for all links.", now.queued),
            ("unacknowledged_bytes", "Bytes written to all links and not acknowledged.", now.unacknowledged),
            ("reassembly_bytes", "Bytes of incomplete messages in all WebRTC connections.", now.held),
            ("stopping", "1 while the server stops.", int(now.is_stopping)),
        ):
            yield GaugeMetricFamily(f"callchannel_{name}", text, value=value)
        connections = {"up": now.connections - now.waiting, "waiting": now.waiting}
        yield _labelled(GaugeMetricFamily, "connections", "WebRTC connections.", "state", connections)
        for name, text, value in (
            ("joins", "Endpoints that joined.", now.joined),
            ("frames_forwarded", "DATA frames written to recipients.", now.frames_forwarded),
            ("internal_errors", "Bugs that ended a link with INTERNAL.", now.internal_errors),
            ("connections_timed_out", "Connections that did not come up in time.", now.timed_out),
            ("connections_given_up", "Connections that passed a bound on memory.", now.given_up),
        ):
            yield CounterMetricFamily(f"callchannel_{name}", text, value=value)
        for name, text, rows in (
            ("packets", "Packets of all transports.", now.packets),
            ("bytes", "Bytes in packets of all transports.", now.packet_bytes),
        ):
            family = CounterMetricFamily(f"callchannel_{name}", text, labels=("direction", "lane"))
            for (direction, lane), value in sorted(rows.items()):
                family.add_metric((direction, lane.name.lower()), value)
            yield family
        yield _labelled(CounterMetricFamily, "drops", "What was dropped, by reason.", "reason", now.drops)
        yield _labelled(CounterMetricFamily, "offers", "Offers, by result.", "result", now.offers)


def _labelled(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    text: str,
    label: str,
    rows: Mapping[str, int],
) -> Metric:
    family = kind(f"callchannel_{name}", text, labels=(label,))
    for value, count in sorted(rows.items()):
        family.add_metric((value,), count)
    return family


def version() -> str:
    """The version of callchannel."""
    return callchannel.__version__
