# SPDX-License-Identifier: Apache-2.0
"""The files of the page, and the headers that they are served with.

Everything that a peer supplies is hostile to a page. So the policy allows the page's own scripts and style sheet, blobs
as images, and requests to the relay; nothing inline, nothing from elsewhere, no frames, and no markup made of text.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

_STATIC: Final = Path(__file__).parent / "static"
_LIBRARY: Final = "callchannel"
_CHECKOUT: Final = Path(__file__).parents[3] / "javascript" / _LIBRARY
_IMPORT: Final = re.compile(r'^(?:import|export)\s[^"]*?from "\./([\w.-]+)";', re.MULTILINE)

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

HEADERS: Final = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # A tab that is opened anew asks whether its files have changed: after an upgrade nothing old runs.
    "Cache-Control": "no-cache",
}
"""Sent with every file."""


class FilesMissing(Exception):
    """The page's files are not there: the package was not installed whole."""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    kind: str
    tag: str


class Page:
    """Answers requests for the page under a base path.

    `path`: the base of signalling, such as "" or "/relay"; the page is at `path` + "/". `is_open`: whether the relay
    takes whom it is told, or asks for tokens. Raises `FilesMissing`. Then call `answer` for each request.
    """

    def __init__(self, path: str, *, is_open: bool) -> None:
        self._path = path
        about = json.dumps({"admission": "open" if is_open else "token"}).encode()
        self._files = {f"{path}/web/{name}": _file(name, body) for name, body in files().items()}
        self._files[f"{path}/"] = self._files.pop(f"{path}/web/index.html")
        self._files[f"{path}/web/about.json"] = _file("about.json", about)

    def answer(self, request: web.BaseRequest) -> web.Response | None:
        """The response to a request for one of the files; None where it is for something else."""
        if request.path == self._path and self._path:
            return web.Response(status=308, headers={**HEADERS, "Location": f"{self._path}/"})
        file = self._files.get(request.path)
        if file is None:
            return None
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={**HEADERS, "Allow": "GET, HEAD"})
        headers = {**HEADERS, "ETag": file.tag}
        if file.tag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, headers={**headers, "Content-Type": file.kind})


def files() -> dict[str, bytes]:
    """All files of the page by their names, the modules of the implementation that it uses among them.

    Raises `FilesMissing`.
    """
    found: dict[str, bytes] = {}
    library = _STATIC / _LIBRARY if (_STATIC / _LIBRARY).is_dir() else _CHECKOUT
    try:
        for path in sorted(_STATIC.iterdir()):
            if path.suffix in _TYPES:
                found[path.name] = path.read_bytes()
        wanted = ["index.js", "explain.js"]
        while wanted:
            name = wanted.pop()
            if (key := f"{_LIBRARY}/{name}") not in found:
                found[key] = (library / name).read_bytes()
                wanted += _IMPORT.findall(found[key].decode())
        found["index.html"]
    except (OSError, KeyError) as exc:
        raise FilesMissing(f"the page's files are not there ({exc}); install callchannel anew") from None
    return found


def _file(name: str, body: bytes) -> _File:
    return _File(body, _TYPES[Path(name).suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
