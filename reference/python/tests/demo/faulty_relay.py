# SPDX-License-Identifier: Apache-2.0
"""A relay's process for the demonstration, in which the relay does one thing wrong, which its first argument names."""

import sys

from callchannel.core.decoding import decode_packet, read_start
from callchannel.core.extensions import read_metadata
from callchannel.core.frames import DATA_HEADER, Data
from callchannel.core.lanes import Lane
from callchannel.core.relay import Relay
from callchannel.demo.relay import main
from callchannel.server import rooms

FAULT = sys.argv[1]
HEAD = 6
"""Bytes of a recipient block, and of an index, before the bits."""


class FaultyRelay(Relay):
    """Changes what comes from an owner before it is looked at."""

    def receive(self, transport: int, lane: Lane, packet: bytes, now: int) -> None:
        super().receive(transport, lane, self.tamper(packet, lane), now)

    def tamper(self, packet: bytes, lane: Lane) -> bytes:
        changed = bytearray(packet)
        offset = 0
        for frame in decode_packet(packet, lane):
            _, _, length = read_start(packet, offset)
            if isinstance(frame, Data) and frame.extensions:
                name = read_metadata(frame.extensions)[0].name
                bits = offset + DATA_HEADER + HEAD + 2
                if FAULT == "alter" and name == "ann.text-02":
                    changed[offset + length - 1] ^= 1
                elif FAULT == "drop" and name == "ann.text-02":
                    changed[bits + 3] &= ~(1 << self.slot_of("carol"))
                elif FAULT == "misroute" and name == "bob.text-02":
                    changed[bits + 3] |= 1 << self.slot_of("ann")
            offset += length
        return bytes(changed)

    def slot_of(self, identity: str) -> int:
        return next(one.slot for one in self.participants if one.identity == identity)


rooms.Relay = FaultyRelay
main()
