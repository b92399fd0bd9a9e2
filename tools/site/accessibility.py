# SPDX-License-Identifier: Apache-2.0
"""What the theme leaves out: a name for the search dialog, and code that can be scrolled with a keyboard."""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = re.compile(r"(<pre[^>]*>(?:<span></span>)?)<code>")
_SEARCH: Final = re.compile(r'(<div class="md-search"[^>]*role="dialog")>')


def mend(page: str) -> str:
    """The page with both."""
    return _CODE.sub(r'\1<code tabindex="0">', _SEARCH.sub(r'\1 aria-label="Search">', page))
