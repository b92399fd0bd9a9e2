# SPDX-License-Identifier: Apache-2.0
"""`python -m callchannel_conformance`: the command."""

from callchannel_conformance.cli import main

raise SystemExit(main())
