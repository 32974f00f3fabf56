"""The dashboard, the alert rules and the queries of the reference name only what there is."""

from __future__ import annotations

import json
from collections import defaultdict
from importlib import resources
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.documents.markdown import TELEMETRY
from tests.telemetry.recording import ASK

import unbroken
from unbroken._core.attempts import AttemptKind, Outcome
from unbroken._core.failures import FailureKind
from unbroken._core.seam import SeamKind
from unbroken._telemetry.facts import CallOutcome
from unbroken._telemetry.tokens import TokenType, TokenUse
from unbroken.testing import FaultServer, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

exporter: Any = pytest.importorskip("opentelemetry.exporter.prometheus")
promql: Any = pytest.importorskip("promql_parser")
yaml: Any = pytest.importorskip("yaml")

FOLDER = resources.files("unbroken._telemetry")
DASHBOARD = json.loads(FOLDER.joinpath("dashboard.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load(FOLDER.joinpath("alerts.yml").read_text(encoding="utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]

VALUES = {
    "unbroken_attempt_kind": AttemptKind,
    "unbroken_attempt_outcome": Outcome,
    "unbroken_call_outcome": CallOutcome,
    "unbroken_failure_kind": FailureKind,
    "unbroken_seam": SeamKind,
    "unbroken_tokens_type": TokenType,
    "unbroken_tokens_use": TokenUse,
}


def in_dashboard() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for number, target in enumerate(panel["targets"]):
            yield f"{panel['title']} {number}", filled_in(target["expr"])


def filled_in(expression: str) -> str:
    """A query as Grafana sends it."""
    return expression.replace("$__rate_interval", "5m").replace("$__range", "1h")


def in_alerts() -> Iterator[tuple[str, str]]:
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]


def in_reference() -> Iterator[tuple[str, str]]:
    for block in TELEMETRY.section("Queries").split("```text\n")[1:]:
        for line in block.partition("```")[0].splitlines():
            if not line.startswith("{"):  # those are TraceQL
                yield line, line


QUERIES = [
    pytest.param(query, id=name) for name, query in (*in_dashboard(), *in_alerts(), *in_reference())
]


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """The labels of each metric, as Prometheus scrapes them."""
    from opentelemetry.sdk.metrics import MeterProvider
    from prometheus_client import REGISTRY

    reader = exporter.PrometheusMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    with (
        FaultServer("A story. " * 9) as server,
        unbroken.wrap(
            anthropic.Anthropic(base_url=server.url, api_key="test"),
            unbroken.Policy(time_scale=0),
            meter_provider=provider,
        ) as client,
    ):
        server.script(faults.status(529), faults.reset(after_chars=20))
        with client.messages.stream(**ASK) as stream:
            stream.until_done()
    labels: dict[str, set[str]] = defaultdict(set)
    for family in REGISTRY.collect():
        for sample in family.samples:
            labels[sample.name] |= set(sample.labels)
    provider.shutdown()
    return labels


def selectors(query: str) -> Iterator[Any]:
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.append(node)
        return True

    promql.walk(promql.parse(query), visit)
    yield from found


def grouped_by(query: str) -> set[str]:
    labels: set[str] = set()

    def visit(node: Any) -> bool:
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            labels.update(node.modifier.labels)
        return True

    promql.walk(promql.parse(query), visit)
    return labels


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_metrics_and_labels_that_there_are(exposed, query):
    known: set[str] = set()
    for selector in selectors(query):
        labels = exposed.get(selector.name)
        assert labels, f"there is no metric {selector.name}"
        known |= labels
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels
            if matcher.name in VALUES and matcher.value:
                assert matcher.value in set(VALUES[matcher.name])
    assert known
    assert grouped_by(query) <= known


def test_a_metric_that_is_not_there_is_found(exposed):
    with pytest.raises(AssertionError, match="unbroken_call_total"):
        test_a_query_names_metrics_and_labels_that_there_are(
            exposed, "rate(unbroken_call_total[5m])"
        )


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: str(panel["title"]))
def test_a_legend_names_labels_that_its_query_keeps(panel):
    for target in panel["targets"]:
        named = {part.partition("}}")[0] for part in target["legendFormat"].split("{{")[1:]}
        assert named <= grouped_by(filled_in(target["expr"]))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_what_to_do(alert):
    assert set(alert["annotations"]) == {"summary", "description"}
    named = alert["annotations"]["summary"].split("$labels.")[1:]
    labels = {part.partition(" }}")[0] for part in named}
    assert labels <= grouped_by(alert["expr"])


def test_every_metric_is_on_the_dashboard(exposed):
    shown = {selector.name for _, query in in_dashboard() for selector in selectors(query)}
    suffixes = ("_total", "_bucket", "_count", "_sum")
    ours = {name for name in exposed if name.startswith(("unbroken_", "gen_ai_"))}
    families = {base(name) for name in ours if name.endswith(suffixes)}
    assert families == {base(name) for name in shown}


def base(name: str) -> str:
    return name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")


def test_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
