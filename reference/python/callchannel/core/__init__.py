# SPDX-License-Identifier: Apache-2.0
"""The protocol without I/O: every part of it knows only what it needs, `endpoint` and `relay` wire them together."""
