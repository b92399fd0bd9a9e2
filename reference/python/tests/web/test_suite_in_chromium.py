# SPDX-License-Identifier: Apache-2.0
"""Part of the conformance suite, as much as CI has time for; `make conformance-browser` runs and records all of it."""

import json
from pathlib import Path

from tests.web.suite_in_chromium import run_suite

AREAS = ("codec", "sender", "receiver", "peer", "extensions")
RECORDED = Path(__file__).parents[4] / "conformance" / "results"


async def test_the_codec_and_the_endpoint_conform_inside_chromium(chromium: str, tmp_path: Path) -> None:
    areas = [part for area in AREAS for part in ("--area", area)]
    _, output, answered = await run_suite(chromium, "--scripted", *areas, "--json", str(tmp_path / "results.json"))
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert set(results["counts"]) <= {"PASS", "SKIP"}, output
    assert results["counts"]["PASS"] > 1_000
    assert results["implementation"]["profiles"] == ["codec", "endpoint-group", "endpoint-peer"]
    assert answered > 1_000


def test_what_is_recorded_is_conformant() -> None:
    for name in ("javascript", "javascript-chromium"):
        results = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
        assert (results["verdict"], results["selection"], results["not_run"]) == ("conformant", False, []), name
