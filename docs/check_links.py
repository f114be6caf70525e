"""Check the links within the built manual and those of the documents beside it, anchors included.

``make docs`` runs it. Sphinx checks the references that it makes itself, not plain links. LinkChecker would do, but
as root it becomes another user, who may not be able to read the checkout. Links to other sites are left out.
"""

import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from docutils.core import publish_string

ROOT = Path(__file__).parents[1]
MANUAL = ROOT / "docs" / "_build"
DOCUMENTS = ["README.rst", "CONTRIBUTING.rst", "CHANGELOG.rst", "example_project/README.rst"]


class Page(HTMLParser):
    """The links of a page, and what they can lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"href", "src"}:
                self.links.add(value or "")
            elif name in {"id", "name"}:
                self.anchors.add(value or "")


@cache
def page(path: Path) -> Page:
    """Return a page: HTML as it is, another text as docutils renders it."""
    text = path.read_text()
    if path.suffix == ".rst":
        text = publish_string(text, writer="html5", settings_overrides={"report_level": 5}).decode()
    return Page(text)


def target(path: Path, link: str) -> Path:
    """Return the file that a link leads to: a page of the manual is read as it is built."""
    file = (path.parent / unquote(urlsplit(link).path)).resolve() if urlsplit(link).path else path
    if file.suffix == ".rst" and file.parent == ROOT / "docs":
        return MANUAL / f"{file.stem}.html"
    return file


def dead_links(path: Path) -> Iterator[str]:
    """The links of a page that lead nowhere in the checkout."""
    for link in sorted(page(path).links):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        file = target(path, link)
        if not file.exists():
            yield f"{path.relative_to(ROOT)}: no file {link}"
        elif parts.fragment and unquote(parts.fragment) not in page(file).anchors:
            yield f"{path.relative_to(ROOT)}: no anchor {link}"


def main() -> int:
    """Print dead links. Return 1 if there are any, or if there is nothing to check."""
    pages = [*MANUAL.rglob("*.html"), *(ROOT / name for name in DOCUMENTS)]
    found = [link for path in pages for link in dead_links(path)]
    count = sum(len(page(path).links) for path in pages)
    print("\n".join([*found, f"{count} links on {len(pages)} pages, {len(found)} dead"]))
    return 1 if found or len(pages) == len(DOCUMENTS) else 0


if __name__ == "__main__":
    sys.exit(main())
