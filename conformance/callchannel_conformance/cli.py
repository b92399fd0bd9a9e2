# SPDX-License-Identifier: Apache-2.0
"""The command `callchannel-conformance`: a thin front to pytest, and what pytest has no word for."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from callchannel_conformance import __version__, matrix, report, standard
from callchannel_conformance.client import Client
from callchannel_conformance.doctor import examine
from callchannel_conformance.outcome import EXIT_OF, AdapterError, Exit, Verdict

Json = dict[str, Any]

_SHOWN_FAILURES: Final = 25


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status (`outcome.Exit`)."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (AdapterError, KeyError, FileNotFoundError, ValueError) as error:
        print(f"callchannel-conformance: {error}", file=sys.stderr)
        return Exit.USAGE
    except BrokenPipeError:
        return Exit.HARNESS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="callchannel-conformance", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str, *, adapter: bool = False
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        if adapter:
            added.add_argument("--adapter", required=True, help="command of the adapter, or ws-listen:PORT")
        return added

    command("doctor", doctor, "say what is wrong with an adapter, before any check does", adapter=True)
    run = command("run", run_checks, "run the checks and give a verdict", adapter=True)
    run.add_argument("--other-adapter", help="a second implementation, to pair with the first")
    run.add_argument("--requirement", action="append", default=[], help="only checks of this requirement, or prefix")
    run.add_argument("--check", action="append", default=[], help="only this check")
    run.add_argument("--area", action="append", default=[], help="only checks of this module, such as codec")
    run.add_argument("--seed", type=int, default=0, help="another number, other draws of machines and plans")
    run.add_argument("--budget", default="", help="stop after so much time, such as 50s or 5m")
    run.add_argument("--json", help="write the results as JSON to this file")
    run.add_argument("--junit", help="write the results as JUnit XML to this file")
    run.add_argument("--html", help="write the report as one HTML page to this file")
    run.add_argument("--badge", help="write a badge (shields.io endpoint JSON) to this file")
    run.add_argument("--replays", default="replays", help="directory for replay files")
    run.add_argument("--scripted", action="store_true", help="without the checks that draw their input")
    run.add_argument("-n", dest="workers", help="processes, with pytest-xdist")
    run.add_argument("-x", dest="first", action="store_true", help="stop at the first failure")
    run.add_argument("-q", dest="quiet", action="store_true", help="say the verdict alone")
    replay = command("replay", replay_failures, "do again what failed: FIXED, FAILED, CHANGED or ERROR", adapter=True)
    replay.add_argument("--other-adapter", help="the second implementation, for failures of two together")
    replay.add_argument("files", nargs="+", type=Path)
    listed = command("list", list_checks, "list the checks and their requirements")
    listed.add_argument("--requirement", default="", help="only those of this requirement, or prefix")
    explain = command("explain", explain_requirement, "show a requirement, its checks and its defects")
    explain.add_argument("requirement")
    command("vectors", list_vectors, "list the test vectors")
    table = command("matrix", show_matrix, "show the traceability matrix and what keeps it from being complete")
    table.add_argument("--check", action="store_true", help="exit with 1 unless it is complete")
    table.add_argument("--accept", action="store_true", help="record the present texts as those of the checks")
    table.add_argument("--markdown", help="write the matrix as a page to this file")
    selftest = command(
        "selftest", run_selftest, "test the suite: defects die, legal variants pass, bad adapters are seen"
    )
    selftest.add_argument("--reference", help="command of a good adapter with all profiles")
    selftest.add_argument("--record", action="store_true", help="find out anew which checks see which defect")
    selftest.add_argument("--full", action="store_true", help="everything against the whole suite on five seeds")
    selftest.add_argument(
        "--mutants", type=Path, help="instead: mechanical changes of an implementation, by a file (selftest/mutants.py)"
    )
    selftest.add_argument("--progress", type=Path, help="file by which --full or --mutants goes on where it stopped")
    selftest.add_argument("--json", type=Path, help="write what came of --mutants to this file")
    selftest.add_argument(
        "--only", default="", help="only what has this in its name, or is of this kind; with commas: any of these"
    )
    adapter = command("new-adapter", new_adapter, "write the skeleton of an adapter")
    adapter.add_argument("--lang", choices=("python", "js"), required=True)
    adapter.add_argument("--to", type=Path, help="file to write; by default standard output")
    return parser


def doctor(options: argparse.Namespace) -> int:
    """See `examine`."""
    client = Client(options.adapter, strict=True)
    good = True
    try:
        for finding in examine(client):
            good &= finding.ok
            print(f"{'ok  ' if finding.ok else 'BAD '} {finding.what}{': ' + finding.detail if finding.detail else ''}")
    finally:
        client.close()
    return Exit.CONFORMANT if good else Exit.INCOMPLETE


def run_checks(options: argparse.Namespace) -> int:
    """Run the checks, write reports, say the verdict."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(options.json) if options.json else Path(folder) / "results.json"
        results = _pytest(options, target)
        if results is None:
            print("the suite itself failed; nothing can be said", file=sys.stderr)
            return Exit.HARNESS
    if options.html:
        Path(options.html).write_text(report.page(results), "utf-8")
    if options.badge:
        Path(options.badge).write_text(json.dumps(badge(results)) + "\n", "utf-8")
    _say(results, quiet=options.quiet)
    return EXIT_OF[Verdict(results["verdict"])]


