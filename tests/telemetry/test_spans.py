"""Which spans there are, what they hold, and how they hang together."""

from __future__ import annotations

import itertools
import json
from typing import Any

import anthropic
import pytest
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracer, NoOpTracerProvider, SpanKind, StatusCode
from tests.samples import AT_ONCE, STORY
from tests.telemetry.recording import ASK, MODEL, SDK_TRACES, is_child, of, values

import unbroken
from unbroken import Policy
from unbroken.telemetry import Telemetry
from unbroken.testing import FaultServer, faults
from unbroken.testing.answers import Answer, text, tool_use

with_sdk_span = pytest.mark.skipif(not SDK_TRACES, reason="this SDK makes no spans")
SDK = [pytest.param(True, id="sdk span", marks=with_sdk_span), pytest.param(False, id="own span")]


def stream(client: Any, **more: Any) -> Any:
    with client.messages.stream(**ASK, **more) as opened:
        return opened.get_final_text()


@pytest.mark.parametrize("sdk", SDK)
def test_attempts_are_children_of_the_call_and_linked_in_a_row(recording, server, sdk):
    server.script(faults.status(529), faults.reset(after_chars=20), faults.eof(after_chars=10))
    with recording.tracer.start_as_current_span("app"):
        assert stream(recording.client(server, sdk=sdk)) == STORY
    attempts, call = recording.attempts, recording.call
    assert is_child(call, recording.named("app"))
    assert all(is_child(attempt, call) for attempt in attempts)
    assert {attempt.kind for attempt in attempts} == {SpanKind.CLIENT}
    assert not attempts[0].links
    for before, after in itertools.pairwise(attempts):
        assert [link.context for link in after.links] == [before.context]
    assert values(attempts, "unbroken.attempt.number") == [1, 2, 3, 4]
    assert values(attempts, "unbroken.attempt.kind") == [
        "initial",
        "retry",
        "continuation",
        "continuation",
    ]
    outcomes = ["failed", "interrupted", "interrupted", "complete"]
    assert values(attempts, "unbroken.attempt.outcome") == outcomes
    assert values(attempts, "http.request.resend_count") == [None, 1, 2, 3]


@pytest.mark.parametrize("sdk", SDK)
def test_a_saved_call_is_no_error_but_its_failed_attempts_are(recording, server, sdk):
    server.script(faults.status(529), faults.reset(after_chars=20), faults.error_event())
    stream(recording.client(server, sdk=sdk))
    codes = [attempt.status.status_code for attempt in recording.attempts]
    assert codes == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert recording.call.status.status_code is not StatusCode.ERROR
    assert values(recording.attempts, "error.type") == ["529", "dropped", "overloaded_error", None]
    kinds = ["overloaded", "dropped", "overloaded", None]
    assert values(recording.attempts, "unbroken.failure.kind") == kinds
    assert values(recording.attempts, "http.response.status_code") == [529, 200, 200, 200]
    assert of(recording.call, "error.type") is None


@pytest.mark.parametrize("sdk", SDK)
def test_a_plain_call(recording, server, sdk):
    server.script(faults.status(503), faults.reset_before())
    recording.client(server, sdk=sdk).messages.create(**ASK)
    assert all(is_child(attempt, recording.call) for attempt in recording.attempts)
    assert values(recording.attempts, "error.type") == ["503", "dropped", None]
    assert values(recording.attempts, "unbroken.attempt.kind") == ["initial", "retry", "retry"]
    assert recording.call.status.status_code is not StatusCode.ERROR


@with_sdk_span
def test_continuations_count_as_resends_of_the_sdks_span(recording, server):
    server.script(faults.reset(after_chars=20), faults.reset(after_chars=20))
    stream(recording.client(server, sdk=True))
    assert recording.call.name == "anthropic.messages.create"
    assert of(recording.call, "http.request.resend_count") == 2
    assert not [span for span in recording.spans if span.name.startswith("chat")]


