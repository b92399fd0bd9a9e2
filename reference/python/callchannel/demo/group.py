# SPDX-License-Identifier: Apache-2.0
"""The demonstration of a group call: a relay and its participants, each a process, over real WebRTC."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from callchannel.demo.acts import Acts
from callchannel.demo.relay import KEY_VARIABLE
from callchannel.demo.scenario import Delivery, Programs, Scenario
from callchannel.demo.stage import Stage, StageFailed, perform
from callchannel.demo.summary import Findings, View, counters
from callchannel.demo.talking import Report
from callchannel.escaping import quoted
from callchannel.signalling.tokens import issue_token

CALL: Final = "demo"

_TOKEN_LIFETIME: Final = 600.0
"""Seconds: a participant whose connection is cut needs its token again."""


async def run_group(scenario: Scenario, programs: Programs, view: View) -> Findings:
    """Do the demonstration, and show what comes of it. It is good if `faults` is empty."""
    return await perform(scenario, programs, view, lambda stage, findings: _Group(stage, findings).run())


class _Group:
    def __init__(self, stage: Stage, findings: Findings) -> None:
        self.stage = stage
        self.scenario = stage.scenario
        self.findings = findings
        self.key = secrets.token_urlsafe(32)
        self.url = ""

    async def run(self) -> None:
        scenario, stage = self.scenario, self.stage
        await self._assemble()
        directing = Acts(stage, scenario.participants, self.findings)
        for act in scenario.acts:
            if act == "deliver":
                for delivery in scenario.deliveries:
                    await directing.deliver(delivery)
            elif act == "lossy":
                await directing.lossy(scenario.sends_to_leaver)
            elif act == "cut":
                await directing.cut(scenario.loses_connection, scenario.sends_to_it)
            elif act == "leave":
                await self._leave(directing)
            else:
                await self._return(directing)
        figures = await stage.patiently(self._ask_relay())
        self.findings.relay_drops = figures["drops"]

    async def _assemble(self) -> None:
        stage, everyone = self.stage, self.scenario.participants
        stage.view.act("assembling")
        listening = stage.hear("relay", "listening")
        await stage.start("relay", stage.programs.relay, **{KEY_VARIABLE: self.key})
        await stage.start_participants(everyone)
        self.url = (await stage.patiently(listening))["url"]
        await stage.together(*(self._join(name) for name in everyone))
        await stage.together(*(stage.do(name, "wait", **{"for": list(everyone)}) for name in everyone))
        if stage.faults:
            raise StageFailed("not everybody could join")
        stage.patience = self.scenario.patience
        names = ", ".join(map(quoted, everyone))
        stage.view.told(f"a relay at {self.url} and {len(everyone)} participants, a process each: {names}")

    async def _join(self, name: str) -> None:
        token = issue_token(self.key.encode(), name, CALL, lifetime=_TOKEN_LIFETIME)
        await self.stage.do(name, "join", url=self.url, call=CALL, token=token)

    async def _leave(self, acts: Acts) -> None:
        """A Reliable send to somebody who has left raises and names them; a Lossy one is counted."""
        scenario = self.scenario
        reliable, drops = await acts.leave(scenario.leaves, scenario.sends_to_leaver)
        told = (reliable.get("error"), reliable.get("code"), reliable.get("named"))
        if told != ("RecipientsUnavailable", "UNKNOWN_RECIPIENT", [scenario.leaves]):
            self.stage.fault(f"a Reliable send to {quoted(scenario.leaves)}, who has left, came to {told}")
        if drops != {"no_recipients": 1}:
            self.stage.fault(f"a Lossy send to {quoted(scenario.leaves)}, who has left, counted {counters(drops)}")

    async def _return(self, acts: Acts) -> None:
        """Whoever comes back receives what is sent to them at once, and nothing of before."""
        scenario, stage = self.scenario, self.stage
        stage.view.act("coming back")
        await self._join(scenario.leaves)
        await stage.do(scenario.sends_to_leaver, "wait", **{"for": [scenario.leaves]})
        delivery = Delivery(title="coming back", sender=scenario.sends_to_leaver, to=(scenario.leaves,))
        await acts.text(delivery)
        stage.view.told(f"{quoted(scenario.leaves)} is back, and received a text at once")

    def _ask_relay(self) -> asyncio.Future[Report]:
        future = self.stage.hear("relay", "figures")
        self.stage.tell("relay", "figures")
        return future