def badge(results: Json) -> Json:
    """A badge as shields.io reads it."""
    colour = {"conformant": "brightgreen", "nonconformant": "red", "incomplete": "yellow"}[results["verdict"]]
    return {"schemaVersion": 1, "label": "callchannel 0.1", "message": results["verdict"], "color": colour}


def _pytest(options: argparse.Namespace, target: Path) -> Json | None:
    places = [str(matrix.CHECKS)]
    wanted = list(options.check)
    if options.area:
        places = [str(matrix.CHECKS / f"test_{area}.py") for area in options.area]
        for place in places:
            if not Path(place).exists():
                raise ValueError(f"no area {place}; see `list`")
    elif wanted:
        places = [
            f"{matrix.CHECKS / ('test_' + check.split('/', 1)[0] + '.py')}::test_{check.split('/', 1)[1]}"
            for check in wanted
        ]
    arguments = [
        *places,
        *("-p", "callchannel_conformance.plugin", "-p", "no:cacheprovider", "-c", os.devnull),
        *(
            "--rootdir",
            str(matrix.CHECKS.parent),
            "--import-mode=importlib",
            "--tb=no",
            "--no-header",
            "--no-summary",
            "-q",
        ),
        *("--adapter", options.adapter, "--results", str(target), "--replays", options.replays),
        *("--seed", str(options.seed)),
    ]
    if options.budget:
        arguments += ["--budget", options.budget]
    for name in options.requirement:
        arguments += ["--requirement", name]
    if options.other_adapter:
        arguments += ["--other-adapter", options.other_adapter]
    if options.scripted:
        arguments += ["-m", "not generated"]
    if options.junit:
        arguments += ["--junitxml", options.junit]
    if options.first:
        arguments.append("-x")
    if options.workers:
        arguments += ["-p", "xdist.plugin", "-n", options.workers]
    # With the entry point loaded as well, the plugin would be there twice.
    before = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        with contextlib.ExitStack() as stack:
            if options.quiet:
                stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
            status = pytest.main(arguments)
    finally:
        if before is None:
            del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        else:
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = before
    if not target.exists() or status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
        return None
    results: Json = json.loads(target.read_text("utf-8"))
    if options.check or options.area:
        results["selection"] = True
    if results["selection"] and results["verdict"] == Verdict.CONFORMANT.value:
        # A part of the suite can show that something is wrong, never that all is well.
        results["verdict"] = Verdict.INCOMPLETE.value
    target.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    return results


def _say(results: Json, *, quiet: bool) -> None:
    bad = [check for check in results["checks"] if check["result"] not in ("PASS", "SKIP")]
    if not quiet:
        for check in bad[:_SHOWN_FAILURES]:
            print(f"\n{check['result']} {check['check']}\n  {check.get('message', '')}")
            if check.get("difference"):
                print(f"  first difference: {check['difference']}")
            if "replay" in check:
                print(f"  {report.again(check, results)}")
        if len(bad) > _SHOWN_FAILURES:
            print(f"\n… and {len(bad) - _SHOWN_FAILURES} more")
        print()
    counts = ", ".join(f"{count} {name}" for name, count in results["counts"].items())
    cut = f"; {len(results['not_run'])} not run" if results["not_run"] else ""
    part = " (a selection of the checks)" if results["selection"] else ""
    print(f"{results['verdict']}{part}: {counts or 'nothing was run'}{cut}")