@with_sdk_span
def test_no_span_of_the_application_is_taken_for_the_sdks(recording, server):
    server.script(faults.reset(after_chars=20))
    with recording.tracer.start_as_current_span("anthropic.messages.create") as span:
        stream(recording.client(server))
        assert "http.request.resend_count" not in span.attributes
    assert [s.name for s in recording.spans if s.name.startswith("chat")] == [f"chat {MODEL}"]


@pytest.mark.parametrize("streamed", [True, False])
def test_our_call_span_says_what_the_one_message_is(recording, server, streamed):
    client = recording.client(server)
    if streamed:
        server.script(faults.reset(after_chars=40))
        with client.messages.stream(**ASK) as opened:
            message = opened.get_final_message()
    else:
        message = client.messages.create(**ASK)
    span = recording.named(f"chat {MODEL}")
    assert span.kind is SpanKind.CLIENT
    assert of(span, "gen_ai.operation.name") == "chat"
    assert of(span, "gen_ai.provider.name") == "anthropic"
    assert of(span, "gen_ai.request.model") == MODEL
    assert of(span, "gen_ai.response.model") == message.model
    assert of(span, "gen_ai.response.id") == message.id
    assert of(span, "gen_ai.response.finish_reasons") == (message.stop_reason,)
    assert of(span, "gen_ai.usage.input_tokens") == message.usage.input_tokens
    assert of(span, "gen_ai.usage.output_tokens") == message.usage.output_tokens
    assert (of(span, "gen_ai.response.time_to_first_chunk") is not None) is streamed
    assert (of(span, "server.address"), of(span, "server.port")) == server_of(server)


def server_of(server: FaultServer) -> tuple[str, int]:
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


def test_input_tokens_include_what_the_cache_read_and_wrote(recording, server):
    cached = {"cache_read_input_tokens": 30, "cache_creation_input_tokens": 7}
    http = anthropic.DefaultHttpxClient(verify=False, event_hooks={"response": [add_usage(cached)]})
    recording.client(server, http_client=http).messages.create(**ASK)
    span = recording.named(f"chat {MODEL}")
    fresh = of(span, "gen_ai.usage.input_tokens") - 37
    assert fresh > 0
    assert of(span, "gen_ai.usage.cache_read.input_tokens") == 30
    assert of(span, "gen_ai.usage.cache_creation.input_tokens") == 7
    assert values(recording.attempts, "unbroken.attempt.input_tokens") == [fresh + 37]


def add_usage(counts: dict[str, int]) -> Any:
    def hook(response: Any) -> None:
        response.read()
        body = response.json()
        body["usage"] |= counts
        response._content = json.dumps(body).encode()

    return hook


@pytest.mark.parametrize("sdk", SDK)
def test_usage_stands_on_the_call_span_alone(recording, server, sdk):
    server.script(faults.reset(after_chars=20))
    stream(recording.client(server, sdk=sdk))
    for attempt in recording.attempts:
        assert not [name for name in attempt.attributes or {} if name.startswith("gen_ai.")]
    assert of(recording.call, "gen_ai.usage.output_tokens") > 0


def test_attempts_tell_what_they_brought_and_were_billed(recording, server):
    server.script(faults.reset(after_chars=20))
    stream(recording.client(server))
    cut, rest = recording.attempts
    assert of(cut, "unbroken.received_chars") == 20
    assert of(rest, "unbroken.received_chars") >= len(STORY) - 20
    assert of(cut, "unbroken.attempt.input_tokens") > 0
    assert of(rest, "unbroken.attempt.output_tokens") > 0
    ids = [request.id for request in server.message_requests]
    assert values([cut, rest], "unbroken.request_id") == ids
    assert values([cut, rest], "unbroken.model") == [MODEL, MODEL]
    assert values([cut, rest], "http.request.method") == ["POST", "POST"]
    assert {(of(a, "server.address"), of(a, "server.port")) for a in (cut, rest)} == {
        server_of(server)
    }


def test_a_wait_is_told(recording, server):
    server.script(faults.status(429, headers={"retry-after-ms": "30"}))
    stream(recording.client(server, policy=Policy()))
    assert values(recording.attempts, "unbroken.wait_s") == [0.0, 0.03]


