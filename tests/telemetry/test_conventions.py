"""The names are the conventions', and the tables say what the code does."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from typing import TYPE_CHECKING, Any

import anthropic
import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv._incubating.metrics as incubating_metrics
import opentelemetry.semconv.attributes as stable
import pytest
from tests.documents.markdown import TELEMETRY
from tests.telemetry.recording import ASK, SDK_TRACES, Recording

import unbroken
from unbroken import telemetry
from unbroken._core import events
from unbroken._telemetry import names
from unbroken._telemetry.log import logger
from unbroken.journal import JournalUnavailable, SqliteJournal
from unbroken.testing import FaultServer, faults

if TYPE_CHECKING:
    import logging
    from pathlib import Path

DOCUMENTED = telemetry.__doc__ or ""


def our_names() -> set[str]:
    return {value for name, value in vars(names).items() if name.isupper()}


def names_of_the_conventions() -> set[str]:
    found = set()
    for package in (stable, incubating, incubating_metrics):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            constants = vars(importlib.import_module(module.name))
            found |= {value for name, value in constants.items() if name.isupper()}
    return {name for name in found if isinstance(name, str)}


def test_what_is_not_ours_is_named_by_the_conventions():
    elsewhere = {names.SDK_SCOPE, names.ATTEMPT_SPAN, names.SCOPE}
    borrowed = {name for name in our_names() - elsewhere if not name.startswith("unbroken.")}
    assert borrowed
    known = names_of_the_conventions()
    if names.PROVIDER not in known:
        pytest.skip("the installed conventions are older than the names")
    assert borrowed <= known


def test_ours_do_not_take_a_name_of_the_conventions():
    ours = {name for name in our_names() if name.startswith("unbroken.")}
    assert not ours & names_of_the_conventions()


# Tables


def section(title: str) -> str:
    return DOCUMENTED.partition(f"### {title}\n")[2].partition("\n### ")[0]


def rows(title: str) -> dict[str, list[str]]:
    """The rows of a table, by their first cell."""
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def in_code(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_the_reference_holds_the_tables_of_the_docstring():
    tables = DOCUMENTED[DOCUMENTED.index("### Spans") :].strip()
    assert tables == TELEMETRY.section("Reference").strip()


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """All that calls of all kinds leave behind: the recording, and the log records."""
    records: list[logging.LogRecord] = []
    recording = Recording()
    with pytest.MonkeyPatch.context() as patched, FaultServer("A story. " * 9) as server:
        patched.setattr(logger, "handle", records.append)
        patched.setattr(logger, "isEnabledFor", lambda _level: True)
        for sdk in {SDK_TRACES, False}:
            calls_of_all_kinds(recording.client(server, sdk=sdk), server)
        calls_with_a_journal(recording, server, tmp_path_factory.mktemp("journal"))
    recording.close()
    return recording, records


class FullJournal(SqliteJournal):
    """A journal on a disk without space."""

    def claim(self, *_: Any, **__: Any) -> Any:
        raise JournalUnavailable("no space")


def calls_with_a_journal(recording: Recording, server: FaultServer, folder: Path) -> None:
    for cls in (SqliteJournal, SqliteJournal, FullJournal):
        journal = cls(folder / "answers.db")
        client = recording.client(server, journal=journal)
        with unbroken.durable("job"):
            client.messages.create(**ASK)
        journal.dispose()


def calls_of_all_kinds(client: Any, server: FaultServer) -> None:
    server.script(faults.status(529, code="some_code"), faults.reset(after_chars=20))
    with client.messages.stream(**ASK) as opened:
        opened.until_done()
    server.script(faults.status(503))
    client.messages.create(**ASK)
    server.script(faults.status(400, code="some_code"))
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(**ASK)
    client.messages.create(stream=True, **ASK).close()


@pytest.mark.parametrize("prefix", ["messages.attempt", "chat "])
def test_every_attribute_is_listed_and_every_listed_one_is_there(everything, prefix):
    spans = [span for span in everything[0].spans if span.name.startswith(prefix)]
    found = {name for span in spans for name in span.attributes or {}}
    title = "`messages.attempt`" if prefix == "messages.attempt" else "`chat {model}`"
    assert found == set(rows(f"Attributes of {title}"))


def test_every_span_is_listed(everything):
    ours = {
        "chat {model}" if span.name.startswith("chat ") else span.name
        for span in everything[0].spans
        if span.instrumentation_scope.name == names.SCOPE
    }
    assert ours == set(rows("Spans"))


def test_the_scope_has_our_version(everything):
    scopes = {
        span.instrumentation_scope.version
        for span in everything[0].spans
        if span.instrumentation_scope.name == names.SCOPE
    }
    assert scopes == {unbroken.__version__} == everything[0].versions_of_meters()


def test_every_metric_is_listed_with_its_attributes(everything):
    listed = rows("Metrics")
    common = {names.OPERATION, names.PROVIDER, names.REQUEST_MODEL}
    assert common <= in_code(section("Metrics").partition("|")[0])
    metrics = everything[0].metrics()
    assert set(metrics) == set(listed)
    for name, metric in metrics.items():
        instrument, unit, by, _ = listed[name]
        attributes = {key for point in metric.data.data_points for key in point.attributes}
        assert attributes - common == in_code(by), name
        assert {metric.unit} == in_code(unit), name
        assert instrument == ("histogram" if hasattr(point_of(metric), "sum") else "counter")


def point_of(metric: Any) -> Any:
    return metric.data.data_points[0]


def test_every_event_is_listed_with_its_fields():
    listed = {name: in_code(cells[0]) for name, cells in rows("Events").items()}
    kinds = events.RecoveryEvent.__subclasses__()
    assert listed == {
        kind.__name__: {field.name for field in dataclasses.fields(kind)}
        - {"call_id", "model", "attempt"}
        for kind in kinds
    }


def test_every_field_of_a_log_record_is_listed_with_where_it_stands(everything):
    found: dict[str, set[str]] = {}
    for record in everything[1]:
        for name in vars(record):
            if "." in name:
                found.setdefault(name, set()).add(record.levelname)
    listed = {
        name: {"WARNING", "INFO", "ERROR"} if cells[0] == "all" else set(cells[0].split(", "))
        for name, cells in rows("Log records").items()
    }
    assert found == listed
