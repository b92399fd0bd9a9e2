# SPDX-License-Identifier: Apache-2.0
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import SessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from callchannel.server.offer import CANDIDATES, NotAnswerable, NotSdp, Offer, parse_offer

FINGERPRINT = ":".join(f"{byte:02X}" for byte in range(32))
CHROMIUM = f"""v=0
o=- 4215775240449105457 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=application 50231 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.10
a=candidate:1 1 udp 2122260223 192.0.2.10 50231 typ host generation 0 network-id 1
a=candidate:2 1 udp 2122194687 3b5a7f1c-0000-4a7e-8a0f-5d8f2f3b1c2d.local 50232 typ host generation 0
a=candidate:3 1 tcp 1518280447 192.0.2.10 9 typ host tcptype active generation 0
a=candidate:4 1 udp 1685987071 198.51.100.7 50231 typ srflx raddr 192.0.2.10 rport 50231
a=ice-ufrag:4ZcD
a=ice-pwd:x9cml7YzichV2XlhiMu8gZxQ
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=sctp-port:5000
a=max-message-size:262144
""".replace("\n", "\r\n")


def changed(old: str, new: str) -> bytes:
    assert old in CHROMIUM
    return CHROMIUM.replace(old, new).encode()


def test_an_offer_of_a_browser() -> None:
    offer = parse_offer(CHROMIUM.encode())
    assert offer == Offer(
        sections=(("application", "UDP/DTLS/SCTP", " webrtc-datachannel", "0"),),
        chosen=0,
        mid="0",
        bundled=True,
        ufrag="4ZcD",
        password="x9cml7YzichV2XlhiMu8gZxQ",
        fingerprints=(("sha-256", FINGERPRINT),),
        setup="actpass",
        port=5000,
        ice_lite=False,
        # CC-SIG-011: neither the name nor TCP
        candidates=(
            "1 1 udp 2122260223 192.0.2.10 50231 typ host",
            "4 1 udp 1685987071 198.51.100.7 50231 typ srflx",
        ),
    )
    description = SessionDescription.parse(offer.sdp)
    (media,) = description.media
    assert media.ice.usernameFragment == "4ZcD" and len(media.ice_candidates) == 2
    assert not media.ice_candidates_complete
    assert parse_offer(offer.sdp.encode()) == offer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"\xff\xfe",
        b"{}",
        b"hello",
        CHROMIUM.encode("utf-16"),
        changed("v=0", "v=1"),
        changed("s=-\r\n", ""),
        changed("o=-", "x=-"),
        changed("t=0 0", "no line"),
        changed("t=0 0", "t=\x00"),
        changed("a=mid:0", "a=mid:a b"),
        changed("m=application 50231", "m=application"),
        changed("m=application 50231", "m=application -1"),
        changed("t=0 0", ""),
        b"\r\n" + CHROMIUM.encode(),
    ],
)
def test_what_is_not_sdp(body: bytes) -> None:
    with pytest.raises(NotSdp):
        parse_offer(body)


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (CHROMIUM.partition("m=")[0].encode(), "no section for data channels"),
        (changed("application 50231", "audio 50231"), "no section"),
        (changed("application 50231", "application 0"), "no section"),
        (changed("UDP/DTLS/SCTP", "UDP/TLS/RTP/SAVPF"), "no section"),
        (changed("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000"), "no section"),
        (changed("a=ice-ufrag:4ZcD\r\n", ""), "credentials"),
        (changed("4ZcD", "4Zc"), "credentials"),
        (changed("x9cml7YzichV2XlhiMu8gZxQ", "short"), "credentials"),
        (changed("x9cml7YzichV2XlhiMu8gZxQ", "x" * 257), "credentials"),
        (changed("sha-256", "sha-1"), "no fingerprint"),
        (changed(f"a=fingerprint:sha-256 {FINGERPRINT}\r\n", ""), "no fingerprint"),
        (changed(FINGERPRINT, FINGERPRINT[:-1]), "32 bytes"),
        (changed(FINGERPRINT, "zz" + FINGERPRINT[2:]), "32 bytes"),
        (changed("setup:actpass", "setup:holdconn"), "setup"),
        (changed("a=setup:actpass\r\n", ""), "setup"),
        (changed("a=sctp-port:5000\r\n", ""), "sctp-port"),
        (changed("sctp-port:5000", "sctp-port:65536"), "sctp-port"),
        (changed("sctp-port:5000", "sctp-port:٣"), "sctp-port"),
        ((CHROMIUM + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 64).encode(), "more than 64"),
    ],
)
def test_what_can_not_be_answered(body: bytes, match: str) -> None:
    # CC-SIG-009, CC-SEC-003
    with pytest.raises(NotAnswerable, match=match):
        parse_offer(body)


