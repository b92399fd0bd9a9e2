# SPDX-License-Identifier: Apache-2.0
"""Runs the core's own tests against changed code: what plans of well-behaved machines do not show, tests may.

As in `patching`, the change is made while the module is imported, in a process of its own; no file is written.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from simulator.calls import name_of
from simulator.patching import install

TESTS = Path(__file__).parent.parent / "tests"
CORE_TESTS = TESTS / "core"
ROOT = TESTS.parent.parent.parent
_SECONDS = 300
"""Of the processor, for all tests of one change."""
_MEMORY = 3 << 30


def path_of(test: str) -> str:
    """The name by which pytest knows a test; `test`: its path below `TESTS`, and its name."""
    return f"{(TESTS / test).relative_to(ROOT)}"


def short(test: str) -> str:
    """The other way round."""
    return test.removeprefix(f"{TESTS.relative_to(ROOT)}/")


def exists(test: str) -> bool:
    """Whether there is a test of that name; of one with parameters these are not looked at."""
    file, _, name = test.partition("::")
    name = name.partition("[")[0]
    path = TESTS / file
    return path.is_file() and f"def {name}(" in path.read_text()


def index(path: Path) -> dict[str, list[str]]:
    """By function of the core, such as "flow SendCredit.allows": the tests that call it, the quickest first.

    Kept in a file, which is read if it is there. Tests are named as pytest names them.
    """
    if path.exists():
        found: dict[str, list[str]] = json.loads(path.read_text())
        return found
    result = _run({"texts": {}, "files": [str(CORE_TESTS)], "calls": True})
    if result["failed"] is not None:
        raise RuntimeError(f"the tests fail without any change: {result['failed']}")
    path.write_text(json.dumps(result["calls"]))
    calls: dict[str, list[str]] = result["calls"]
    return calls


def first_failure(texts: dict[str, str], tests: Sequence[str], *, seconds: float = 20) -> str | None:
    """Run tests against changed code in a new process. Returns which failed first; None: none did.

    `tests`: their names, in the order in which they are to be run. What does not end within so many `seconds` of the
    processor, or cannot be imported, has failed as well. Raises `ValueError` for tests that there are not.
    """
    if not tests:
        return None
    files = list(dict.fromkeys(str(ROOT / test.partition("::")[0]) for test in tests))
    lack = [file for file in files if not Path(file).is_file()]
    if lack:
        raise ValueError(f"there is no such test: {lack}")
    result = _run({"texts": texts, "files": files, "tests": list(tests), "seconds": seconds})
    failed: str | None = result["failed"]
    if failed is None and result["missing"]:
        raise ValueError(f"there is no such test: {result['missing']}")
    return failed


def first_failures(
    jobs: Sequence[tuple[str, dict[str, str], Sequence[str]]], *, workers: int | None = None
) -> Iterator[tuple[str, str | None]]:
    """`first_failure` for many changes; yields (name, what failed) as they are done."""
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        names = {pool.submit(first_failure, texts, tests): name for name, texts, tests in jobs}
        for future in as_completed(names):
            yield names[future], future.result()


def _run(job: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "simulator.unit_tests"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        check=False,
    )
    if done.returncode < 0:
        return {"failed": f"hang: ended by signal {-done.returncode}"}
    if done.returncode:
        return {"failed": f"import: {(done.stderr.strip().splitlines() or ['?'])[-1]}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


class _Hang(BaseException):
    """A test does not end."""


def _alarm(number: int, frame: Any) -> None:
    raise _Hang


class _Watch:
    """Chooses tests and their order, notes what fails first, and what is called if that is asked for."""

    def __init__(self, tests: list[str] | None, seconds: float, calls: bool) -> None:
        self._seconds = seconds
        self.failed: str | None = None
        self.missing: list[str] = []
        self.calls: dict[str, dict[str, float]] = {}
        self._place = None if tests is None else {test: at for at, test in enumerate(tests)}
        self._calls = calls
        self._seen: set[CodeType] = set()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        place = self._place
        if place is None:
            return
        items[:] = sorted((item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid])
        there = {item.nodeid for item in items}
        self.missing = [test for test in place if test not in there]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if not self._calls:
            signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
            return
        self._seen = set()

        def watch(frame: FrameType, event: str, argument: Any, add: Any = self._seen.add) -> None:
            if event == "call":
                add(frame.f_code)

        sys.setprofile(watch)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._note(report)
        if self._calls and report.when == "call":
            for name in filter(None, map(name_of, list(self._seen))):
                self.calls.setdefault(name, {})[report.nodeid] = report.duration

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if self._calls:
            sys.setprofile(None)

    def pytest_collectreport(self, report: Any) -> None:
        self._note(report)

    def _note(self, report: Any) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid


def main() -> None:
    """Read the job from standard input, write what failed."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    job = json.load(sys.stdin)
    calls = job.get("calls", False)
    if not calls:
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    signal.signal(signal.SIGVTALRM, _alarm)
    install(job["texts"])
    import pytest  # noqa: PLC0415 - after `install`, so that the change is in what its plugins import

    watch = _Watch(job.get("tests"), job.get("seconds", 0), calls)
    options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    code = pytest.main([*options, *job["files"]], plugins=[watch])
    if code not in (0, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED) and not watch.missing:
        watch.failed = watch.failed or f"pytest: {code!r}"
    quickest = {name: sorted(tests, key=lambda test: tests[test]) for name, tests in sorted(watch.calls.items())}
    print()
    print(json.dumps({"failed": watch.failed, "missing": watch.missing, "calls": quickest}))


if __name__ == "__main__":
    main()
