# SPDX-License-Identifier: Apache-2.0
"""The suite's own parts: independence, verdicts, adapters that are bad, replies that are none, the matrix, reports."""

from __future__ import annotations

import ast
import base64
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from callchannel_conformance import cli, frames, matrix, report, standard, wire
from callchannel_conformance.client import Client, Reply, Unsupported
from callchannel_conformance.doctor import examine
from callchannel_conformance.oracle import History
from callchannel_conformance.outcome import AdapterError, Exit, NotApplicable, Result, Verdict, Violation, verdict
from callchannel_conformance.plans import plans
from callchannel_conformance.plugin import budget_seconds, check_id, classify
from callchannel_conformance.selftest import bad_adapter, wire_adapter
from callchannel_conformance.selftest.defects import DEFECTS
from callchannel_conformance.selftest.proxy import apply
from callchannel_conformance.selftest.variants import VARIANTS

PACKAGE = Path(cli.__file__).parent
WIRE = f"{sys.executable} -m callchannel_conformance.selftest.wire_adapter"
BAD = f"{sys.executable} -m callchannel_conformance.selftest.bad_adapter"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_of_an_implementation_is_imported(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] not in ("callchannel", "tools"), f"{path.name} imports {name}"


def test_the_package_runs_without_anything_beside_it(tmp_path):
    code = "import callchannel_conformance.cli, sys; assert not {'callchannel', 'tools'} & set(sys.modules)"
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    )


@pytest.mark.parametrize(
    ("results", "complete", "expected"),
    [
        ([], True, Verdict.INCOMPLETE),
        ([Result.SKIP], True, Verdict.INCOMPLETE),
        ([Result.PASS, Result.SKIP], True, Verdict.CONFORMANT),
        ([Result.PASS], False, Verdict.INCOMPLETE),
        ([Result.PASS, Result.WARN, Result.INFO], True, Verdict.CONFORMANT),
        ([Result.PASS, Result.ERROR], True, Verdict.INCOMPLETE),
        ([Result.PASS, Result.HARNESS_ERROR], True, Verdict.INCOMPLETE),
        ([Result.PASS, Result.NONDETERMINISTIC], True, Verdict.INCOMPLETE),
        ([Result.ERROR, Result.FAIL], False, Verdict.NONCONFORMANT),
    ],
)
def test_verdicts(results, complete, expected):
    assert verdict(results, complete=complete) is expected


def test_exit_codes_are_fixed():
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4]


def test_a_violation_is_as_grave_as_its_key_word():
    assert Violation("CC-LINK-007", "x").result is Result.FAIL
    assert Violation("CC-FRAG-011", "x").result is Result.WARN
    assert Violation("CC-FRAME-100", "x").result is Result.INFO
    assert classify(AdapterError("crash", "x"))[0] is Result.ERROR
    assert classify(NotApplicable("x"))[0] is Result.SKIP
    assert classify(ZeroDivisionError())[0] is Result.HARNESS_ERROR


def test_names_of_checks():
    assert check_id("checks/test_peer.py::test_blocks[epoch-initiator]") == "peer/blocks[epoch-initiator]"
    assert budget_seconds("50s") == 50 and budget_seconds("2m") == 120 and budget_seconds("") is None
    with pytest.raises(ValueError, match="no time"):
        budget_seconds("soon")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("garbage", "garbage"),
        ("wrong-id", "garbage"),
        ("noise", "garbage"),
        ("no-schema", "garbage"),
        ("crash-on-fault", "crash"),
    ],
)
def test_what_is_no_reply_is_an_error_of_the_adapter(kind, error):
    client = Client(f"{BAD} {kind}")
    client.hello()
    with pytest.raises(AdapterError) as caught:
        client.request("decode", lane="reliable", packet="08000004")
    assert caught.value.kind == error
    client.reset()
    client.close()


def test_an_adapter_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr("callchannel_conformance.client.OTHER_REPLIES", 0.2)
    client = Client(f"{BAD} hang")
    client.hello()
    with pytest.raises(AdapterError) as caught:
        client.request("decode", lane="reliable", packet="")
    assert caught.value.kind == "hang"
    client.close()


