# SPDX-License-Identifier: Apache-2.0
import io
import json
import logging

import pytest

from callchannel.server.logs import LOGGER, PlainFormatter, configure_logging, note

FORBIDDEN = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *map(chr, (0x2028, 0x2029, 0x200E, 0x200F)),
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
    "\ud800",
]


def written(style: str, **options: bool) -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    configure_logging(style, "info", stream, **options)
    return logging.getLogger(f"{LOGGER}.server"), stream


@pytest.mark.parametrize("char", FORBIDDEN)
def test_control_characters_never_reach_the_log(char: str) -> None:
    # CC-SEC-016
    for style in ("plain", "json"):
        logger, stream = written(style, identities=True)
        note(logger, logging.INFO, "offer taken", identity=f"a{char}b", call="c")
        logger.warning("from elsewhere: %s", f"a{char}b")
        text = stream.getvalue()
        assert text.count("\n") == 2
        assert char == "\n" or char not in text
        text.encode("utf-8")


def test_plain() -> None:
    logger, stream = written("plain", identities=True)
    note(logger, logging.INFO, "offer taken", identity='a"\\\n', slot=3, may_send=True)
    line = stream.getvalue()
    assert line.endswith('Z INFO callchannel.server: offer taken identity="a\\"\\\\\\n" slot=3 may_send=True\n')


def test_json() -> None:
    logger, stream = written("json", identities=True)
    note(logger, logging.WARNING, "offer taken", identity="ä\n", slot=3, level="mine", port=None)
    entry = json.loads(stream.getvalue())
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "warning",
        "logger": "callchannel.server",
        "message": "offer taken",
        "identity": "ä\n",
        "slot": 3,
        "port": None,
    }


@pytest.mark.parametrize("style", ["plain", "json"])
def test_identities_are_left_out_unless_told_otherwise(style: str) -> None:
    # CC-SEC-023
    logger, stream = written(style)
    note(logger, logging.INFO, "offer taken", identity="anna", call="standup")
    assert "anna" not in stream.getvalue() and "standup" in stream.getvalue()


@pytest.mark.parametrize("style", ["plain", "json"])
def test_an_exception_is_one_line_and_a_level_is_kept(style: str) -> None:
    logger, stream = written(style)
    logger.debug("not this")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("a bug")
    text = stream.getvalue()
    assert text.count("\n") == 1 and "ValueError" in text and "not this" not in text


def test_configuring_again_replaces_the_handler_and_leaves_others_alone() -> None:
    other = logging.NullHandler()
    logging.getLogger(LOGGER).addHandler(other)
    written("plain")
    handler = configure_logging("json", "error", io.StringIO())
    handlers = logging.getLogger(LOGGER).handlers
    assert other in handlers and handler in handlers
    assert not any(isinstance(each.formatter, PlainFormatter) for each in handlers)
