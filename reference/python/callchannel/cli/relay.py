# SPDX-License-Identifier: Apache-2.0
"""`callchannel relay`: run a relay until it is interrupted."""

from __future__ import annotations

import argparse
from typing import Any, Final

from callchannel.cli.main import OK, USAGE, complain, new_parser
from callchannel.server import ConfigError, load_config
from callchannel.server import run as run_server
from callchannel.server.settings import SETTINGS

_EPILOG: Final = """examples:
  callchannel relay --open
  callchannel relay --open --page
  callchannel relay --key-file token.key --port 8443 --host 0.0.0.0 \\
      --tls-certificate tls.pem --tls-key tls.key --origin https://app.example
  callchannel relay --config relay.toml --set limits.resume_window=60000
  callchannel relay --list-settings

Settings come from the arguments, else from the environment (CALLCHANNEL_HTTP_PORT and so on), else from the file.
SIGINT or SIGTERM stops the relay gracefully; a second one at once.
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = new_parser("relay", _EPILOG)
    parser.add_argument("--config", metavar="PATH", help="configuration, a TOML file")
    parser.add_argument("--host", help="address to listen on; default: 127.0.0.1")
    parser.add_argument("--port", help="port to listen on; 0: any that is free; default: 8080")
    parser.add_argument("--open", action="store_true", help="no tokens: for development, on loopback alone")
    parser.add_argument("--key-file", metavar="PATH", help="file with the key of tokens")
    parser.add_argument("--key-env", metavar="NAME", help="environment variable with the key of tokens")
    parser.add_argument("--tls-certificate", metavar="PATH", help="certificate and its chain, PEM")
    parser.add_argument("--tls-key", metavar="PATH", help="the certificate's key, PEM")
    parser.add_argument(
        "--origin", action="append", metavar="ORIGIN", help="origin whose pages may connect; repeatable"
    )
    parser.add_argument("--page", action="store_true", help="serve the page for people, too: join a call in a browser")
    parser.add_argument("--json", action="store_true", help="write the log as JSON Lines")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting; repeatable")
    parser.add_argument("--list-settings", action="store_true", help="list all settings, and leave")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run the relay; returns the exit code."""
    if arguments.list_settings:
        for key, setting in SETTINGS.items():
            default = ",".join(setting.default) if isinstance(setting.default, tuple) else setting.default
            print(f"{key} = {default!r}".ljust(44), f"{setting.purpose}; {setting.env}")
        return OK
    try:
        run_server(load_config(arguments.config, overrides=overrides(arguments)))
    except ConfigError as exc:
        complain("relay", exc)
        return USAGE
    return OK


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that the arguments give. Raises `ConfigError`."""
    found: dict[str, Any] = {}
    for item in arguments.set:
        key, equals, value = item.partition("=")
        if not equals:
            raise ConfigError("--set", f"{item!r} has no =", "give KEY=VALUE")
        found[key] = value
    given = {
        "http.host": arguments.host,
        "http.port": arguments.port,
        "http.origins": arguments.origin,
        "http.tls_certificate": arguments.tls_certificate,
        "http.tls_key": arguments.tls_key,
        "admission.key_file": arguments.key_file,
        "admission.key_env": arguments.key_env,
        "admission.open": arguments.open or None,
        "http.page": arguments.page or None,
        "log.format": "json" if arguments.json else None,
    }
    return found | {key: value for key, value in given.items() if value is not None}
