# SPDX-License-Identifier: Apache-2.0
"""All chapters on one page, to be printed: their finished HTML in a row, with links that stay on the page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_ID: Final = re.compile(r'\b(id|for)="([^"]+)"')
_REFERENCE: Final = re.compile(r'\b(aria-labelledby)="([^"]+)"')
_URL: Final = re.compile(r"url\(#([^)]+)\)")
_LINK: Final = re.compile(r'href="([^"#]*)#?([^"]*)"')
_CHAPTER: Final = re.compile(r"(?:\.\./)?(\d\d-[a-z0-9-]+)/")
_UNIQUE: Final = re.compile(r"CC-[A-Z]+-\d{3}|[LSR]\d\d|example-.*")
"""Ids that no two chapters have."""


def one_page(chapters: Iterable[tuple[str, str]]) -> str:
    """The HTML of (name, content) of each chapter as one. Pages of the standard are siblings of each other."""
    return "\n".join(
        f'<section class="chapter" id="chapter-{name}">{_moved(name, content)}</section>' for name, content in chapters
    )


def _moved(name: str, content: str) -> str:
    def own(identifier: str) -> str:
        return identifier if _UNIQUE.fullmatch(identifier) else f"{name}-{identifier}"

    def link(match: re.Match[str]) -> str:
        page, anchor = match[1], match[2]
        if not page:
            return f'href="#{own(anchor)}"' if anchor else 'href="#"'
        if found := _CHAPTER.fullmatch(page):
            other = found[1]
            if not anchor:
                return f'href="#chapter-{other}"'
            return f'href="#{anchor if _UNIQUE.fullmatch(anchor) else f"{other}-{anchor}"}"'
        return match[0]

    text = _LINK.sub(link, content)
    text = _ID.sub(lambda match: f'{match[1]}="{own(match[2])}"', text)
    text = _REFERENCE.sub(lambda match: f'{match[1]}="{" ".join(own(part) for part in match[2].split())}"', text)
    return _URL.sub(lambda match: f"url(#{own(match[1])})", text)
