# SPDX-License-Identifier: Apache-2.0
"""The chapters' examples in hexadecimal, with one colour for each kind of field."""

from __future__ import annotations

from html import escape

from tools.examples import Example
from tools.site.markup import kind_of


def figure(example: Example, decoder: str) -> str:
    """An example. `decoder` is the decoder's address, to which the bytes are added."""
    lines = []
    for part in example.parts:
        data = part.data.hex(" ")
        if not data:
            lines.append(f'<span class="comment">; {escape(part.comment)}</span>')
            continue
        kind = kind_of(part.comment)
        comment = f'<span class="comment">; {escape(part.comment)}</span>' if part.comment else ""
        lines.append(f'<span class="{kind}">{data}</span>{" " * max(1, 26 - len(data))}{comment}')
    length = len(example.data)
    what = "packet" if example.packet else "frame"
    badge = f' <strong class="fault">{example.code}</strong>' if example.code else ""
    caption = (
        f"<code>{escape(example.name)}</code> {length} bytes, {'invalid ' if example.code else ''}{what}{badge} "
        f'<a class="decode" href="{decoder}#hex={example.data.hex()}&amp;lane={_lane(example)}">decode</a>'
    )
    # One line per line, and no blank one: Markdown ends a block of HTML there.
    body = "\n".join(lines)
    return (
        f'<figure class="hex" id="example-{example.name}"><figcaption>{caption}</figcaption>'
        f"<pre><code>{body}</code></pre></figure>"
    )


def _lane(example: Example) -> str:
    """The lane on which the first frame belongs."""
    data = example.data
    return "lossy" if len(data) > 1 and data[0] == 0x01 and not data[1] & 0x01 else "reliable"
