# SPDX-License-Identifier: Apache-2.0
"""The sans-IO relay of a group call (specification, chapter 10)."""

from callchannel.core.relay.admission import Admission
from callchannel.core.relay.call import Policy
from callchannel.core.relay.events import (
    EndpointJoined,
    EndpointLeft,
    EndpointResumed,
    EndpointSuspended,
    RelayEvent,
    Stopped,
)
from callchannel.core.relay.relay import Relay
from callchannel.core.relay.statistics import LinkStatistics, RelayStatistics

__all__ = [
    "Admission",
    "EndpointJoined",
    "EndpointLeft",
    "EndpointResumed",
    "EndpointSuspended",
    "LinkStatistics",
    "Policy",
    "Relay",
    "RelayEvent",
    "RelayStatistics",
    "Stopped",
]
