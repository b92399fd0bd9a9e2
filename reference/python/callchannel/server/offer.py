# SPDX-License-Identifier: Apache-2.0
"""Session descriptions at the relay's door (specification, sections 13.4 and 13.5).

Nothing of an offer reaches the WebRTC library as it came. What the relay needs is taken out, checked, and written anew:
one section for data channels, its credentials and fingerprints, and the candidates that can be used. So no text of a
peer can make the library raise, resolve a name or open a section for media.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from callchannel.core.limits import RELIABLE_PACKET

CANDIDATES: Final = 32
"""Candidates that are used of one offer."""

SECTIONS: Final = 64
"""Sections that an offer may have."""

FINGERPRINTS: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Hashes that certificates are compared by, and their bytes."""

_LINE: Final = re.compile(r"[a-z]=[^\x00\r\n]*")
_MEDIA: Final = re.compile(r"m=([!-~]+) ([0-9]{1,5})(?:/[0-9]{1,5})? ([!-~]+)((?: [!-~]+)+)")
_TOKEN: Final = re.compile(r"[!#-'*+.\-0-9A-Z^-~]{1,64}")
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
_CANDIDATE: Final = re.compile(
    r"([A-Za-z0-9+/]{1,32}) 1 (?:udp|UDP) ([0-9]{1,10}) ([0-9A-Fa-f:.]{2,45}) ([0-9]{1,5})"
    r" typ (host|srflx|prflx|relay)(?: .*)?"
)
_NUMBER: Final = re.compile(r"[0-9]{1,10}")


class NotSdp(Exception):
    """A body is not a session description (`sdp`)."""


class NotAnswerable(Exception):
    """A session description is not an offer that the relay can answer (`offer`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the relay takes from an offer."""

    sections: tuple[tuple[str, str, str, str], ...]
    """(kind, protocol, formats, mid) of each section, in order."""
    chosen: int
    """The section for data channels."""
    mid: str
    bundled: bool
    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    setup: str
    port: int
    ice_lite: bool
    candidates: tuple[str, ...]

    @property
    def sdp(self) -> str:
        """The offer, written anew with nothing but the section for data channels.

        It does not say that the candidates are complete: a client whose candidates can't be used is still found by its
        own checks.
        """
        lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
        if self.ice_lite:
            lines.append("a=ice-lite")
        lines += [
            f"a=group:BUNDLE {self.mid}",
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{self.mid}",
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.password}",
            *(f"a=fingerprint:{algorithm} {value}" for algorithm, value in self.fingerprints),
            f"a=setup:{self.setup}",
            f"a=sctp-port:{self.port}",
            f"a=max-message-size:{RELIABLE_PACKET}",
            *(f"a=candidate:{candidate}" for candidate in self.candidates),
        ]
        return "\r\n".join(lines) + "\r\n"

    def answer(self, sdp: str) -> str:
        """Make the answer to the offer as it came of the library's answer to `Offer.sdp`.

        All other sections are rejected (CC-SIG-012), and the largest message is a packet's (CC-RTC-019): what is larger
        is nothing that callchannel sends.
        """
        head, mark, section = sdp.partition("m=application ")
        if not self.bundled:
            head = re.sub(r"a=group:BUNDLE[^\r\n]*\r\n", "", head)
        section = re.sub(r"a=max-message-size:[0-9]+", f"a=max-message-size:{RELIABLE_PACKET}", section)
        own_mid = f"a=mid:{self.mid}\r\n" if self.sections[self.chosen][3] else ""
        section = re.sub(r"a=mid:[^\r\n]*\r\n", own_mid, section)
        parts = [head]
        for at, (kind, protocol, formats, mid) in enumerate(self.sections):
            if at == self.chosen:
                parts.append(mark + section)
            else:
                parts.append(f"m={kind} 0 {protocol}{formats}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n")
                if mid:
                    parts.append(f"a=mid:{mid}\r\n")
        return "".join(parts)


