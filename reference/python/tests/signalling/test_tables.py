# SPDX-License-Identifier: Apache-2.0
"""Names, limits, errors and links against the standard's own tables."""

import re
import tomllib
from pathlib import Path

import pytest

from callchannel.core.errors import ErrorCode, InvalidArgument
from callchannel.signalling.ice import IceServer, servers_from_links
from callchannel.signalling.limits import BOUNDS, SignallingLimits
from callchannel.signalling.names import CALL_NAME, is_call_name, is_identity
from callchannel.signalling.problems import PROBLEMS, Repeat, judge

SPEC = Path(__file__).resolve().parents[4] / "spec"
URL = "https://relay.example/calls/standup"


def test_limits_are_those_of_the_registry() -> None:
    registry = tomllib.loads((SPEC / "registry" / "limits.toml").read_text("utf-8"))["limit"]
    rows = {row["name"]: row for row in registry if row["holder"] == "signalling"}
    name = rows.pop("call_name")
    assert name["min"] == name["default"] == name["max"] == CALL_NAME
    assert set(rows) == set(BOUNDS)
    for row in rows.values():
        assert BOUNDS[row["name"]] == (row["min"], row["max"])
        assert getattr(SignallingLimits(), row["name"]) == row["default"]
        for wrong in (row["min"] - 1, row["max"] + 1, True, "1"):
            with pytest.raises(InvalidArgument):
                SignallingLimits(**{row["name"]: wrong})


def test_problems_are_those_of_the_table() -> None:
    text = (SPEC / "13-signalling.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| [^|]+ \| ([^|]+) \| (\w+) \|$", text, re.MULTILINE)
    assert len(rows) == len(PROBLEMS) == 19
    for status, code, client, told_as in rows:
        problem = PROBLEMS[code]
        assert (problem.status, problem.told_as.name) == (int(status), told_as)
        expected = Repeat.NO if client == "does not repeat" else Repeat.TOKEN if "token" in client else Repeat.LATER
        assert problem.repeat is expected
        assert judge(int(status), code) == (problem.told_as, expected)


@pytest.mark.parametrize(
    ("status", "code", "told_as", "repeat"),
    [
        (401, "new_reason", ErrorCode.NOT_ADMITTED, Repeat.TOKEN),
        (404, None, ErrorCode.NOT_ADMITTED, Repeat.NO),
        (429, "x", ErrorCode.RATE, Repeat.LATER),
        (400, "x", ErrorCode.PROTOCOL, Repeat.NO),
        (408, None, ErrorCode.TIMEOUT, Repeat.LATER),
        (502, None, ErrorCode.INTERNAL, Repeat.LATER),
        (503, 7, ErrorCode.GOING_AWAY, Repeat.LATER),
        (418, None, ErrorCode.PROTOCOL, Repeat.NO),
        (302, None, ErrorCode.PROTOCOL, Repeat.NO),
        (404, "offer_rate", ErrorCode.NOT_ADMITTED, Repeat.NO),
    ],
)
def test_the_status_decides_where_the_code_is_unknown(
    status: int, code: object, told_as: ErrorCode, repeat: Repeat
) -> None:
    # CC-SIG-058
    assert judge(status, code) == (told_as, repeat)


@pytest.mark.parametrize("name", ["a", "0", "standup", "A.b-c_9", "x" * 128])
def test_names_of_calls(name: str) -> None:
    # CC-SIG-006
    assert is_call_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "_a", "a/b", "a b", "ä", "a\n", "x" * 129, "a%20", 7, None, "٣"])
def test_what_is_no_name_of_a_call(name: object) -> None:
    # CC-SIG-006
    assert not is_call_name(name)


def test_identities() -> None:
    assert is_identity("a") and is_identity("\0") and is_identity("ä" * 127 + "x")
    assert not any(map(is_identity, ("", "ä" * 128, "\ud800", 7, None)))


def test_ice_servers_travel_in_links() -> None:
    # CC-SIG-018, CC-SIG-019
    servers = [
        IceServer(url="stun:stun.example:3478"),
        IceServer(url="turn:turn.example:3478?transport=udp", username='a"\\b:anna', credential="d0NV+/=="),
    ]
    assert servers_from_links([server.link for server in servers], URL) == servers
    assert servers_from_links([", ".join(server.link for server in servers)], URL) == servers
    assert "d0NV" not in repr(servers)


def test_the_links_of_the_standard() -> None:
    links = [
        '<stun:stun.relay.example:3478>; rel="ice-server"',
        '<turn:turn.relay.example:3478?transport=udp>; rel="ice-server"; '
        'username="1798761600:anna"; credential="d0NVdHVybg=="; credential-type="password"',
    ]
    servers = servers_from_links(links, URL)
    assert [server.link for server in servers] == links


@pytest.mark.parametrize(
    "link",
    [
        '<stun:a>; rel="next"',
        '<https://x.example/>; rel="ice-server"',
        "</relative>; rel=ice-server",
        "stun:a; rel=ice-server",
        "<stun:a; rel=ice-server",
        '<turn:a>; rel="ice-server"; credential-type="oauth"; username="u"; credential="c"',
        "",
        ",,,;;;<<>>",
        "<" * 10_000,
        '<stun:a>; rel="' + "\\" * 5_000,
    ],
)
def test_other_links_are_passed_over(link: str) -> None:
    # CC-SIG-021
    assert servers_from_links([link], URL) == []


def test_no_more_servers_are_taken_than_are_any_use() -> None:
    assert len(servers_from_links(["<stun:a>; rel=ice-server"] * 100, URL)) == 16
