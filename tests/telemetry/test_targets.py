"""With fallbacks, attempts name their target and its model."""

from __future__ import annotations

import logging

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.samples import NEWEST, PREFILLS
from tests.targets.test_fallbacks import AT_ONCE, client_of, close_clients, first, read

import unbroken
from unbroken import Target
from unbroken.testing import faults

__all__ = ["close_clients", "first"]  # fixtures


def test_spans_metrics_and_log_lines_name_the_target(first, caplog) -> None:
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    counting = MeterProvider([reader])
    first.script(faults.reset(after_chars=40), faults.status(529))
    client = unbroken.wrap(
        client_of(first),
        AT_ONCE,
        fallbacks=[Target(model=PREFILLS, name="smaller")],
        tracer_provider=tracing,
        meter_provider=counting,
    )
    with caplog.at_level(logging.WARNING, "unbroken"):
        _, report = read(client)
    own = report.attempts[0].target
    asked = [(own, NEWEST), (own, NEWEST), ("smaller", PREFILLS)]
    attempts = [s.attributes or {} for s in spans.get_finished_spans() if "attempt" in s.name]
    assert [(s["unbroken.target"], s["gen_ai.request.model"]) for s in attempts] == asked
    assert {s["unbroken.model"] for s in attempts} == {NEWEST}
    found = reader.get_metrics_data()
    assert found is not None
    (scope,) = [s for r in found.resource_metrics for s in r.scope_metrics]
    (counted,) = [one for one in scope.metrics if one.name == "unbroken.attempts"]
    points = [dict(point.attributes) for point in counted.data.data_points]
    assert {(p["unbroken.target"], p["gen_ai.request.model"]) for p in points} == set(asked)
    assert f"{NEWEST} at {own} failed" in caplog.records[0].getMessage()
    assert vars(caplog.records[0])["unbroken.target"] == own
    tracing.shutdown()
    counting.shutdown()
