# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tools import index
from tools.spec import load_spec
from tools.spec_check import check_text, main
from tools.tests.conftest import cc

Tree = Callable[..., Path]
RuleText = Callable[..., str]


def faults(root: Path) -> list[str]:
    return [str(fault) for fault in check_text(load_spec(root))]


def test_the_standard_itself_is_well_formed() -> None:
    spec = load_spec()
    assert spec.faults == ()
    assert set(spec.areas.values()) <= {chapter.name for chapter in spec.chapters if chapter.numbered}
    assert {item.area for item in spec.requirements.values()} == set(spec.areas)


def test_a_good_tree_has_no_fault(tree: Tree, rule: RuleText) -> None:
    one = (
        "See [two](02-two.md#21-more) and [here](#11-start).\n\n## 1.1 Start\n\n"
        + rule("ONE", 1)
        + f"- **{cc('ONE', 2)}** A thing\n  MUST\n  NOT be.\n- plain, which must be in small letters\n\n"
        + f"1. **{cc('ONE', 3)}** `MUST` in code is none; it MAY be.\n"
    )
    root = tree(one, "## 2.1 More\n\n" + rule("TWO", 1, "It SHOULD be.") + rule("TOO", 1) + rule("TWO", 2))
    assert faults(root) == []
    spec = load_spec(root)
    assert {name: item.keyword for name, item in spec.requirements.items()} == {
        cc("ONE", 1): "MUST",
        cc("ONE", 2): "MUST NOT",
        cc("ONE", 3): "MAY",
        cc("TWO", 1): "SHOULD",
        cc("TOO", 1): "MUST",
        cc("TWO", 2): "MUST",
    }
    assert spec.requirements[cc("ONE", 2)].text == "A thing MUST NOT be."
    assert spec.requirements[cc("ONE", 1)].section == "1.1 Start"


@pytest.mark.parametrize("word", ["MUST", "SHALL NOT", "SHOULD", "MAY", "REQUIRED", "RECOMMENDED", "OPTIONAL"])
@pytest.mark.parametrize("form", ["It {} be.", "- It {} be.", "| a |\n|---|\n| it {} |", "## It {} be"])
def test_key_word_outside_of_a_requirement(tree: Tree, word: str, form: str) -> None:
    line = 5 if form.startswith("| a") else 3
    assert faults(tree(form.format(word))) == [
        f"spec/01-one.md:{line}: {word} outside of a requirement, "
        "give the rule an ID of its own or write it in small letters"
    ]


def test_key_word_in_a_fence_or_comment_is_none(tree: Tree) -> None:
    assert faults(tree("```\nMUST\n```\n\n<!-- MUST -->\n")) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("It is.", "none"),
        ("It MUST be and MAY stay.", "MUST, MAY"),
        ("It SHALL be.", "SHALL"),
        ("It is NOT RECOMMENDED.", "NOT RECOMMENDED"),
    ],
)
def test_not_exactly_one_key_word(tree: Tree, rule: RuleText, text: str, named: str) -> None:
    assert faults(tree(rule("ONE", 1, text))) == [
        f"spec/01-one.md:3: {cc('ONE', 1)} has the key words: {named}, "
        "keep exactly one of MUST, MUST NOT, SHOULD, SHOULD NOT, MAY"
    ]


def test_duplicate_id(tree: Tree, rule: RuleText) -> None:
    assert faults(tree(rule("ONE", 1) + rule("ONE", 1))) == [
        f"spec/01-one.md:5: {cc('ONE', 1)} is defined already at spec/01-one.md:3, take the area's next free number"
    ]


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [([2], [(2, 1)]), ([1, 3], [(3, 2)]), ([1, 3, 2], [])],
)
def test_numbers_leave_nothing_out_and_need_not_ascend(
    tree: Tree, rule: RuleText, numbers: list[int], wrong: list[tuple[int, int]]
) -> None:
    found = faults(tree("".join(rule("ONE", number) for number in numbers)))
    assert [fault.split(": ", 1)[1] for fault in found] == [
        f"{cc('ONE', is_)} leaves out {cc('ONE', due)}, "
        f"number it {cc('ONE', due)}, or list what is missing as withdrawn"
        for is_, due in wrong
    ]


def test_a_withdrawn_id_leaves_a_gap(tree: Tree, rule: RuleText) -> None:
    root = tree(rule("ONE", 1) + rule("ONE", 3), withdrawn=cc("ONE", 2))
    assert faults(root) == []


