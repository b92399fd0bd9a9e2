# SPDX-License-Identifier: Apache-2.0
"""What is done in a process of its own for each mutant, which begins warm: pytest and the suite are loaded.

Such a process has limits of memory and of its processor's time, so a mutant may go round for ever or eat all there is.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import pytest

from callchannel_conformance import plugin
from callchannel_conformance.outcome import AdapterError, Result
from callchannel_conformance.process import open_channel
from callchannel_conformance.selftest.worker import Order, Worker

Json = dict[str, Any]

_MEMORY: Final = 3 << 30
SECONDS: Final = (15.0, 120.0)
"""Of the processor, for one scripted check and for one that draws; about ten times what the slowest needs."""

_NOT_PASSED: Final = frozenset({Result.FAIL, Result.ERROR, Result.NONDETERMINISTIC, Result.HARNESS_ERROR})

_PRELOADED: Final = (
    "callchannel_conformance.selftest.mutant_run",
    "callchannel_conformance.plans",
    "callchannel_conformance.simulator",
    "callchannel_conformance.wire_strategies",
    "callchannel_conformance.bench.machine",
)


def in_process(do: Callable[..., Json | str | None], arguments: tuple[Any, ...], seconds: float) -> Any:
    """Call *do* in a new process and return what it returns; None if it dies, or does not end in time.

    Raises `RuntimeError` with what it raised.
    """
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(list(_PRELOADED))
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, do, arguments), daemon=True)  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            return None
        good, found = ours.recv()
        if not good:
            raise RuntimeError(found)
        return found
    except EOFError:
        return None
    finally:
        ours.close()
        process.kill()
        process.join()


def _answer(pipe: Connection, do: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    # What a mutant prints is nobody's concern.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - not everywhere

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        outcome = True, do(*arguments)
    except Exception as error:
        outcome = False, repr(error)
    pipe.send(outcome)


def folder_of(package: str) -> str | None:
    """The folder of a package, which is not imported for this."""
    found = importlib.util.find_spec(package)
    return None if found is None or found.origin is None else str(Path(found.origin).parent)


def run(adapter: str, root: str, checks: tuple[str, ...], seconds: tuple[float, float] = SECONDS) -> Json:
    """The first check that does not pass, with the package in the folder *root* in front of all others.

    *seconds* of the processor a check may use, a scripted one and one that draws.

    Raises `RuntimeError` when nothing was run.
    """
    sys.path.insert(0, root)
    areas = tuple(dict.fromkeys(check.split("/", 1)[0] for check in checks))
    order = Order(adapter=adapter, shared=False, areas=areas, kept=checks, until=_NOT_PASSED, generated=True)
    worker = Worker()
    records = worker.run(order, _Limits(seconds))
    worker.close()
    if not records:
        raise RuntimeError(f"none of {len(checks)} checks was run")
    # A check that warns says that a SHOULD is not followed; the verdict stays.
    by_weight = sorted(records, key=lambda record: (record["result"] not in _NOT_PASSED, record["result"] == "PASS"))
    worst = by_weight[0]
    if worst["result"] in ("PASS", "SKIP"):
        return {"result": "ALIVE", "checks": len(records)}
    kept = ("result", "check", "broken", "message")
    return {name: str(worst[name])[:300] for name in kept if name in worst}


class _Limits:
    """A pytest plugin that ends a check that does not end by itself."""

    def __init__(self, seconds: tuple[float, float]) -> None:
        self._scripted, self._drawn = seconds

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Run a check under a timer."""
        drawn = item.get_closest_marker("generated") is not None
        with _timer(self._drawn if drawn else self._scripted):
            yield


@contextmanager
def _timer(seconds: float) -> Iterator[None]:
    def over(number: int, frame: FrameType | None) -> None:
        # A loop that catches everything is met again.
        signal.setitimer(signal.ITIMER_VIRTUAL, 1)
        raise AdapterError("hang", f"a check used {seconds} s of the processor")

    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def calls(adapter: str, package: str, areas: tuple[str, ...] = ()) -> Json:
    """Functions of a package that are called, as `core/link.py Link.receive`.

    `loading`: while the adapter is loaded; `checks`: by each check, quickest first; `drawn`: checks that draw their
    input. *areas*: only checks of these. Raises `RuntimeError` when no check passes.
    """
    folder = folder_of(package)
    assert folder is not None
    watch = _Watch(folder)
    with watch.check(""):
        open_channel(adapter).close()
    worker = Worker()
    records = worker.run(Order(adapter=adapter, shared=False, areas=areas, generated=True), watch)
    worker.close()
    # Whatever does not pass without a mutant would hide all of them.
    passed = [record for record in records if record["result"] == "PASS"]
    if not passed:
        raise RuntimeError(f"no check passes with {adapter} as it is")
    passed.sort(key=lambda record: (record["generated"], record["seconds"]))
    return {
        "loading": sorted(watch.found[""]),
        "drawn": [record["check"] for record in passed if record["generated"]],
        "checks": {record["check"]: sorted(watch.found[record["check"]]) for record in passed},
    }


class _Watch:
    """Keeps which functions of a folder each check calls; a plugin of pytest."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.found: dict[str, set[str]] = {}

    @contextmanager
    def check(self, name: str) -> Iterator[None]:
        """Watch what is called for a check."""
        seen: set[CodeType] = set()

        def watch(frame: FrameType, event: str, argument: Any, add: Any = seen.add) -> None:
            if event == "call":
                add(frame.f_code)

        sys.setprofile(watch)
        try:
            yield
        finally:
            sys.setprofile(None)
            inside = [code for code in seen if code.co_filename.startswith(self._folder)]
            self.found[name] = {self._name(code) for code in inside}

    def _name(self, code: CodeType) -> str:
        path = Path(code.co_filename).relative_to(self._folder).as_posix()
        return f"{path} {code.co_qualname.partition('.<locals>')[0]}"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool | None, bool | None]:
        """Watch a check with all that its fixtures do."""
        with self.check(plugin.check_id(item.nodeid)):
            return (yield)