def replay_failures(options: argparse.Namespace) -> int:
    """Do failures again."""
    from callchannel_conformance.replay import again  # noqa: PLC0415

    worst = Exit.CONFORMANT
    for path in options.files:
        found = again(path, options.adapter, options.other_adapter)
        print(f"{found.status:8}{path.name}: {found.detail}")
        if found.status == "FAILED":
            worst = Exit.NONCONFORMANT
        elif found.status in ("CHANGED", "ERROR") and worst is Exit.CONFORMANT:
            worst = Exit.INCOMPLETE
    return worst


def list_checks(options: argparse.Namespace) -> int:
    """Print each check with its requirements."""
    checks: dict[str, list[str]] = {}
    for row in matrix.rows():
        for name in {*row.positive, *row.negative}:
            checks.setdefault(name, []).append(row.requirement.id)
    for name, requirements in sorted(checks.items()):
        if any(one.startswith(options.requirement) for one in requirements):
            print(f"{name}  {' '.join(sorted(requirements))}")
    return Exit.CONFORMANT


def explain_requirement(options: argparse.Namespace) -> int:
    """Print all there is on a requirement."""
    requirement = standard.requirement(options.requirement)
    row = next(row for row in matrix.rows() if row.requirement.id == requirement.id)
    print(
        f"{requirement.id} ({requirement.chapter}, {requirement.section}; {requirement.keyword})\n\n"
        f"  {requirement.text}\n"
    )
    print(f"positive checks: {', '.join(row.positive) or '–'}{', a monitor on every link' if row.watched else ''}")
    print(f"negative checks: {', '.join(row.negative) or '–'}")
    print(f"dead defects: {', '.join(row.defects) or '–'}")
    if row.untestable:
        print(f"untestable: {row.untestable}: {matrix.REASONS[row.untestable]}")
    return Exit.CONFORMANT


def list_vectors(options: argparse.Namespace) -> int:
    """Print each vector in a line."""
    for vector in standard.vectors():
        outcome = "valid" if "frames" in vector else vector["code"]
        print(f"{vector['id']:48} {vector['lane']:9} {outcome:13} {vector.get('title', vector.get('why', ''))}")
    return Exit.CONFORMANT


def show_matrix(options: argparse.Namespace) -> int:
    """Print the figures of the matrix and what is missing."""
    if options.accept:
        matrix.accept()
    rows = matrix.rows()
    if options.markdown:
        Path(options.markdown).write_text(matrix.as_markdown(rows), "utf-8")
    for name, value in matrix.figures(rows).items():
        print(f"{name:18}{value}")
    faults = matrix.gate(rows)
    for fault in faults:
        print(fault)
    return Exit.NONCONFORMANT if faults and options.check else Exit.CONFORMANT


def run_selftest(options: argparse.Namespace) -> int:
    """Test the suite itself."""
    from callchannel_conformance.selftest.mutants import mutants_against_suite  # noqa: PLC0415
    from callchannel_conformance.selftest.run import REFERENCE, selftest  # noqa: PLC0415

    if options.mutants:
        adapter = options.reference or REFERENCE
        more = {"progress": options.progress, "target": options.json, "only": options.only}
        return mutants_against_suite(options.mutants, adapter, **more)
    mode = "full" if options.full else "record" if options.record else "quick"
    return selftest(reference=options.reference, mode=mode, only=options.only, progress=options.progress)


def new_adapter(options: argparse.Namespace) -> int:
    """Write a skeleton."""
    name = {"python": "adapter_skeleton.py.txt", "js": "adapter_skeleton.mjs.txt"}[options.lang]
    text = (Path(__file__).resolve().parent / "data" / name).read_text("utf-8")
    if options.to is None:
        print(text, end="")
    elif options.to.exists():
        raise ValueError(f"{options.to} exists")
    else:
        options.to.write_text(text, "utf-8")
    return Exit.CONFORMANT


if __name__ == "__main__":
    raise SystemExit(main())
