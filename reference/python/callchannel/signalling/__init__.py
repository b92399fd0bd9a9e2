# SPDX-License-Identifier: Apache-2.0
"""Signalling over HTTP (specification, chapter 13): admission tokens, and how an endpoint connects to a relay.

`client.connect_factory` makes what `Call.join` takes as `connect`; `tokens.issue_token` makes the token it needs. The
modules need the extra `relay`.
"""
