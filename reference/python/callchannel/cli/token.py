# SPDX-License-Identifier: Apache-2.0
"""`callchannel token`: make an admission token, as an application's server would."""

from __future__ import annotations

import argparse
from typing import Final

from callchannel.cli.main import OK, USAGE, complain, new_parser
from callchannel.cli.output import Output
from callchannel.core.errors import InvalidArgument
from callchannel.signalling.tokens import issue_token, read_key

_EPILOG: Final = """examples:
  openssl rand -base64 32 > token.key
  callchannel token --key-file token.key standup anna
  callchannel token --key-env RELAY_KEY standup guest --receive-only --lifetime 600

The key is the relay's. It comes from a file or the environment, since others can see the arguments of a process; so
give the token to `join` and `send` in a file or the environment, too.
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = new_parser("token", _EPILOG)
    parser.add_argument("call", metavar="CALL", help="name of the call")
    parser.add_argument("identity", metavar="IDENTITY", help="identifier of the participant")
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument("--key-file", metavar="PATH", help="file with the key")
    key.add_argument("--key-env", metavar="NAME", help="environment variable with the key")
    parser.add_argument("--lifetime", metavar="SECONDS", type=float, default=120.0, help="default: 120")
    parser.add_argument("--receive-only", action="store_true", help="may receive, not send")
    parser.add_argument("--issuer", metavar="TEXT", help="who makes it (iss)")
    parser.add_argument("--key-name", metavar="TEXT", help="the key's name (kid), for a relay that has several")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Write the token; returns the exit code."""
    try:
        token = issue_token(
            read_key(file=arguments.key_file, env=arguments.key_env),
            arguments.identity,
            arguments.call,
            permissions=["receive"] if arguments.receive_only else None,
            lifetime=arguments.lifetime,
            issuer=arguments.issuer,
            key_name=arguments.key_name,
        )
    except InvalidArgument as exc:
        complain("token", exc)
        return USAGE
    output = Output(json=arguments.json)
    output.line(token)
    output.event("token", token=token, call=arguments.call, identity=arguments.identity, lifetime=arguments.lifetime)
    return OK
