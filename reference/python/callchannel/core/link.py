# SPDX-License-Identifier: Apache-2.0
"""A link: what outlives transports (specification, chapter 9).

It shakes hands, counts, acknowledges, resumes and ends; it knows nothing of sessions or rosters. Who owns it, an
endpoint or a relay, is its `Host`: the link tells the host what arrived and asks it what to write.
"""

from __future__ import annotations

from hmac import compare_digest  # CC-SEC-006
from typing import Final, Protocol

from callchannel.core import decoding
from callchannel.core.counting import CountMismatch
from callchannel.core.errors import ErrorCode, FrameError
from callchannel.core.frames import (
    ACK_LENGTH,
    ACK_START,
    KNOWN_TYPES,
    Ack,
    Bye,
    Frame,
    FrameType,
    Welcome,
    encode_ack,
    unpack_ack,
)
from callchannel.core.lanes import Lane
from callchannel.core.limits import LOSSY_PACKET, MS, RELIABLE_PACKET
from callchannel.core.link_life import FEATURES, LifeHost, LinkFault, LinkLife, LinkRole, LinkState
from callchannel.core.packets import Packet
from callchannel.core.scheduling import NO_ROOM, TokenBucket

# Members of an enumeration are slow to look up, and these are needed for each packet.
_RELIABLE: Final = Lane.RELIABLE
_DATA: Final = int(FrameType.DATA)
_ACK: Final = int(FrameType.ACK)

__all__ = ["FEATURES", "Host", "Link", "LinkFault", "LinkLife", "LinkRole", "LinkState"]


class Host(LifeHost, Protocol):
    """Whoever owns a link: an endpoint, or a relay."""

    def link_received(self, link: Link, frame: Frame, lane: Lane, now: int) -> None:
        """Validate (steps 9 and up) and apply a frame. Raises `LinkFault` for what ends the link."""

    def link_received_plain(self, link: Link, packet: bytes, offset: int, now: int) -> tuple[int, int]:
        """Look at DATA: take whole Reliable messages without blocks, as many of one session as stand there in a row.

        Does steps 3 to 19 for them, but for counting. Returns how many frames it took, and where they end; none, before
        anything has changed: the next frame is not the usual case, and takes the long way.
        """

    def link_waits(self, link: Link) -> bool:
        """Whether `link_control` or `link_credits` may have a frame."""

    def link_credits(self, link: Link, room: int, now: int) -> bytes | None:
        """The next RECEIPT or CREDIT of at most `room` bytes, counted by the host, from values as they are now."""

    def link_acked(self, link: Link, now: int) -> None:
        """An ACK came and what it covers was told to its owners."""

    def link_dropped(self, link: Link, reason: str) -> None:
        """Something from the peer was dropped; record it."""


