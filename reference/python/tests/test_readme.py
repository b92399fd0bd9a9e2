# SPDX-License-Identifier: Apache-2.0
"""What the README shows is run: its Python as it stands, its commands as far as they name something of the project."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_program_does_what_it_says() -> None:
    (program,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["ann says hello, Bob", "message 1; reached 'bob'"]
    assert "# message 1; reached 'bob'" in program


def test_every_make_target_is_there() -> None:
    named = {line.split()[1] for block in blocks("sh") for line in block.splitlines() if line.startswith("make ")}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named >= {"demo", "test"}
    assert named <= targets


def test_every_command_is_there() -> None:
    named = set(re.findall(r"\.venv/bin/callchannel (\w+)", README))
    assert named
    for command in named:
        done = subprocess.run(
            [sys.executable, "-m", "callchannel", command, "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
