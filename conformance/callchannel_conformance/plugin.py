# SPDX-License-Identifier: Apache-2.0
"""The suite as a pytest plugin: options, the fixtures `implementation` and `bench`, and the classes of results.

`pytest --pyargs callchannel_conformance --adapter "…"` runs everything; all of pytest's own options work, `-n` of
pytest-xdist and `--junitxml` among them.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from callchannel_conformance import difference, standard
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.client import Client
from callchannel_conformance.outcome import (
    AdapterError,
    Nondeterministic,
    NotApplicable,
    Result,
    Verdict,
    Violation,
    verdict,
)

Json = dict[str, Any]

_PROPERTY: Final = "conformance"
_KEPT_OPS: Final = 400
_CHECK_NAME: Final = re.compile(r"(?:.*/)?test_(\w+)\.py::test_(.+)")

_PATIENCE: Final = 4
"""So many errors of the adapter in a row end the run: a dead adapter must not cost ten seconds for each check."""

_CLIENT: Final = pytest.StashKey[Client]()
_FAILURES: Final = pytest.StashKey[int]()
RECORDS: Final = pytest.StashKey[list[Json]]()
"""What came of the checks of this process."""
GIVEN: Final = pytest.StashKey[Client]()
"""A client that is there already; whoever gives it ends it."""
_ABOUT: Final = pytest.StashKey[Json]()
_DEADLINE: Final = pytest.StashKey[float | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The suite's options."""
    group = parser.getgroup("callchannel conformance")
    group.addoption("--adapter", help="command of the adapter under test, or ws-listen:PORT")
    group.addoption("--other-adapter", help="a second implementation, with which the first is paired")
    group.addoption(
        "--requirement", action="append", default=[], help="only checks of this requirement (prefixes work)"
    )
    group.addoption("--results", help="write the results as JSON to this file")
    group.addoption("--replays", help="write a replay file for each failure into this directory")
    group.addoption("--budget", default="", help="stop after so much time, such as 50s or 5m")
    group.addoption("--seed", type=int, default=0, help="another number, other draws of machines and plans")
    group.addoption("--strict-replies", action="store_true", help="judge every reply by the schema")


def budget_seconds(text: str) -> float | None:
    """Seconds of a text such as `50s`, `5m`, `90`; None for an empty one. Raises `ValueError`."""
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", text.strip())
    if match is None:
        raise ValueError(f"no time: {text!r}")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, None: 1}[match[2]]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and begin the budget."""
    config.addinivalue_line("markers", "requirement(*ids, kind): requirements of the standard that a check judges")
    config.addinivalue_line("markers", "generated: a check that draws its input; it takes the time that is left")
    config.stash[RECORDS] = []
    try:
        seconds = budget_seconds(config.getoption("--budget"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    # Starting and reporting take some of it.
    config.stash[_DEADLINE] = None if seconds is None else time.monotonic() + max(seconds * 0.92 - 1.5, 0.5)


def check_id(nodeid: str) -> str:
    """The immutable name of a check, such as `link_endpoint/hello_first`."""
    match = _CHECK_NAME.fullmatch(nodeid)
    return f"{match[1]}/{match[2]}" if match else nodeid


def requirements_of(item: pytest.Item) -> dict[str, str]:
    """Requirements of a check, with `positive`, `negative` or `both`."""
    found: dict[str, str] = {}
    for mark in item.iter_markers("requirement"):
        kind = mark.kwargs.get("kind", "positive")
        for name in mark.args:
            found[name] = kind if found.get(name, kind) == kind else "both"
    return found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select by requirement, and put the generated checks at the end."""
    wanted = config.getoption("--requirement")
    ours = [item for item in items if item.get_closest_marker("requirement") is not None]
    if not ours:
        return
    if wanted:
        kept = [item for item in ours if any(name.startswith(tuple(wanted)) for name in requirements_of(item))]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    items.sort(key=lambda item: item.get_closest_marker("generated") is not None)


