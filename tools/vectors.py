# SPDX-License-Identifier: Apache-2.0
"""Write the test vectors of the standard, or check that they are written: `python -m tools.vectors [--check]`.

The vectors are stated in `tools.vector_sources`. Each is decoded by the wire grammar of the conformance suite, which
was written apart from them; where the two differ, nothing is written and the program ends with status 1.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

CONFORMANCE = Path(__file__).resolve().parent.parent / "conformance"
VECTORS = Path(__file__).resolve().parent.parent / "spec" / "vectors"
if str(CONFORMANCE) not in sys.path:
    # Run as a program, outside of pytest, the suite is not on the path.
    sys.path.insert(0, str(CONFORMANCE))

from callchannel_conformance import wire, wire_rules  # noqa: E402
from tools.vector_sources import (  # noqa: E402
    control,
    data,
    extensions,
    fragments,
    handshake,
    link,
    order,
    packets,
    recipients,
    roster,
)
from tools.vector_sources.book import Bad, Book, Good  # noqa: E402

_SHORT_LIST = re.compile(r'\[\s+(?:\d+|"[A-Z0-9-]+")(?:,\s+(?:\d+|"[A-Z0-9-]+"))*\s+\]')

SOURCES = (packets, data, fragments, recipients, extensions, control, roster, handshake, link, order)


def books() -> list[Book]:
    """Return the vectors as they are stated, one book for each file."""
    return [source.book() for source in SOURCES]


def faults(all_books: Sequence[Book]) -> Iterator[str]:
    """Yield what is wrong with the vectors, a line each: among themselves, or against the wire grammar."""
    vectors = [vector for book in all_books for vector in book.vectors]
    for identifier, count in Counter(vector.id for vector in vectors).items():
        if count > 1:
            yield f"{identifier}: {count} vectors have this ID"
    by_packet: dict[tuple[str, bytes], list[str]] = {}
    for vector in vectors:
        by_packet.setdefault((vector.lane, vector.packet), []).append(vector.id)
    for same in by_packet.values():
        if len(same) > 1:
            yield f"{', '.join(same)}: the same packet on the same lane"
    positive = {vector.id for vector in vectors if isinstance(vector, Good)}
    for vector in vectors:
        if isinstance(vector, Good):
            yield from _faults_of_good(vector)
        else:
            if vector.base not in positive:
                yield f"{vector.id}: its base {vector.base} is no positive vector"
            yield from _faults_of_bad(vector)


def _faults_of_good(vector: Good) -> Iterator[str]:
    try:
        frames = wire.decode_packet(vector.packet, vector.lane)
    except wire.WireError as error:
        yield f"{vector.id}: the grammar says {error}"
        return
    if frames != vector.frames:
        yield f"{vector.id}: the grammar gives other frames: {frames} for {vector.frames}"
    if sum(wire.countable(frame, vector.lane) for frame in frames) != vector.counted:
        yield f"{vector.id}: the grammar counts otherwise"
    if wire.encode_packet(frames, vector.lane) != vector.packet:
        yield f"{vector.id}: encoding gives other bytes"


def _faults_of_bad(vector: Bad) -> Iterator[str]:
    try:
        frames = wire.decode_packet(vector.packet, vector.lane)
    except wire.WireError as error:
        found = (error.code, error.frames)
        if found != (vector.code, vector.frames_before):
            yield f"{vector.id}: the grammar says {error} after {len(error.frames)} frames, not {vector.code}"
    else:
        yield f"{vector.id}: the grammar takes it: {frames}"
        return
    rules = [rule for _, rule in wire_rules.broken(vector.packet, vector.lane)]
    if rules[0].step != vector.step:
        yield f"{vector.id}: fails in step {rules[0].step}, not {vector.step}"
    broken = {rule.requirement for rule in rules}
    first = {name for name in vector.requirements if name in {rule.requirement for rule in wire_rules.RULES}}
    second = set(vector.second.requirements) if vector.second is not None else set()
    if broken - first - second:
        yield f"{vector.id}: breaks {sorted(broken - first - second)} as well"
    # Behind a fault in the length nothing can be read, so a second fault is not seen there.
    missing = first - broken if vector.step == "3" else (first | second) - broken
    if missing:
        yield f"{vector.id}: does not break {sorted(missing)}"
    if {rule.code for rule in rules if rule.requirement in first} != {vector.code}:
        yield f"{vector.id}: the rules of its fault yield several codes"


def rendered(book: Book) -> str:
    """Return a book as the text of its file."""
    content = {
        "$schema": "./schema.json",
        "SPDX-License-Identifier": "CC0-1.0",
        "title": book.title,
        "document_version": "0.1",
        "wire_version": 1,
        "vectors": [vector.to_json() for vector in book.vectors],
    }
    text = json.dumps(content, indent=1, ensure_ascii=True)
    # A recipient block can hold 65,535 slots: numbers and flags stand on one line.
    return _SHORT_LIST.sub(lambda match: " ".join(match[0].split()).replace("[ ", "[").replace(" ]", "]"), text) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program. Returns its exit status: 0, or 1 if a vector or a file is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.vectors", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    options = parser.parse_args(arguments)
    all_books = books()
    wrong = list(faults(all_books))
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        return 1
    expected = {VECTORS / f"{book.name}.json": rendered(book) for book in all_books}
    stray = {path for path in VECTORS.glob("*.json") if path.name != "schema.json"} - set(expected)
    if options.check:
        old = [path for path, text in expected.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        for path in sorted([*old, *stray]):
            print(f"{path.name}: out of date, run python -m tools.vectors", file=sys.stderr)
        return 1 if old or stray else 0
    for path, text in expected.items():
        path.write_text(text, encoding="utf-8")
    for path in stray:
        path.unlink()
    for book in all_books:
        good = sum(isinstance(vector, Good) for vector in book.vectors)
        print(f"{book.name}.json: {good} positive, {len(book.vectors) - good} negative")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
