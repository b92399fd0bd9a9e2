# SPDX-License-Identifier: Apache-2.0
"""The relay's process: that of the demonstration, with the settings that `SETTINGS` in the environment has, as JSON."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Final

from callchannel.cli.connecting import loop_factory
from callchannel.demo.relay import relay

SETTINGS: Final = "CALLCHANNEL_FAULTS_RELAY"

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(relay(json.loads(os.environ.get(SETTINGS, "{}"))))
