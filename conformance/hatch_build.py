# SPDX-License-Identifier: Apache-2.0
"""What hatchling calls while it builds: puts the vectors and the schemas into the package.

In a checkout they stand elsewhere. In a source distribution they are in the package already, so that it builds a wheel
where nothing else of the project is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_COPIES: Final = {"../spec/vectors": "vectors", "schemas": "schemas"}
"""Folders beside the package, and their names in the package's data."""


class DataHook(BuildHookInterface[Any]):
    """Copies the data that the package reads and that stands elsewhere in a checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folders. An editable install reads them where they are. Raises `FileNotFoundError`."""
        if version == "editable":
            return
        data = Path(self.root) / "callchannel_conformance" / "data"
        for source, name in _COPIES.items():
            folder = Path(self.root) / source
            if folder.is_dir():
                build_data["force_include"][str(folder)] = f"callchannel_conformance/data/{name}"
            elif not (data / name).is_dir():
                raise FileNotFoundError(f"{folder} is missing; build in a checkout, or in a source distribution")
