# SPDX-License-Identifier: Apache-2.0
"""Terminals, files and machines."""

import io
import json

import pytest

from callchannel.cli.output import Output, fit, survive_any_text, table, width


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_sequences_without_a_terminal() -> None:
    stream = io.StringIO()
    output = Output(stream, env={"TERM": "xterm"})
    output.status("40 %")
    output.line(output.style("done", "green", "bold"))
    output.event("done")
    assert stream.getvalue() == "done\n"


def test_a_terminal_has_colours_and_a_live_line() -> None:
    stream = Terminal()
    output = Output(stream, env={"TERM": "xterm"})
    output.status("40 %")
    output.status("40 %")
    output.line(output.style("done", "green"))
    output.status("")
    assert stream.getvalue() == (
        "\r\x1b[2K40 %"  # once
        "\r\x1b[2K\x1b[32mdone\x1b[0m\n"
        "\r\x1b[2K40 %"  # again, below the line
        "\r\x1b[2K"
    )


@pytest.mark.parametrize(
    ("options", "env", "live", "colour"),
    [
        ({}, {}, True, True),
        ({}, {"NO_COLOR": "1"}, True, False),
        ({}, {"NO_COLOR": ""}, True, True),
        ({}, {"TERM": "dumb"}, False, False),
        ({"plain": True}, {}, False, False),
        ({"json": True}, {}, False, False),
    ],
)
def test_what_turns_them_off(options: dict[str, bool], env: dict[str, str], live: bool, colour: bool) -> None:
    output = Output(Terminal(), env=env, **options)
    assert (output.is_live, output.has_colour) == (live, colour)


def test_json_is_one_line_of_ascii() -> None:
    stream = io.StringIO()
    output = Output(stream, json=True)
    output.line("for people")
    output.status("for people")
    output.event("message", text="a\u2028\x1b\ud800ü\n", data=b"\x00\xff")
    (line,) = stream.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"event": "message", "text": "a\u2028\x1b\ud800ü\n", "data": "AP8="}


def test_no_encoding_makes_a_text_raise() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    survive_any_text(stream, io.StringIO())
    Output(stream).line("ü\U0001f44b")
    assert raw.getvalue().decode() == "\\xfc\\U0001f44b\n"


def test_widths() -> None:
    assert [width(text) for text in ("abc", "こん", "é", "e\u0301", "")] == [3, 4, 1, 1, 0]
    assert fit("abcdef", 6) == "abcdef"
    assert fit("abcdef", 4) == "abc…"
    assert fit("こんこん", 4) == "こ…"


def test_a_table_is_aligned() -> None:
    lines = table(("name", "count"), [("こん", "1"), ("b", "1,000")], right=(1,))
    assert lines == ["name  count", "----  -----", "こん      1", "b     1,000"]
