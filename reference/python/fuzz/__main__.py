# SPDX-License-Identifier: Apache-2.0
"""`python -m fuzz --for 60 [--only relay]`: fuzz with atheris, which the extra `fuzz` installs.

Each target runs in a process of its own for so many seconds. What is worth knowing stays in `.fuzz/`, so that the next
run goes on from there; an input that shows a fault is kept in `found/`, where the tests replay it.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from fuzz.targets import FOUND, NAMES

CORPUS = Path(".fuzz")
MEASURED = 500
"""One run in so many is measured with tracemalloc."""


def worker(name: str, options: list[str]) -> None:
    """Fuzz one target in this process; ends the process."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=["callchannel.core"]):
        from fuzz.targets import load  # noqa: PLC0415

        target = load(name)
    runs = 0

    def one(data: bytes) -> None:
        nonlocal runs
        runs += 1
        if runs % MEASURED:
            target.run(data)
        else:
            target.run_measured(data)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        assert target.mutate is not None
        return target.mutate(data, most, seed, lambda body, limit: bytes(atheris.Mutate(body, limit)))

    arguments: dict[str, Any] = {"custom_mutator": mutate} if target.mutate is not None else {}
    atheris.Setup([sys.argv[0], *options], one, **arguments)
    atheris.Fuzz()


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target in another process, and say what came of it. Returns whether nothing was found."""
    from fuzz.targets import load  # noqa: PLC0415

    target = load(name)
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={target.longest}",
        "-timeout=60",
        "-print_final_stats=1",
        f"-artifact_prefix={corpus}-",
        str(corpus),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "--worker", name, *options], capture_output=True, text=True, check=False
    )
    log = done.stdout + done.stderr
    runs = re.findall(r"stat::number_of_executed_units:\s*(\d+)", log)
    edges = re.findall(r"cov: (\d+) ft: (\d+)", log)
    print(
        f"{name}: {runs[-1] if runs else '?'} executions, {edges[-1][0] if edges else '?'} edges of the core,"
        f" {len(list(corpus.iterdir()))} inputs worth keeping"
    )
    if done.returncode == 0:
        return True
    print(log[-6_000:])
    for path in CORPUS.glob(f"{name}-*"):
        kept = FOUND / name / f"{path.name.removeprefix(f'{name}-')[:40]}.bin"
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.rename(kept)
        print(f"kept as {kept}: the tests fail with it until the fault is gone")
    return False


def main() -> int:
    """The command line."""
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--for", dest="seconds", type=int, default=60, help="seconds for each target")
    parser.add_argument("--only", choices=NAMES, action="append", help="this target alone")
    options = parser.parse_args()
    clean = [fuzz(name, options.seconds) for name in options.only or NAMES]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
