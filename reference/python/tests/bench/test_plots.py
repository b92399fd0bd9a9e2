# SPDX-License-Identifier: Apache-2.0
"""The documentation's drawings and table follow from the recorded results, and can be read by machines."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import plots, report
from bench.growth import Series

RESULTS = Path(plots.__file__).parent / "results" / "recorded.json"

ONE = Series(name="rate-size", line="", x="bytes", unit="messages/s", points=((16, 900, 800, 950), (64, 500, 500, 500)))


def test_what_is_published_follows_from_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    status = plots.main([str(RESULTS), "--check"])
    assert (status, capsys.readouterr().out) == (0, "")


def test_results_name_no_host() -> None:
    assert set(report.read(RESULTS)["machine"]) == {"system", "cores"}


@pytest.mark.parametrize("path", sorted(plots.DRAWINGS.glob("*.svg")), ids=lambda path: path.stem)
def test_a_drawing_has_a_title_and_says_its_figures(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    title, description = root.find(f"{name}title"), root.find(f"{name}desc")
    assert title is not None and title.text
    assert description is not None and description.text and description.text.count(":") >= 2


def test_points_stand_within_the_frame_and_higher_is_more() -> None:
    root = ElementTree.fromstring(plots.draw(plots.ALL[0], [ONE]))
    first, second = root.findall("{http://www.w3.org/2000/svg}circle")
    assert float(first.get("cy", 0)) < float(second.get("cy", 0))
    assert float(first.get("cx", 0)) < float(second.get("cx", 0))
    for circle in (first, second):
        assert 0 < float(circle.get("cx", 0)) < 440
        assert 0 < float(circle.get("cy", 0)) < 260


def test_description() -> None:
    assert plots.describe([ONE]) == "16 bytes: 900 messages/s; 64 bytes: 500 messages/s"


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (12, "12"), (1_500, "1.5k"), (2_000_000, "2M")])
def test_short(value: float, text: str) -> None:
    assert plots.short(value) == text


def test_record_keeps_other_benchmarks_of_the_same_versions(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    report.record(path, "core", {"rows": []})
    report.record(path, "codec", {"rows": [1]})
    report.record(path, "codec", {"rows": [2]})
    assert report.read(path)["benchmarks"] == {"core": {"rows": []}, "codec": {"rows": [2]}}


def test_record_drops_what_was_measured_with_other_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    report.record(path, "core", {})
    monkeypatch.setattr(report, "versions", lambda: {"python": "another"})
    report.record(path, "codec", {})
    assert list(report.read(path)["benchmarks"]) == ["codec"]
