# SPDX-License-Identifier: Apache-2.0
"""The reference implementation's adapter for the conformance suite: `python -m callchannel.adapter`.

It speaks the adapter protocol, version 1 (`conformance/adapter-protocol.md`), on standard input and output, and drives
`Endpoint` and `Relay` by their public methods alone.
"""
