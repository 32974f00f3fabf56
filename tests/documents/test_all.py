"""In every document, the Python blocks run, and the links lead to files."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from tests.documents.markdown import ALL, BENCHMARKS, FRONT_PAGE, ROOT
from tests.documents.running import run

from unbroken.testing import FaultServer

BLOCKS = [
    pytest.param(document, code, id=f"{document.path}:{name}")
    for document in ALL
    for name, code in document.blocks()
]


@pytest.mark.parametrize(("document", "code"), BLOCKS)
def test_every_python_block_runs(document, code, api, request):
    [(_, first), *_] = document.blocks()
    blocks = [first] if code == first else [first, code]
    namespace = run(document.path, *blocks)
    for name, thing in list(namespace.items()):
        if name.startswith("test_"):
            with FaultServer() as own:  # not that of the code outside of the test
                fixtures = {
                    name: own if name == "fault_server" else request.getfixturevalue(name)
                    for name in inspect.signature(thing).parameters
                }
                thing(**fixtures)


def test_every_document_is_tested():
    found = {str(path.relative_to(ROOT)) for path in ROOT.joinpath("src").rglob("*.md")}
    assert found | {FRONT_PAGE.path, BENCHMARKS.path} == {document.path for document in ALL}


@pytest.mark.parametrize("document", ALL, ids=lambda document: document.path)
def test_every_link_leads_to_a_file(document):
    folder = ROOT.joinpath(document.path).parent
    assert [link for link in document.links() if not folder.joinpath(link).exists()] == []


@pytest.mark.parametrize("document", ALL, ids=lambda document: document.path)
def test_every_row_of_a_table_has_the_cells_of_its_header(document):
    for table in re.findall(r"(?:^\|.*\|\n)+", document.text, re.MULTILINE):
        assert len({row.count("|") for row in table.splitlines()}) == 1, table


def test_the_front_page_leads_to_every_document():
    linked = {Path(link) for link in FRONT_PAGE.links()}
    assert {Path(document.path) for document in ALL} - {Path(FRONT_PAGE.path)} <= linked


def test_the_front_page_is_short():
    assert len(FRONT_PAGE.text.encode()) <= 14_000
