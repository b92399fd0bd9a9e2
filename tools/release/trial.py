# SPDX-License-Identifier: Apache-2.0
"""Tries the files of a release as somebody who has nothing else: new environments, outside of the project.

    python -m tools.release.trial  # what tools.release.build has written to dist/; needs the package registries

Each trial gives what it has seen; it raises `TrialFailed` if something is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tools.faults import ROOT
from tools.release import build

_CONSTRAINTS: Final = ROOT / "requirements" / "constraints.txt"
_USE_CORE: Final = """
import os, sys
from callchannel import Endpoint, Relay
relay = Relay(entropy=os.urandom)
foreign = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"__main__", "callchannel"}
print("core alone:", sorted(name for name in foreign if not name.startswith("_")))
"""
_USE_AIO: Final = """
import asyncio
from callchannel.aio import Call, memory_relay

async def main() -> None:
    relay = memory_relay()
    async with await Call.join(relay.connect("ann")) as ann, await Call.join(relay.connect("bob")) as bob:
        async with ann.create_sender(to=["bob"], confirm="delivered") as sender:
            sending = asyncio.ensure_future(sender.send_text("hello, Bob"))
            async for receiver in bob.receivers():
                message = await receiver.receive()
                print(receiver.sender_identifier, "says", message.text())
                break
            print(await sending)

asyncio.run(main())
"""
_USE_NPM: Final = """
import { Call } from "callchannel";
import { Endpoint } from "callchannel/core";
import { decodePacket } from "callchannel/frames";
import { memoryPair } from "callchannel/memory";
const bytes = Uint8Array.from([1, 1, 0, 18, 0, 7, 0, 2, 0, 0, 0, 5, 0, 0, 0, 1, 0x68, 0x69]);
const { frames } = decodePacket(bytes, "reliable");
console.log(typeof Call, typeof Endpoint, typeof memoryPair, frames.length);
"""


_LINK: Final = re.compile(r"\]\(\s*(?!https?:|#)([^)#\s]+)")
_INCOMPLETE: Final = 2
"""Exit code of the suite when it has not run everything, as in a run of one area."""

Trial = Callable[[Path, Path], str]
"""Takes a release's folder and one to write to; returns what it has seen."""


class TrialFailed(Exception):
    """Something of a release is not as it should be; its text says what."""


class Environment:
    """A new Python environment in `folder`, with what it is given to install and nothing of the project."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=os.name != "nt")
        self._scripts = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = str(self._scripts / "python")
        self._folder = folder

    def install(self, *what: str, offline: bool = False) -> None:
        """Let the pip of this process install packages there. Offline, nothing but the files that are named."""
        options = ("--no-index", "--no-deps", "--no-build-isolation") if offline else ("-c", str(_CONSTRAINTS))
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install", "-q", "--disable-pip-version-check")
        _run(*pip, *options, *what, folder=self._folder)

    def run(self, program: str, *arguments: str, allowed: Sequence[int] = (0,)) -> str:
        """What a program of this environment prints, if it ends with one of the `allowed` exit codes."""
        return _run(str(self._scripts / program), *arguments, folder=self._folder, allowed=allowed)


def one(folder: Path, pattern: str) -> Path:
    """The file of a release that fits. Raises `TrialFailed`."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise TrialFailed(f"{folder} has {len(found)} files {pattern}, not one; run python -m tools.release.build")
    return found[0]


def core(release: Path, scratch: Path) -> str:
    """The wheel without any extra, on a bare interpreter: the core, asyncio in memory, the command line."""
    environment = Environment(scratch / "core")
    environment.install(str(one(release, "callchannel-*.whl")), offline=True)
    _expect("core alone: []", environment.run("python", "-W", "error", "-c", _USE_CORE))
    _expect("ann says hello, Bob", environment.run("python", "-W", "error", "-c", _USE_AIO))
    _expect("callchannel COMMAND", environment.run("callchannel", "--help"))
    _expect("DATA", environment.run("callchannel", "decode", "010100120007000200000005000000016869"))
    return environment.run("callchannel", "--version").strip()


def suite(release: Path, scratch: Path) -> str:
    """The suite's wheel with its dependencies: it runs against the installed reference."""
    environment = Environment(scratch / "suite")
    wheels = (one(release, "callchannel-*.whl"), one(release, "callchannel_conformance-*.whl"))
    environment.install(*map(str, wheels))
    _expect("packets", environment.run("callchannel-conformance", "vectors"))
    results = scratch / "results.json"
    adapter = f"{environment.python} -m callchannel.adapter"
    run = ("run", "--adapter", adapter, "--area", "codec", "--budget", "60s", "--json", str(results))
    environment.run("callchannel-conformance", *run, allowed=(0, _INCOMPLETE))
    checks = json.loads(results.read_text("utf-8"))["checks"]
    wrong = [check["check"] for check in checks if check["result"] not in ("PASS", "SKIP")]
    passed = sum(check["result"] == "PASS" for check in checks)
    if wrong or passed < 1_000:
        raise TrialFailed(f"the suite passed {passed} checks of the codec and did not pass {wrong}")
    return f"{environment.run('callchannel-conformance', '--version').strip()}: {passed} checks of the codec pass"


