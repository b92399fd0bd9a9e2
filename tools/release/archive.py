# SPDX-License-Identifier: Apache-2.0
"""The standard in one ZIP file: chapters, registries, requirements, vectors with their schema, the adapter protocol.

The same files make the same bytes: names are sorted, times and modes are fixed.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Final

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive."""
_ALSO: Final = ("conformance/adapter-protocol.md", "conformance/schemas")
_IGNORED: Final = ("__pycache__",)


def name_of(version: str) -> str:
    """The archive's name, for a version of the standard, without its ending."""
    return f"callchannel-standard-{version}"


def standard(root: Path, version: str) -> bytes:
    """The archive of the project in `root`; folders stand in it as they do in the project, so links go on working."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(_files(root)):
            info = zipfile.ZipInfo(f"{name_of(version)}/{path.relative_to(root).as_posix()}", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # a Unix, on every machine
            info.external_attr = 0o644 << 16
            packed.writestr(info, path.read_bytes())
    return buffer.getvalue()


def _files(root: Path) -> list[Path]:
    found = [root / "spec", *(root / name for name in _ALSO)]
    files = [path for top in found for path in (top.rglob("*") if top.is_dir() else [top])]
    return [path for path in files if path.is_file() and not set(path.parts) & set(_IGNORED)]
