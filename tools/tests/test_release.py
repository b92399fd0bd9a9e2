# SPDX-License-Identifier: Apache-2.0
"""A release: one version, a typed changelog, and packages that work where nothing else of the project is.

What needs a package registry, the suite's dependencies and the npm package, is tried by `make dist`.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

from tools.faults import ROOT
from tools.release import archive, build, changelog, trial, versions
from tools.spec import load_spec

PLACES = (
    "reference/python/callchannel/__init__.py",
    "conformance/callchannel_conformance/__init__.py",
    "reference/javascript/package.json",
    "reference/javascript/package-lock.json",
    "reference/javascript/callchannel/version.js",
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python packages and the archive of the standard, as a release has them."""
    folder = tmp_path_factory.mktemp("release") / "dist"
    build.build(folder, ["python", "standard"])
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the files that name the version."""
    for name in PLACES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


# --- what a release is made of --------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", trial.OFFLINE, ids=lambda attempt: attempt.__name__)
def test_what_is_released_works_alone(attempt: trial.Trial, release: Path, tmp_path: Path) -> None:
    assert attempt(release, tmp_path)


def test_the_sums_are_those_of_the_files_and_a_changed_file_is_seen(release: Path, tmp_path: Path) -> None:
    assert trial.check_sums(release)
    for line in (release / build.SUMS).read_text("utf-8").splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == digest
    shutil.copytree(release, tmp_path / "changed")
    trial.one(tmp_path / "changed", "callchannel-standard-*.zip").write_bytes(b"")
    with pytest.raises(trial.TrialFailed, match="does not fit"):
        trial.check_sums(tmp_path / "changed")


def test_a_wheel_holds_its_package_and_nothing_else(release: Path) -> None:
    for name in ("callchannel", "callchannel_conformance"):
        with zipfile.ZipFile(trial.one(release, f"{name}-*.whl")) as wheel:
            names = wheel.namelist()
        assert {top.split("/")[0].partition("-")[0] for top in names} == {name}
        assert any(entry.endswith("/licenses/LICENSE") for entry in names)
        assert not [entry for entry in names if "/tests/" in entry or "__pycache__" in entry]


def test_the_archive_is_the_same_for_the_same_files_whatever_their_times(tmp_path: Path) -> None:
    for name in ("spec", "conformance/schemas"):
        shutil.copytree(ROOT / name, tmp_path / name, copy_function=shutil.copyfile)
    shutil.copyfile(ROOT / "conformance" / "adapter-protocol.md", tmp_path / "conformance" / "adapter-protocol.md")
    version = load_spec().version
    assert archive.standard(tmp_path, version) == archive.standard(ROOT, version)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(trial.TrialFailed, match=r"0 files callchannel-\*\.whl"):
        trial.core(tmp_path, tmp_path)


def test_every_license_is_that_of_the_project() -> None:
    for folder in ("conformance", "reference/javascript"):
        assert (ROOT / folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


# --- the version ----------------------------------------------------------------------------------------------------


def test_the_version_is_the_same_everywhere() -> None:
    assert versions.compare() == []


def test_another_version_is_seen_at_each_place_and_written(copy: Path) -> None:
    source = copy / PLACES[0]
    source.write_text(source.read_text("utf-8").replace(versions.current(copy), "7.8.9rc1"), "utf-8")
    faults = versions.compare(copy)
    assert {fault.path for fault in faults} == set(PLACES[1:])
    assert len(faults) == 5  # the lock file names it twice
    versions.compare(copy, update=True)
    assert versions.compare(copy) == []
    assert '"7.8.9-rc.1"' in (copy / "reference/javascript/callchannel/version.js").read_text("utf-8")
    assert '"7.8.9rc1"' in (copy / PLACES[1]).read_text("utf-8")


def test_a_file_without_a_version_is_named(copy: Path) -> None:
    (copy / PLACES[4]).write_text("", "utf-8")
    with pytest.raises(ValueError, match=r"version\.js"):
        versions.compare(copy)


@pytest.mark.parametrize(
    ("python", "npm"), [("0.1.0.dev0", "0.1.0-dev.0"), ("1.0.0rc2", "1.0.0-rc.2"), ("1.2.3", "1.2.3")]
)
def test_a_version_as_npm_writes_it(python: str, npm: str) -> None:
    assert versions.semantic(python) == npm


# --- the changelog --------------------------------------------------------------------------------------------------


def test_the_changelog_is_in_order() -> None:
    assert changelog.check() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("## Unreleased\n\n### Added\n\n- x\n\n## 0.1.0 (2026-01-31)\n\n### Fixed\n\n- y\n", []),
        ("## Unreleased\n\n- x\n", ["3: an entry is of no kind"]),
        ("## Unreleased\n\n### Novel\n\n- x\n", ["3: 'Novel' is no kind"]),
        ("## Unreleased\n\n### Fixed\n\n- x\n\n### Added\n\n- y\n", ["7: 'Added' stands twice or too late"]),
        ("## Unreleased\n\n### Added\n\n### Fixed\n\n- y\n", ["3: '### Added' has nothing"]),
        ("## Unreleased\n\n### Added\n\n- x\n\n### Fixed\n", ["7: '### Fixed' has nothing"]),
        ("## 0.1\n\n### Added\n\n- x\n", ["1: '0.1' is no version"]),
        (
            "## 0.1.0 (2026-01-31)\n\n### Added\n\n- x\n\n## Unreleased\n\n### Added\n\n- y\n",
            ["7: 'Unreleased' is not"],
        ),
    ],
)
def test_faults_of_a_changelog(text: str, found: list[str]) -> None:
    faults = [str(fault).removeprefix("CHANGELOG.md:") for fault in changelog.faults(text, "0.1.0.dev0")]
    assert len(faults) == len(found), faults
    for fault, start in zip(faults, found, strict=True):
        assert fault.startswith(start)


def test_a_release_needs_its_entry() -> None:
    text = "## Unreleased\n\n### Added\n\n- x\n"
    (fault,) = changelog.faults(text, "0.1.0")
    assert "version 0.1.0 has no entry" in fault.what
    assert list(changelog.faults(text.replace("Unreleased", "0.1.0 (2026-01-31)"), "0.1.0")) == []
