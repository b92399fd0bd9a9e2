# SPDX-License-Identifier: Apache-2.0
"""`python -m callchannel`: the command line."""

from __future__ import annotations

from callchannel.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
