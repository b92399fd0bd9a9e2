# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for everything that chapter 3 allows on the wire."""

from __future__ import annotations

from hypothesis import strategies as st

from callchannel.core import frames as wire
from callchannel.core.extensions import Extension, ExtensionType
from callchannel.core.recipients import Recipients, mask_of

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFF_FFFF)
u64 = st.integers(0, (1 << 64) - 1)
slots = st.integers(0, 0xFFFE)
positive = st.integers(1, 0xFFFF_FFFF)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
identities = text.filter(bool)


@st.composite
def slot_sets(draw: st.DrawFn, *, max_words: int = 64) -> int:
    """A set of at least one slot, in few words."""
    words = draw(st.lists(st.integers(0, 2_047), min_size=1, max_size=min(max_words, 5), unique=True))
    found = [32 * word + draw(st.integers(0, 31)) for word in words]
    return mask_of(slot for slot in found if slot != 0xFFFF) or 1


recipients = st.builds(Recipients, epoch=positive, everyone_but=st.booleans(), slots=slot_sets())
everyone = st.builds(Recipients, epoch=positive, everyone_but=st.just(True), slots=st.just(0))


@st.composite
def extension_tuples(draw: st.DrawFn, *, types: st.SearchStrategy[int] | None = None) -> tuple[Extension, ...]:
    """Extensions, ascending by type."""
    kinds = draw(st.lists(st.integers(0, 0x7FFF) if types is None else types, max_size=3, unique=True))
    return tuple(Extension(kind, draw(st.binary(max_size=20)), draw(st.booleans())) for kind in sorted(kinds))


@st.composite
def data_frames(draw: st.DrawFn, *, lossy: bool | None = None) -> wire.Data:
    """Any legal DATA frame."""
    reliable = not lossy if lossy is not None else draw(st.booleans())
    flags = wire.RELIABLE if reliable else 0
    flags |= draw(st.sampled_from([0, wire.HIGH]))
    if reliable:
        flags |= draw(st.sampled_from([0, wire.CONFIRM]))
    block = None
    if draw(st.booleans()):
        block = draw(everyone if flags & wire.CONFIRM and draw(st.booleans()) else recipients)
        flags |= 0 if block.names_everyone else wire.PRIVATE
    elif draw(st.booleans()):
        flags |= wire.PRIVATE
    found = draw(extension_tuples())
    fragment = None
    payload = draw(st.binary(max_size=60))
    if draw(st.booleans()):
        fragment, payload, keep_blocks = draw(_fragments(reliable=reliable))
        if not keep_blocks:
            if block is not None:
                flags |= wire.PRIVATE if not block.names_everyone else 0
            block, found = None, ()
        elif fragment.index:
            found = tuple(item for item in found if item.type == ExtensionType.LIFETIME)
    elif not reliable:
        flags |= draw(st.sampled_from([0, wire.LATEST]))
    return wire.Data(
        draw(st.integers(1, 0xFFFF)),
        draw(slots),
        draw(positive),
        draw(positive),
        payload,
        flags,
        fragment,
        block,
        found,
    )


@st.composite
def _fragments(draw: st.DrawFn, *, reliable: bool) -> tuple[wire.Fragment, bytes, bool]:
    """A fragment block, its payload, and whether the frame may have other blocks."""
    if reliable:
        kind = draw(st.sampled_from(["abort", "stream", "part", "only"]))
        index = draw(st.sampled_from([0, 1, 2, wire.MAX_INDEX]))
        if kind == "abort":
            return wire.Fragment(max(index, 1), draw(u32), abort=True), b"", False
        if kind == "only":
            payload = draw(st.binary(min_size=1, max_size=60))
            return wire.Fragment(0, len(payload), last=True), payload, True
        payload = draw(st.binary(min_size=1, max_size=60))
        if kind == "stream":
            last = draw(st.booleans())
            return wire.Fragment(index, 0, last), b"" if last and draw(st.booleans()) else payload, not index
        total = draw(st.integers(len(payload) + 1, 0xFFFF_FFFF))
        return wire.Fragment(index, total, draw(st.booleans()) and bool(index)), payload, not index
    index = draw(st.integers(0, 127))
    if draw(st.booleans()):
        payload = draw(st.binary(min_size=1, max_size=60))
        return (
            wire.Fragment(index, len(payload) if not index else draw(st.integers(len(payload), 65_536)), True),
            (payload),
            True,
        )
    payload = bytes(512)
    return wire.Fragment(index, draw(st.integers(512, 65_536))), payload, True


@st.composite
def control_frames(draw: st.DrawFn) -> wire.Control:
    """Any legal CLOSE, FAIL, REFUSE, RECEIPT or CREDIT."""
    head = (draw(slots), draw(u16), draw(positive))
    kind = draw(st.sampled_from([wire.Close, wire.Fail, wire.Refuse, wire.Receipt, wire.Credit]))
    if kind is wire.Fail:
        return wire.Fail(*head, draw(st.integers(1, 1 << 32)), draw(st.integers(1, 0xFFFF)), draw(st.booleans()))
    if kind is wire.Credit:
        return wire.Credit(*head, draw(u64))
    reason = {wire.Close: u16, wire.Refuse: st.integers(1, 0xFFFF), wire.Receipt: st.just(0)}[kind]
    return kind(*head, draw(positive), draw(reason))


@st.composite
def roster_entries(draw: st.DrawFn) -> wire.RosterEntry:
    """Any legal roster entry."""
    op = draw(st.sampled_from(list(wire.RosterOp)))
    reason = draw(u16) if op in (wire.RosterOp.LEAVE, wire.RosterOp.SUSPENDED) else 0
    return wire.RosterEntry(op, draw(slots), reason, draw(identities) if op is wire.RosterOp.JOIN else "")


rosters = st.builds(
    wire.Roster,
    epoch=positive,
    entries=st.lists(roster_entries(), max_size=4).map(tuple),
    snapshot=st.booleans(),
    more=st.booleans(),
)


@st.composite
def hellos(draw: st.DrawFn) -> wire.Hello:
    """Any legal HELLO."""
    resume = draw(st.booleans())
    return wire.Hello(
        token=draw(st.binary(min_size=16, max_size=16)),
        attempt=draw(positive),
        window=draw(st.integers(65_536, 0xFFFF_FFFF)),
        largest_message=draw(st.integers(32_768, 0xFFFF_FFFF)),
        received=draw(u64) if resume else 0,
        features=draw(u32),
        identity=draw(text),
        resume=resume,
        replace=not resume and draw(st.booleans()),
    )


welcomes = st.builds(
    wire.Welcome,
    slot=slots,
    token=st.binary(min_size=16, max_size=16),
    attempt=positive,
    window=st.integers(65_536, 0xFFFF_FFFF),
    largest_message=st.integers(32_768, 0xFFFF_FFFF),
    resume_ms=u32,
    identity=identities,
    received=u64,
    features=u32,
)

acks = st.builds(wire.Ack, received=u64)
byes = st.builds(wire.Bye, code=u16, text=text)
unknowns = st.builds(wire.Unknown, type=st.integers(0x80, 0xFF), flags=st.integers(0, 255), body=st.binary(max_size=20))

any_frame: st.SearchStrategy[wire.Frame] = st.one_of(
    data_frames(), control_frames(), rosters, hellos(), welcomes, acks, byes, unknowns
)
"""Every frame that may stand on the reliable lane."""
