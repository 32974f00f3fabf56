"""Arize Phoenix shows a call with its attempts, and takes no metrics."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.backends.programs import (
    CONFIGURED,
    eventually,
    free_port,
    get,
    run,
    running,
    status_of_post,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("phoenix")


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("phoenix")
    port = free_port()
    environment = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    command = [sys.executable, "-m", "phoenix.server.main", "serve"]
    with running(*command, log=folder / "log", **environment):
        url = f"http://127.0.0.1:{port}"
        assert eventually(lambda: get(url), seconds=400), (folder / "log").read_text()
        yield url


@pytest.mark.timeout(600)
def test_a_call_and_its_attempts(phoenix):
    told = run(CONFIGURED, OTEL_EXPORTER_OTLP_ENDPOINT=phoenix, OTEL_METRICS_EXPORTER="none")
    assert "405" not in told

    def spans() -> list[dict[str, Any]]:
        found = json.loads(get(f"{phoenix}/v1/projects/default/spans?limit=100"))["data"]
        return found if len(found) >= 4 else []

    found = eventually(spans)
    attempts = [span for span in found if span["name"] == "messages.attempt"]
    [call] = [span for span in found if span not in attempts]
    assert {span["parent_id"] for span in attempts} == {call["context"]["span_id"]}
    numbers = sorted(span["attributes"]["unbroken.attempt.number"] for span in attempts)
    assert numbers == [1, 2, 3]
    counted = [span for span in found if "llm.token_count.completion" in span["attributes"]]
    assert counted == [call]
    states = sorted(span["status_code"] for span in attempts)
    assert states == ["ERROR", "ERROR", "UNSET"]


@pytest.mark.timeout(600)
def test_it_takes_no_metrics(phoenix):
    assert status_of_post(f"{phoenix}/v1/metrics") == 405
