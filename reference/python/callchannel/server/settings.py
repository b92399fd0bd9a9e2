# SPDX-License-Identifier: Apache-2.0
"""The settings of a relay server, one by one: names, kinds, defaults, and what each is for.

`config.py` reads them from a file, the environment and overrides. The file's keys are `section.name`; the environment's
are `CALLCHANNEL_SECTION_NAME`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final

from callchannel.core.limits import BOUNDS as CORE_BOUNDS
from callchannel.core.limits import MS, Limits
from callchannel.signalling.limits import BOUNDS as SIGNALLING_BOUNDS
from callchannel.signalling.limits import SignallingLimits

TIMES: Final = frozenset(
    (
        "ack_delay",
        "ack_interval",
        "join_time",
        "unbound_time",
        "resume_window",
        "slot_quarantine",
        "idle_close",
        "roster_batch",
        "stall_time",
        "delivered_deadline",
        "leave_time",
        "relay_drain_time",
    )
)
"""Limits of the core that are times: milliseconds in a configuration, as in the registry; microseconds in the core."""


class Unfit(ValueError):
    """A value does not fit its setting. The text says what is wanted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `parse` takes what a file or, as text, an environment variable gives."""

    key: str
    default: Any
    parse: Callable[[object], Any]
    purpose: str

    @property
    def env(self) -> str:
        """The environment variable that sets it."""
        return "CALLCHANNEL_" + self.key.upper().replace(".", "_")


def whole(low: int, high: int) -> Callable[[object], int]:
    """A whole number."""

    def parse(value: object) -> int:
        if isinstance(value, str) and value.strip().lstrip("-").isascii() and value.strip().lstrip("-").isdecimal():
            value = int(value[:32])
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Unfit(f"give a whole number from {low} to {high}")
        return value

    return parse


def text(value: object) -> str:
    """Any text."""
    if not isinstance(value, str) or any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise Unfit("give a text without control characters")
    return value


def truth(value: object) -> bool:
    """True or false."""
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if not isinstance(value, bool):
        raise Unfit("give true or false")
    return value


def choice(*names: str) -> Callable[[object], str]:
    """One of some words."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise Unfit("give one of " + ", ".join(names))
        return value

    return parse


def texts(value: object) -> tuple[str, ...]:
    """A list of texts; in the environment, divided by commas."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise Unfit("give a list of texts")
    return tuple(text(item) for item in value)


def origins(value: object) -> tuple[str, ...]:
    """A list of origins."""
    found = texts(value)
    for origin in found:
        scheme, mark, rest = origin.partition("://")
        if origin != "*" and not (mark and scheme and rest and not set(rest) & set("/?#@ ")):
            raise Unfit(
                f'{origin!r} is no origin; give such as "https://app.example" or "http://localhost:8000", or "*"'
            )
    return tuple(origin.lower() for origin in found)


def path(value: object) -> str:
    """The path of the base: empty, or a slash and more."""
    found = text(value).rstrip("/")
    if found and (not found.startswith("/") or set(found) & set("?#% ")):
        raise Unfit('give a path such as "/relay", without ? # and %')
    return found


SETTINGS: Final[dict[str, Setting]] = {
    setting.key: setting
    for setting in (
        Setting("http.host", "127.0.0.1", text, "address or name that signalling listens on"),
        Setting("http.port", 8080, whole(0, 65_535), "port that signalling listens on; 0: any that is free"),
        Setting("http.path", "", path, "path of the base, in front of /calls"),
        Setting("http.tls_certificate", "", text, "file with the certificate and its chain, PEM; empty: plain HTTP"),
        Setting("http.tls_key", "", text, "file with the certificate's key, PEM"),
        Setting("http.allow_plain", False, truth, "plain HTTP beyond loopback, for a proxy in front that ends HTTPS"),
        Setting("http.origins", (), origins, "origins whose pages may connect; * for all"),
        Setting("http.page", False, truth, "serve the page for people; its own origin may connect then"),
        Setting("http.connections", 1_000, whole(1, 1_000_000), "HTTP connections at a time"),
        Setting("http.request_time", 10, whole(1, 600), "seconds in which a request has to arrive"),
        Setting("admission.open", False, truth, "open mode: no tokens; for development, on loopback alone"),
        Setting("admission.issuer", "", text, "the issuer (iss) that tokens must have; empty: not judged"),
        Setting("admission.key_file", "", text, "file with the key of tokens"),
        Setting("admission.key_env", "", text, "environment variable with the key of tokens"),
        Setting("ice.relay_servers", (), texts, "STUN and TURN servers by which the relay finds its own addresses"),
        Setting("server.calls", 10_000, whole(1, 10_000_000), "calls at a time"),
        Setting("server.connections", 2_000, whole(1, 10_000_000), "WebRTC connections at a time, of all calls"),
        Setting(
            "server.memory", 268_435_456, whole(4_194_304, 2**50), "bytes of incomplete messages, of all connections"
        ),
        Setting("server.call_linger", 60, whole(0, 86_400), "seconds that a call without endpoints is kept"),
        Setting("server.uvloop", True, truth, "use uvloop where it is installed"),
        Setting("log.format", "plain", choice("plain", "json"), "plain text, or a JSON object in each line"),
        Setting("log.identities", False, truth, "whether logs name participants"),
        Setting("log.level", "info", choice("debug", "info", "warning", "error"), "what is written"),
        Setting("status.host", "127.0.0.1", text, "address of a listener of its own for /health and /metrics"),
        Setting(
            "status.port", -1, whole(-1, 65_535), "its port; 0: any that is free; -1: none, they are with signalling"
        ),
        Setting("status.metrics", "auto", choice("auto", "on", "off"), "/metrics; auto: not on a public listener"),
    )
}


def _limits() -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for source, bounds in ((Limits, CORE_BOUNDS), (SignallingLimits, SIGNALLING_BOUNDS)):
        for item in dataclasses.fields(source):
            scale = MS if source is Limits and item.name in TIMES else 1
            low, high = bounds[item.name]
            key = f"limits.{item.name}"
            found[key] = Setting(key, item.default // scale, whole(low // scale, high // scale), "see chapter 15")  # type: ignore[operator]
    return found


SETTINGS.update(_limits())
