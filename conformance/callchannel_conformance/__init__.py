# SPDX-License-Identifier: Apache-2.0
"""The conformance suite of callchannel: it judges implementations from the text of the standard alone.

Nothing in this package imports an implementation of callchannel, the reference implementation included; a test enforces
it. `callchannel_conformance.wire` decodes and encodes frames, `callchannel_conformance.wire_rules` lists the rules,
`callchannel_conformance.cli` is the command.
"""

from typing import Final

__version__: Final = "0.1.0.dev0"
"""Version of the suite, that of all packages; the document, the wire and the adapter protocol have their own."""