@pytest.fixture(scope="session")
def _client(request: pytest.FixtureRequest) -> Iterator[Client]:
    address = request.config.getoption("--adapter")
    if not address:
        raise pytest.UsageError("--adapter is needed: the command of the implementation's adapter")
    given = request.config.stash.get(GIVEN, None)
    client = given or Client(address, strict=request.config.getoption("--strict-replies"))
    client.seed = request.config.getoption("--seed")
    request.config.stash[_CLIENT] = client
    yield client
    if given is None:
        client.close()


@pytest.fixture
def implementation(_client: Client) -> Client:
    """The implementation under test, fresh: without any machine."""
    _client.reset()
    return _client


@pytest.fixture(scope="session")
def _other(request: pytest.FixtureRequest) -> Iterator[Client | None]:
    address = request.config.getoption("--other-adapter")
    client = Client(address) if address else None
    yield client
    if client is not None:
        client.close()


@pytest.fixture
def other_implementation(_other: Client | None) -> Client:
    """The implementation to pair with, of `--other-adapter`."""
    if _other is None:
        raise NotApplicable("no second implementation is named (--other-adapter)")
    return _other


@pytest.fixture
def bench(implementation: Client) -> Bench:
    """A bench with the implementation, a clock, and no machine yet."""
    return Bench(implementation)


@pytest.fixture
def deadline(request: pytest.FixtureRequest) -> float | None:
    """When the budget ends, by `time.monotonic`, or None."""
    return request.config.stash[_DEADLINE]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the budget has no time for."""
    end = item.config.stash[_DEADLINE]
    if end is not None and time.monotonic() > end:
        pytest.skip("the budget is used up")


def classify(error: BaseException) -> tuple[Result, str]:
    """The class of a check that ended with *error*, and a line that says why."""
    if isinstance(error, Violation):
        return error.result, str(error)
    if isinstance(error, NotApplicable):
        return Result.SKIP, str(error)
    if isinstance(error, AdapterError):
        return Result.ERROR, str(error)
    if isinstance(error, Nondeterministic):
        return Result.NONDETERMINISTIC, str(error)
    if isinstance(error, pytest.skip.Exception):
        return Result.SKIP, str(error)
    return Result.HARNESS_ERROR, f"{type(error).__name__}: {error}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a check of the suite its class."""
    report = yield
    requirements = requirements_of(item)
    if not requirements or (call.when != "call" and call.excinfo is None):
        return report
    record: Json = {
        "check": check_id(item.nodeid),
        "requirements": requirements,
        "result": Result.PASS.value,
        "generated": item.get_closest_marker("generated") is not None,
        "seconds": round(call.duration, 4),
    }
    if call.excinfo is None:
        item.config.stash[_FAILURES] = 0
    else:
        error = call.excinfo.value
        result, message = classify(error)
        record |= {"result": result.value, "message": message}
        _details(item, record, error)
        if isinstance(error, AdapterError):
            _be_patient(item)
        if result in (Result.WARN, Result.INFO):
            report.outcome = "passed"
        elif result is Result.SKIP:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: {message}")
        elif isinstance(error, Violation | AdapterError | Nondeterministic):
            report.longrepr = message
    if hasattr(item.config, "workerinput"):
        # The process that reports has no client of its own.
        record["about"] = _about(item.config)
    report.user_properties.append((_PROPERTY, record))
    return report


def _about(config: pytest.Config) -> Json:
    """What the adapter says of itself, as far as it was asked."""
    client = config.stash.get(_CLIENT, None)
    if client is None or (hello := client.known) is None:
        known: Json = config.stash.get(_ABOUT, {})
        return dict(known)
    about: Json = {"name": hello.name, "version": hello.version, "profiles": sorted(hello.profiles)}
    return {**about, "features": sorted(hello.features)}


def _be_patient(item: pytest.Item) -> None:
    failures = item.config.stash.get(_FAILURES, 0) + 1
    item.config.stash[_FAILURES] = failures
    if failures >= _PATIENCE:
        item.session.shouldstop = "the adapter keeps failing"


