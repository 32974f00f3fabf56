"""A collector forwards spans and metrics: Rotel, which the package index has."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.backends.programs import CONFIGURED, eventually, free_port, run, running, status_of_post
from tests.backends.receiver import Receiver

rotel = pytest.importorskip("rotel")


@pytest.mark.timeout(300)
def test_spans_and_metrics_pass_through(tmp_path):
    url = f"127.0.0.1:{free_port()}"
    with (
        Receiver() as receiver,
        running(
            str(Path(rotel.__file__).parent / "rotel-agent"),
            "start",
            f"--otlp-http-endpoint={url}",
            f"--otlp-grpc-endpoint=127.0.0.1:{free_port()}",
            "--exporter=otlp",
            "--otlp-exporter-protocol=http",
            f"--otlp-exporter-endpoint={receiver.url}",
            log=tmp_path / "log",
        ),
    ):
        assert eventually(lambda: status_of_post(f"http://{url}/v1/traces"))
        run(CONFIGURED, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{url}")
        assert eventually(lambda: receiver.spans and receiver.metrics)
    attempts = [span for span in receiver.spans if span.name == "messages.attempt"]
    [call] = [span for span in receiver.spans if span not in attempts]
    assert {span.parent for span in attempts} == {call.id}
    assert len(attempts) == 3
    assert {"unbroken.calls", "unbroken.tokens", "gen_ai.client.token.usage"} <= receiver.metrics
