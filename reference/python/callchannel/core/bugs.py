# SPDX-License-Identifier: Apache-2.0
"""What becomes of a bug of this implementation that shows while a link is served (CC-SEC-021).

The machine ends that one link with INTERNAL, tells an `InternalError` event, counts it, and goes on with the others.
Nothing is hidden: whoever sets a reporter gets the exception first, and a reporter may raise it, as tests do.
"""

from __future__ import annotations

from collections.abc import Callable

from callchannel.core.events import InternalError

Reporter = Callable[[Exception], object]

_reporter: Reporter | None = None

BYE_TEXT = "an internal error"
"""What the peer is told. The exception can hold what is none of its business."""


def set_reporter(reporter: Reporter | None) -> Reporter | None:
    """Have `reporter` called with each exception, before anything is done about it. Returns the one before.

    What it raises goes to the caller of the machine, and the link is left as it is.
    """
    global _reporter
    before, _reporter = _reporter, reporter
    return before


def raise_bug(error: Exception) -> None:
    """A reporter for tests: a bug fails them where it shows."""
    raise error


def noted(error: Exception) -> InternalError:
    """Tell the reporter, and make the event."""
    if _reporter is not None:
        _reporter(error)
    return InternalError(error=error)
