# SPDX-License-Identifier: Apache-2.0
"""Every code block of the documentation is run, parsed by what reads it, or on a short list with its reason."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from callchannel.aio import outbox
from callchannel.cli.main import COMMANDS, load
from callchannel.core import errors
from callchannel.server import load_config
from callchannel.signalling import problems
from callchannel_conformance import cli as conformance
from tools.faults import ROOT
from tools.tests.blocks import DocBlock, all_blocks, what_it_prints

BLOCKS = all_blocks()
RELAY = "http://127.0.0.1:8080"
"""The relay that the pages speak of; the tests run one on a free port."""

NOT_RUN = {
    ("tutorial.md", "chat.html"): "a page; its script is the block behind it",
    ("tutorial.md", "chat.js"): "needs a browser's RTCPeerConnection; its syntax and imports are checked",
}
SECRETS = dict.fromkeys(
    ("RELAY_KEY", "RELAY_KEY_BEFORE", "TURN_SECRET"), "a key of at least thirty-two bytes, for tests"
)
ELSEWHERE = ("curl", "openssl", "source", "python3 -m venv", "python -m http.server", "mkdir", "cd")
"""Programs of others that the pages call."""


def of(*languages: str) -> list[DocBlock]:
    return [block for block in BLOCKS if block.language in languages and (block.page, block.title) not in NOT_RUN]


def environment() -> dict[str, str]:
    paths = (ROOT / "reference" / "python", ROOT / "conformance")
    # `python` in the pages' commands is the one of this environment.
    places = (str(Path(sys.executable).parent), os.environ["PATH"])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PATH": os.pathsep.join(places)}


def run(*command: str, folder: Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, input=given, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


def steady(text: str) -> str:
    """Output without the hash of a replay's content."""
    return re.sub(r"-[0-9a-f]{10}\.json", "-….json", text)


@pytest.fixture(scope="module")
def relay() -> Iterator[str]:
    """A relay in open mode; its URL."""
    command = [sys.executable, "-m", "callchannel", "relay", "--open", "--port", "0", "--json"]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if url := json.loads(line).get("url"):
                yield url
                break
        else:
            raise AssertionError("the relay did not start")
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    for block in BLOCKS:
        if block.language == "text":
            assert block.title in ("It prints", "It ends with"), block.place
        else:
            assert block.language in ("python", "js", "sh", "toml") or (block.page, block.title) in NOT_RUN, block.place
    assert {(block.page, block.title) for block in BLOCKS} >= set(NOT_RUN)


