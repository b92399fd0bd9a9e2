# SPDX-License-Identifier: Apache-2.0
"""Adapters in other languages, where this machine has what they need: each passes the checks of what it claims."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ADAPTERS = Path(__file__).resolve().parents[1] / "adapters"
CODECS = {"perl": "perl/adapter.pl"}
"""Program and file of each adapter that claims the codec profile."""


@pytest.mark.parametrize("language", CODECS)
def test_a_codec_in_another_language_is_conformant(language: str, tmp_path: Path) -> None:
    program = shutil.which(language)
    if program is None:
        pytest.skip(f"{language} is not on this machine; install it to test {CODECS[language]}")
    adapter = f"{program} {ADAPTERS / CODECS[language]}"
    command = (sys.executable, "-m", "callchannel_conformance", "run", "--adapter", adapter, "--area", "codec")
    done = subprocess.run(
        [*command, "--scripted", "-q", "--json", "results.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert [check["check"] for check in results["checks"] if check["result"] != "PASS"] == [], done.stdout
    assert len(results["checks"]) > 1_300
    assert results["implementation"]["profiles"] == ["codec"]


@pytest.mark.parametrize("language", CODECS)
def test_an_adapter_is_short_and_its_length_is_told(language: str) -> None:
    """What joins an implementation to the suite takes a stranger less than 150 lines; the codec is none of them."""
    lines = len((ADAPTERS / CODECS[language]).read_text("utf-8").splitlines())
    assert lines < 150
    assert f"({CODECS[language]}) is {lines} lines" in (ADAPTERS / "README.md").read_text("utf-8")


def test_every_adapter_is_listed() -> None:
    listing = (ADAPTERS / "README.md").read_text("utf-8")
    for path in ADAPTERS.rglob("*"):
        if path.is_file() and path.name != "README.md":
            assert path.relative_to(ADAPTERS).as_posix() in listing, path