@pytest.mark.parametrize(
    "body",
    [
        CHROMIUM.replace("\r\n", "\n").encode(),
        CHROMIUM.removesuffix("\r\n").encode(),
        changed("a=candidate", "a=x-candidate"),
        changed("a=group:BUNDLE 0\r\n", ""),
        changed("a=mid:0\r\n", ""),
        changed("setup:actpass", "setup:passive"),
        changed("setup:actpass", "setup:active"),
        changed("sha-256 ", "SHA-256 "),
        changed("a=mid:0", "a=mid:0\r\na=unknown:\x01\x7f ä"),
        changed("s=-", "s=-\r\na=ice-lite"),
        # Credentials and fingerprint of the whole description hold for the section, too.
        CHROMIUM.replace("a=ice-ufrag:4ZcD\r\n", "").replace("t=0 0\r\n", "t=0 0\r\na=ice-ufrag:4ZcD\r\n").encode(),
    ],
)
def test_what_is_taken_all_the_same(body: bytes) -> None:
    offer = parse_offer(body)
    assert SessionDescription.parse(offer.sdp).media[0].ice.usernameFragment == "4ZcD"


@pytest.mark.parametrize(
    "candidate",
    [
        "1 1 udp 1 224.0.0.1 5 typ host",
        "1 1 udp 1 0.0.0.0 5 typ host",
        "1 1 udp 1 255.255.255.255 5 typ host",
        "1 1 udp 1 fe80::1 5 typ host",
        "1 1 udp 1 ff02::1 5 typ host",
        "1 1 udp 1 :: 5 typ host",
        "1 1 udp 1 192.0.2.1 0 typ host",
        "1 1 udp 1 192.0.2.1 65536 typ host",
        "1 1 udp 4294967296 192.0.2.1 5 typ host",
        "1 2 udp 1 192.0.2.1 5 typ host",
        "1 1 tcp 1 192.0.2.1 5 typ host tcptype passive",
        "1 1 udp 1 relay.example 5 typ host",
        "1 1 udp 1 999.0.2.1 5 typ host",
        "1 1 udp 1 192.0.2.1 5 typ other",
        "1 1 udp",
        "",
        "x" * 10_000,
    ],
)
def test_candidates_that_can_not_be_used_are_passed_over(candidate: str) -> None:
    # CC-SIG-011
    body = changed("a=mid:0", f"a=mid:0\r\na=candidate:{candidate}")
    assert len(parse_offer(body).candidates) == 2


def test_candidates_are_bounded() -> None:
    lines = "".join(f"a=candidate:1 1 udp 1 192.0.2.1 {port} typ host\r\n" for port in range(1, 1_000))
    assert len(parse_offer(CHROMIUM.encode() + lines.encode()).candidates) == CANDIDATES


async def test_other_sections_are_rejected_in_the_answer() -> None:
    # CC-SIG-012, CC-RTC-019
    audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=rtpmap:111 opus/48000/2\r\n"
    head, section = CHROMIUM.split("m=application", 1)
    head = head.replace("BUNDLE 0", "BUNDLE a 0 v")
    offer = parse_offer(f"{head}{audio}m=application{section}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n".encode())
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    await peer.setRemoteDescription(RTCSessionDescription(sdp=offer.sdp, type="offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    answer = offer.answer(peer.localDescription.sdp)
    await peer.close()
    lines = answer.split("\r\n")
    media = [line.split(" ")[:2] for line in lines if line.startswith("m=")]
    assert [name for name, _ in media] == ["m=audio", "m=application", "m=video"]
    assert [port == "0" for _, port in media] == [True, False, True]
    assert "m=audio 0 UDP/TLS/RTP/SAVPF 111 63" in lines
    assert [line for line in lines if line.startswith("a=mid")] == ["a=mid:a", "a=mid:0"]
    assert "a=group:BUNDLE 0" in lines
    assert [line for line in lines if "max-message-size" in line] == ["a=max-message-size:16384"]


_LINES = st.sampled_from(CHROMIUM.split("\r\n"))
_PIECES = st.sampled_from(
    ["", "a=", "m=", "\r", "\n", "\x00", ":", " ", "0", "ä", "m=application 9 UDP/DTLS/SCTP x", "999999"]
)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.lists(_LINES | _PIECES, max_size=40).map(lambda parts: "\r\n".join(parts).encode()))
def test_any_body_is_an_offer_or_one_of_two_faults(body: bytes) -> None:
    try:
        offer = parse_offer(body)
    except (NotSdp, NotAnswerable):
        return
    SessionDescription.parse(offer.sdp)


@settings(deadline=None)
@given(st.integers(0, len(CHROMIUM)), st.integers(0, 30), st.binary(max_size=8))
def test_a_damaged_offer_never_makes_the_library_raise(at: int, cut: int, put: bytes) -> None:
    raw = CHROMIUM.encode()
    try:
        offer = parse_offer(raw[:at] + put + raw[at + cut :])
    except (NotSdp, NotAnswerable):
        return
    SessionDescription.parse(offer.sdp)