def sources(release: Path, scratch: Path) -> str:
    """Each source distribution builds a wheel with the same content as the one that is released."""
    for name in ("callchannel", "callchannel_conformance"):
        out = scratch / f"from-{name}"
        sdist = one(release, f"{name}-*.tar.gz")
        pip = (sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-index", "--no-deps")
        _run(*pip, "--no-build-isolation", "-w", str(out), str(sdist), folder=scratch)
        if one(out, "*.whl").read_bytes() != one(release, f"{name}-*.whl").read_bytes():
            raise TrialFailed(f"{sdist.name} builds another wheel than {name}'s in {release}")
    return "both source distributions build the same wheels again"


def standard(release: Path, scratch: Path) -> str:
    """The archive of the standard: what it says of itself is in it, and every link leads to a file of it."""
    with zipfile.ZipFile(one(release, "callchannel-standard-*.zip")) as packed:
        packed.extractall(scratch / "standard")
    (top,) = (scratch / "standard").iterdir()
    vectors = [path for path in top.glob("spec/vectors/*.json") if path.name != "schema.json"]
    amount = sum(len(json.loads(path.read_text("utf-8"))["vectors"]) for path in vectors)
    chapters = len(list(top.glob("spec/[0-9][0-9]-*.md")))
    registries = len(list(top.glob("spec/registry/*.toml")))
    schemas = len(list(top.rglob("*schema.json")))
    requirements = len(json.loads((top / "spec" / "requirements.json").read_text("utf-8")))
    if not (chapters and registries and amount and schemas and requirements):
        raise TrialFailed(f"{top.name} is not whole")
    for page in top.rglob("*.md"):
        for target in _LINK.findall(page.read_text("utf-8")):
            if not (page.parent / target).exists():
                raise TrialFailed(f"{page.relative_to(top)} leads to {target}, which is not in the archive")
    return (
        f"{top.name}: {chapters} chapters, {registries} registries, {requirements} requirements, "
        f"{amount} vectors, {schemas} schemas"
    )


def npm(release: Path, scratch: Path) -> str:
    """The npm package in an empty folder: every way in can be imported, and has types."""
    folder = scratch / "npm"
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n', "utf-8")
    archive = one(release, "callchannel-*.tgz")
    _run("npm", "install", "--offline", "--no-audit", "--no-fund", str(archive), folder=folder)
    _expect("function function function 1", _run("node", "--input-type=module", "-e", _USE_NPM, folder=folder))
    package = folder / "node_modules" / "callchannel"
    about = json.loads((package / "package.json").read_text("utf-8"))
    for way in about["exports"].values():
        for file in way.values():
            if not (package / file).is_file():
                raise TrialFailed(f"{archive.name} has no {file}, which its package.json names")
    return f"{about['name']} {about['version']} for npm: {len(about['exports'])} ways in, each with types"


OFFLINE: Final[tuple[Trial, ...]] = (core, sources, standard)
"""The trials that need no network."""
ALL: Final = (*OFFLINE, suite, npm)


def check_sums(release: Path) -> str:
    """The sums are those of the files. Raises `TrialFailed`."""
    if (release / build.SUMS).read_text("utf-8") != build.sums(release):
        raise TrialFailed(f"{release / build.SUMS} does not fit the files beside it; build them again")
    return f"{build.SUMS} fits"


def _expect(part: str, output: str) -> None:
    if part not in output:
        raise TrialFailed(f"expected {part!r} in what was printed, which is:\n{output}")


def _run(*command: str, folder: Path, allowed: Sequence[int] = (0,)) -> str:
    """What a command prints, in an environment that does not know the project. Raises `TrialFailed`."""
    known = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    environment = {name: value for name, value in os.environ.items() if name not in known}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    if done.returncode not in allowed:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        raise TrialFailed(f"exit code {done.returncode} of: {' '.join(command)}")
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tools.release.trial", description="Try the files of a release.")
    parser.add_argument("release", nargs="?", type=Path, default=ROOT / "dist", help="their folder")
    release = parser.parse_args(argv).release.resolve()
    with tempfile.TemporaryDirectory(prefix="callchannel-trial-") as name:
        try:
            print("ok ", check_sums(release))
            for trial in ALL:
                print("ok ", trial(release, Path(name)), flush=True)
        except (TrialFailed, FileNotFoundError) as exc:
            print("BAD", exc, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
