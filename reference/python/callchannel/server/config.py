# SPDX-License-Identifier: Apache-2.0
"""The configuration of a relay server: a TOML file, the environment, and overrides, the last one first.

```toml
[http]
host = "0.0.0.0"
port = 8443
tls_certificate = "/etc/callchannel/tls.pem"
tls_key = "/etc/callchannel/tls.key"
origins = ["https://app.example"]

[[admission.keys]]
file = "/etc/callchannel/token.key"

[[ice.servers]]
urls = ["turn:turn.example:3478?transport=udp"]
secret_env = "TURN_SECRET"

[limits]
resume_window = 60000
```

Secrets stand in files and environment variables, never in the configuration itself or in arguments.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import os
import re
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from callchannel.core.errors import InvalidArgument
from callchannel.core.limits import MS, Limits
from callchannel.server.settings import SETTINGS, TIMES, Unfit, texts, whole
from callchannel.signalling.ice import SCHEMES, IceServer
from callchannel.signalling.limits import SignallingLimits
from callchannel.signalling.tokens import Key, read_key

_TABLES: Final = ("admission.keys", "ice.servers")
"""Keys whose value is a list of tables."""

_SECTIONS: Final = tuple(dict.fromkeys(key.partition(".")[0] for key in SETTINGS))

_ICE_URL: Final = re.compile(rf"({'|'.join(SCHEMES)}):[A-Za-z0-9.:\[\]_-]+(\?transport=(udp|tcp))?")


class ConfigError(Exception):
    """The configuration can't be used. The text says where, what is wrong, and what to do."""

    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}; {remedy}")
        self.where = where
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class IceEntry:
    """STUN or TURN servers that endpoints are told of, and their credentials."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = field(default=None, repr=False)
    secret: bytes | None = field(default=None, repr=False)
    """A secret shared with a TURN server, from which credentials that expire are made."""
    lifetime: int = 3_600

    def servers(self, identity: str, now: float) -> list[IceServer]:
        """The servers as `identity` is told of them at `now`, in seconds since 1970."""
        username, credential = self.username, self.credential
        if self.secret is not None:
            username = f"{int(now) + self.lifetime}:{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
            digest = hmac.new(self.secret, username.encode(), hashlib.sha1).digest()
            credential = base64.b64encode(digest).decode()
        return [
            IceServer(url=url)
            if url.startswith("stun")
            else IceServer(url=url, username=username, credential=credential)
            for url in self.urls
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything a relay server has to be told. Made by `load_config`, which checks it."""

    values: Mapping[str, Any]
    """Each setting of `settings.py` by its key."""
    keys: tuple[Key, ...] = ()
    ice: tuple[IceEntry, ...] = ()
    limits: Limits = field(default_factory=Limits)
    signalling: SignallingLimits = field(default_factory=SignallingLimits)

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def is_loopback(self) -> bool:
        """Whether signalling is for this machine alone."""
        return is_loopback(self["http.host"])

    @property
    def uses_tls(self) -> bool:
        """Whether signalling is served over HTTPS."""
        return bool(self["http.tls_certificate"])

    def tls(self) -> ssl.SSLContext | None:
        """The context for HTTPS; None for plain HTTP. Raises `ConfigError`."""
        certificate, key = self["http.tls_certificate"], self["http.tls_key"]
        if not certificate:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(certificate, key or None, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as exc:
            raise ConfigError(
                "http.tls_certificate, http.tls_key",
                f"{certificate} and {key or 'its key'} can't be loaded: {exc}",
                "give readable PEM files, without a password, that belong together",
            ) from exc
        return context


def is_loopback(host: str) -> bool:
    """Whether an address or name can be reached from this machine alone (section 13.3)."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower() == "localhost"
    return address.is_loopback if address.version == 4 else address == ipaddress.IPv6Address("::1")


def load_config(
    file: str | Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> ServerConfig:
    """Read and check the configuration.

    `env=None`: the environment of the process. `overrides` are settings by their keys, such as `{"http.port": 0}`, as a
    command line gives them; they come before the environment, and that before the file. Raises `ConfigError`.
    """
    env = os.environ if env is None else env
    values = {key: setting.default for key, setting in SETTINGS.items()}
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES}
    where = dict.fromkeys(SETTINGS, "the default")

    def put(key: str, value: object, source: str) -> None:
        try:
            values[key] = SETTINGS[key].parse(value)
        except Unfit as exc:
            raise ConfigError(f"{source}: {key}", f"the value {value!r:.80} does not fit", str(exc)) from None
        where[key] = f"{source}: {key}"

    if file is not None:
        _read_file(Path(file), put, tables)
    for key, setting in SETTINGS.items():
        if setting.env in env:
            put(key, env[setting.env], f"environment variable {setting.env}")
    for key, value in (overrides or {}).items():
        if key not in SETTINGS:
            raise ConfigError(f"override: {key}", "there is no such setting", _near(key))
        put(key, value, "override")

    config = ServerConfig(
        values=values,
        keys=_keys(values, tables["admission.keys"], where, env),
        ice=tuple(_ice(at, table, env) for at, table in enumerate(tables["ice.servers"], 1)),
        limits=Limits(**{name: values[f"limits.{name}"] * (MS if name in TIMES else 1) for name in _names(Limits)}),
        signalling=SignallingLimits(**{name: values[f"limits.{name}"] for name in _names(SignallingLimits)}),
    )
    _check(config, where)
    return config


def _read_file(file: Path, put: Any, tables: dict[str, list[dict[str, Any]]]) -> None:
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except OSError as exc:
        raise ConfigError(str(file), f"it can't be read: {exc.strerror}", "give a file that is there") from exc
    except ValueError as exc:
        raise ConfigError(str(file), f"it is not TOML: {exc}", "mend the line that is named") from exc
    for section, content in document.items():
        if section not in _SECTIONS or not isinstance(content, dict):
            raise ConfigError(f"{file}: {section}", "there is no such section", f"use {', '.join(_SECTIONS)}")
        for name, value in content.items():
            key = f"{section}.{name}"
            if key in tables:
                if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                    raise ConfigError(f"{file}: {key}", "it is not a list of tables", f"write each as [[{key}]]")
                tables[key] = value
            elif key in SETTINGS:
                put(key, value, str(file))
            else:
                raise ConfigError(f"{file}: {key}", "there is no such setting", _near(key))


def _near(key: str) -> str:
    section = key.partition(".")[0]
    names = sorted(name for name in (*SETTINGS, *_TABLES) if name.startswith(section + "."))
    return f"use one of {', '.join(names)}" if names else f"its section is one of {', '.join(_SECTIONS)}"


def _names(source: type) -> list[str]:
    return [
        key.partition(".")[2] for key in SETTINGS if hasattr(source, key.partition(".")[2]) and key[:7] == "limits."
    ]


def _keys(
    values: Mapping[str, Any], tables: list[dict[str, Any]], where: Mapping[str, str], env: Mapping[str, str]
) -> tuple[Key, ...]:
    entries: list[tuple[str, dict[str, Any]]] = [
        (f"admission.keys, entry {at}", table) for at, table in enumerate(tables, 1)
    ]
    entries += [
        (where[f"admission.key_{name}"], {name: values[f"admission.key_{name}"]})
        for name in ("file", "env")
        if values[f"admission.key_{name}"]
    ]
    keys = []
    for place, table in entries:
        unknown = set(table) - {"file", "env", "name"}
        if unknown or not all(isinstance(value, str) for value in table.values()):
            raise ConfigError(place, "it is not a key's entry", "give file or env, and a name if tokens have a kid")
        try:
            secret = _secret(table.get("file"), table.get("env"), env)
            keys.append(Key(secret=secret, name=table.get("name")))
        except InvalidArgument as exc:
            raise ConfigError(place, str(exc), "give a key in a file or an environment variable") from None
    return tuple(keys)


def _secret(file: str | None, variable: str | None, env: Mapping[str, str]) -> bytes:
    if variable is not None and file is None and env is not os.environ:
        if variable not in env:
            raise InvalidArgument(f"the environment variable {variable}, which should have the key, is not set")
        return env[variable].strip().encode()
    return read_key(file=file, env=variable)


def _ice(at: int, table: dict[str, Any], env: Mapping[str, str]) -> IceEntry:
    place = f"ice.servers, entry {at}"
    unknown = set(table) - {
        "urls",
        "username",
        "credential_file",
        "credential_env",
        "secret_file",
        "secret_env",
        "lifetime",
    }
    if unknown:
        raise ConfigError(
            place,
            f"there is no such setting as {sorted(unknown)[0]}",
            "use urls, username, credential_file, credential_env, secret_file, secret_env, lifetime",
        )
    try:
        urls = texts(table.get("urls", ()))
        lifetime = whole(60, 86_400)(table.get("lifetime", 3_600))
    except Unfit as exc:
        raise ConfigError(place, "a value does not fit", str(exc)) from None
    if not urls or not all(_ICE_URL.fullmatch(url) for url in urls):
        raise ConfigError(place, "urls are missing or malformed", 'give such as ["stun:stun.example:3478"]')

    def secret(name: str) -> bytes | None:
        file, variable = table.get(f"{name}_file"), table.get(f"{name}_env")
        try:
            if file is not None:
                return Path(file).read_bytes().strip()
            return None if variable is None else env[variable].strip().encode()
        except (OSError, KeyError, TypeError):
            raise ConfigError(
                place, f"the {name} can't be read", f"give {name}_file or {name}_env that is there"
            ) from None

    credential, shared = secret("credential"), secret("secret")
    username = table.get("username")
    if any(url.startswith("turn") for url in urls) and shared is None and (credential is None or not username):
        raise ConfigError(
            place,
            "a TURN server needs credentials",
            "give username with credential_file or _env, or secret_file or _env",
        )
    return IceEntry(
        urls=urls,
        username=username,
        credential=None if credential is None else credential.decode("utf-8", "replace"),
        secret=shared,
        lifetime=lifetime,
    )


def _check(config: ServerConfig, where: Mapping[str, str]) -> None:
    """What settings mean together."""
    if config["admission.open"]:
        if not config.is_loopback:
            raise ConfigError(
                where["http.host"],
                f"open mode is on, and {config['http.host']!r} can be reached from other machines",
                'listen on "127.0.0.1", or set a key and turn admission.open off',
            )
        if "*" in config["http.origins"]:
            raise ConfigError(
                where["http.origins"], "open mode is on, and every page may connect", "name the pages' origins"
            )
    elif not config.keys:
        raise ConfigError(
            "admission",
            "no key for tokens is configured",
            "give admission.key_file or admission.key_env; for development on this machine, admission.open = true",
        )
    if config["http.tls_key"] and not config.uses_tls:
        raise ConfigError(where["http.tls_key"], "a key without a certificate", "give http.tls_certificate, too")
    if not config.uses_tls and not config.is_loopback and not config["http.allow_plain"]:
        raise ConfigError(
            where["http.host"],
            f"{config['http.host']!r} can be reached from other machines, and tokens would go there in the clear",
            "give http.tls_certificate and http.tls_key; behind a proxy that ends HTTPS, http.allow_plain = true",
        )
    if config.limits.window > config.limits.relay_link_memory:
        raise ConfigError(
            where["limits.window"], "it is greater than relay_link_memory (CC-LIMIT-017)", "make one fit the other"
        )
    for url in config["ice.relay_servers"]:
        if not _ICE_URL.fullmatch(url) or not url.startswith("stun"):
            raise ConfigError(
                where["ice.relay_servers"], f"{url!r} is not a STUN server", "give such as stun:host:3478"
            )


def _no_password() -> str:
    raise ValueError("the key has a password")
