# SPDX-License-Identifier: Apache-2.0
"""The site builds strictly, is whole, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import zipfile
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from tools.diagrams import Part
from tools.faults import ROOT
from tools.site import bits, hexadecimal, states
from tools.site.markup import kind_of
from tools.site.policy import foreign, protect
from tools.site.printing import one_page
from tools.spec import Spec, load_spec

SELF = re.compile(r"[a-z]+:|//")


@dataclass
class Look(HTMLParser):
    """What there is in a page: ids, links, text, and what it loads."""

    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    titles: int = 0
    diagrams: int = 0
    _quiet: int = 0

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        self.references += found.get("aria-labelledby", "").split()
        self._quiet += tag in ("script", "style", "svg")
        self.diagrams += tag == "svg" and found.get("role") == "img"

    def handle_endtag(self, tag: str) -> None:
        self._quiet -= tag in ("script", "style", "svg")

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self.text.append(data)


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec()


@cache
def look(path: Path) -> Look:
    page = Look()
    page.feed(path.read_text("utf-8"))
    return page


def pages(site: Path) -> list[Path]:
    return sorted(path for path in site.rglob("*.html") if path.name != "example-report.html")


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text))


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    checked = 0
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert foreign(path.read_text("utf-8")) == [], path
        checked += 1
    assert checked > 40


def test_every_page_forbids_to_load_anything_from_elsewhere(site: Path) -> None:
    for path in pages(site):
        head = path.read_text("utf-8").partition("</head>")[0]
        assert head.index("Content-Security-Policy") < head.index("<script"), path
        policy = re.search(r'Content-Security-Policy" content="([^"]+)"', head)
        assert policy is not None
        assert "default-src 'none'" in policy[1]
        script = next(part for part in policy[1].split("; ") if part.startswith("script-src"))
        assert "unsafe" not in script
        assert "//" not in policy[1]


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    followed = 0
    for path in [*pages(site), site / "conformance" / "example-report.html"]:
        if path.name == "404.html":
            continue  # it is served from any address, so its links are from the root
        for link in look(path).links:
            if SELF.match(link):
                continue
            page, _, anchor = link.partition("#")
            target = (path.parent / unquote(page.partition("?")[0])).resolve() if page else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path.relative_to(site)}: {link}"
            if anchor and target.suffix == ".html" and "=" not in anchor:
                assert unquote(anchor) in look(target).ids, f"{path.relative_to(site)}: {link}"
            followed += 1
    assert followed > 5_000


def test_ids_of_a_page_are_unique_and_what_is_referred_to_is_there(site: Path) -> None:
    for path in pages(site):
        page = look(path)
        twice = (
            {name for name in page.ids if page.ids.count(name) > 1} if len(page.ids) != len(set(page.ids)) else set()
        )
        assert not twice, f"{path.relative_to(site)}: {twice}"
        assert set(page.references) <= set(page.ids), path


def test_every_requirement_stands_in_its_chapter_and_on_the_page_to_print(site: Path, spec: Spec) -> None:
    printed = set(look(site / "standard" / "print" / "index.html").ids)
    for name, requirement in spec.requirements.items():
        page = look(site / "standard" / requirement.chapter / "index.html")
        assert name in page.ids
        assert name in printed
        assert name in look(site / "conformance" / "matrix" / "index.html").ids


def test_no_requirement_loses_a_word(site: Path, spec: Spec) -> None:
    link = re.compile(r"\[([^\]]*)\]\([^)]*\)")
    for requirement in spec.requirements.values():
        text = words("".join(look(site / "standard" / requirement.chapter / "index.html").text))
        assert words(link.sub(r"\1", requirement.text)) in text, requirement.id


def test_every_example_and_every_state_is_shown(site: Path, spec: Spec) -> None:
    for example in spec.examples.values():
        assert f"example-{example.name}" in look(site / "standard" / example.chapter / "index.html").ids
    for table in spec.state_tables:
        page = look(site / "standard" / table.chapter / "index.html")
        assert {row.id for row in table.rows} <= set(page.ids)


def test_bit_diagrams_are_pictures_and_not_characters(site: Path) -> None:
    for path in (site / "standard").rglob("index.html"):
        assert "+-+-+-+" not in "".join(look(path).text), path
    assert look(site / "standard" / "03-frames" / "index.html").diagrams == 14


def test_files_to_download_are_those_of_the_project(site: Path) -> None:
    for folder in ("vectors", "registry"):
        for path in (ROOT / "spec" / folder).iterdir():
            if path.suffix != ".md":
                assert (site / "standard" / folder / path.name).read_bytes() == path.read_bytes()
    with zipfile.ZipFile(site / "standard" / "callchannel-standard-0.1.zip") as archive:
        names, top = set(archive.namelist()), "callchannel-standard-0.1"
        assert {f"{top}/spec/03-frames.md", f"{top}/spec/vectors/schema.json"} <= names
        assert archive.read(f"{top}/spec/vectors/data.json") == (ROOT / "spec" / "vectors" / "data.json").read_bytes()


def test_the_decoder_explains_a_packet(node: str, site: Path) -> None:
    """In Node, with as much of a page as the script asks for."""
    script = """
    const made = (name) => ({ name, children: [], listeners: {}, textContent: "", value: "", setAttribute() {},
        append(...items) { this.children.push(...items); }, replaceChildren() { this.children = []; },
        addEventListener(kind, act) { this.listeners[kind] = act; } });
    const parts = {};
    globalThis.document = { createElement: made, getElementById: (id) => (parts[id] ??= made(id)) };
    globalThis.location = { hash: process.argv[1] };
    globalThis.addEventListener = () => {};
    await import(process.argv[2]);
    const text = (item) => item.textContent + item.children.map(text).join(" ");
    console.log(text(parts["decoder-output"]));
    """

    def shown(hexadecimal: str, lane: str = "reliable") -> str:
        module = (site / "assets" / "decoder.js").as_uri()
        command = [node, "--input-type=module", "-e", script, f"#hex={hexadecimal}&lane={lane}", module]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert "1 good frame. Frame 1: DATA, 18 bytes" in shown("010100120007000200000005000000016869")
    assert "slots 1, 3" in shown("0139001e000500020000000100000001000000040001000000000" + "00a6869")
    faulty = shown("010100120000000200000005000000016869")
    assert "FRAME_FORMAT" in faulty
    assert "Found in step 8" in faulty
    assert "WRONG_LANE" in shown("4300000c0000000000000001", "lossy")
    assert "is no hexadecimal digit" in shown("xy")
    assert "fragment" not in shown("4300000c0000000000000001")
    assert "cut off: 1 of 2 bytes" in shown("010100")


# --- parts ----------------------------------------------------------------------------------------------------------


def test_a_field_over_several_rows_is_one_area() -> None:
    svg = bits.figure("a token", [Part("before", 16), Part("token", 128), Part("after", 16)])
    assert svg.count("<path") == 3
    assert "before, 16 bits; token, 128 bits; after, 16 bits." in svg
    assert "\n\n" not in svg


def test_two_parts_of_a_field_that_do_not_touch_are_drawn_apart() -> None:
    svg = bits.figure("apart", [Part("a", 24), Part("b", 16), Part("c", 24)])
    found = re.findall(r'class="field [^"]*" d="([^"]+)"', svg)
    assert [path.count("Z") for path in found] == [1, 2, 1]


def test_names_of_fields_and_comments_on_them_have_one_kind() -> None:
    for name, comment in (("session", "session 5"), ("sender", "sender: slot 2"), ("payload", '"hi"')):
        assert kind_of(name) == kind_of(comment) != "other"
    assert kind_of("DATA, RELIABLE, 18 bytes") == kind_of("flags: RELIABLE") == "start"
    assert kind_of("something else") == "other"


def test_an_example_keeps_its_bytes(spec: Spec) -> None:
    for example in spec.examples.values():
        shown = Look()
        shown.feed(hexadecimal.figure(example, "decoder/"))
        code = "".join(shown.text).partition("decode")[2]
        assert bytes.fromhex("".join(line.partition(";")[0] for line in code.splitlines())) == example.data


def test_a_state_table_keeps_its_cells(spec: Spec) -> None:
    for table in spec.state_tables:
        shown = Look()
        shown.feed(states.table(table, "name"))
        text = words("".join(shown.text))
        for row in table.rows:
            for cell in row.cells.values():
                assert words("".join(effect + " " for effect in cell.effects)) in text


def test_every_transition_is_in_the_diagram(spec: Spec) -> None:
    for table in spec.state_tables:
        drawn = states.diagram(table)
        for row in table.rows:
            for state, cell in row.cells.items():
                if cell.next_state not in (None, state):
                    assert re.search(rf"{state} to {cell.next_state}: [^;]*{row.id}", drawn), row.id


def test_the_policy_allows_the_scripts_of_its_page_alone() -> None:
    page = protect('<head><meta charset="utf-8"><script>let a = 1</script><script src="x.js"></script></head>')
    assert "script-src 'self' 'sha256-" in page
    assert page.count("sha256-") == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<script src="https://a.example/x.js"></script>', ["https://a.example/x.js"]),
        ('<link rel="stylesheet" href="//a.example/x.css">', ["//a.example/x.css"]),
        ('<link href="https://a.example/f" rel="preconnect">', ["https://a.example/f"]),
        ("body { background: url(https://a.example/x.png) }", ["https://a.example/x.png"]),
        ('<img src="x.png"><a href="https://a.example/">there</a><link rel="next" href="https://a.example/">', []),
    ],
)
def test_what_comes_from_elsewhere_is_found(text: str, found: list[str]) -> None:
    assert foreign(text) == found


def test_links_between_chapters_stay_on_the_printed_page() -> None:
    first = (
        '<h2 id="a">A</h2><a href="../02-two/#b">b</a><a href="#a">a</a><a href="../02-two/">2</a><a href="../x/">x</a>'
    )
    page = one_page([("01-one", first), ("02-two", '<h2 id="b">B</h2>')])
    assert re.findall(r'href="([^"]+)"', page) == ["#02-two-b", "#01-one-a", "#chapter-02-two", "../x/"]
    assert 'id="02-two-b"' in page
