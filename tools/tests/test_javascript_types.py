# SPDX-License-Identifier: Apache-2.0
"""The reference of the JavaScript API explains the types that it names."""

from __future__ import annotations

import re

from tools.faults import ROOT
from tools.site.javascript import page
from tools.site.javascript_types import Defined, braces, definitions, used

SOURCES = ROOT / "reference" / "javascript" / "callchannel"


def test_every_type_of_its_own_that_the_page_names_is_on_it() -> None:
    text = page(SOURCES)
    known = definitions(SOURCES)
    named = {word for row in re.findall(r"^\| .*\| `(.*)` \|", text, re.MULTILINE) for word in re.findall(r"\w+", row)}
    shown = set(re.findall(r"^### `(\w+)` \{ #type-", text, re.MULTILINE))
    assert named & set(known) <= shown
    assert {"CallOptions", "OpenOptions", "MessageOptions", "Recipients", "SignallingOptions"} <= shown
    assert "## `Report`" in text


def test_what_types_name_is_taken_along() -> None:
    known = {
        "A": Defined("A", "object", "", (("[b]", "readonly B[]", "some"),)),
        "B": Defined("B", "{ a: A }", "", ()),
        "C": Defined("C", "string", "", ()),
    }
    assert [item.name for item in used({"A", "Uint8Array"}, known)] == ["A", "B"]


def test_types_that_stand_for_those_of_other_modules_are_left_out() -> None:
    found = definitions(SOURCES)
    assert found["Transport"].members
    assert found["Lane"].form == '"reliable" | "lossy"'


def test_braces_may_hold_braces() -> None:
    assert braces("{{ a: { b: number } }} rest of it") == ("{ a: { b: number } }", "rest of it")
    assert braces("none") == ("", "none")
