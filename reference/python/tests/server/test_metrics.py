# SPDX-License-Identifier: Apache-2.0
import json
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

import callchannel
from callchannel.core.lanes import Lane
from callchannel.server.health import health
from callchannel.server.metrics import CONTENT_TYPE, Exposition, Figures


def values(figures: Figures) -> dict[tuple[str, str], float]:
    text = Exposition(lambda: figures).text().decode()
    return {
        (sample.name, ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_figures_become_metrics() -> None:
    found = values(
        Figures(
            calls=2,
            connections=5,
            waiting=1,
            participants=4,
            suspended=1,
            sessions=7,
            held=100,
            joined=9,
            timed_out=3,
            given_up=2,
            packets={("sent", Lane.RELIABLE): 11, ("received", Lane.LOSSY): 12},
            packet_bytes={("sent", Lane.RELIABLE): 13},
            unbound=17,
            queued=18,
            unacknowledged=19,
            frames_forwarded=14,
            internal_errors=20,
            drops=Counter({"queue_full": 15}),
            offers=Counter(created=16, sdp=1),
            is_stopping=True,
        )
    )
    assert found["callchannel_build", f"version={callchannel.__version__}"] == 1
    assert found["callchannel_calls", ""] == 2
    assert found["callchannel_connections", "state=up"] == 4
    assert found["callchannel_connections", "state=waiting"] == 1
    assert found["callchannel_participants", ""] == 4
    assert found["callchannel_links_suspended", ""] == 1
    assert found["callchannel_sessions", ""] == 7
    assert found["callchannel_reassembly_bytes", ""] == 100
    assert found["callchannel_joins_total", ""] == 9
    assert found["callchannel_connections_timed_out_total", ""] == 3
    assert found["callchannel_connections_given_up_total", ""] == 2
    assert found["callchannel_packets_total", "direction=sent,lane=reliable"] == 11
    assert found["callchannel_packets_total", "direction=received,lane=lossy"] == 12
    assert found["callchannel_bytes_total", "direction=sent,lane=reliable"] == 13
    assert found["callchannel_frames_forwarded_total", ""] == 14
    assert found["callchannel_internal_errors_total", ""] == 20
    assert found["callchannel_transports_unbound", ""] == 17
    assert found["callchannel_queued_bytes", ""] == 18
    assert found["callchannel_unacknowledged_bytes", ""] == 19
    assert found["callchannel_drops_total", "reason=queue_full"] == 15
    assert found["callchannel_offers_total", "result=created"] == 16
    assert found["callchannel_stopping", ""] == 1
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_metrics_are_measured_when_asked_for() -> None:
    figures = Figures()
    exposition = Exposition(lambda: figures)
    assert b"callchannel_calls 0.0\n" in exposition.text()
    figures.calls = 3
    assert b"callchannel_calls 3.0\n" in exposition.text()


def test_health() -> None:
    status, body = health(Figures(calls=1, connections=2, participants=3))
    assert status == 200
    assert json.loads(body) == {
        "status": "ok",
        "version": callchannel.__version__,
        "calls": 1,
        "connections": 2,
        "participants": 3,
    }
    status, body = health(Figures(is_stopping=True))
    assert (status, json.loads(body)["status"]) == (503, "stopping")
