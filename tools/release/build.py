# SPDX-License-Identifier: Apache-2.0
"""Builds everything of a release into `dist/`: the same project makes the same files.

    python -m tools.release.build                       # all of it; needs git, npm, and the registry of npm
    python -m tools.release.build --only python standard

Packages are built from a copy of the files that git knows or would add, so that nothing gets in by accident. What tries
them is `tools.release.trial`.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tools.faults import ROOT
from tools.release import archive, changelog, versions
from tools.spec import load_spec

SUMS: Final = "SHA256SUMS"


def copy_project(to: Path, root: Path = ROOT) -> None:
    """Copy what git knows, or would add. Raises `CalledProcessError` outside of a git work tree."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)


def python_packages(project: Path, target: Path) -> None:
    """A source distribution of each Python package, and a wheel that is built from it alone."""
    for folder in (project, project / "conformance"):
        _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(folder), folder=project)


def npm_package(project: Path, target: Path) -> None:
    """The npm package, with types from the compiler that its lock file pins."""
    folder = project / "reference" / "javascript"
    _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    _run("npm", "pack", "--pack-destination", str(target), folder=folder)


def standard(project: Path, target: Path) -> None:
    """The archive of the standard."""
    version = load_spec(project).version
    (target / f"{archive.name_of(version)}.zip").write_bytes(archive.standard(project, version))


PARTS: Final[dict[str, Callable[[Path, Path], None]]] = {
    "python": python_packages,
    "npm": npm_package,
    "standard": standard,
}
"""What a release has; each takes the project and the folder to write to."""


def sums(folder: Path) -> str:
    """Lines that `sha256sum --check` reads, one for each file in `folder`."""
    files = sorted(path for path in folder.iterdir() if path.name != SUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def build(target: Path, parts: Sequence[str] = tuple(PARTS)) -> list[Path]:
    """Build the parts into `target`, which is emptied before. Returns the files.

    Raises `ValueError` for a version or changelog that is not ready, `CalledProcessError` for a tool that fails.
    """
    if faults := [*versions.compare(), *changelog.check()]:
        raise ValueError("\n".join(map(str, faults)))
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="callchannel-") as name:
        project = Path(name)
        copy_project(project)
        for part in parts:
            PARTS[part](project, target.resolve())
    (target / SUMS).write_text(sums(target), "utf-8")
    return sorted(target.iterdir())


def _run(*command: str, folder: Path) -> None:
    """Run a tool; what it says is shown only if it fails."""
    done = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        done.check_returncode()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tools.release.build", description="Build everything of a release.")
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="folder to write to; it is emptied before")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="only these parts")
    options = parser.parse_args(argv)
    try:
        files = build(options.to, options.only)
    except (ValueError, subprocess.CalledProcessError, FileNotFoundError) as exc:
        print(f"tools.release.build: {exc}", file=sys.stderr)
        return 1
    for path in files:
        print(f"{path.stat().st_size:>10,}  {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