def test_a_withdrawn_id_is_not_used_again(tree: Tree, rule: RuleText) -> None:
    root = tree(rule("ONE", 1) + rule("ONE", 2), withdrawn=cc("ONE", 2))
    assert faults(root) == [f"spec/01-one.md:5: {cc('ONE', 2)} was withdrawn, take the area's next free number"]


@pytest.mark.parametrize(("area", "where"), [("TWO", "belongs to 02-two"), ("SIX", "belongs to no chapter")])
def test_area_of_another_chapter(tree: Tree, rule: RuleText, area: str, where: str) -> None:
    assert faults(tree(rule(area, 1))) == [
        f"spec/01-one.md:3: area {area} {where}, use an area that the table in spec/README.md gives this chapter"
    ]


def test_malformed_and_misplaced_ids(tree: Tree, rule: RuleText) -> None:
    short = cc("ONE", 1).replace("00", "")
    text = f"**{short}** It is.\n\nAs **{cc('ONE', 1)}** says.\n\n" + rule("ONE", 1)
    assert faults(tree(text)) == [
        f"spec/01-one.md:3: {short} is not a requirement ID, write CC-, the area in capitals, - and three digits",
        f"spec/01-one.md:3: {short} is not in the standard, cite a requirement that is there",
        f"spec/01-one.md:5: {cc('ONE', 1)} in bold inside of a paragraph, "
        "let it begin a paragraph or list item of its own, or cite it without bold",
    ]


def test_two_requirements_in_one_paragraph(tree: Tree) -> None:
    text = f"**{cc('ONE', 1)}** It MUST be.\n**{cc('ONE', 2)}** It stays.\n"
    assert faults(tree(text))[0].startswith(f"spec/01-one.md:4: {cc('ONE', 2)} in bold inside of a paragraph")


def test_a_chapter_that_is_not_listed(tree: Tree) -> None:
    root = tree()
    (root / "spec" / "03-three.md").write_text("# 3. Three\n", "utf-8")
    assert faults(root) == ["spec/03-three.md:1: 03-three is not in the table of chapters, add it to spec/README.md"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("03-three.md", "leads to no file, correct it or add spec/03-three.md"),
        ("registry/none.toml", "leads to no file, correct it or add spec/registry/none.toml"),
        ("#11-end", "leads to no heading, use one of #11-start, #11-start-1, #1-one"),
        ("02-two.md#22-x", "leads to no heading, use one of #2-two"),
    ],
)
def test_broken_links(tree: Tree, target: str, message: str) -> None:
    text = f"## 1.1 `Start`\n\n## 1.1 Start\n\nA link\n[of\ntwo lines]({target}).\n"
    assert faults(tree(text)) == [f"spec/01-one.md:8: the link [of two lines]({target}) {message}"]


@pytest.mark.parametrize(
    "target", ["https://example.org/x", "registry/", "#11-start", "#11-start-1", "#start-up-ärger_x-05", "02-two.md"]
)
def test_good_links(tree: Tree, target: str) -> None:
    headings = "## 1.1 `Start`\n\n## 1.1 Start\n\n## *Start-up*: [Ärger_x](02-two.md) (05)!\n\n"
    assert faults(tree(f"{headings}[x]({target}) `[y](none.md)`\n")) == []


@pytest.mark.parametrize("folder", ["reference/python", "conformance", "tools", "spec/vectors", "docs"])
def test_citation_of_what_is_not_there(tree: Tree, rule: RuleText, folder: str) -> None:
    root = tree(rule("ONE", 1))
    (root / folder).mkdir(parents=True)
    (root / folder / "file.py").write_text(f"# {cc('ONE', 1)}\n# {cc('ONE', 2)}\n", "utf-8")
    (root / folder / "image.bin").write_bytes(b"\xff\xfe")
    assert faults(root) == [
        f"{folder}/file.py:2: {cc('ONE', 2)} is not in the standard, cite a requirement that is there"
    ]


def test_citation_of_what_was_withdrawn(tree: Tree, rule: RuleText) -> None:
    root = tree(rule("ONE", 1) + f"As {cc('ONE', 2)} said.\n", withdrawn=cc("ONE", 2))
    assert faults(root) == [
        f"spec/01-one.md:5: {cc('ONE', 2)} was withdrawn (0.2: not needed), cite a requirement that is there"
    ]


def test_unknown_error_code(tree: Tree, rule: RuleText) -> None:
    root = tree(rule("ONE", 1, "It MUST be. Else: PACKET_SIZE.") + rule("ONE", 2, "It MUST be. Else:\nNO_SUCH."))
    assert faults(root) == ["spec/01-one.md:5: NO_SUCH is not an error code, use a name of spec/registry/errors.toml"]


