# SPDX-License-Identifier: Apache-2.0
"""A word on the health of a server, for load balancers and people."""

from __future__ import annotations

import json

from callchannel.server.metrics import Figures, version


def health(now: Figures) -> tuple[int, bytes]:
    """The status and JSON body of an answer to `GET /health`: 200, or 503 while the server stops."""
    body = {
        "status": "stopping" if now.is_stopping else "ok",
        "version": version(),
        "calls": now.calls,
        "connections": now.connections,
        "participants": now.participants,
    }
    return (503 if now.is_stopping else 200), json.dumps(body).encode()