def parse_offer(body: bytes) -> Offer:
    """Read an offer. Raises `NotSdp` or `NotAnswerable`, and nothing else."""
    head, sections = _split(body)
    shared = _attributes(head)
    described = [(_MEDIA.fullmatch(lines[0]), _attributes(lines[1:])) for lines in sections]
    medias = [(match, attributes) for match, attributes in described if match is not None]
    if len(medias) != len(described):
        raise NotSdp("a section's first line is malformed")
    chosen = next((at for at, (media, _) in enumerate(medias) if _is_data(media)), None)
    if chosen is None:
        raise NotAnswerable("there is no section for data channels (m=application, UDP/DTLS/SCTP) with a port")
    own = medias[chosen][1]

    def only(name: str) -> str:
        return (own.get(name) or shared.get(name) or [""])[0]

    mids = tuple(_mid(attributes) for _, attributes in medias)
    fingerprints = _fingerprints(own.get("fingerprint") or shared.get("fingerprint") or [])
    ufrag, password, setup = only("ice-ufrag"), only("ice-pwd"), only("setup")
    if not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        raise NotAnswerable("the ICE credentials of the data channels' section are missing or malformed")
    if setup not in ("actpass", "active", "passive"):
        raise NotAnswerable("a=setup of the data channels' section is missing, or not actpass, active or passive")
    port = only("sctp-port")
    if not _NUMBER.fullmatch(port) or not 0 < int(port) < 65_536:
        raise NotAnswerable("a=sctp-port of the data channels' section is missing or malformed")
    usable = [good for text in own.get("candidate", []) if (good := _candidate(text)) is not None]
    bundles = [value.split()[1:] for value in shared.get("group", []) if value.split()[:1] == ["BUNDLE"]]
    return Offer(
        sections=tuple((m[1], m[3], m[4], mid) for (m, _), mid in zip(medias, mids, strict=True)),
        chosen=chosen,
        mid=mids[chosen] or "0",
        bundled=bool(mids[chosen]) and any(mids[chosen] in group for group in bundles),
        ufrag=ufrag,
        password=password,
        fingerprints=fingerprints,
        setup=setup,
        port=int(port),
        ice_lite="ice-lite" in shared,
        candidates=tuple(usable[:CANDIDATES]),
    )


def _split(body: bytes) -> tuple[list[str], list[list[str]]]:
    """Divide a description into the lines of its head and of each section."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise NotSdp("the body is not UTF-8") from None
    lines = text.removesuffix("\n").removesuffix("\r").split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    if lines[0] != "v=0" or any(_LINE.fullmatch(line) is None for line in lines):
        raise NotSdp("it has to begin with v=0, and each line with a letter and =")
    sections: list[list[str]] = []
    head: list[str] = []
    for line in lines:
        if line.startswith("m="):
            sections.append([line])
        else:
            (sections[-1] if sections else head).append(line)
    if [sum(line.startswith(kind) for line in head) for kind in ("v=", "o=", "s=")] != [1, 1, 1]:
        raise NotSdp("it has to have one line each of v=, o= and s=")
    if len(sections) > SECTIONS:
        raise NotAnswerable(f"it has more than {SECTIONS} sections")
    return head, sections


def _attributes(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            found.setdefault(name, []).append(value.strip(" "))
    return found


def _is_data(media: re.Match[str]) -> bool:
    return (
        media[1] == "application"
        and media[3] in ("UDP/DTLS/SCTP", "TCP/DTLS/SCTP")
        and media[4].split() == ["webrtc-datachannel"]
        and int(media[2]) > 0
    )


def _mid(attributes: dict[str, list[str]]) -> str:
    mid = attributes.get("mid", [""])[0]
    if mid and not _TOKEN.fullmatch(mid):
        raise NotSdp("an a=mid is malformed")
    return mid


def _fingerprints(values: list[str]) -> tuple[tuple[str, str], ...]:
    """The fingerprints that can be compared. The certificate has to match them all (CC-SIG-040)."""
    good = []
    for value in values:
        algorithm, _, digest = value.partition(" ")
        digest = digest.strip(" ")
        length = FINGERPRINTS.get(algorithm.lower())
        if length is None:
            continue
        if len(digest) != 3 * length - 1 or not _HEX.fullmatch(digest):
            raise NotAnswerable(f"a fingerprint is not {length} bytes in hexadecimal")
        good.append((algorithm.lower(), digest.upper()))
    if not good:
        raise NotAnswerable(f"there is no fingerprint by {', '.join(FINGERPRINTS)}")
    return tuple(good)


def _candidate(text: str) -> str | None:
    """A candidate that can be used: an address, not a name; UDP; and one that packets can be sent to (CC-SIG-011)."""
    match = _CANDIDATE.fullmatch(text)
    if match is None:
        return None
    foundation, priority, address, port, kind = match.groups()
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    if ip.is_multicast or ip.is_unspecified or ip.is_reserved or (ip.version == 6 and ip.is_link_local):
        return None
    if not 0 < int(port) < 65_536 or int(priority) >= 2**32:
        return None
    return f"{foundation} 1 udp {int(priority)} {ip} {int(port)} typ {kind}"