@pytest.mark.parametrize("block", of("python"), ids=lambda block: block.place)
def test_python(block: DocBlock, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if block.title in ("adapter.py", "chat.py"):
        compile(block.text, block.place, "exec")  # it talks to somebody: see the tests of commands, and of the chat
        return
    text = block.text
    if RELAY in text:
        text = text.replace(RELAY, request.getfixturevalue("relay"))
    (tmp_path / "program.py").write_text(text, "utf-8")
    done = run(sys.executable, "-W", "error", "program.py", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    if expected := what_it_prints(block, BLOCKS):
        assert done.stdout == expected.text


class Person:
    """Somebody at a terminal with the tutorial's chat."""

    def __init__(self, program: str, name: str, folder: Path) -> None:
        (folder / "chat.py").write_text(program, "utf-8")
        self.process = subprocess.Popen(
            (sys.executable, "-W", "error", "chat.py", name),
            cwd=folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._patience = threading.Timer(60, self.process.kill)
        self._patience.start()

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self._patience.cancel()
        self.process.kill()
        self.process.__exit__(None, None, None)  # closes its pipes and waits

    def types(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")

    def sees(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def leaves(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(timeout=20)


def test_the_chat_of_the_tutorial(relay: str, tmp_path: Path) -> None:
    (block,) = [block for block in of("python") if block.title == "chat.py"]
    program = block.text.replace(RELAY, relay)
    with Person(program, "gil", tmp_path) as gil:
        assert gil.sees() == "(in the call: gil)"
        gil.types("anybody?")
        assert gil.sees() == "(nobody else is here)"
        with Person(program, "hal", tmp_path) as hal:
            assert hal.sees() in ("(in the call: gil, hal)", "(in the call: hal, gil)")
            assert gil.sees() == "(hal is here)"
            gil.types("hello, Hal")
            assert hal.sees() == "gil: hello, Hal"
            hal.types("hello, Gil")
            assert gil.sees() == "hal: hello, Gil"
            assert hal.leaves() == 0
        assert gil.sees() == "(hal has left)"
        assert gil.leaves() == 0


@pytest.mark.parametrize("block", of("js"), ids=lambda block: block.place)
def test_javascript(block: DocBlock, node: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "callchannel").symlink_to(ROOT / "reference" / "javascript")
    (tmp_path / "program.mjs").write_text(block.text, "utf-8")
    done = run(node, "program.mjs", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    if expected := what_it_prints(block, BLOCKS):
        assert done.stdout == expected.text


def test_the_page_of_the_tutorial_is_a_module_with_imports_that_exist(node: str, tmp_path: Path) -> None:
    (block,) = [block for block in BLOCKS if (block.page, block.title) == ("tutorial.md", "chat.js")]
    (tmp_path / "chat.mjs").write_text(block.text, "utf-8")
    assert run(node, "--check", "chat.mjs", folder=tmp_path).stderr == ""
    imported = re.findall(r'import \{ ([^}]+) \} from "\./callchannel/(\w+\.js)"', block.text)
    assert imported
    for names, file in imported:
        source = (ROOT / "reference" / "javascript" / "callchannel" / file).read_text("utf-8")
        for name in names.split(", "):
            assert re.search(rf"\b{name}\b", source), name


@pytest.mark.parametrize("block", of("toml"), ids=lambda block: block.place)
def test_configuration(block: DocBlock, tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(block.text, "utf-8")
    config = load_config(file, env=SECRETS)
    for section, content in tomllib.loads(block.text).items():
        for name, value in content.items():
            if not isinstance(value, list) or not value or not isinstance(value[0], dict):
                found = config[f"{section}.{name}"]
                assert (list(found) if isinstance(found, tuple) else found) == value


# --- commands -------------------------------------------------------------------------------------------------------


def commands(block: DocBlock) -> Iterator[list[str]]:
    """The commands of a block, each as its words, without what is behind a pipe's or redirection's mark."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        for word in shlex.split(line, comments=True):
            if word in ("|", "&&"):
                yield words
                words = []
            else:
                words.append(word)
        if ">" in words:
            words = words[: words.index(">")]
        if words:
            yield words


def parse(parser: argparse.ArgumentParser, words: list[str]) -> None:
    try:
        parser.parse_intermixed_args(words)
    except SystemExit as exc:
        raise AssertionError(f"{parser.prog} does not take {words}") from exc


def check_command(words: list[str]) -> None:
    program, *rest = words
    if program == "callchannel":
        assert rest[0] in COMMANDS
        parse(load(rest[0]).build_parser(), rest[1:])
    elif program == "callchannel-conformance":
        try:
            conformance._parser().parse_args(rest)
        except SystemExit as exc:
            raise AssertionError(f"the suite does not take {rest}") from exc
    elif "pip" in words:
        target = words[-1]
        folder, _, extra = target.partition("[")
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))["project"]
        assert not extra or extra.rstrip("]") in project["optional-dependencies"]
    elif program == "python" and rest[0].endswith(".py"):
        assert any(block.title == rest[0] for block in BLOCKS), words
    elif program == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), words
    elif program.startswith("PYTHONPATH="):
        folder, (_, dash, module, *_) = program.partition("=")[2], rest
        assert dash == "-m" and (ROOT / folder / f"{module.replace('.', '/')}.py").is_file(), words
    elif program == "cp":
        assert (ROOT / rest[1]).is_dir(), words
    else:
        assert " ".join(words).startswith(ELSEWHERE), words


@pytest.mark.parametrize("block", of("sh"), ids=lambda block: block.place)
def test_commands(block: DocBlock, tmp_path: Path) -> None:
    found = list(commands(block))
    assert found
    for words in found:
        check_command(words)
    expected = what_it_prints(block, BLOCKS)
    if expected is None:
        return
    for other in BLOCKS:  # files that the page has shown before
        if other.page == block.page and other.line < block.line and other.title.endswith(".py"):
            (tmp_path / other.title).write_text(other.text, "utf-8")
    (words,) = found
    module = {"callchannel": "callchannel", "callchannel-conformance": "callchannel_conformance"}[words[0]]
    done = run(sys.executable, "-m", module, *words[1:], folder=tmp_path)
    assert done.stderr == ""
    if expected.title == "It prints":
        assert done.stdout == expected.text
    else:
        assert steady(done.stdout).endswith(steady(expected.text))


def test_the_capture_of_the_page_on_decode_can_be_decoded(tmp_path: Path) -> None:
    (block,) = [block for block in of("python") if block.title == "capture.py"]
    captured = run(sys.executable, "-c", block.text, folder=tmp_path).stdout
    done = run(sys.executable, "-m", "callchannel", "decode", "--file", "-", folder=tmp_path, given=captured)
    assert done.returncode == 0
    assert [kind for kind in ("HELLO", "DATA", "CLOSE", "BYE") if f": {kind}," in done.stdout] == [
        "HELLO",
        "DATA",
        "CLOSE",
        "BYE",
    ]


# --- what pages say of the code -------------------------------------------------------------------------------------


def test_every_exception_is_handled() -> None:
    page = (ROOT / "docs" / "how-to" / "exceptions.md").read_text("utf-8")
    named = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) | {"FrameError", "CallChannelError"}
    public = {
        name
        for module in (errors, outbox, problems)
        for name, item in vars(module).items()
        if isinstance(item, type) and issubclass(item, errors.CallChannelError)
    }
    assert named == public


def test_the_example_report_is_what_the_suite_says(tmp_path: Path) -> None:
    ((_, *words),) = [
        words for block in of("sh") for words in commands(block) if "python example.py" in words and "--html" in words
    ]
    shutil.copy(ROOT / "docs" / "conformance" / "example.py", tmp_path)
    run(sys.executable, "-m", "callchannel_conformance", *words, "--json", "results.json", folder=tmp_path)
    now = json.loads((tmp_path / "results.json").read_text("utf-8"))
    shown = json.loads((ROOT / "docs" / "conformance" / "example-results.json").read_text("utf-8"))
    assert now["verdict"] == shown["verdict"] == "nonconformant"
    assert failures(now) == failures(shown)


def failures(results: dict[str, object]) -> list[tuple[str, str]]:
    checks = results["checks"]
    assert isinstance(checks, list)
    return sorted((check["check"], check["broken"]) for check in checks if check["result"] == "FAIL")
