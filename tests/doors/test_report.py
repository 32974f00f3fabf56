"""How a report reads: in a line, as a table, as HTML."""

from __future__ import annotations

import dataclasses
import html.parser
from typing import Any

import anthropic
import pytest
from tests.samples import AT_ONCE, PREFILLS, STORY

import unbroken
from unbroken import telemetry
from unbroken.testing import faults
from unbroken.testing.answers import Answer, text, tool_use

ASK: dict[str, Any] = {
    "model": PREFILLS,
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Tell me a story."}],
}


@pytest.fixture
def client(server):
    with unbroken.wrap(
        anthropic.Anthropic(base_url=server.url, api_key="test"), AT_ONCE
    ) as wrapped:
        yield wrapped


def report_of(client: Any, **more: Any) -> unbroken.RecoveryReport:
    with client.messages.stream(**ASK, **more) as stream:
        stream.until_done()
    return unbroken.report(stream)


def test_in_a_line(client, server):
    server.script(faults.status(529), faults.reset(after_chars=20))
    report = report_of(client)
    assert repr(report) == (
        f"<RecoveryReport of call {report.call_id}: saved, 3 attempts "
        "(overloaded, dropped, complete)>"
    )


def test_as_a_table(client, server):
    server.script(faults.status(529), faults.reset(after_chars=20))
    report = report_of(client)
    assert str(report) == telemetry.format_report(report)
    title, empty, header, *rows = str(report).splitlines()
    assert title == f"call {report.call_id}: saved"
    assert empty == ""
    assert header.split("  ")[0] == "#"
    ids = [request.id for request in server.message_requests]
    assert [row.split()[:3] for row in rows] == [
        ["1", "initial", "overloaded"],
        ["2", "retry", "dropped"],
        ["3", "continuation", "complete"],
    ]
    assert [row.split()[-1] for row in rows] == ids
    assert len({len(row) for row in rows}) == 1
    assert " ~" in rows[1]  # the output of a cut attempt is an estimate


def test_nothing_of_the_answer_is_shown(client, server):
    server.script(faults.reset(after_chars=20))
    report = report_of(client)
    shown = repr(report) + str(report) + report._repr_html_()
    assert not [word for word in STORY.split() if len(word) > 4 and word in shown]


class Cells(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def cells(report: unbroken.RecoveryReport) -> list[list[str]]:
    parser = Cells()
    parser.feed(report._repr_html_())
    assert parser.open == []
    return parser.rows


def test_as_html(client, server):
    server.script(faults.reset(after_chars=20))
    header, *rows = cells(report_of(client))
    assert header[:3] == ["#", "asked for", "ended"]
    assert [row[:3] for row in rows] == [
        ["1", "initial", "dropped"],
        ["2", "continuation", "complete"],
    ]
    assert {len(row) for row in [header, *rows]} == {len(header)}


def test_what_came_over_the_wire_is_no_html(client, server):
    report = report_of(client)
    hostile = dataclasses.replace(report.attempts[0], request_id="<script>alert(1)</script>")
    report = dataclasses.replace(report, attempts=(hostile,))
    assert "<script>" not in report._repr_html_()
    assert cells(report)[1][-1] == "<script>alert(1)</script>"


def test_a_call_without_a_failure(client):
    assert "complete, 1 attempt (complete)>" in repr(report_of(client))


def test_a_call_that_was_given_up(client, server):
    server.script(faults.status(400))
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**ASK)
    report = unbroken.report(caught.value)
    assert "given up, 1 attempt (rejected)>" in repr(report)
    title = str(report).splitlines()[0]
    assert title.endswith(": given up: this kind of failure is not retried")


def test_a_call_that_was_closed(client):
    stream = client.messages.create(stream=True, **ASK)
    stream.close()
    assert "cancelled, 1 attempt (cancelled)>" in repr(unbroken.report(stream))


def test_a_call_under_way(client):
    with client.messages.stream(**ASK) as stream:
        next(iter(stream))
        assert "under way, 1 attempt (under way)>" in repr(unbroken.report(stream))


def test_an_answer_that_ended_with_its_tools(client, server):
    server.answer = Answer([text("Let me look."), tool_use("weather", {"city": "Oslo"})])
    server.script(faults.eof(after_block=1))
    tools = [{"name": "weather", "input_schema": {"type": "object"}}]
    assert "saved, 1 attempt (dropped)>" in repr(report_of(client, tools=tools))
