"""Below the span that logfire makes for a call stand all of its attempts."""

from __future__ import annotations

import pytest
from tests.backends.programs import APPLICATION, recipe, run
from tests.backends.receiver import Receiver

pytest.importorskip("logfire")

SETTINGS = {"LOGFIRE_SEND_TO_LOGFIRE": "false", "LOGFIRE_CONSOLE": "false"}


@pytest.mark.timeout(300)
def test_instrument_anthropic():
    setting_up, _, instrument = recipe("Logfire").partition("client = ")
    with Receiver() as receiver:
        run(
            f"{setting_up}{APPLICATION}\nlogfire.shutdown()",
            instrument.partition("\n")[2].strip(),
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            **SETTINGS,
        )
    attempts = [span for span in receiver.spans if span.name == "messages.attempt"]
    [call] = [span for span in receiver.spans if span.name.startswith("Message with")]
    assert sorted(span.attributes["unbroken.attempt.number"] for span in attempts) == [1, 2, 3]
    assert {span.parent for span in attempts} == {call.id}
    counted = [s for s in receiver.spans if "gen_ai.usage.output_tokens" in s.attributes]
    assert [span.scope for span in counted] == ["logfire.anthropic"]
    assert "unbroken.tokens" in receiver.metrics


@pytest.mark.timeout(300)
def test_without_its_instrumentation():
    setting_up = recipe("Logfire").partition("client = ")[0]
    with Receiver() as receiver:
        run(
            f"{setting_up}{APPLICATION}\nlogfire.shutdown()",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            **SETTINGS,
        )
    attempts = [span for span in receiver.spans if span.name == "messages.attempt"]
    [counted] = [s for s in receiver.spans if "gen_ai.usage.output_tokens" in s.attributes]
    assert {span.parent for span in attempts} == {counted.id}
    assert len(attempts) == 3
