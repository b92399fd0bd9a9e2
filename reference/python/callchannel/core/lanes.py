# SPDX-License-Identifier: Apache-2.0
"""The two lanes of a link (specification, chapter 2)."""

from __future__ import annotations

import enum


class Lane(enum.IntEnum):
    """A way that packets take between the two ends of a link."""

    RELIABLE = 0
    """Ordered and lossless while its transport lives."""

    LOSSY = 1
    """Unordered, without retransmission; it may be absent."""
