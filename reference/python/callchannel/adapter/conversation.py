# SPDX-License-Identifier: Apache-2.0
"""Requests in, replies out: JSON lines on standard input and output."""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any, Final, TextIO

from callchannel import __version__
from callchannel.adapter import codec
from callchannel.adapter.machines import (
    SETTABLE,
    BadRequest,
    EndpointMachine,
    Machine,
    RelayMachine,
    code,
    in_force,
)
from callchannel.core.errors import CallChannelError, DeliveryFailed
from callchannel.core.limits import Limits

Json = dict[str, Any]

PROTOCOL: Final = 1


class Conversation:
    """One runner's requests. `answer` never raises."""

    def __init__(self) -> None:
        self._machines: dict[str, Machine] = {}

    def answer(self, request: Json) -> Json:
        """The reply to a request."""
        try:
            return {"id": request["id"], **self._answer(request)}
        except BadRequest as error:
            return {"id": request["id"], "err": {"code": "BAD_REQUEST", "detail": str(error)}}
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            return {"id": request.get("id", 0), "err": {"code": "INTERNAL", "detail": repr(error)}}

    def _answer(self, request: Json) -> Json:
        op = request["op"]
        if op == "create":
            return self._create(request)
        if "machine" not in request:
            try:
                value = self._without_machine(op, request)
            except CallChannelError as error:
                return {"ok": {"raised": _raised(error)}}
            return _unsupported(op) if value is None else {"ok": {"value": value}}
        machine = self._machines.get(request["machine"])
        if machine is None:
            raise BadRequest(f"no machine {request['machine']}")
        if op == "destroy":
            del self._machines[request["machine"]]
            return {"ok": {"value": {}}}
        outcome: Json
        try:
            value = machine.op(op, request)
            if value is None:
                return _unsupported(op)
            outcome = {"value": value}
        except CallChannelError as error:
            outcome = {"raised": _raised(error)}
        return {"ok": {**outcome, **machine.effects(op, request)}}

    def _without_machine(self, op: str, request: Json) -> Json | None:
        match op:
            case "hello":
                limits = in_force(Limits())
                return {
                    "protocol": PROTOCOL,
                    "name": "callchannel (Python)",
                    "version": __version__,
                    "document": "0.1",
                    "wire": 1,
                    "profiles": ["codec", "endpoint-group", "endpoint-peer", "relay"],
                    "features": ["streams", "bitrate", "statistics", "policy", "may_send", "high_channels"],
                    "limits": {name: {"value": limits[name], "settable": True} for name in SETTABLE},
                }
            case "reset":
                self._machines.clear()
                return {}
            case "decode":
                return codec.decode(bytes.fromhex(request["packet"]), request["lane"])
            case "encode":
                return {"packet": codec.encode(request["frame"]).hex()}
        return None

    def _create(self, request: Json) -> Json:
        kind = request["kind"]
        if kind not in ("endpoint", "peer", "relay"):
            raise BadRequest(f"no kind {kind}")
        try:
            machine = RelayMachine(request) if kind == "relay" else EndpointMachine(request)
        except CallChannelError as error:
            return {"ok": {"raised": _raised(error)}}
        self._machines[request["machine"]] = machine
        return {"ok": {"value": {}, **machine.effects("create", request)}}


def _unsupported(op: str) -> Json:
    return {"err": {"code": "UNSUPPORTED", "detail": f"no op {op}"}}


def _raised(error: CallChannelError) -> Json:
    found: Json = {"code": code(error.code)}
    if isinstance(error, DeliveryFailed):
        found["recipients"] = [name for name, _ in error.report.failed]
    return found


def main(source: TextIO = sys.stdin, target: TextIO = sys.stdout) -> int:
    """Answer every line of *source* on *target* until it ends. Returns the exit status."""
    conversation = Conversation()
    for line in source:
        reply = conversation.answer(json.loads(line))
        target.write(json.dumps(reply, separators=(",", ":")) + "\n")
        target.flush()
    return 0
