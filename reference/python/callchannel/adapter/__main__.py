# SPDX-License-Identifier: Apache-2.0
"""`python -m callchannel.adapter`: answer requests until standard input ends."""

from __future__ import annotations

from callchannel.adapter.conversation import main

if __name__ == "__main__":
    raise SystemExit(main())