def test_an_adapter_in_this_process():
    client = Client("inline:callchannel.adapter.conversation:Conversation", strict=True)
    assert "relay" in client.hello().profiles
    assert client.request("decode", lane="reliable", packet="08000004").value["error"] == "UNKNOWN_TYPE"
    client.close()
    with pytest.raises(AdapterError):
        Client("inline:no.such.module:Adapter").hello()


def test_a_command_that_is_none():
    with pytest.raises(AdapterError):
        Client("/no/such/program").hello()


def test_doctor_sees_what_is_good_and_what_is_not():
    client = Client(WIRE, strict=True)
    assert all(finding.ok for finding in examine(client))
    client.close()
    client = Client(f"{BAD} accept-all", strict=True)
    assert "it refuses a faulty one" in [finding.what for finding in examine(client) if not finding.ok]
    client.close()


def test_an_unknown_op_is_unsupported():
    client = Client(WIRE)
    with pytest.raises(Unsupported):
        client.request("fly")
    with pytest.raises(NotApplicable):
        client.needs(profile="relay")
    client.close()


def test_a_run_gives_verdict_reports_and_exit_code(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = ["--json", "r.json", "--junit", "r.xml", "--html", "r.html", "--badge", "b.json", "--replays", "replays"]
    broken = f"{WIRE} without-CC-FRAME-027"
    assert (
        cli.main(["run", "--adapter", broken, "--requirement", "CC-FRAME-027", "--scripted", "-q", *places])
        == Exit.NONCONFORMANT
    )
    results = json.loads(Path("r.json").read_text())
    assert results["verdict"] == "nonconformant" and results["counts"]["FAIL"] >= 1
    assert "CC-FRAME-027" in Path("r.html").read_text() and "<script" not in Path("r.html").read_text()
    assert json.loads(Path("b.json").read_text())["message"] == "nonconformant"
    assert "testsuite" in Path("r.xml").read_text()
    saved = sorted(str(path) for path in Path("replays").glob("*.json"))
    assert saved
    capsys.readouterr()
    assert cli.main(["replay", "--adapter", broken, saved[0]]) == Exit.NONCONFORMANT
    assert capsys.readouterr().out.startswith("FAILED")
    assert cli.main(["replay", "--adapter", WIRE, saved[0]]) == Exit.CONFORMANT
    assert capsys.readouterr().out.startswith("FIXED")
    assert cli.main(["replay", "--adapter", f"{BAD} crash-at-start", saved[0]]) == Exit.INCOMPLETE
    assert capsys.readouterr().out.startswith("ERROR")


def test_two_processes_say_what_one_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = []
    for workers in ([], ["-n", "2"]):
        options = ["--adapter", WIRE, "--requirement", "CC-FRAME-027", "--scripted", "-q", "--json", "r.json"]
        assert cli.main(["run", *options, *workers]) == Exit.INCOMPLETE
        results = json.loads(Path("r.json").read_text())
        found.append((results["counts"], results["implementation"], sorted(c["check"] for c in results["checks"])))
    assert found[0] == found[1] and found[0][0]["PASS"] > 3


def test_a_selection_is_never_conformant(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "--adapter", WIRE, "--requirement", "CC-FRAME-095", "--scripted", "-q"]) == Exit.INCOMPLETE
    assert "selection" in capsys.readouterr().out


