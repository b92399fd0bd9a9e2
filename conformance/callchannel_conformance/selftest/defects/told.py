# SPDX-License-Identifier: Apache-2.0
"""Defects in what the application is told."""

from __future__ import annotations

from callchannel_conformance.selftest.defects.words import event, message, raised, value

event("closed-never", "CC-ERR-021 CC-SESS-040", ("receiver_states", "receiver"), "receiver_closed", lambda e: [])
event("closed-code", "CC-ERR-021", "receiver_states", "receiver_closed", lambda e: [{**e, "code": "NONE"}])
event("readable-never", "CC-SESS-029", "receiver_states", "receiver_readable", lambda e: [])
event("readable-twice", "CC-SESS-029", "receiver_states", "receiver_readable", lambda e: [e, e])
event("created-slot", "CC-SEC-005", "roster_endpoint", "receiver_created", lambda e: [{**e, "identity": "ann"}])
event("created-session", "CC-SESS-027", "receiver_states", "receiver_created", lambda e: [{**e, "session": 7}])
event("confirmed-twice", "CC-MODEL-014", "delivery", "message_confirmed", lambda e: [e, e])
event("confirmed-never", "CC-DELIV-010", "delivery", "message_confirmed", lambda e: [])
event(
    "failed-as-confirmed",
    "CC-DELIV-003",
    "delivery",
    "message_failed",
    lambda e: [{**{k: v for k, v in e.items() if k != "code"}, "event": "message_confirmed"}],
)
event("failed-code", "CC-DELIV-005", "delivery", "message_failed", lambda e: [{**e, "code": "INTERNAL"}])
event("failed-no-report", "CC-DELIV-004", "delivery", "message_failed", lambda e: [{**e, "report": None}])
event("recipient-failed-never", "CC-DELIV-025", "sender", "recipient_failed", lambda e: [])
event("writable-never", "CC-DELIV-066", "delivery", "sender_writable", lambda e: [])
event("sender-ended-never", "CC-SESS-066", "sender", "sender_ended", lambda e: [])
event("sender-ended-code", "CC-SESS-024", "sender", "sender_ended", lambda e: [{**e, "code": "NONE"}])
event("custody-never", "CC-DELIV-040", "delivery", "custody_lost", lambda e: [])
event("link-ended-twice", "CC-ERR-025", "link_endpoint", "link_ended", lambda e: [e, e])
event("link-ended-code", "CC-ERR-025", "validation", "link_ended", lambda e: [{**e, "code": "LINK_LOST"}])
event("suspended-never", "CC-LINK-064", "link_states", "suspended", lambda e: [])
event("resumed-never", "CC-LINK-064", "link_states", "resumed", lambda e: [])
event("left-code", "CC-PEER-020", "peer", "participant_left", lambda e: [{**e, "code": "LEFT"}])


value("unknown-recipient", "CC-ROSTER-039", "roster_endpoint", "send", raised("UNKNOWN_RECIPIENT", "RECIPIENT_FAILED"))
value("recipient-failed", "CC-DELIV-027", "sender", "send", raised("RECIPIENT_FAILED", "UNKNOWN_RECIPIENT"))
value("sender-closed", "CC-SESS-066", "sender", "send", raised("SENDER_CLOSED", "LINK_LOST"))
value("would-block", "CC-DELIV-062", "delivery", "send", raised("WOULD_BLOCK", "MESSAGE_TOO_LARGE"))
value("too-large", "CC-LIMIT-019", "delivery", "send", raised("MESSAGE_TOO_LARGE", "INVALID_ARGUMENT"))
value("open-argument", "CC-SESS-001", "sender", "open", raised("INVALID_ARGUMENT", "NO_CHANNEL"))
value("open-after-leave", "CC-LINK-062", "link_endpoint", "open", raised("NOT_JOINED", "LINK_LOST"))
value("setting", "CC-LIMIT-003", "extensions", "create", lambda ok: {"value": {}} if "raised" in ok else ok)
value(
    "stream-aborted",
    "CC-FRAG-028 CC-SESS-037 CC-ERR-023",
    "fragments",
    "read_chunk",
    lambda ok: (
        {**{k: v for k, v in ok.items() if k != "raised"}, "value": {"chunk": {"data": "", "last": True}}}
        if "raised" in ok
        else ok
    ),
)
value("bytes-reversed", "CC-MODEL-004", "fragments", "read", message(data=lambda d: bytes.fromhex(d)[::-1].hex()))
value("sequence-read", "CC-SESS-030", "lossy", "read", message(sequence=lambda n: n + 1))
value("not-private", "CC-FRAG-012", "fragments", "read", message(private=False))
value("no-metadata", "CC-EXT-004", "extensions", "read", message(metadata={}))
value(
    "nothing-to-read",
    "CC-ERR-022",
    "delivery",
    "read",
    lambda ok: {**ok, "value": {"message": None}} if "value" in ok else ok,
)
value(
    "cancel-outcome",
    "CC-DELIV-036",
    "sender",
    "cancel",
    lambda ok: {**ok, "value": {"outcome": "removed"}} if "value" in ok else ok,
)
