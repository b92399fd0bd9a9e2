# SPDX-License-Identifier: Apache-2.0
"""Nothing comes from elsewhere: every page carries a policy that makes the reader's browser see to it.

Scripts of a page are allowed by their hashes, so no other can run; styles may stand inline, as the theme has them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from typing import Final

_INLINE: Final = re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>(.*?)</script>", re.DOTALL)
_CHARSET: Final = re.compile(r"<meta charset=\"?utf-8\"?>", re.IGNORECASE)
_LOADS: Final = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)=\"?([^\"\s>]+)"
    r"|<link\b(?=[^>]*\brel=\"?(?:stylesheet|icon|preload|preconnect|modulepreload|prefetch|dns-prefetch))"
    r"[^>]*?\bhref=\"?([^\"\s>]+)",
    re.IGNORECASE,
)
_CSS_LOADS: Final = re.compile(r"(?:url\(\s*|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)")


def protect(page: str) -> str:
    """The page with its policy, as early in its head as it goes."""
    hashes = sorted({_hash(script) for script in _INLINE.findall(page) if script})
    policy = "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src 'self'", *(f"'{item}'" for item in hashes))),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "worker-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="referrer" content="no-referrer">'
    return _CHARSET.sub(lambda match: match[0] + meta, page, count=1)


def foreign(text: str) -> list[str]:
    """Addresses of other hosts from which a page or a style sheet would load something."""
    found = [unescape(first or second) for first, second in _LOADS.findall(text)]
    return [address for address in found if re.match(r"(?:[a-z]+:)?//", address)] + _CSS_LOADS.findall(text)


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
