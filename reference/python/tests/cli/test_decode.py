# SPDX-License-Identifier: Apache-2.0
"""`callchannel decode`."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from callchannel.cli.captures import LANES, Packet
from callchannel.cli.decode import judge
from callchannel.cli.main import main
from callchannel.core.errors import ErrorCode

VECTORS = Path(__file__).parents[4] / "spec" / "vectors"
GOOD = "01010012 00070002 00000005 00000001 6869"
BAD = "01010010 00070002 00000005 00000000"


def vectors() -> list[Any]:
    found = []
    for path in sorted(VECTORS.glob("*.json")):
        document = json.loads(path.read_text())
        found += [vector for vector in document.get("vectors", ()) if isinstance(vector.get("hex"), str)]
    return found


@pytest.mark.parametrize("vector", vectors(), ids=lambda item: item["id"])
def test_vectors(vector: Any) -> None:
    judged = judge(Packet(bytes.fromhex(vector["hex"]), LANES[vector["lane"]], 1))
    if "code" in vector:
        assert judged.error is not None
        assert ErrorCode(judged.error.code).name == vector["code"]
        assert judged.error.requirement.startswith("CC-")
    else:
        assert judged.error is None
        assert len(judged.frames) == len(vector["frames"])
        assert sum(frame.counted for frame in judged.frames) == vector.get("counted", 0)


def decode(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    code = main(["decode", *arguments])
    return code, capsys.readouterr().out.splitlines()


def test_a_good_packet(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = decode(capsys, *GOOD.split())
    assert code == 0
    assert lines == [
        "packet 1: 18 bytes on the reliable lane",
        "  frame 1: DATA, 18 bytes, counted",
        "         0  01                       type        1  DATA",
        "         1  01                       flags       1  RELIABLE",
        "         2  00 12                    length      18",
        "         4  00 07                    channel     7",
        "         6  00 02                    sender      2  slot 2",
        "         8  00 00 00 05              session     5",
        "        12  00 00 00 01              sequence    1",
        '        16  68 69                    payload     2 bytes, "hi"',
    ]


def test_a_malformed_packet_names_code_place_and_requirement(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = decode(capsys, "8a000004", BAD)
    assert code == 1
    assert lines[1] == "  frame 1: unknown, skipped, counted, 4 bytes, counted"
    assert "  frame 2: malformed" in lines
    (place,) = [line for line in lines if line.endswith("<-- here")]
    assert place.split()[:6] == ["16", "00", "00", "00", "00", "sequence"]
    assert lines[-2] == "  FRAME_FORMAT (0007) at byte 16: sequence 0 [CC-FRAME-019]"
    assert lines[-1] == "  A reader takes the frames before it, and ends the link with FRAME_FORMAT (CC-FRAME-002)."


def test_on_the_lossy_lane_the_link_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = decode(capsys, "--lane", "lossy", GOOD)
    assert code == 1
    assert "WRONG_LANE (0006) at byte 0" in lines[-2]
    assert "CC-FRAME-003" in lines[-1]


def test_a_packet_of_a_wrong_size_has_no_fields(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = decode(capsys, "ff" * 16_385)
    assert code == 1
    assert [line.split()[0] for line in lines] == ["packet", "PACKET_SIZE", "A"]


def test_long_fields_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    _, lines = decode(capsys, "8a000404" + "00" * 1_024)
    assert lines[5:] == [
        "         4  00 00 00 00 00 00 00 00  body        1,024 bytes",
        *["            00 00 00 00 00 00 00 00"] * 2,
        "            … 1,024 bytes",
    ]


def test_a_capture_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    capture = tmp_path / "capture.txt"
    capture.write_text(f"; two packets\n{GOOD}\n\nlossy {BAD}\n")
    code, lines = decode(capsys, "--file", str(capture))
    assert code == 1
    assert [line for line in lines if line.startswith("packet")] == [
        "packet 1: 18 bytes on the reliable lane",
        "packet 2: 16 bytes on the lossy lane",
    ]


@pytest.mark.parametrize("arguments", [(), ("--file", "-")])
def test_standard_input_and_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{GOOD}\n\n{BAD}".encode())))
    code, lines = decode(capsys, "--json", *arguments)
    assert code == 1
    good, bad = map(json.loads, lines)
    assert (good["number"], good["lane"], good["length"], good["error"]) == (1, "reliable", 18, None)
    assert [field["name"] for field in good["frames"][0]["fields"]][-1] == "payload"
    assert bad["error"] == {
        "code": "FRAME_FORMAT",
        "number": 7,
        "offset": 12,
        "detail": "sequence 0",
        "requirement": "CC-FRAME-019",
    }
    assert bad["malformed"]["type"] == "DATA"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("xyz",), 'line 1: "xyz" is not hexadecimal'),
        (("01", "--file", "x"), "not both"),
        (("--file", "/nonexistent/capture"), "No such file"),
        (("--file", "-"), "there is no packet in the input"),
    ],
)
def test_usage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main(["decode", *arguments]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.out == ""


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path, cli: Any) -> None:
    for library in ("aiohttp", "aiortc", "jwt", "uvloop", "prometheus_client"):
        (tmp_path / f"{library}.py").write_text(f"raise ModuleNotFoundError(name={library!r})")
    path = str(tmp_path)
    source = str(Path(sys.modules["callchannel"].__file__ or "").parents[1])
    done = cli("decode", GOOD, env={"PYTHONPATH": f"{path}:{source}"})
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("join", "relay", "token", "demo", "send"):
        done = cli(command, "--help", env={"PYTHONPATH": f"{path}:{source}"})
        assert done.returncode == 2
        assert "pip install 'callchannel[relay]'" in done.stderr
