# SPDX-License-Identifier: Apache-2.0
"""What mkdocs calls while it builds; see its manual under "hooks".

Pages are made from `spec/`, from `conformance/` and from the programs; a page of `docs/` may hold
`<!-- insert: NAME -->` where something is to be filled in.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

ROOT: Final = Path(__file__).resolve().parents[2]


def _find_project() -> None:
    """Let imports find the project: mkdocs is a command of its own, and takes back what a hook adds while it loads."""
    for path in (ROOT, ROOT / "reference" / "python", ROOT / "conformance"):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))


_find_project()

from mkdocs.config.defaults import MkDocsConfig  # noqa: E402
from mkdocs.structure.files import File, Files  # noqa: E402
from mkdocs.structure.pages import Page  # noqa: E402

from tools.registry import load_registry  # noqa: E402
from tools.release import archive  # noqa: E402
from tools.site import accessibility, javascript, programs, registries  # noqa: E402
from tools.site.chapters import Press  # noqa: E402
from tools.site.conformance import Conformance, report  # noqa: E402
from tools.site.policy import protect  # noqa: E402
from tools.site.printing import one_page  # noqa: E402
from tools.spec import load_spec  # noqa: E402

_INSERT: Final = re.compile(r"<!-- insert: ([a-z ]+) -->")
_IMPORT: Final = re.compile(r'from "\./([\w.]+)"')
_JAVASCRIPT: Final = ROOT / "reference" / "javascript" / "callchannel"
_PRINT: Final = "standard/print.md"


class _Site:
    """One build."""

    def __init__(self) -> None:
        self.spec = load_spec(ROOT)
        self.registry = load_registry(ROOT)
        self.conformance = Conformance(ROOT, self.spec)
        self.chapters: dict[str, str] = {}
        """The finished HTML of each chapter."""

    @cached_property
    def inserts(self) -> dict[str, Callable[[], str]]:
        """What a page can have filled in."""
        return {
            "command line": programs.command_line,
            "settings": lambda: programs.settings(self.registry),
            "javascript": lambda: javascript.page(_JAVASCRIPT),
            "requirements": lambda: registries.requirements(self.spec),
            "matrix": self.conformance.matrix,
            "matrix figures": self.conformance.figures,
        }

    def files(self) -> Iterator[tuple[str, str | bytes]]:
        """(path in the site, content) of everything that does not lie in `docs/`."""
        spec = ROOT / "spec"
        press = Press.of(self.spec, self.registry, self.conformance.checks, "../../decoder/")
        for chapter in self.spec.chapters:
            yield f"standard/{chapter.name}.md", _without_folders(press.page(chapter))
        for name, page in registries.versions(self.spec).items():
            yield f"standard/{name}", page
        yield f"standard/{archive.name_of(self.spec.version)}.zip", archive.standard(ROOT, self.spec.version)
        yield "standard/requirements.json", (spec / "requirements.json").read_bytes()
        for path in sorted([*spec.glob("registry/*.toml"), *spec.glob("vectors/*")]):
            yield f"standard/{path.relative_to(spec).as_posix()}", path.read_bytes()
        yield "conformance/adapter-protocol.md", (ROOT / "conformance" / "adapter-protocol.md").read_bytes()
        for path in sorted((ROOT / "conformance" / "schemas").glob("*.json")):
            yield f"conformance/schemas/{path.name}", path.read_bytes()
        yield "conformance/example-report.html", report(ROOT / "docs" / "conformance" / "example-results.json")
        for path in _modules("explain.js", "frames.js"):
            yield f"assets/callchannel/{path.name}", path.read_bytes()


_site: _Site
_serving = False


def on_startup(command: Literal["build", "gh-deploy", "serve"], **_: Any) -> None:
    """Note that pages are only shown to who writes them: mkdocs then adds a script that loads them anew."""
    global _serving  # noqa: PLW0603
    _serving = command == "serve"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Begin a build."""
    global _site  # noqa: PLW0603
    _find_project()
    _site = _Site()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made."""
    for path, content in _site.files():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill in what a page asks for. Raises `KeyError` for what is not known."""
    if page.file.src_uri.startswith("standard/") and page.file.generated_by:
        return markdown
    return _INSERT.sub(lambda match: _site.inserts[match[1]](), markdown)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Keep the chapters for the page that is printed."""
    name = Path(page.file.src_uri).stem
    if page.file.src_uri.startswith("standard/") and re.match(r"\d\d-", name):
        _site.chapters[name] = html
    return html


def on_page_context(context: dict[str, Any], page: Page, **_: Any) -> dict[str, Any]:
    """Fill the page that is printed: every chapter is finished by now."""
    if page.file.src_uri == _PRINT:
        page.content = (page.content or "") + one_page(sorted(_site.chapters.items()))
    return context


def on_post_template(output_content: str, template_name: str, **_: Any) -> str:
    """The same for pages that are no pages of Markdown: that of an address which is not there."""
    return _finished(output_content) if template_name.endswith(".html") else output_content


def on_post_page(output: str, **_: Any) -> str:
    """Let no page load anything from elsewhere, and everybody reach all of it."""
    return _finished(output)


def _finished(page: str) -> str:
    mended = accessibility.mend(page)
    return mended if _serving else protect(mended)


def _without_folders(markdown: str) -> str:
    """Links to folders lead to pages about them."""
    return markdown.replace("](registry/)", "](registries.md)").replace("](vectors/)", "](vectors/README.md)")


def _modules(*names: str) -> list[Path]:
    """Modules of the JavaScript implementation, and all that they import."""
    found: dict[str, Path] = {}
    wanted = list(names)
    while wanted:
        file = wanted.pop()
        if file not in found:
            found[file] = _JAVASCRIPT / file
            wanted += _IMPORT.findall(found[file].read_text("utf-8"))
    return [found[file] for file in sorted(found)]