# ---------------------------------------------------------------------------------------------------------------
# The index
# ---------------------------------------------------------------------------------------------------------------


def run(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments, root)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_update_and_check(tree: Tree, rule: RuleText, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(rule("ONE", 1))
    code, _, errors = run(root, capsys)
    assert code == 1
    assert f"spec/01-one.md:3: {cc('ONE', 1)} is not in spec/requirements.json, run" in errors
    code, out, errors = run(root, capsys, "--update")
    assert (code, errors) == (0, "")
    assert f"new: {cc('ONE', 1)}" in out
    assert "2 chapters, 1 requirements, 0 examples, 0 state tables: no fault" in out
    assert run(root, capsys)[0] == 0
    before = (root / index.INDEX).stat().st_mtime_ns
    run(root, capsys, "--update")
    assert (root / index.INDEX).stat().st_mtime_ns == before


def test_edited_text(tree: Tree, rule: RuleText, capsys: pytest.CaptureFixture[str]) -> None:
    run(tree(rule("ONE", 1)), capsys, "--update")
    assert run(tree(rule("ONE", 1, "A\nthing   MUST\nbe.")), capsys)[0] == 0
    root = tree(rule("ONE", 1, "A thing MUST stay."))
    code, _, errors = run(root, capsys)
    assert code == 1
    assert f"spec/01-one.md:3: edited requirement text of {cc('ONE', 1)}, run" in errors
    assert run(root, capsys, "--update")[0] == 0


@pytest.mark.parametrize("extra", ["| a |\n|---|\n| {} |\n", "1. {}\n"])
def test_a_table_or_list_belongs_to_the_requirement_that_speaks_of_it(
    tree: Tree, rule: RuleText, capsys: pytest.CaptureFixture[str], extra: str
) -> None:
    text = rule("ONE", 1, "It MUST be as the table or list says.") + rule("ONE", 2) + extra
    text += "\n## 1.1 Other\n\n" + rule("ONE", 3, "It MUST be as this other table says.") + "| b |\n|---|\n| c |\n"
    run(tree(text.format("old")), capsys, "--update")
    errors = run(tree(text.format("new")), capsys)[2]
    assert f"edited requirement text of {cc('ONE', 1)}" in errors
    assert cc("ONE", 2) not in errors
    assert cc("ONE", 3) not in errors


def test_a_vanished_id(tree: Tree, rule: RuleText, capsys: pytest.CaptureFixture[str]) -> None:
    run(tree(rule("ONE", 1) + rule("ONE", 2)), capsys, "--update")
    root = tree(rule("ONE", 1))
    code, _, errors = run(root, capsys)
    assert code == 1
    assert f"spec/requirements.json:1: {cc('ONE', 2)} of 01-one has vanished, put it back, or list it as" in errors
    code, out, _ = run(root, capsys, "--update")
    assert code == 0
    assert f"vanished: {cc('ONE', 2)}" in out


@pytest.mark.parametrize(("version", "released"), [("0.2", True), ("1.0", False)])
def test_after_a_release_no_id_vanishes(
    tree: Tree, rule: RuleText, capsys: pytest.CaptureFixture[str], version: str, released: bool
) -> None:
    run(tree(rule("ONE", 1) + rule("ONE", 2)), capsys, "--update")
    root = tree(rule("ONE", 1), version=version, released=released)
    code, out, errors = run(root, capsys, "--update")
    assert code == 1
    assert "the index is not written" in out
    assert f"{cc('ONE', 2)} of 01-one has vanished" in errors
    root = tree(rule("ONE", 1), version=version, released=released, withdrawn=cc("ONE", 2))
    assert run(root, capsys, "--update")[0] == 0


def test_after_a_release_the_key_word_stays(tree: Tree, rule: RuleText, capsys: pytest.CaptureFixture[str]) -> None:
    run(tree(rule("ONE", 1)), capsys, "--update")
    root = tree(rule("ONE", 1, "A thing SHOULD be."), released=True)
    code, _, errors = run(root, capsys, "--update")
    assert code == 1
    assert f"the key word of {cc('ONE', 1)} has changed, withdraw it and give the new rule a new ID" in errors
    assert run(tree(rule("ONE", 1, "Any thing MUST be."), released=True), capsys, "--update")[0] == 0


def test_a_faulty_text_is_not_indexed(tree: Tree, rule: RuleText, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(rule("ONE", 1) + rule("ONE", 1))
    code, out, _ = run(root, capsys, "--update")
    assert (code, out) == (1, "the index is not written\n")
    assert not (root / index.INDEX).exists()
