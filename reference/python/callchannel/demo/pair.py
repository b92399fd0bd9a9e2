# SPDX-License-Identifier: Apache-2.0
"""The demonstration of a peer-to-peer call: two processes over real WebRTC, and no relay.

The conductor carries the session descriptions from one to the other, as an application's signalling would. The data
goes from process to process.
"""

from __future__ import annotations

from callchannel.demo.acts import Acts
from callchannel.demo.scenario import Delivery, Programs, Scenario
from callchannel.demo.stage import Stage, StageFailed, perform
from callchannel.demo.summary import Findings, View, counters
from callchannel.demo.talking import Report
from callchannel.escaping import quoted


async def run_pair(scenario: Scenario, programs: Programs, view: View) -> Findings:
    """Do the demonstration between the first two participants, and show what comes of it."""
    return await perform(scenario, programs, view, _pair)


async def _pair(stage: Stage, findings: Findings) -> None:
    first, second = pair = stage.scenario.participants[:2]
    other = {first: second, second: first}

    def carry(name: str, report: Report) -> None:
        stage.tell(other[name], report["report"], sdp=report["sdp"])

    stage.on_signal = carry
    stage.view.act("assembling")
    await stage.start_participants(pair)
    await stage.together(
        stage.do(first, "pair", initiator=True, identity=first, peer=second),
        stage.do(second, "pair", initiator=False, identity=second, peer=first),
    )
    if stage.faults:
        raise StageFailed("they could not be connected")
    stage.patience = stage.scenario.patience
    stage.view.told(f"{quoted(first)} and {quoted(second)}, a process each, and no relay")
    acts = Acts(stage, pair, findings)
    for name in pair:
        await acts.deliver(Delivery(title=f"{name} to {other[name]}", sender=name))
    await acts.lossy(first)
    await acts.cut(first, second)
    reliable, drops = await acts.leave(second, first)
    if (reliable.get("error"), reliable.get("code")) != ("LinkLost", "LINK_LOST"):
        stage.fault(f"a Reliable send after the end came to {reliable.get('error')} [{reliable.get('code')}]")
    if drops != {"link_dead": 1}:
        stage.fault(f"a Lossy send after the end counted {counters(drops)}")