class Link(LinkLife):
    """One link, of either role. Times are microseconds."""

    __slots__ = ()

    _host: Host

    # --- receiving ---------------------------------------------------------------------------------------------

    def receive(self, lane: Lane, packet: bytes, now: int, offset: int = 0) -> None:
        """Take a packet of the current transport, from `offset` on. Never raises for what is in it."""
        self._heard_at = now
        size = len(packet)
        is_reliable = lane is _RELIABLE
        counters, place = self.statistics, 0 if is_reliable else 1
        counters.packets_received[place] += 1
        counters.bytes_received[place] += size
        transport, counting = self.transport, self.counting
        may_be_plain = is_reliable and self.is_active
        plain = 0
        try:
            if not 0 < size <= (RELIABLE_PACKET if is_reliable else LOSSY_PACKET):
                decoding.check_packet(packet, lane)
            while offset < size:
                # Most frames are whole Reliable messages without blocks, or ACK: one look decides all steps for them.
                if may_be_plain:
                    kind = packet[offset]
                    if kind == _DATA:
                        count, end = self._host.link_received_plain(self, packet, offset, now)
                        if count:
                            plain += count
                            offset = end
                            continue
                    elif kind == _ACK and packet.startswith(ACK_START, offset) and offset + ACK_LENGTH <= size:
                        self._receive_ack(unpack_ack(packet, offset), now)
                        offset += ACK_LENGTH
                        continue
                kind, flags, length = decoding.read_start(packet, offset)
                self._receive_frame(lane, packet, offset, kind, flags, length, now)
                offset += length
                if self.transport != transport:
                    return  # the frame ended the link or its transport
        except (FrameError, LinkFault) as fault:
            if lane is Lane.LOSSY:
                too_early = fault.code == ErrorCode.HANDSHAKE and not self.is_active
                self._host.link_dropped(self, "not_active" if too_early else "malformed")
            else:
                self.end(fault.code, str(fault), now)
        finally:
            if plain:
                counting.count_received(now, plain)
        due = counting.ack_due_at
        if due <= now:
            self.touch()
        elif due < self._ack_timer_at or not self._ack_timer_at:
            self._arm_ack_timer(now)

    def _receive_frame(
        self, lane: Lane, packet: bytes, offset: int, kind: int, flags: int, length: int, now: int
    ) -> None:
        if not self.is_active:
            self._receive_welcome(lane, packet, offset, kind, flags, length, now)
            return
        if kind in KNOWN_TYPES:
            if kind not in self._accepts:
                raise LinkFault(ErrorCode.HANDSHAKE, f"{FrameType(kind).name} does not belong here")
            decoding.check_lane(kind, flags, lane, offset)
            frame = decoding.decode_body(packet, offset, kind, flags, length)
            if kind == FrameType.ACK:
                assert isinstance(frame, Ack)
                self._receive_ack(frame.received, now)
            elif kind == FrameType.BYE:
                self._receive_bye(frame, now)
            else:
                self._host.link_received(self, frame, lane, now)
        if lane is Lane.RELIABLE and decoding.is_countable(kind, flags):
            self.counting.count_received(now)

    def check_rate(self, now: int) -> None:
        """Step 10 for CLOSE, FAIL, REFUSE, RECEIPT and CREDIT: raises `LinkFault` beyond `control_frames`.

        What DATA has earned the peer is spent first: only that does not come back with time (CC-LIMIT-016).
        """
        if self._earned_spent < 2 * self.counting.data_written:
            self._earned_spent += 1
            return
        bucket = self._control_bucket
        if bucket is None:
            rate = self.limits.control_frames
            bucket = self._control_bucket = TokenBucket(rate, 2 * rate, now)
        if not bucket.take(1, now):
            raise LinkFault(ErrorCode.RATE, f"more than {self.limits.control_frames} control frames a second")

    def _receive_welcome(
        self, lane: Lane, packet: bytes, offset: int, kind: int, flags: int, length: int, now: int
    ) -> None:
        """A frame while this side waits for WELCOME."""
        if lane is Lane.LOSSY:
            raise LinkFault(ErrorCode.HANDSHAKE, "data before WELCOME")
        if kind not in (FrameType.WELCOME, FrameType.BYE):
            raise LinkFault(ErrorCode.HANDSHAKE, f"frame type {kind:02X} before WELCOME")
        frame = decoding.decode_body(packet, offset, kind, flags, length)
        if isinstance(frame, Bye):
            if self.state is LinkState.RESUMING and frame.code == ErrorCode.TIMEOUT:
                # HELLO came too late: the acceptor has refused a transport, and knows nothing of the link (row L51).
                self.transport_down(now)
            else:
                self._receive_bye(frame, now)
            return
        assert isinstance(frame, Welcome)
        resuming = self.state is LinkState.RESUMING
        fits = frame.attempt == self.attempt and (
            compare_digest(frame.token, self.token) and frame.slot == self.slot and self.counting.fits(frame.received)
            if resuming
            else not frame.received
        )
        if not fits:  # CC-LINK-031
            raise LinkFault(
                ErrorCode.RESUME_MISMATCH if resuming else ErrorCode.HANDSHAKE,
                f"WELCOME to attempt {frame.attempt} with count {frame.received} does not fit attempt {self.attempt}, "
                f"{self.counting.written} frames written",
            )
        if resuming:
            self._timers.cancel((id(self), "resume"))
            self.counting.resume(frame.received, now)
        else:
            self._timers.cancel((id(self), "join"))
            self.slot = frame.slot
            self.identity = frame.identity
            self.token = frame.token
            self.peer_window = frame.window
            self.peer_largest = frame.largest_message
            self.resume_window = frame.resume_ms * MS
        self._activate(now)

    def _receive_ack(self, received: int, now: int) -> None:
        counting = self.counting
        was_full = self._parked or counting.is_full
        try:
            counting.on_ack(received, now)
        except CountMismatch as error:
            raise LinkFault(ErrorCode.PROTOCOL, str(error)) from None
        if was_full and not counting.is_full:  # a resumption can have made room, too
            parked, self._parked = self._parked, []
            for source in parked:
                self.reliable_scheduler.add(source)
            self.touch()
        self._host.link_acked(self, now)

    def _receive_bye(self, frame: Frame, now: int) -> None:
        assert isinstance(frame, Bye)
        self.ended_by_peer = True
        self._detach()
        self._die(frame.code, frame.text, now)

    # --- writing -----------------------------------------------------------------------------------------------

    def pull(self, transport: int, lane: Lane, budget: int, now: int) -> list[bytes]:
        """Packets for a transport, until their bytes reach `budget`; at least one when there is any."""
        if transport != self.transport:
            return self._last_words.pop(transport, []) if lane is Lane.RELIABLE else []
        packets: list[bytes] = []
        is_lossy = lane is not _RELIABLE
        scheduler = self.data[is_lossy]
        only_data = is_lossy
        may_add_ack = False
        if is_lossy and not scheduler:
            return packets
        if not is_lossy and self.is_active and self._is_plain():
            if self.counting.ack_due_at > now:
                only_data = True
                may_add_ack = self.counting.owes_ack
            elif not scheduler:
                packets.append(encode_ack(self.counting.take_ack(now)))
                self._arm_ack_timer(now)
                budget = 0
        while budget > 0:
            if only_data and not is_lossy and self.is_active and (runs := scheduler.pull(budget, now)):
                packets += runs
                if not scheduler:
                    break
                budget -= sum(map(len, runs))
                continue
            packet = Packet(self.limits.bundle, lossy=is_lossy)
            if not only_data:
                only_data = self._fill_control(packet, now)
                if only_data and not packet.size:
                    continue
            if only_data and self.is_active:
                room = packet.room
                while frame := scheduler.write(room, now):
                    room = packet.add(frame)
            if not packet.size:
                break
            packets.append(packet.encode())
            budget -= packet.size
            if only_data and not scheduler:
                break
        if may_add_ack:
            self.add_ack(packets, now)
        if packets:
            self.statistics.packets_written[is_lossy] += len(packets)
            self.statistics.bytes_written[is_lossy] += sum(map(len, packets))
        return packets

    def add_ack(self, packets: list[bytes], now: int) -> None:
        """Put an ACK that is not due before the data frames of the last packet, if it has room (CC-SCHED-015).

        It costs next to nothing there, and spares a packet of its own later.
        """
        if packets and len(packets[-1]) + ACK_LENGTH <= self.limits.bundle:
            packets[-1] = encode_ack(self.counting.take_ack(now)) + packets[-1]

    def _is_plain(self) -> bool:
        """Whether nothing but DATA and ACK waits on the reliable lane."""
        return self._handshake is None and not self.counting.is_resending and not self._host.link_waits(self)

    def _fill_control(self, packet: Packet, now: int) -> bool:
        """What has to precede DATA, in the order of section 8. Returns whether all of it was written."""
        if self._handshake is not None:
            packet.add(self._handshake)
            self._handshake = None
        if not self.is_active:
            return True
        counting = self.counting
        while (frame := counting.next_resend()) is not None:
            if len(frame) > packet.room:
                return False
            packet.add(frame)
            counting.resent()
            self.statistics.frames_retransmitted += 1
        while (frame := self._host.link_control(self, now)) is not None:
            if len(frame) > packet.room:
                return False
            packet.add(frame)
            self._host.link_control_written(self, now)
        while not counting.is_full and (frame := self._host.link_credits(self, packet.room, now)) is not None:
            if frame is NO_ROOM:
                return False
            packet.add(frame)
        if counting.ack_due_at <= now:
            if packet.room < ACK_LENGTH:
                return False
            packet.add(encode_ack(counting.take_ack(now)))
            self._arm_ack_timer(now)
        return True
