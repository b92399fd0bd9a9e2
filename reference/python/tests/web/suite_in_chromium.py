# SPDX-License-Identifier: Apache-2.0
"""The conformance suite against the JavaScript implementation inside Chromium, over the suite's WebSocket adapter.

`python -m tests.web.suite_in_chromium [arguments of callchannel-conformance run]`
"""

from __future__ import annotations

import asyncio
import socket
import sys

from playwright.async_api import Error

from tests.web.staging import chromium_path, harness, launched


async def run_suite(chromium: str, *arguments: str) -> tuple[int, str, int]:
    """Run the suite; returns its exit code, what it said, and how many requests the page answered."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ("-m", "callchannel_conformance", "run", "--adapter", f"ws-listen:{port}", *arguments)
    async with launched(chromium) as browser:
        page = await harness(await browser.new_context())
        page.set_default_timeout(0)
        place = f"Chromium {browser.version.partition('.')[0]}"
        suite = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        saying = asyncio.ensure_future(suite.communicate())
        answered = 0
        while not answered and not saying.done():
            try:  # until it listens
                answered = await page.evaluate(
                    """async ([address, place]) => {
                        const { serve } = await import("./callchannel/adapter-socket.js");
                        return serve(address, place);
                    }""",
                    [f"ws://127.0.0.1:{port}", place],
                )
            except Error as error:
                if "nobody asks" not in str(error):
                    raise
        output, _ = await saying
    assert suite.returncode is not None
    return suite.returncode, output.decode(), answered


def main() -> int:
    path = chromium_path()
    if path is None:
        print("there is no Chromium: install it, or set CHROMIUM to its path", file=sys.stderr)
        return 2
    code, output, answered = asyncio.run(run_suite(path, *sys.argv[1:]))
    print(output, f"{answered:,} requests", sep="")
    return code


if __name__ == "__main__":
    sys.exit(main())