@pytest.mark.parametrize("streamed", [True, False])
def test_a_call_given_up_is_an_error(recording, server, streamed):
    server.script(faults.status(400))
    client = recording.client(server)
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(stream=streamed, **ASK)
    span = recording.named(f"chat {MODEL}")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "HTTP status 400; this kind of failure is not retried"
    assert of(span, "error.type") == "400"
    assert of(span, "unbroken.failure.kind") == "rejected"


def test_an_answer_that_could_not_be_saved_is_an_error(recording, server):
    server.script(*(faults.reset(after_chars=10) for _ in range(3)))
    client = recording.client(server, policy=Policy(time_scale=0, max_attempts=2))
    with pytest.raises(unbroken.StreamInterrupted):
        stream(client)
    assert recording.call.status.status_code is StatusCode.ERROR
    assert of(recording.call, "error.type") == "dropped"
    assert values(recording.attempts, "unbroken.attempt.outcome") == ["interrupted"] * 2


def test_other_endpoints_have_attempts_and_no_call_span(recording, server):
    server.script(faults.status(503), path="/v1/messages/count_tokens")
    asked = {name: ASK[name] for name in ("model", "messages")}
    with recording.tracer.start_as_current_span("app"):
        recording.client(server).messages.count_tokens(**asked)
    assert sorted(span.name for span in recording.spans) == [
        "app",
        "messages.attempt",
        "messages.attempt",
    ]
    assert all(is_child(attempt, recording.named("app")) for attempt in recording.attempts)


def test_an_answer_that_ends_with_whole_tools_needs_no_other_attempt(recording, server):
    server.answer = Answer([text("Let me look."), tool_use("weather", {"city": "Oslo"})])
    server.script(faults.eof(after_block=1))
    tools = [{"name": "weather", "input_schema": {"type": "object"}}]
    with recording.client(server).messages.stream(**ASK, tools=tools) as opened:
        assert opened.get_final_message().stop_reason == "tool_use"
    assert values(recording.attempts, "unbroken.attempt.outcome") == ["interrupted"]
    assert recording.call.status.status_code is StatusCode.UNSET
    assert of(recording.call, "gen_ai.response.finish_reasons") == ("tool_use",)


def test_without_a_tracer_all_of_it_works_and_nothing_is_recorded(server):
    current = []
    http = anthropic.DefaultHttpxClient(
        verify=False,
        event_hooks={"request": [lambda _: current.append(trace.get_current_span())]},
    )
    server.script(faults.status(529), faults.reset(after_chars=20))
    with anthropic.Anthropic(base_url=server.url, api_key="test", http_client=http) as bare:
        assert stream(unbroken.wrap(bare, AT_ONCE)) == STORY
    assert len(current) == 3
    assert not any(span.get_span_context().is_valid for span in current)


def test_clients_without_providers_share_their_instruments():
    assert Telemetry()._instruments is Telemetry()._instruments


@pytest.mark.parametrize("broken", ["tracer_provider", "meter_provider"])
def test_broken_telemetry_breaks_no_answer(server, broken, caplog):
    class Tracer(NoOpTracer):
        def start_span(self, *args, **kwargs):
            raise RuntimeError("broken")

    class Broken(NoOpTracerProvider, NoOpMeterProvider):
        def get_tracer(self, *args, **kwargs):
            return Tracer()

        def get_meter(self, *args, **kwargs):
            raise RuntimeError("broken")

    caplog.set_level("DEBUG", "unbroken")
    server.script(faults.status(529), faults.reset(after_chars=20))
    with anthropic.Anthropic(
        base_url=server.url,
        api_key="test",
        http_client=anthropic.DefaultHttpxClient(verify=False),
    ) as bare:
        assert stream(unbroken.wrap(bare, AT_ONCE, **{broken: Broken()})) == STORY
    complaints = [r for r in caplog.records if r.levelname == "DEBUG" and r.name == "unbroken"]
    assert complaints
