# SPDX-License-Identifier: Apache-2.0
"""ICE servers in `Link` headers (specification, section 13.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin

SCHEMES: Final = ("stun", "stuns", "turn", "turns")

MOST: Final = 16
"""Servers that a client takes from one answer."""

_LINK: Final = re.compile(
    r'\s*<([^<>"\s]{1,512})>((?:\s*;\s*[\w-]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]+))?)*)\s*(?:,|$)'
)
_PARAMETER: Final = re.compile(r';\s*([\w-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+)))?')


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServer:
    """One STUN or TURN server. What it shows of itself has no credential."""

    url: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)

    @property
    def link(self) -> str:
        """The value of its `Link` header."""
        value = f'<{self.url}>; rel="ice-server"'
        if self.username is not None and self.credential is not None:
            value += f"; username={_quoted(self.username)}; credential={_quoted(self.credential)}"
            value += '; credential-type="password"'
        return value


def servers_from_links(values: Iterable[str], request_url: str) -> list[IceServer]:
    """The ICE servers of `Link` headers. Other links, and what can't be read, are passed over (CC-SIG-021)."""
    servers: list[IceServer] = []
    for value in values:
        at = 0
        while (match := _LINK.match(value, at)) is not None and match.end() > at:
            at = match.end()
            parameters: dict[str, str] = {}
            for name, quoted, plain in _PARAMETER.findall(match[2]):
                parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
            url = match[1] if ":" in match[1] else urljoin(request_url, match[1])
            if "ice-server" not in parameters.get("rel", "").lower().split() or len(servers) == MOST:
                continue
            if url.partition(":")[0].lower() in SCHEMES and parameters.get("credential-type", "password") == "password":
                servers.append(
                    IceServer(url=url, username=parameters.get("username"), credential=parameters.get("credential"))
                )
    return servers


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
