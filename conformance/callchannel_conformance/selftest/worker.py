# SPDX-License-Identifier: Apache-2.0
"""Runs the checks on one trial after another in one process, so that a trial costs what its checks cost.

The adapter of the reference is started once for all trials; a seeded defect is put between it and the suite here, as
`proxy` does for a process of its own. What has to be another process (a bad adapter, patched sources) is started.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from callchannel_conformance import client, matrix, plugin
from callchannel_conformance.outcome import Result, Violation
from callchannel_conformance.process import Channel, open_channel
from callchannel_conformance.selftest import patched, proxy

Json = dict[str, Any]

_NEVER_ANSWERS: Final = 0.5
"""Seconds to wait for an adapter of which one knows that it says nothing."""

_OPTIONS: Final = (
    *("-p", "callchannel_conformance.plugin", "-p", "no:cacheprovider", "-c", os.devnull),
    *("--rootdir", str(matrix.CHECKS.parent), "--import-mode=importlib"),
    # Nobody reads a report, and to look for what was left behind takes as long as a check.
    *("-p", "no:terminal", "-p", "no:unraisableexception", "-p", "no:faulthandler"),
)


class Shared(client.Client):
    """A client on a channel that is kept for the next trial, with a change between the two."""

    def __init__(self, address: str, channel: Channel, change: proxy.Change | None) -> None:
        super().__init__(address)
        self._channel = channel
        self._started = True
        # The replies of the good adapter are judged by the schema in other tests, which is slow.
        self.judged = self.JUDGED
        self._change = change
        if change is not None:
            change.memory.clear()

    def _exchange(self, request: Json) -> Json:
        if self._change is None:
            return super()._exchange(request)
        return proxy.apply(self._change, request, super()._exchange)

    def close(self) -> None:
        """Leave the channel open, unless it failed: the next trial must not begin with what is left of this one."""
        if self.failed:
            super().close()


@dataclass(slots=True)
class _Given:
    """The plugin that hands the client over and keeps what came of the checks."""

    client: client.Client | None
    wanted: set[str] = field(default_factory=set)
    """Requirements that a failed check still has to cite; with the last of them the run is over."""
    until: frozenset[Result] = frozenset()
    """With the first of these results the run is over."""
    kept: tuple[str, ...] = ()
    """Only these checks, in this order."""
    records: list[Json] = field(default_factory=list)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Hand the client to the suite's plugin."""
        if self.client is not None:
            config.stash[plugin.GIVEN] = self.client

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave what is to be run."""
        if self.kept:
            named = {plugin.check_id(item.nodeid): item for item in items}
            items[:] = [named[name] for name in self.kept if name in named]

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Stop when enough is known."""
        error = call.excinfo.value if call.excinfo is not None else None
        if error is not None and plugin.classify(error)[0] in self.until:
            item.session.shouldstop = "what was waited for has come"
        if self.wanted and isinstance(error, Violation) and error.result is Result.FAIL:
            self.wanted -= {error.requirement, *plugin.requirements_of(item)}
            if not self.wanted:
                item.session.shouldstop = "all that was wanted has failed"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep the records."""
        self.records = session.config.stash[plugin.RECORDS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run: `checks` by name, else all of `areas`, else everything."""

    adapter: str
    """The command of the adapter, on which `change` works if there is one."""
    shared: bool
    """Whether the adapter is kept for the next trial. One that may crash or hang is not."""
    change: proxy.Change | None = None
    first: tuple[str, Json] | None = None
    """An op for the adapter before all others, with its members."""
    patch: str = ""
    """Name of a patch, behind its area and a hyphen: the adapter's package is changed by it."""
    areas: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    """Stop when failed checks have cited all of these requirements."""
    until: frozenset[Result] = frozenset()
    """Stop with the first of these results."""
    kept: tuple[str, ...] = ()
    """Of what there is to run only these checks, in this order."""
    silent: bool = False
    """Whether the adapter is known to answer nothing."""
    generated: bool = False
    """Whether the checks that draw their input are run as well."""
    seed: int = 0


def place(check: str) -> str:
    """The path and name by which pytest knows a check, such as `sender/close_last`."""
    area, name = check.split("/", 1)
    return f"{matrix.CHECKS / f'test_{area}.py'}::test_{name}"


def _planted(order: Order, folder: str) -> str:
    """The path for an adapter `python -m package.module` whose package has a patch. Raises `PatchError`."""
    package = order.adapter.split()[-1].split(".", 1)[0]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise patched.PatchError(f"package {package} is not there to be patched; install it beside the suite")
    patch = next(patch for patch in patched.load() if f"{patch.area}-{patch.name}" == order.patch)
    return str(patched.plant(patch, Path(found.origin).parent, Path(folder)))


class Worker:
    """Runs orders one after another. Make one for each process, and `close` it."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}

    def close(self) -> None:
        """End the adapters."""
        for channel in self._channels.values():
            channel.close()
        self._channels = {}

    def run(self, order: Order, *plugins: object) -> list[Json]:
        """The records of all checks that were run. *plugins* of pytest see the run."""
        with self._client(order) as used:
            given = _Given(used, set(order.wanted), order.until, order.kept)
            places = [place(check) for check in order.checks]
            places = places or [str(matrix.CHECKS / f"test_{area}.py") for area in order.areas] or [str(matrix.CHECKS)]
            arguments = [*places, *_OPTIONS, "--adapter", order.adapter, "--seed", str(order.seed)]
            if not order.generated:
                arguments += ["-m", "not generated"]
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                pytest.main(arguments, plugins=[given, *plugins])
        return given.records

    @contextlib.contextmanager
    def _client(self, order: Order) -> Iterator[client.Client]:
        before = client.OTHER_REPLIES
        used: client.Client
        if order.patch:
            with tempfile.TemporaryDirectory() as folder:
                used = client.Client(order.adapter, environment={"PYTHONPATH": _planted(order, folder)})
                try:
                    yield used
                finally:
                    used.close()
            return
        if order.shared:
            channel = self._channels.get(order.adapter)
            if channel is None:
                channel = self._channels[order.adapter] = open_channel(order.adapter)
            used = Shared(order.adapter, channel, order.change)
        else:
            used = client.Client(order.adapter)
        if order.silent:
            client.OTHER_REPLIES = _NEVER_ANSWERS  # type: ignore[misc]
        try:
            if order.first is not None:
                name, members = order.first
                used.request(name, **members)
            yield used
        finally:
            client.OTHER_REPLIES = before  # type: ignore[misc]
            used.close()
            if order.shared and used.failed:
                self._channels.pop(order.adapter).close()


_worker: Worker | None = None
_PARENT: Final = os.getppid()


def work(order: Order) -> list[Json]:
    """As `Worker.run`, with the worker of this process. Records are without transcripts, which nobody reads."""
    global _worker  # noqa: PLW0603
    if os.getppid() != _PARENT:
        # Whoever gave the orders is gone, and with it the use of an answer.
        os._exit(1)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    _worker = _worker or Worker()
    kept: Sequence[str] = ("check", "requirements", "result", "broken", "message")
    return [{key: record[key] for key in kept if key in record} for record in _worker.run(order)]
