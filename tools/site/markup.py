# SPDX-License-Identifier: Apache-2.0
"""Small pieces of HTML, and the colours that fields have in diagrams and examples alike."""

from __future__ import annotations

import re
from html import escape
from typing import Final

_CODE: Final = re.compile(r"`([^`]+)`")
_STRONG: Final = re.compile(r"\*\*([^*]+)\*\*")
_EMPHASIS: Final = re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)")

_KINDS: Final = (
    ("start", ("type", "flags", "length", "version", "magic")),
    ("who", ("channel", "sender", "recipient", "slot", "id", "id_length", "identifier", "op", "op:")),
    ("session", ("session", "sequence", "first sequence", "final sequence", "everything up to", "up to sequence")),
    ("block", ("fragment", "last", "abort", "index", "total", "recipients", "epoch", "except", "count", "words")),
    ("block", ("word", "one word", "bits", "entries", "two words")),
    ("extra", ("extensions", "extension", "must_understand", "value", "name", "content type", "lifetime")),
    ("number", ("received", "window", "largest", "largest_message", "resume_ms", "resume", "limit", "attempt")),
    ("number", ("token", "features", "reason", "code")),
    ("payload", ("payload", "text")),
)
"""Kinds of fields, each with the words that a field's name, or a comment on it, begins with. The first hit decides."""

_FRAMES: Final = re.compile(
    r"(?:DATA|CLOSE|FAIL|REFUSE|RECEIPT|CREDIT|ROSTER|HELLO|WELCOME|ACK|BYE|type [0-9A-F]{2})\b"
)


def kind_of(text: str) -> str:
    """The kind of a field, by its name or by the comment on it; `other` where nothing fits."""
    words = text.strip().lower()
    if text.startswith('"'):
        return "payload"
    if _FRAMES.match(text):
        return "start"
    for kind, names in _KINDS:
        for name in names:
            if words == name or re.match(rf"{re.escape(name)}(?![a-z_])", words):
                return kind
    return "other"


def inline(markdown: str) -> str:
    """The inline Markdown that table cells use: code, bold and italics."""
    text = _CODE.sub(r"<code>\1</code>", escape(markdown, quote=False))
    return _EMPHASIS.sub(r"<em>\1</em>", _STRONG.sub(r"<strong>\1</strong>", text))


def identifier(*parts: str) -> str:
    """An id for HTML, made of texts."""
    return "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts)
