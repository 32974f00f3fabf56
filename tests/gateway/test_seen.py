"""What is seen of a call: spans in the client's trace, metrics by user, one line; no secrets."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.gateway.asking import ask, asking, client
from tests.gateway.serving import serving
from tests.gateway.test_streams import SLOW, eventually
from tests.gateway.test_users import KEY, UPSTREAM_KEY, USER
from tests.samples import NEWEST, STORY

from unbroken.testing import faults

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
PROMPT = "a prompt that is nobody's business"


class Seen:
    """A gateway with everything that it tells."""

    def __init__(self, server, tmp_path, caplog, **settings) -> None:
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        providers = {
            "tracer_provider": tracers,
            "meter_provider": MeterProvider([self._metrics]),
        }
        caplog.set_level(logging.DEBUG)
        self._caplog = caplog
        settings = {"users": (USER,), "key": UPSTREAM_KEY, **settings}
        self.served = serving(server.url, tmp_path, **providers, **settings)

    @property
    def spans(self):
        return {span.name: span for span in self._spans.get_finished_spans()}

    @property
    def lines(self):
        return [
            record.getMessage()
            for record in self._caplog.records
            if record.name == "unbroken.gateway.access"
        ]

    def points(self, name):
        data = self._metrics.get_metrics_data()
        metrics = [
            metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        [found] = [metric for metric in metrics if metric.name == name]
        return list(found.data.data_points)

    def everything(self):
        spans = [span.to_json() for span in self._spans.get_finished_spans()]
        data = self._metrics.get_metrics_data()
        return "\n".join([*spans, self._caplog.text, "" if data is None else data.to_json()])


@pytest.fixture
def seen(server, tmp_path, caplog):
    return Seen(server, tmp_path, caplog)


def ask_as_user(gateway, **fields) -> Any:
    headers = {"x-api-key": KEY, "traceparent": PARENT, **fields.pop("headers", {})}
    return ask(gateway, headers=headers, **fields)


def test_spans_continue_the_trace_of_the_client(server, seen):
    server.script(faults.reset(after_chars=40))
    with seen.served as gateway:
        ask_as_user(gateway)
    spans = seen.spans
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {TRACE}
    call = spans["POST /v1/messages"]
    assert f"{call.parent.span_id:016x}" == "b7ad6b7169203331"
    assert call.attributes["unbroken.gateway.user"] == "web"
    assert spans[f"chat {NEWEST}"].parent.span_id == call.context.span_id


def test_metrics_are_by_user(server, seen):
    server.script(faults.status(529))
    with seen.served as gateway:
        ask_as_user(gateway)
    [tokens] = [
        point
        for point in seen.points("unbroken.gateway.tokens")
        if point.attributes["gen_ai.token.type"] == "output"
    ]
    [attempts] = seen.points("unbroken.gateway.attempts")
    [calls] = seen.points("unbroken.gateway.call.duration")
    [first] = seen.points("unbroken.gateway.time_to_first_event")
    assert (tokens.value, attempts.value, calls.count, first.count) == (22, 2, 1, 1)
    assert tokens.attributes["unbroken.gateway.user"] == "web"
    assert calls.attributes["unbroken.gateway.outcome"] == "complete"


def test_a_line_a_call(seen):
    with seen.served as gateway:
        stream = ask_as_user(gateway).headers["x-unbroken-stream-id"]
    [line] = seen.lines
    fields = dict(part.split("=", 1) for part in line.split())
    assert fields["user"] == "web"
    assert (fields["status"], fields["attempts"], fields["output_tokens"]) == ("200", "1", "22")
    assert (fields["stream"], fields["outcome"]) == (stream, "complete")


def test_a_line_is_json_if_wanted(server, tmp_path, caplog):
    seen = Seen(server, tmp_path, caplog, log_format="json")
    with seen.served as gateway:
        ask_as_user(gateway, model="a model\nwith=1 a line break")
    line = json.loads(seen.lines[0])
    assert line["path"] == "/v1/messages"
    assert "\n" not in line["model"]


def test_one_who_left_is_told_of(server, seen):
    server.script(SLOW)
    with seen.served as gateway:
        with asking(gateway, headers={"x-api-key": KEY}) as events:
            events.until_text(5)
        eventually(lambda: seen.lines)
        eventually(lambda: not gateway.gateway.home.active)
    [attempts] = seen.points("unbroken.gateway.attempts")
    assert attempts.value == 1


def test_nothing_is_told_that_is_secret(server, seen):
    server.script(faults.reset(after_chars=40), faults.status(529), faults.status(400))
    asked = {"messages": [{"role": "user", "content": PROMPT}]}
    with seen.served as gateway:
        ask_as_user(gateway, **asked)
        ask_as_user(gateway, headers={"idempotency-key": "a-key-of-the-client"}, **asked)
        ask(gateway, headers={"x-api-key": "a-wrong-key"})
        with client(gateway, **{"x-api-key": KEY}) as http:
            http.get("/v1/models?a-query")
            signed = ask_as_user(gateway).headers["location"] + "/url"
            url = http.post(signed, json={}).json()["url"]
            assert httpx.get(gateway.url + url).status_code == 200
        signature = url.rpartition("signature=")[2]
        told = seen.everything()
    secrets = (KEY, UPSTREAM_KEY, "a-wrong-key", PROMPT, STORY[:20], "a-key-of-the", signature)
    ours = "\n".join(
        line for line in told.splitlines() if "httpx" not in line and "httpcore" not in line
    )
    for secret in secrets:
        assert secret not in ours
    for file in tmp_files(gateway):
        content = file.read_bytes()
        for secret in (KEY, UPSTREAM_KEY, "a-wrong-key", "a-key-of-the"):
            assert secret.encode() not in content


def tmp_files(gateway) -> Any:
    return list(Path(gateway.journal._path).parent.glob("streams.db*"))
