# SPDX-License-Identifier: Apache-2.0
"""The judge reads packets by itself."""

from __future__ import annotations

import pytest

from simulator.wire import Malformed, read_packet, without_block


def test_a_relay_forwards_without_the_block() -> None:
    addressed = bytes.fromhex("0119001e 00050002 00000001 00000001 00000004 0001 00000000000a 6869")
    (frame,) = read_packet(addressed, lossy=False)
    assert without_block(frame) == bytes.fromhex("01110012 00050002 00000001 00000001 6869")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [b"", b"\x01\x01\x00\x03", b"\x43\x00\x00\x0c\x00", bytes(16_385)])
def test_malformed_packets(wrong: bytes) -> None:
    with pytest.raises(Malformed):
        read_packet(wrong, lossy=False)


def test_an_ack_does_not_go_on_the_lossy_lane() -> None:
    with pytest.raises(Malformed):
        read_packet(bytes.fromhex("4300000c0000000000000001"), lossy=True)
