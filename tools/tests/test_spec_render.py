# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.diagrams import DiagramError, Part, draw
from tools.faults import ROOT
from tools.files import write_if_changed
from tools.generated import parts
from tools.registry import load_registry
from tools.spec_render import main, render
from tools.tables import number, prose, table

Tree = Callable[..., Path]
KNOWN = parts(load_registry())
BOTH = "<!-- generated: flags ROSTER -->\n{}<!-- end generated -->\n"


def run(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments, root)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_fills_only_the_parts(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree("before  \n\n" + BOTH.format("old\n") + "after")
    path = root / "spec" / "01-one.md"
    assert run(root, capsys) == (0, "spec/01-one.md: filled\n", "")
    text = path.read_text("utf-8")
    assert text.startswith("# 1. One\n\nbefore  \n\n<!-- generated: flags ROSTER -->\n\n| bit | flag ")
    assert text.endswith("\n\n<!-- end generated -->\nafter")
    assert "old" not in text
    before = path.stat().st_mtime_ns
    assert run(root, capsys) == (0, "", "")
    assert path.stat().st_mtime_ns == before


def test_check_shows_what_is_out_of_date(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(BOTH.format("old\n"))
    before = (root / "spec" / "01-one.md").read_bytes()
    code, out, errors = run(root, capsys, "--check")
    assert code == 1
    assert "--- spec/01-one.md" in out
    assert "-old\n" in out
    assert "+| 01  | SNAPSHOT |" in out
    assert errors == "generated parts are out of date, run `python -m tools.spec_render`\n"
    assert (root / "spec" / "01-one.md").read_bytes() == before
    run(root, capsys)
    assert run(root, capsys, "--check") == (0, "", "")


def test_unknown_names(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(BOTH.replace("flags ROSTER", "flags NONE").format("kept\n"))
    code, _, errors = run(root, capsys)
    assert code == 1
    assert errors.startswith("spec/01-one.md:3: there is no generated part `flags NONE`, use one of: start, frames, ")
    assert all(name in errors for name in KNOWN)
    assert "kept\n" in (root / "spec" / "01-one.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("<!-- generated: start -->\nx\n", "x:1: `start` does not end, add <!-- end generated -->"),
        ("x\n<!-- end generated -->\n", "x:2: the end of no generated part, remove it or add its beginning"),
        (
            "<!-- generated: start -->\n<!-- generated: frames -->\n<!-- end generated -->\n",
            "x:1: `start` does not end, add <!-- end generated -->",
        ),
    ],
)
def test_marks_that_do_not_pair(source: str, fault: str) -> None:
    text, faults = render("x", source, KNOWN)
    assert [str(item) for item in faults] == [fault]
    assert all(line in text for line in source.splitlines())


def test_marks_in_a_fence_are_text() -> None:
    source = "```\n<!-- generated: start -->\n```\n~~~\n<!-- end generated -->\n~~~\n"
    assert render("x", source, KNOWN) == (source, [])


def test_a_faulty_registry_is_told(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree()
    (root / "spec" / "registry" / "limits.toml").write_text("[[limit]]\n", "utf-8")
    code, _, errors = run(root, capsys)
    assert code == 1
    assert "an entry lacks a key" in errors


def test_a_name_that_does_not_fit_is_told(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree("<!-- generated: block entry -->\n<!-- end generated -->\n")
    path = root / "spec" / "registry" / "frames.toml"
    path.write_text(path.read_text("utf-8").replace('"op", type = "u8"', '"operation_number", type = "u8"'), "utf-8")
    code, _, errors = run(root, capsys)
    assert code == 1
    assert "`block entry` can't be drawn: operation_number does not fit into 8 bits" in errors


@pytest.mark.parametrize("name", KNOWN)
def test_every_part_is_well_formed(name: str) -> None:
    text, faults = render("x", f"<!-- generated: {name} -->\n<!-- end generated -->\n", KNOWN)
    assert faults == []
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.endswith(" |") and "`" * 3 not in line]
    assert rows
    art = text.split("```\n")[1].splitlines() if "```\n" in text else []
    if art:
        assert {len(line) for line in art[2:-2]} <= {65}
        assert all(line[0] in "+|:" for line in art[2:])
    assert all(line == line.rstrip() for line in text.splitlines())


def test_parts_of_integers_have_bit_numbers() -> None:
    rows = KNOWN["block fragment"]().splitlines()[-4:]
    assert [[cell.strip() for cell in row.split("|")[1:4]] for row in rows] == [
        ["0", "`last` (L)", "u1, bit 31"],
        ["", "`abort` (A)", "u1, bit 30"],
        ["", "`index`", "u30, bits 29 to 0"],
        ["4", "`total`", "u32"],
    ]


def test_names_in_use_are_known() -> None:
    for path in sorted((ROOT / "spec").glob("*.md")):
        _, faults = render(path.name, path.read_text("utf-8"), KNOWN)
        assert faults == []


# ---------------------------------------------------------------------------------------------------------------
# Diagrams and tables
# ---------------------------------------------------------------------------------------------------------------

RULER = """\
 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""


def test_the_style_of_section_1_5() -> None:
    introduction = (ROOT / "spec" / "01-introduction.md").read_text("utf-8")
    assert draw([Part("type", 8), Part("flags", 8), Part("length", 16)]) in introduction


@pytest.mark.parametrize(
    ("drawn", "art"),
    [
        (
            [Part("L", 1), Part("A", 1), Part("index", 30), Part("count", 16)],
            """\
|L|A|                           index                           |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|             count             |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+""",
        ),
        (
            [Part("value", 64)],
            """\
|                                                               |
+                             value                             +
|                                                               |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+""",
        ),
        (
            [Part("a", 16), Part("b", 32), Part("value", 64), Part("c", 8), Part("text", None)],
            """\
|               a               |               b               |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|         b (continued)         |                               |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
|                             value                             |
+                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                               |       c       |     text      :
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+- - - - - - - -+""",
        ),
        (
            [Part("first", None), Part("second", None)],
            """\
:                             first                             :
+- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -+
:                            second                             :
+- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -+""",
        ),
    ],
)
def test_diagrams(drawn: list[Part], art: str) -> None:
    assert draw(drawn) == RULER + art


@pytest.mark.parametrize("drawn", [[], [Part("much_too_long", 4)], [Part("none", 0)]])
def test_what_can_not_be_drawn(drawn: list[Part]) -> None:
    with pytest.raises(DiagramError):
        draw(drawn)


def test_tables() -> None:
    assert table(("a", "bcd"), [("x|y", ""), ("z", "w")]) == (
        "| a    | bcd |\n|------|-----|\n| x\\|y |     |\n| z    | w   |"
    )
    assert table(("a", "b"), [("x" * 118, "")]) == f"| a | b |\n|---|---|\n| {'x' * 118} | |"
    assert prose("1..65535, 43414C4C, 1..2") == "1 to 65,535, 43414C4C, 1 to 2"
    assert number(16_384) == "16,384"


def test_files_are_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.md"
    assert write_if_changed(path, "ä\n")
    assert not write_if_changed(path, "ä\n")
    path.chmod(0o640)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", fail)
        with pytest.raises(OSError, match="disk full"):
            write_if_changed(path, "new\n")
    assert path.read_text("utf-8") == "ä\n"
    assert [item.name for item in tmp_path.iterdir()] == ["x.md"]
    assert write_if_changed(path, "new\n")
    assert path.stat().st_mode & 0o777 == 0o640
