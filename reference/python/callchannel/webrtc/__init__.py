# SPDX-License-Identifier: Apache-2.0
"""callchannel over WebRTC data channels, with aiortc.

Beside the audio and video of a connection that the application has anyway:

    connection = RTCPeerConnection()
    transport = WebRTCTransport(connection, initiator=True)   # before the offer is made
    ...                                                       # offer and answer, as the application does it
    call = await Call.join(transport)

Over connections that are made for it, again whenever one is lost: `offering` and `answering` between two peers,
`callchannel.signalling` to a relay.
"""

from callchannel.webrtc.adapter import PROTOCOL, WebRTCTransport
from callchannel.webrtc.peers import answering, offering

__all__ = ["PROTOCOL", "WebRTCTransport", "answering", "offering"]