def test_looking_commands(capsys):
    assert cli.main(["explain", "CC-LINK-019"]) == 0
    assert "peer/hello_refused" in capsys.readouterr().out
    assert cli.main(["explain", "CC-NONE-" + "001"]) == Exit.USAGE
    assert cli.main(["list", "--requirement", "CC-SCHED-017"]) == 0
    assert "scheduling/trace_of_8_9" in capsys.readouterr().out
    assert cli.main(["vectors"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(standard.vectors())
    assert cli.main(["matrix"]) == 0
    assert "with_check" in capsys.readouterr().out


@pytest.mark.parametrize("lang", ["python", "js"])
def test_new_adapter(lang, tmp_path, capsys):
    target = tmp_path / "adapter"
    assert cli.main(["new-adapter", "--lang", lang, "--to", str(target)]) == 0
    assert len(target.read_text().splitlines()) < 150
    assert cli.main(["new-adapter", "--lang", lang, "--to", str(target)]) == Exit.USAGE
    if lang == "python":
        client = Client(f"{sys.executable} {target}")
        assert client.hello().profiles == {"codec"}
        client.close()


def test_every_bad_adapter_answers_or_ends_as_it_says():
    hello = {"id": 1, "op": "hello"}
    for kind in bad_adapter.EXPECTED:
        if kind != "crash-at-start":
            answered = bad_adapter.answer(kind, hello)
            assert isinstance(answered, dict) and answered["id"] == 1
    assert len(bad_adapter.EXPECTED) >= 9


def test_seeded_defects_and_variants_are_many_and_named():
    assert len(DEFECTS) >= 100
    assert len(VARIANTS) >= 15
    areas = {path.stem.removeprefix("test_") for path in matrix.CHECKS.glob("test_*.py")}
    for name, defect in DEFECTS.items():
        assert set(defect.areas) <= areas, name
        assert set(defect.requirements) <= set(standard.requirements()), name


def test_a_proxy_changes_what_it_says():
    packet = wire.encode_packet([frames.ack(3), frames.close(4)]).hex()
    reply = {"id": 1, "ok": {"value": {}, "packets": [{"transport": 1, "lane": "reliable", "packet": packet}]}}
    changed = apply(DEFECTS["w-close-low"].change, {"id": 1, "op": "timeout"}, lambda request: reply)
    assert wire.decode_packet(bytes.fromhex(changed["ok"]["packets"][0]["packet"])) == [frames.ack(3), frames.close(3)]


def test_the_matrix_finds_marks_and_holes():
    rows = {row.requirement.id: row for row in matrix.rows(dead={"CC-LINK-019": ["x"]})}
    assert rows["CC-LINK-019"].defects == ["x"] and rows["CC-LINK-019"].negative
    assert rows["CC-RTC-001"].untestable == "transport"
    assert rows["CC-MODEL-010"].watched
    faults = matrix.gate(list(rows.values()))
    assert any(fault.startswith("CC-FRAME-") and "dead defect" in fault for fault in faults)
    assert "| CC-LINK-019 |" in matrix.as_markdown(list(rows.values()))


def test_shipped_data_is_that_of_the_standard():
    script = PACKAGE.parent / "make_data.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["request", "reply"])
def test_schemas_are_schemas(name):
    Draft202012Validator.check_schema(standard.schema(name))


def test_the_diagram_shows_both_sides():
    transcript = [
        (
            {
                "op": "receive",
                "now": 2000,
                "machine": "m",
                "transport": 1,
                "lane": "reliable",
                "packet": wire.encode_frame(frames.ack(3)).hex(),
            },
            {"ok": {"value": {}, "events": [{"event": "joined", "identity": "<ann>"}]}},
        )
    ]
    shown = report.diagram(transcript)
    assert "ACK 3" in shown and "&lt;ann&gt;" in shown and "2 ms" in shown


def test_an_adapter_over_websocket():
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]

    def adapter() -> None:
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                continue
        with connection:
            key = base64.b64encode(bytes(16)).decode()
            connection.sendall(f"GET / HTTP/1.1\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(4096)
            data = data.split(b"\r\n\r\n", 1)[1]
            while True:
                while len(data) < 2 or len(data) < 2 + (data[1] & 0x7F):
                    more = connection.recv(4096)
                    if not more:
                        return
                    data += more
                size = data[1] & 0x7F
                message, kind, data = data[2 : 2 + size], data[0] & 15, data[2 + size :]
                if kind == 8:
                    return
                request = json.loads(message)
                answer = json.dumps({"id": request["id"], **wire_adapter.answer(request)}).encode()
                mask = b"\x01\x02\x03\x04"
                masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(answer))
                head = bytes([0x81, 0x80 | 126]) + len(answer).to_bytes(2, "big")
                connection.sendall(head + mask + masked)

    thread = threading.Thread(target=adapter, daemon=True)
    thread.start()
    client = Client(f"ws-listen:{port}")
    assert client.hello().profiles == {"codec"}
    assert client.request("decode", lane="reliable", packet="08000004").value["error"] == "UNKNOWN_TYPE"
    client.close()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("call", ["peer", "group"])
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_plans_are_pure_json(call, data):
    plan = data.draw(plans(call))
    assert json.loads(json.dumps(plan)) == plan
    assert plan["steps"]


class _Machine:
    """An endpoint of which only the events are known."""

    def __init__(self, name):
        self.name, self.kind = name, "endpoint"
        self.events = [{"event": "joined", "identity": name, "slot": 0}]
        self.replies = {}

    def all_events(self, *names, **members):
        return [e for e in self.events if e["event"] in names and all(e.get(k) == v for k, v in members.items())]

    def op(self, name, **members):
        return self.replies[name].pop(0)


class _World:
    def __init__(self, *machines):
        self.endpoints = list(machines)


def _history():
    ann, bob = _Machine("ann"), _Machine("bob")
    history = History(_World(ann, bob))
    history.observe(ann)
    history.observe(bob)
    ann.replies = {"open": [Reply(value={"sender": 1})], "send": [Reply(value={"sequence": 1})]}
    history.open(ann, {"op": "open", "to": None, "confirm": "delivered"})
    history.send(ann, {"op": "send", "sender": 0, "size": 20})
    bob.events.append(
        {"event": "receiver_created", "receiver": 5, "identity": "ann", "reliability": "reliable", "channel": 1}
    )
    payload = b"ann:0:".ljust(20, b".").hex()
    return history, ann, bob, {"sequence": 1, "data": payload}


def _reads(bob, *messages):
    bob.replies = {"read": [Reply(value={"message": message}) for message in (*messages, None)]}


def test_the_oracle_takes_what_is_right():
    history, ann, bob, message = _history()
    _reads(bob, message)
    assert history.read_all(bob)
    ann.events.append({"event": "message_confirmed", "sender": 1, "sequence": 1, "report": None})
    history.judge()
    history.judge_end()


@pytest.mark.parametrize(
    ("spoil", "requirement"),
    [
        (lambda h, a, b, m: _reads(b, m, m), "CC-SESS-032"),
        (lambda h, a, b, m: _reads(b, {**m, "data": "00"}), "CC-MODEL-004"),
        (lambda h, a, b, m: _reads(b, {**m, "sequence": 2}), "CC-MODEL-006"),
        (lambda h, a, b, m: a.events.extend([_confirmed(), _confirmed()]), "CC-MODEL-014"),
        (lambda h, a, b, m: (_reads(b, m), a.events.append(_failed())), "CC-DELIV-022"),
        (lambda h, a, b, m: a.events.append(_confirmed()), "CC-DELIV-013"),
        (lambda h, a, b, m: None, "CC-DELIV-001"),
        (lambda h, a, b, m: a.events.extend([{"event": "link_ended", "code": "LEFT"}] * 2), "CC-ERR-025"),
    ],
    ids=[
        "twice",
        "other-bytes",
        "other-number",
        "two-outcomes",
        "failed-and-read",
        "confirmed-unread",
        "pending",
        "two-ends",
    ],
)
def test_the_oracle_sees_what_is_wrong(spoil, requirement):
    history, ann, bob, message = _history()
    _reads(bob)
    spoil(history, ann, bob, message)
    with pytest.raises(Violation) as caught:
        history.read_all(bob)
        history.judge()
        history.judge_end()
    assert caught.value.requirement == requirement


def _confirmed():
    return {"event": "message_confirmed", "sender": 1, "sequence": 1, "report": None}


def _failed():
    report = {"reached": [], "failed": [["bob", "LOST"]], "unknown": []}
    return {"event": "message_failed", "sender": 1, "sequence": 1, "code": "LOST", "report": report}
