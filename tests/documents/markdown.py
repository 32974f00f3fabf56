"""The documents of the project, and the blocks and tables in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Document:
    """A Markdown file.

    Attributes:
        path: Its path, from the root of the project.
    """

    path: str

    @property
    def text(self) -> str:
        return ROOT.joinpath(self.path).read_text(encoding="utf-8")

    def section(self, title: str) -> str:
        """The text below a heading, up to the next heading of the same level or above."""
        heading = re.search(rf"^(#+) {re.escape(title)}$", self.text, re.MULTILINE)
        assert heading is not None, title
        below = self.text[heading.end() :]
        return re.split(rf"^#{{1,{len(heading[1])}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]

    def blocks(self) -> list[tuple[str, str]]:
        """The Python blocks, each with a name: its heading and its line."""
        found = []
        for match in re.finditer(r"^```python\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL):
            before = self.text[: match.start()]
            heading = re.findall(r"^#+ (.+)$", before, re.MULTILINE)[-1]
            line = before.count("\n") + 1
            # The empty lines make a traceback name the right line.
            found.append((f"{heading}:{line}", "\n" * line + match[1]))
        return found

    def table(self, header: str) -> list[list[str]]:
        """The cells of the table whose header begins with this, without the header."""
        found = re.findall(r"(?:^\|.*\|\n)+", self.text, re.MULTILINE)
        tables = [_cells(table) for table in found]
        [rows] = [rows for rows in tables if rows[0][0] == header]
        return rows[2:]

    def links(self) -> Sequence[str]:
        """The targets of its links and figures that are files of the project."""
        targets = re.findall(r"\]\(([^)\s]+)\)", self.text)
        return [target for target in targets if "://" not in target]


def _cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def code_in(cell: str) -> str:
    """The code that a cell holds, without anything around it."""
    match = re.fullmatch(r"`(.+)`", cell)
    assert match is not None, cell
    return match[1]


def names_in(text: str) -> set[str]:
    """The names that a text holds as code."""
    return set(re.findall(r"`(\w+)`", text))


FRONT_PAGE = Document("README.md")
CORE = Document("src/unbroken/_core/README.md")
DOORS = Document("src/unbroken/_doors/README.md")
TELEMETRY = Document("src/unbroken/_telemetry/README.md")
JOURNAL = Document("src/unbroken/journal/README.md")
TESTING = Document("src/unbroken/testing/README.md")
GATEWAY = Document("src/unbroken/gateway/README.md")
COMMAND = Document("src/unbroken/_cli/README.md")
BENCHMARKS = Document("benchmarks/README.md")

ALL = (FRONT_PAGE, CORE, DOORS, TELEMETRY, JOURNAL, GATEWAY, TESTING, COMMAND, BENCHMARKS)
