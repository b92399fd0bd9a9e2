# SPDX-License-Identifier: Apache-2.0
"""The rows of the table in section 5.13 whose events are calls of the application."""

from __future__ import annotations

from callchannel.core import frames as wire
from tests.core.scripted import SECOND
from tests.core.states.sender_rows import CANCELLED, FULL, SENDER, Steps, check_goes_on, row
from tests.core.states.sender_world import DELIVERED, LIFETIME, MARK, SMALL, SenderWorld

__all__ = ["SENDER"]

# --- sends ---------------------------------------------------------------------------------------------------------


@row(
    "S01",
    "CLOSING ENDED",
    *(f"{kind}-{how}" for kind in ("reliable", "lossy") for how in ("closed", "replaced", "left")),
)
def send_on_closed(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, ending=w.how)
    yield
    w.call("send", MARK)


@row("S01", "CLOSING", "reliable-failed later")
def send_on_closed_and_failed(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.fail_all(2)
    yield
    w.call("send", MARK)


@row("S02", "CLOSING", "reliable-failed")
@row("S02", "ENDED", "reliable-failed", "reliable-dead")
def send_on_failed(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, ending=w.how)
    yield
    w.call("send", MARK)


@row("S03", "ENDED", "lossy-failed", "lossy-dead")
def send_lossy_on_failed(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, ending=w.how)
    w.reason = ("ended_session" if w.how == "failed" else "link_dead", 1)
    yield
    w.call("send", MARK)


@row("S04", "OPEN PARTIAL", "reliable", "lossy", instead={"CLOSING": "S01", "ENDED": "S01"})
def send_without_numbers(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.session._next_sequence = wire.MAX_SEQUENCE + 1
    yield
    w.call("send", MARK)


@row("S05", "OPEN PARTIAL", "reliable-type", "lossy-type", instead={"CLOSING": "S01", "ENDED": "S01"})
def send_no_bytes(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.codes["CODE"] = "INVALID_ARGUMENT"
    yield
    w.call("send", "text")


@row("S05", "OPEN PARTIAL", "reliable-size", "lossy-size", instead={"CLOSING": "S01", "ENDED": "S01"})
def send_too_much(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.codes["CODE"] = "MESSAGE_TOO_LARGE"
    yield
    w.call("send", bytes(16_777_217 if not w.lossy else 65_537))


@row("S05", "OPEN PARTIAL", "reliable-extension", "lossy-extension", instead={"CLOSING": "S01", "ENDED": "S01"})
def send_bad_extension(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.codes["CODE"] = "INVALID_ARGUMENT"
    yield
    w.call("send", MARK, metadata=type(LIFETIME)(name="n" * 256))


@row("S05", "OPEN PARTIAL", "reliable-absent", instead={"CLOSING": "S01", "ENDED": "S01"})
def send_to_absent(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.codes["CODE"] = "UNKNOWN_RECIPIENT"
    yield
    w.call("send", MARK, to=["ann", "zoe"])


@row("S05", "OPEN PARTIAL", "reliable-barred", instead={"CLOSING": "S01"})
def send_to_barred(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, setup=lambda: w.fail_one(0, 9))
    if state == "PARTIAL":
        w.fail_one(0, 9)
    w.codes["CODE"] = "RECIPIENT_FAILED"
    yield
    w.call("send", MARK, to=["ann", "bob"])


@row(
    "S06",
    "OPEN PARTIAL",
    *("reliable", "lossy", "reliable-full", "lossy-full"),
    instead={"CLOSING": "S01", "ENDED": "S01"},
)
def send_to_nobody(w: SenderWorld, state: str) -> Steps:
    w.peer = True

    def fill() -> None:
        if w.how and w.lossy:
            for _ in range(1 if state == "PARTIAL" else 3):
                w.send(SMALL)
        elif w.how:
            w.send(bytes(41_000 if state == "PARTIAL" else 65_000))

    w.arrange(state, limits=FULL | {"lossy_queue": 4_096}, setup=fill)
    yield
    w.call("send", MARK, exclude=["ann"])


@row("S07", "OPEN PARTIAL", "reliable-bytes", instead={"CLOSING": "S01"})
def send_into_full_buffer(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, limits=FULL, setup=lambda: w.send(bytes(65_000 if state != "PARTIAL" else 41_000)))
    yield
    w.call("send", MARK)


@row("S07", "OPEN PARTIAL", "reliable-messages", instead={"CLOSING": "S01"})
def send_too_many(w: SenderWorld, state: str) -> Steps:
    def fill() -> None:
        while w.endpoint.sender_info(w.sender).statistics.messages_waiting < 64:
            w.send(b"s")

    w.arrange(state, limits={"unconfirmed_messages": 64}, setup=fill)
    yield
    w.call("send", MARK)


@row("S08", "OPEN PARTIAL", "reliable", instead={"CLOSING": "S01", "ENDED": "S01"})
@row("S12", "OPEN PARTIAL", "lossy", instead={"CLOSING": "S01", "ENDED": "S01"})
def send(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.call("send", MARK)


@row("S08", "OPEN PARTIAL", "reliable-stream", instead={"CLOSING": "S01", "ENDED": "S01"})
def open_stream(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.call("open_stream")
    if w.error is None:  # a stream is queued, but nothing of it is written before it has bytes
        w.endpoint.write_stream(w.sender, w.outcome, MARK, w.now)
    w.offered = "send"


@row("S09", "OPEN", "lossy", instead={"CLOSING": "S01"})
def send_while_suspended(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.script.lose()
    w.reason = ("suspended", 1)
    yield
    w.call("send", MARK)


@row("S10", "OPEN PARTIAL", "lossy", instead={"CLOSING": "S01", "ENDED": "S01"})
def send_lossy_to_absent(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.reason = ("no_recipients", 2)
    yield
    w.call("send", MARK, to=["yves", "zoe"])


@row("S11", "OPEN PARTIAL", "lossy", instead={"CLOSING": "S01"})
def send_into_full_queue(w: SenderWorld, state: str) -> Steps:
    w.arrange(
        state,
        limits={"lossy_queue": 4_096},
        setup=lambda: [w.send(SMALL) for _ in range(1 if state == "PARTIAL" else 3)],
    )
    w.reason = ("queue_full", 1)
    yield
    w.call("send", MARK)
    assert w.endpoint.sender_info(w.sender).statistics.bytes_waiting <= 4_096


# --- streams -------------------------------------------------------------------------------------------------------


@row(
    "S13",
    "OPEN PARTIAL CLOSING ENDED",
    *(f"reliable-{call} {what}" for call in ("write", "finish") for what in ("finished", "given up")),
)
def write_to_ended_stream(w: SenderWorld, state: str) -> Steps:
    streams: list[int] = []

    def stream() -> None:
        sequence = w.endpoint.open_stream(w.sender, w.now)
        streams.append(sequence)
        if w.how.endswith("finished"):
            w.endpoint.write_stream(w.sender, sequence, SMALL, w.now)
            w.endpoint.finish_stream(w.sender, sequence, w.now)
            w.pull_all()
        else:
            w.endpoint.cancel(w.sender, sequence, CANCELLED, w.now)

    w.arrange(state, setup=stream if state != "PARTIAL" else None, partial=lambda: (stream(), w.begin())[1])
    w.codes["REASON"] = "INVALID_ARGUMENT" if w.how.endswith("finished") else "CANCELLED"
    yield
    if w.how.startswith("write"):
        w.call("write_stream", streams[0], MARK)
    else:
        w.call("finish_stream", streams[0])


@row("S13", "CLOSING ENDED", "reliable-closed", "reliable-failed")
@row("S13", "ENDED", "reliable-dead")
def write_to_stream_of_ended(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, base="PARTIAL", partial=w.begin_stream, ending=w.how)
    w.codes["REASON"] = {"closed": "SENDER_CLOSED", "failed": "INTERNAL", "dead": "LINK_LOST"}[w.how]
    w.pull_all()
    yield
    w.call("write_stream", w.head, MARK)


@row("S14", "OPEN PARTIAL", "reliable", instead={"CLOSING": "S13", "ENDED": "S13"})
def write_into_full_buffer(w: SenderWorld, state: str) -> Steps:
    streams: list[int] = []

    def fill() -> None:
        streams.append(w.endpoint.open_stream(w.sender, w.now))
        w.endpoint.write_stream(w.sender, streams[0], bytes(65_000 if state != "PARTIAL" else 41_000), w.now)

    w.arrange(state, limits=FULL, setup=fill)
    w.codes["REASON"] = "SENDER_CLOSED"
    yield
    w.call("write_stream", streams[0], MARK)


@row("S15", "OPEN PARTIAL", "reliable", instead={"CLOSING": "S13", "ENDED": "S13"})
@row("S16", "OPEN PARTIAL", "reliable", instead={"CLOSING": "S13", "ENDED": "S13"})
def go_on_with_stream(w: SenderWorld, state: str) -> Steps:
    streams: list[int] = []
    w.arrange(state, setup=lambda: streams.append(w.endpoint.open_stream(w.sender, w.now)))
    w.codes["REASON"] = "SENDER_CLOSED"
    yield
    if w.row == "S15":
        w.call("write_stream", streams[0], MARK)
    else:
        w.call("finish_stream", streams[0])


@row("S15", "PARTIAL", "reliable-partly written")
@row("S16", "PARTIAL", "reliable-partly written")
def go_on_with_partial_stream(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, partial=w.begin_stream)
    yield
    if w.row == "S15":
        w.call("write_stream", w.head, MARK)
    else:
        w.call("finish_stream", w.head)


# --- taking back ---------------------------------------------------------------------------------------------------


@row("S39", "OPEN PARTIAL CLOSING", "reliable", "lossy")
def cancel_unwritten(w: SenderWorld, state: str) -> Steps:
    sequences: list[int] = []
    w.arrange(state, setup=lambda: sequences.append(w.send(MARK)))
    yield
    w.call("cancel", sequences[0], CANCELLED)


@row("S39", "OPEN", "reliable-stream that waits")
def cancel_waiting_stream(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    stream = w.endpoint.open_stream(w.sender, w.now)
    w.send(MARK)
    w.pull_all()
    w.beside = {"queue"}
    w.checks = [lambda: check_goes_on(w)]
    yield
    w.call("cancel", stream, CANCELLED)


@row("S40", "PARTIAL CLOSING", "reliable")
@row("S41", "PARTIAL CLOSING", "lossy")
def cancel_partial(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, base="PARTIAL")
    yield
    w.call("cancel", w.head, CANCELLED)


@row("S42", "OPEN PARTIAL CLOSING", "reliable")
def cancel_written(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.call("cancel", 1, CANCELLED)


@row("S43", "OPEN PARTIAL CLOSING ENDED", "reliable", "lossy", "reliable-never there", "lossy-never there")
def cancel_settled(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.script.ack()
    yield
    w.call("cancel", 99 if w.how else 1, CANCELLED)


@row("S44", "OPEN PARTIAL CLOSING", "reliable")
def receipts_overdue(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, confirm=DELIVERED, limits={"delivered_deadline": SECOND})
    w.script.ack()
    yield
    w.script.wait(SECOND)


# --- closing -------------------------------------------------------------------------------------------------------


@row("S45", "PARTIAL", *(f"reliable-{how}" for how in ("closed", "replaced", "left")))
def close_in_stream(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, partial=w.begin_stream)
    w.endpoint.open_stream(w.sender, w.now)
    yield
    w.end(w.how, settle=False)


@row("S46", "OPEN PARTIAL", *(f"reliable-{how}" for how in ("closed", "replaced", "left")))
def close_with_stream(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.endpoint.open_stream(w.sender, w.now)
    yield
    w.end(w.how, settle=False)


@row("S46", "OPEN PARTIAL", "lossy", "lossy-replaced", "lossy-left")
def close_lossy(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.vacuous = {"strip"}
    yield
    w.end(w.how or "closed", settle=False)


@row("S46", "CLOSING ENDED", "reliable", "lossy", "reliable-failed before")
def close_again(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, ending="failed" if w.how else "closed")
    yield
    w.end("closed", settle=False)
