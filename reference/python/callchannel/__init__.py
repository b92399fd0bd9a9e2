# SPDX-License-Identifier: Apache-2.0
"""callchannel: data messages in audio and video calls.

This module is the sans-IO core: `Endpoint` and `Relay` need nothing but the standard library, do no I/O and read no
clock. `callchannel.aio` makes a call of it for asyncio, `callchannel.webrtc` carries it over aiortc.
"""

from typing import Final

from callchannel.core.endpoint import Endpoint, Peer
from callchannel.core.errors import CallChannelError, ErrorCode, Report
from callchannel.core.extensions import Metadata
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.messages import Confirm, Message, Priority, Reliability
from callchannel.core.relay import Admission, Relay

__version__: Final = "0.1.0.dev0"
"""Version of the packages, everywhere: `python -m tools.release.versions --update` writes it to its other places."""

__all__ = [
    "Admission",
    "CallChannelError",
    "Confirm",
    "Endpoint",
    "ErrorCode",
    "Lane",
    "Limits",
    "Message",
    "Metadata",
    "Peer",
    "Priority",
    "Relay",
    "Reliability",
    "Report",
]
