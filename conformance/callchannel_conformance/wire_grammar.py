# SPDX-License-Identifier: Apache-2.0
"""The layout of every frame of wire version 1, as declarations: chapter 3 of the standard without its value rules.

The grammar says where bytes stand, and nothing about which values are legal: that is `wire_rules`. A frame body is
parsed with its flags as a parameter (`BODIES[name].parse(body, flags=...)`). The name under which a part fails to parse
tells the rules which requirement on structure is broken.
"""

from __future__ import annotations

from typing import Any, Final

from construct import (
    Array,
    BitsInteger,
    BitStruct,
    Bytes,
    ExprAdapter,
    Flag,
    FocusedSeq,
    GreedyBytes,
    GreedyRange,
    If,
    Int8ub,
    Int16ub,
    Int32ub,
    Int64ub,
    Optional,
    Prefixed,
    Rebuild,
    Struct,
    Terminated,
    len_,
    obj_,
    this,
)

# --- 3.2, 3.3: packets and the start of a frame ---------------------------------------------------

START_SIZE: Final = 4
"""Bytes of the start of a frame: type, flags and length."""

SKIPPABLE: Final = 0x80
"""Bit of a type: a reader that does not know the type skips the frame."""

UNCOUNTED: Final = 0x40
"""Bit of a type: the frame is not counted, whatever the lane."""

MAGIC: Final = 0x43414C4C
WIRE_VERSION: Final = 1
NO_SLOT: Final = 0xFFFF

START: Final[Any] = Struct("type" / Int8ub, "flags" / Int8ub, "length" / Int16ub)

# `length` counts the whole frame, so the body takes four bytes less (CC-FRAME-010).
FRAME: Final[Any] = Struct(
    "type" / Int8ub,
    "flags" / Int8ub,
    "body" / Prefixed(ExprAdapter(Int16ub, obj_ - START_SIZE, obj_ + START_SIZE), GreedyBytes),
)

# --- 3.4: the types -------------------------------------------------------------------------------

NAMES: Final[dict[int, str]] = {
    0x01: "DATA",
    0x02: "CLOSE",
    0x03: "FAIL",
    0x04: "REFUSE",
    0x05: "RECEIPT",
    0x06: "CREDIT",
    0x07: "ROSTER",
    0x41: "HELLO",
    0x42: "WELCOME",
    0x43: "ACK",
    0x44: "BYE",
}
NUMBERS: Final[dict[str, int]] = {name: number for number, name in NAMES.items()}
CONTROL: Final = ("CLOSE", "FAIL", "REFUSE", "RECEIPT", "CREDIT")

# --- Flags, from the most significant bit down. `reserved` are the bits that the type does not define.

_NO_FLAGS: Final[Any] = BitStruct("reserved" / BitsInteger(8))

FLAGS: Final[dict[str, Any]] = {
    "DATA": BitStruct(
        "EXTENSIONS" / Flag,
        "LATEST" / Flag,
        "CONFIRM" / Flag,
        "PRIVATE" / Flag,
        "RECIPIENTS" / Flag,
        "FRAGMENT" / Flag,
        "HIGH" / Flag,
        "RELIABLE" / Flag,
    ),
    "FAIL": BitStruct("reserved" / BitsInteger(7), "UNCERTAIN" / Flag),
    "ROSTER": BitStruct("reserved" / BitsInteger(6), "MORE" / Flag, "SNAPSHOT" / Flag),
    "HELLO": BitStruct("reserved" / BitsInteger(6), "REPLACE" / Flag, "RESUME" / Flag),
    **dict.fromkeys(("CLOSE", "REFUSE", "RECEIPT", "CREDIT", "WELCOME", "ACK", "BYE"), _NO_FLAGS),
}

# --- 3.5: the blocks of DATA ----------------------------------------------------------------------

FRAGMENT: Final[Any] = BitStruct(
    "last" / Flag,
    "abort" / Flag,
    "index" / BitsInteger(30),
    "total" / BitsInteger(32),
)

