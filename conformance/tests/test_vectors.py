# SPDX-License-Identifier: Apache-2.0
"""The vectors on disk: they obey their schema, the grammar agrees with each, and they cover the rules."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from construct import ConstructError

from callchannel_conformance import wire, wire_rules
from tools import vectors as generator
from tools.vector_sources import book

SPEC = Path(__file__).resolve().parents[2] / "spec"
FILES = sorted(path for path in (SPEC / "vectors").glob("*.json") if path.name != "schema.json")
SCHEMA = json.loads((SPEC / "vectors" / "schema.json").read_text(encoding="utf-8"))
README = (SPEC / "vectors" / "README.md").read_text(encoding="utf-8")
DOCUMENTS = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
VECTORS: list[dict[str, Any]] = [vector for document in DOCUMENTS.values() for vector in document["vectors"]]
POSITIVE = {vector["id"]: vector for vector in VECTORS if "code" not in vector}
NEGATIVE = {vector["id"]: vector for vector in VECTORS if "code" in vector}
CHAPTER = set(re.findall(r"\*\*(CC-FRAME-\d{3})\*\*", (SPEC / "03-frames.md").read_text(encoding="utf-8")))
REQUIREMENTS = {
    name
    for path in SPEC.glob("*.md")
    for name in re.findall(r"\*\*(CC-[A-Z]+-\d{3})\*\*", path.read_text(encoding="utf-8"))
}
CODEC_RULES = {rule.requirement for rule in wire_rules.RULES}
NOT_JUDGED = set(re.findall(r"^\| (CC-FRAME-\d{3}) \|", README, re.MULTILINE))
POSITIVE_ONLY = set(re.findall(r"CC-FRAME-\d{3}", README.split("take a fault away")[1].split("Every other rule")[0]))


def shown_by(vectors: dict[str, dict[str, Any]]) -> set[str]:
    return {name for vector in vectors.values() for name in vector["requirements"]}


# --- Files ------------------------------------------------------------------------------------------


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_file_obeys_the_schema(name: str) -> None:
    errors = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(DOCUMENTS[name]))
    assert not errors, errors[0].message


def test_schema_refuses_what_is_neither_positive_nor_negative() -> None:
    vector = dict(POSITIVE["data/hi"])
    del vector["frames"]
    document = {**DOCUMENTS["data.json"], "vectors": [vector]}
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


def test_files_are_up_to_date() -> None:
    assert generator.main(["--check"]) == 0


def test_every_file_is_listed_in_the_readme() -> None:
    assert set(re.findall(r"^\| \[([a-z]+\.json)\]", README, re.MULTILINE)) == set(DOCUMENTS)


def test_the_examples_of_the_readme_are_vectors_and_show_every_kind_of_frame() -> None:
    *whole, frames = (json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
    assert len(whole) == 2
    for vector in whole:
        assert vector == (POSITIVE | NEGATIVE)[vector["id"]]
    known = [frame for vector in POSITIVE.values() for frame in vector["frames"]]
    assert [frame for frame in frames if frame not in known] == []
    assert {frame["type"] for frame in frames} == {frame["type"] for frame in known}


def test_files_about_data_hold_nothing_else() -> None:
    for name in ("data.json", "fragments.json", "recipients.json", "extensions.json"):
        for vector in DOCUMENTS[name]["vectors"]:
            assert vector["hex"][:2] == "01", vector["id"]
            assert {frame["type"] for frame in vector.get("frames", [])} <= {"DATA"}


def test_ids_are_unique_and_begin_with_their_file() -> None:
    assert [name for name, count in Counter(vector["id"] for vector in VECTORS).items() if count > 1] == []
    for name, document in DOCUMENTS.items():
        assert {vector["id"].partition("/")[0] for vector in document["vectors"]} == {name.removesuffix(".json")}


def test_no_packet_stands_twice() -> None:
    assert max(Counter((vector["lane"], vector["hex"]) for vector in VECTORS).values()) == 1


def test_every_base_is_a_positive_vector_and_differs() -> None:
    for vector in NEGATIVE.values():
        base = POSITIVE[vector["base"]]
        assert (base["hex"], base["lane"]) != (vector["hex"], vector["lane"])


# --- Vectors against the grammar --------------------------------------------------------------------


@pytest.mark.parametrize("name", POSITIVE)
def test_positive(name: str) -> None:
    vector = POSITIVE[name]
    packet = bytes.fromhex(vector["hex"])
    frames = wire.decode_packet(packet, vector["lane"])
    assert frames == vector["frames"]
    assert sum(wire.countable(frame, vector["lane"]) for frame in frames) == vector["counted"]
    assert wire.encode_packet(vector["frames"], vector["lane"]) == packet
    assert not list(wire_rules.broken(packet, vector["lane"]))
    assert vector["canonical"] == all(frame["type"] != "UNKNOWN" for frame in frames)


@pytest.mark.parametrize("name", NEGATIVE)
def test_negative(name: str) -> None:
    vector = NEGATIVE[name]
    with pytest.raises(wire.WireError) as caught:
        wire.decode_packet(bytes.fromhex(vector["hex"]), vector["lane"])
    assert caught.value.code == vector["code"]
    assert caught.value.frames == vector.get("frames_before", [])
    assert caught.value.requirement in vector["requirements"]


@pytest.mark.parametrize("name", NEGATIVE)
def test_negative_has_the_faults_that_it_names_and_no_others(name: str) -> None:
    vector = NEGATIVE[name]
    rules = [rule for _, rule in wire_rules.broken(bytes.fromhex(vector["hex"]), vector["lane"])]
    named = CODEC_RULES & set(vector["requirements"])
    second = set(vector.get("second_fault", {}).get("requirements", []))
    assert rules[0].step == vector["step"]
    assert named <= {rule.requirement for rule in rules} <= named | second
    assert {rule.code for rule in rules if rule.requirement in named} == {vector["code"]}


# --- Coverage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("requirement", sorted(CODEC_RULES))
def test_codec_rule_has_a_vector_of_each_kind(requirement: str) -> None:
    assert requirement in shown_by(POSITIVE)
    alone = [v for v in NEGATIVE.values() if v["requirements"][0] == requirement and "second_fault" not in v]
    assert alone, "no negative vector whose deciding rule this is"


def test_requirements_exist() -> None:
    assert shown_by(POSITIVE) | shown_by(NEGATIVE) <= REQUIREMENTS


def test_every_rule_of_the_chapter_is_covered_or_said_not_to_be() -> None:
    both = CHAPTER - NOT_JUDGED - POSITIVE_ONLY
    assert not NOT_JUDGED & POSITIVE_ONLY
    assert NOT_JUDGED | POSITIVE_ONLY <= CHAPTER
    assert both <= shown_by(POSITIVE)
    assert both <= shown_by(NEGATIVE)
    assert shown_by(POSITIVE) >= POSITIVE_ONLY
    assert not (POSITIVE_ONLY | NOT_JUDGED) & shown_by(NEGATIVE)
    assert both >= CODEC_RULES


def test_every_rule_with_a_code_is_in_the_table() -> None:
    """A rule of the chapter that ends with "Else:" and a code stands in the table with that code, or needs the link."""
    text = (SPEC / "03-frames.md").read_text(encoding="utf-8")
    stated = {
        name: code
        for name, body in re.findall(
            r"\*\*(CC-FRAME-\d{3})\*\*((?:(?!\*\*CC-).)*?)(?=\n\n|\n- |\n\d\. |\Z)", text, re.DOTALL
        )
        for code in re.findall(r"Else:\s+([A-Z_]+)", body)
    }
    assert len(stated) > 70
    for name, code in stated.items():
        if name not in NOT_JUDGED:
            assert {rule.code for rule in wire_rules.RULES if rule.requirement == name} == {code}, name
    assert set(stated) >= CODEC_RULES


def test_sources_and_grammar_say_the_same_of_each_rule() -> None:
    """Two readings of the text: the table of the sources, and the rules of the grammar."""
    sources = {book.frame_rule(number): (step, code) for number, (step, code, _) in book.RULES.items()}
    assert sources == {rule.requirement: (rule.step, rule.code) for rule in wire_rules.RULES}


def test_every_code_and_step_occurs() -> None:
    codes = {"PACKET_SIZE", "FRAME_LENGTH", "UNKNOWN_TYPE", "WRONG_LANE", "HANDSHAKE", "VERSION", "FRAME_FORMAT"}
    assert {vector["code"] for vector in NEGATIVE.values()} == codes
    assert {vector["step"] for vector in NEGATIVE.values()} == {"2", "3", "4", "6", "7a", "7b", "8"}


@pytest.mark.parametrize("rule", wire_rules.RULES, ids=lambda rule: f"{rule.requirement}-{rule.step}")
def test_every_rule_is_needed(rule: wire_rules.Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grammar that forgets the rule gets one of its vectors wrong."""
    for name in ("RULES", "PACKET_RULES", "START_RULES"):
        monkeypatch.setattr(wire_rules, name, tuple(other for other in getattr(wire_rules, name) if other is not rule))
    monkeypatch.setattr(wire, "PACKET_RULES", wire_rules.PACKET_RULES)
    missed = [
        vector["id"] for vector in NEGATIVE.values() if rule.requirement in vector["requirements"] and is_missed(vector)
    ]
    # A WELCOME of 4 or 5 bytes is too short by CC-FRAME-013 as well, with the same code.
    assert bool(missed) == (rule.requirement != "CC-FRAME-081")