def _details(item: pytest.Item, record: Json, error: BaseException) -> None:
    client = item.config.stash.get(_CLIENT, None)
    if isinstance(error, Violation):
        record["broken"] = error.requirement
        record["expected"] = _plain(error.expected)
        record["actual"] = _plain(error.actual)
        if error.expected is not None and error.actual is not None:
            record["difference"] = difference.first(record["expected"], record["actual"])
        if error.plan is not None:
            record["plan"] = error.plan
    if client is not None and record["result"] != Result.SKIP.value:
        record["transcript"] = client.transcript[-_KEPT_OPS:]
        record["diagnostics"] = client.diagnostics[-2000:]


def _plain(value: object) -> Any:
    """A value as JSON can hold it."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the record, in the process that reports (xdist workers send theirs)."""
    for name, record in report.user_properties:
        if name == _PROPERTY and isinstance(record, dict) and _config is not None:
            if about := record.pop("about", None):
                _config.stash[_ABOUT] = about
            _config.stash[RECORDS].append(record)
            report.user_properties = [entry for entry in report.user_properties if entry[0] != _PROPERTY]
            report.user_properties.append(("result", record["result"]))
            report.user_properties.append(("requirements", " ".join(record["requirements"])))


_config: pytest.Config | None = None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember where records go: `pytest_runtest_logreport` is given no session."""
    global _config  # noqa: PLW0603
    _config = session.config


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write results and replay files."""
    config = session.config
    if hasattr(config, "workerinput"):
        return
    records = config.stash[RECORDS]
    if directory := config.getoption("--replays"):
        _write_replays(records, Path(directory), config.getoption("--seed"))
    if target := config.getoption("--results"):
        Path(target).write_text(json.dumps(summary(config, records), indent=1) + "\n", "utf-8")


def summary(config: pytest.Config, records: list[Json]) -> Json:
    """The results of a run as JSON."""
    cut = [record["check"] for record in records if record.get("message") == "the budget is used up"]
    selected = bool(config.getoption("--requirement") or config.getoption("keyword") or config.getoption("markexpr"))
    results = [Result(record["result"]) for record in records]
    # Generated checks that the budget cut leave the verdict alone: each requirement has scripted ones.
    scripted_cut = [r for r in records if r["check"] in cut and not r["generated"]]
    found: Verdict = verdict(results, complete=not scripted_cut)
    return {
        "suite": _suite_version(),
        "adapter_protocol": 1,
        "document_version": standard.document_version(),
        "wire_version": 1,
        "adapter": config.getoption("--adapter"),
        "implementation": _about(config),
        "paired_with": config.getoption("--other-adapter"),
        "selection": selected,
        "not_run": cut,
        "verdict": found.value,
        "counts": {kind.value: results.count(kind) for kind in Result if kind in results},
        "checks": records,
    }


def _suite_version() -> str:
    from callchannel_conformance import __version__  # noqa: PLC0415

    return __version__


def replay_name(record: Json) -> str:
    """The file of a failure: its requirement and a hash of what failed."""
    what = json.dumps([record["check"], record.get("plan"), record["broken"]], sort_keys=True)
    return f"{record['broken']}-{hashlib.sha256(what.encode()).hexdigest()[:10]}.json"


def _write_replays(records: list[Json], directory: Path, seed: int) -> None:
    failures = [record for record in records if "broken" in record]
    if failures:
        directory.mkdir(parents=True, exist_ok=True)
    for record in failures:
        name = replay_name(record)
        record["replay"] = str(directory / name)
        content = {key: record.get(key) for key in ("check", "broken", "message", "expected", "actual", "plan")}
        content |= {"replay": 1, "suite": _suite_version(), "hash": standard.requirement(record["broken"]).hash}
        content["seed"] = seed
        (directory / name).write_text(json.dumps(content, indent=1) + "\n", "utf-8")