WORD: Final[Any] = Struct("index" / Int16ub, "bits" / Int32ub)

RECIPIENTS: Final[Any] = Struct(
    "epoch" / Int32ub,
    "head" / BitStruct("except" / Flag, "count" / Rebuild(BitsInteger(15), len_(this._.words))),
    "words" / Array(this.head.count, WORD),
)

EXTENSION: Final[Any] = Struct(
    "head" / BitStruct("must_understand" / Flag, "type" / BitsInteger(15)),
    "value" / Prefixed(Int16ub, GreedyBytes),
)

EXTENSIONS: Final[Any] = Prefixed(Int16ub, FocusedSeq("all", "all" / GreedyRange(EXTENSION), "end" / Terminated))

# --- 3.5 to 3.10: what follows the start ----------------------------------------------------------

_DATA: Final[Any] = Struct(
    "channel" / Int16ub,
    "sender" / Int16ub,
    "session" / Int32ub,
    "sequence" / Int32ub,
    "fragment" / If(this._params.flags.FRAGMENT, FRAGMENT),
    "recipients" / If(this._params.flags.RECIPIENTS, RECIPIENTS),
    "extensions" / If(this._params.flags.EXTENSIONS, EXTENSIONS),
    "payload" / GreedyBytes,
)

_CONTROL: Final[Any] = Struct(
    "sender" / Int16ub,
    "recipient" / Int16ub,
    "session" / Int32ub,
    "value" / Int64ub,
    "reason" / Int16ub,
    "end" / Terminated,
)

# The identifier's length stands four bytes before the identifier, so the two are not one prefixed field.
ENTRY: Final[Any] = Struct(
    "op" / Int8ub,
    "id_length" / Rebuild(Int8ub, len_(this.id)),
    "slot" / Int16ub,
    "reason" / Int16ub,
    "id" / Bytes(this.id_length),
)

_ROSTER: Final[Any] = Struct("epoch" / Int32ub, "entries" / GreedyRange(ENTRY), "end" / Terminated)

HELLO_HEAD: Final[Any] = Struct(
    "magic" / Optional(Int32ub),
    "version" / If(lambda context: context.magic is not None, Optional(Int16ub)),
)
WELCOME_HEAD: Final[Any] = Struct("version" / Optional(Int16ub))
"""What is read of HELLO and WELCOME before anything else (CC-FRAME-072, CC-FRAME-083); None where it is cut off."""

_HELLO: Final[Any] = Struct(
    "magic" / Int32ub,
    "version" / Int16ub,
    "features" / Int32ub,
    "token" / Bytes(16),
    "attempt" / Int32ub,
    "received" / Int64ub,
    "window" / Int32ub,
    "largest_message" / Int32ub,
    "id" / Prefixed(Int8ub, GreedyBytes),
    "end" / Terminated,
)

_WELCOME: Final[Any] = Struct(
    "version" / Int16ub,
    "slot" / Int16ub,
    "features" / Int32ub,
    "token" / Bytes(16),
    "attempt" / Int32ub,
    "received" / Int64ub,
    "window" / Int32ub,
    "largest_message" / Int32ub,
    "resume_ms" / Int32ub,
    "id" / Prefixed(Int8ub, GreedyBytes),
    "end" / Terminated,
)

_ACK: Final[Any] = Struct("received" / Int64ub, "end" / Terminated)

_BYE: Final[Any] = Struct("code" / Int16ub, "text" / GreedyBytes)

BODIES: Final[dict[str, Any]] = {
    "DATA": _DATA,
    **dict.fromkeys(CONTROL, _CONTROL),
    "ROSTER": _ROSTER,
    "HELLO": _HELLO,
    "WELCOME": _WELCOME,
    "ACK": _ACK,
    "BYE": _BYE,
}

# --- 3.7: roster operations -----------------------------------------------------------------------

OPS: Final[dict[int, str]] = {1: "JOIN", 2: "LEAVE", 3: "SUSPENDED", 4: "RESUMED"}
OP_NUMBERS: Final[dict[str, int]] = {name: number for number, name in OPS.items()}
