# SPDX-License-Identifier: Apache-2.0
"""What a call and a participant may be called (specification, chapter 13, CC-SIG-006 and CC-SIG-028)."""

from __future__ import annotations

import re
from typing import Final

from callchannel.core.limits import IDENTIFIER

AUDIENCE: Final = "callchannel"
"""What the claim `aud` of an admission token is or contains."""

CALL_NAME: Final = 128
"""Bytes of a call's name, at most."""

_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{CALL_NAME - 1}}}", re.ASCII)


def is_call_name(name: object) -> bool:
    """Whether `name` can be the name of a call."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def is_identity(identity: object) -> bool:
    """Whether `identity` can be a participant's identifier: 1 to 255 bytes of UTF-8."""
    if not isinstance(identity, str):
        return False
    try:
        return 1 <= len(identity.encode()) <= IDENTIFIER
    except UnicodeEncodeError:
        return False