def is_missed(vector: dict[str, Any]) -> bool:
    """Say whether the grammar, as it is now, fails to answer the vector's code."""
    try:
        wire.decode_packet(bytes.fromhex(vector["hex"]), vector["lane"])
    except wire.WireError as error:
        return bool(error.code != vector["code"])
    except (AttributeError, KeyError, UnicodeDecodeError, ConstructError):
        # It went on to read what is not there, or not text.
        return True
    return True


# --- The generator ----------------------------------------------------------------------------------


def test_generator_notices_a_wrong_expectation() -> None:
    right = book.Book("data", "two vectors")
    base = right.good("a", "a message", generator.data.Data())
    right.bad("b", base, "channel is 0", generator.data.Data(channel=0), 16)
    assert list(generator.faults([right])) == []

    wrong = book.Book("data", "three faults in the vectors themselves")
    base = wrong.good("a", "a message that is none", generator.data.Data(session=0))
    wrong.bad("b", base, "nothing", generator.data.Data(), 16)
    wrong.bad("b", "data/x", "channel and sequence are 0", generator.data.Data(channel=0, sequence=0), 16)
    found = "\n".join(generator.faults([wrong]))
    for expected in (
        "data/a: the grammar says FRAME_FORMAT",
        "data/b: the grammar takes it",
        "data/b: 2 vectors have this ID",
        "data/b: its base data/x is no positive vector",
        "breaks ['CC-FRAME-019'] as well",
    ):
        assert expected in found
