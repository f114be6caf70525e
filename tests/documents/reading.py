"""The README and the pages of the manual, as tests read them."""

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.rst"))
BLOCK = re.compile(r"^( *)\.\. code-block:: (\w+)\n\n((?:(?:\1    .*)?\n)+)", re.MULTILINE)


def document(name: str) -> str:
    """The text of a page of the manual, such as ``settings``, or of ``README``."""
    folder = ROOT if name.isupper() else ROOT / "docs"
    return (folder / f"{name}.rst").read_text()


def section(name: str, title: str) -> str:
    """The text under a heading, up to the next heading of its level."""
    [text] = re.findall(
        rf"^{re.escape(title)}\n-+\n(.*?)(?=^[^\n]+\n-{{3,}}\n|\Z)", document(name), re.MULTILINE | re.DOTALL
    )
    return text


def words(text: str) -> set[str]:
    """What stands in double backquotes."""
    return set(re.findall(r"``([^`]+)``", text))


def rows(text: str) -> list[list[str]]:
    """The rows of the list tables in a text, without their heads; a cell is one line of words."""
    found = []
    for table in re.findall(r"^\.\. list-table::.*\n((?:   .*\n|\n)+)", text, re.MULTILINE):
        cells = [
            re.split(r"^     -", row, flags=re.MULTILINE) for row in re.split(r"^   \* -", table, flags=re.MULTILINE)
        ]
        found += [[" ".join(cell.split()) for cell in row] for row in cells[2:]]
    return found


def first_column(text: str) -> set[str]:
    """The words in double backquotes in the first column of the list tables of a text."""
    return words(" ".join(row[0] for row in rows(text)))


def blocks(text: str) -> list[tuple[str, str]]:
    """The code blocks of a text: language and code."""
    return [(language, textwrap.dedent(code).strip() + "\n") for _, language, code in BLOCK.findall(text)]
