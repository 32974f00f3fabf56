"""With every client of the SDK: one call span, its usage once, the attempts below it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import anthropic
import anyio
import pytest
from opentelemetry import baggage, context
from opentelemetry.trace import SpanKind
from tests.doors.platforms import Drop, Platform
from tests.samples import AT_ONCE, HEADERS, STORY
from tests.telemetry.clients import KINDS
from tests.telemetry.recording import SDK_TRACES, is_child, of
from tests.transport.callers import Caller, callers

import unbroken
from unbroken._doors import sdk_facts
from unbroken._doors.http import sdk_library
from unbroken._telemetry.console import ConsoleTree
from unbroken._telemetry.scopes import is_of_sdk
from unbroken.testing import FaultServer, faults

if TYPE_CHECKING:
    from tests.telemetry.clients import Kind
    from tests.telemetry.recording import Recording

# Before 1.14 the SDK makes no span, and before 2.0 not all of its platforms have a scope.
PUBLISHER = "/v1/projects/my-project/locations/global/publishers/anthropic"
TRACES = [True, False] if SDK_TRACES else [False]


def asked(model: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Tell me a story."}]
    return {"model": model, "max_tokens": 1000, "messages": messages}


def options(recording: Recording, *, sdk: bool) -> dict[str, Any]:
    if not SDK_TRACES:
        return {}
    return {"open_telemetry": {"tracer_provider": recording.tracer_provider} if sdk else False}


def read(recording: Recording, kind: Kind, url: str, *, sdk: bool, is_async: bool) -> Any:
    """The message of a call that drops once."""
    client = unbroken.wrap(
        kind.client(url, is_async=is_async, **options(recording, sdk=sdk)),
        AT_ONCE,
        tracer_provider=recording.tracer_provider,
        meter_provider=recording.meter_provider,
    )

    async def aread() -> Any:
        async with client, client.messages.stream(**asked(kind.model)) as stream:
            return await stream.get_final_message()

    if is_async:
        return anyio.run(aread)
    with client, client.messages.stream(**asked(kind.model)) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("sdk", TRACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_is_one_span_with_its_attempts_below(recording, kind, sdk, is_async):
    with kind.dropping() as (url, _), recording.tracer.start_as_current_span("app"):
        message = read(recording, kind, url, sdk=sdk, is_async=is_async)
    assert message.content[0].text == STORY
    [call] = [span for span in recording.spans if is_child(span, recording.named("app"))]
    assert call.kind is SpanKind.CLIENT
    assert is_of_sdk(call) is sdk
    assert len(recording.spans) == 4  # the application's, the call's and two attempts
    assert [is_child(attempt, call) for attempt in recording.attempts] == [True, True]
    assert of(call, "gen_ai.provider.name") == kind.provider
    assert of(call, "unbroken.call.id") == of(recording.attempts[0], "unbroken.call.id")
    counted = [span for span in recording.spans if of(span, "gen_ai.usage.output_tokens")]
    assert counted == [call]
    assert of(call, "gen_ai.usage.output_tokens") == message.usage.output_tokens
    assert of(call, "http.request.resend_count") == (1 if sdk else None)
    assert_counted_once(recording, kind)


def assert_counted_once(recording: Recording, kind: Kind) -> None:
    about = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": kind.provider,
        "gen_ai.request.model": kind.model,
    }
    [(calls, count)] = recording.points("unbroken.calls")
    assert calls == {**about, "unbroken.call.outcome": "saved"}
    assert count.value == 1
    for _, point in recording.points("gen_ai.client.token.usage"):
        assert point.count == 1
        assert about.items() <= dict(point.attributes).items()


@pytest.mark.parametrize("sdk", TRACES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_console_has_one_tree(recording, kind, sdk):
    out = io.StringIO()
    recording.tracer_provider.add_span_processor(ConsoleTree(out))
    with kind.dropping() as (url, _):
        read(recording, kind, url, sdk=sdk, is_async=False)
    title, first, last = out.getvalue().splitlines()
    assert f"{kind.model}  saved  " in title
    assert first.startswith("├─ 1 initial       interrupted  dropped ")
    assert last.startswith("└─ 2 continuation  complete ")


@pytest.mark.parametrize("kind", KINDS)
def test_the_provider_is_the_one_that_the_sdk_names(kind):
    with kind.client("http://127.0.0.1", is_async=False) as client:
        own = getattr(client, "_gen_ai_provider_name", kind.provider)
        assert sdk_facts.provider_of(client) == own == kind.provider


@pytest.mark.parametrize("kind", KINDS)
def test_each_attempt_is_the_parent_of_what_is_recorded_beyond(recording, kind):
    with kind.dropping() as (url, headers):
        read(recording, kind, url, sdk=False, is_async=False)
        sent = [one.get("traceparent") for one in headers()]
    own = [traceparent(attempt) for attempt in recording.attempts]
    assert sent == ([None, None] if kind.signs else own)


def traceparent(span: Any) -> str:
    of_span = span.context
    return f"00-{of_span.trace_id:032x}-{of_span.span_id:016x}-{of_span.trace_flags:02x}"


# The transport


@pytest.mark.parametrize("caller", callers())
@pytest.mark.parametrize(
    ("platform", "path", "provider", "model"),
    [
        (
            "bedrock",
            "/model/anthropic.claude-opus-4-6-v1/invoke-with-response-stream",
            "aws.bedrock",
            "anthropic.claude-opus-4-6-v1",
        ),
        (
            "vertex",
            f"{PUBLISHER}/models/claude-opus-4-6:streamRawPredict",
            "gcp.vertex_ai",
            "claude-opus-4-6",
        ),
    ],
)
def test_a_call_through_a_transport(recording, caller: Caller, platform, path, provider, model):
    transport = caller.transport(
        AT_ONCE, tracer_provider=recording.tracer_provider, meter_provider=recording.meter_provider
    )
    content = {**asked(model), "anthropic_version": "x"}
    del content["model"]
    if platform == "vertex":
        content["stream"] = True
    with Platform(platform, STORY, [Drop("reset", after=9)]) as server:
        caller.send("POST", server.url + path, transport, json=content)
        sent = [seen.head.headers.get("traceparent") for seen in server.seen]
    assert sent == [traceparent(attempt) for attempt in recording.attempts]
    call = recording.named(f"chat {model}")
    assert [is_child(attempt, call) for attempt in recording.attempts] == [True, True]
    assert of(call, "gen_ai.provider.name") == provider
    [(calls, _)] = recording.points("unbroken.calls")
    assert calls == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "unbroken.call.outcome": "saved",
    }


def test_mantle_is_known_by_its_host(recording):
    def answer(request: Any) -> Any:
        return caller.library.Response(200, json={"type": "message", "content": []})

    caller = Caller("httpx", is_async=False)
    inner = caller.library.MockTransport(answer)
    transport = caller.transport(
        AT_ONCE, inner=lambda _: inner, tracer_provider=recording.tracer_provider
    )
    url = "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages"
    assert caller.send("POST", url, transport, json=asked("claude")).status_code == 200
    assert of(recording.named("chat claude"), "gen_ai.provider.name") == "aws.bedrock"


@pytest.mark.skipif(not SDK_TRACES, reason="this SDK makes no spans")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.values[0].signs])
def test_a_transport_below_a_client_that_makes_a_span(recording, kind):
    caller = Caller(sdk_library().__name__, is_async=False)
    transport = caller.transport(
        AT_ONCE, tracer_provider=recording.tracer_provider, meter_provider=recording.meter_provider
    )
    with kind.dropping() as (url, headers):
        http = anthropic.DefaultHttpxClient(transport=transport)
        made = kind.client(
            url, is_async=False, http_client=http, max_retries=0, **options(recording, sdk=True)
        )
        with made as client, client.messages.stream(**asked(kind.model)) as stream:
            assert stream.get_final_text() == STORY
        sent = [one["traceparent"] for one in headers()]
    call = recording.call
    assert is_of_sdk(call)
    assert [is_child(attempt, call) for attempt in recording.attempts] == [True, True]
    assert len(recording.spans) == 3
    assert sent == [traceparent(call)] * 2
    [(calls, _)] = recording.points("unbroken.calls")
    assert calls["gen_ai.provider.name"] == kind.provider


# What goes out


def test_a_header_of_the_caller_stays(recording, server):
    server.script(faults.reset(after_chars=20))
    own = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    client = recording.client(server)
    with client.messages.stream(
        **asked("claude-haiku-4-5"), extra_headers={"Traceparent": own}
    ) as stream:
        stream.until_done()
    assert [one.headers["traceparent"] for one in server.message_requests] == [own] * 2


def test_a_header_of_the_caller_of_a_transport_stays(recording, server):
    own = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    caller = Caller("httpx", is_async=False)
    transport = caller.transport(AT_ONCE, tracer_provider=recording.tracer_provider)
    server.script(faults.reset(after_chars=20))
    caller.stream(
        f"{server.url}/v1/messages",
        {**asked("claude-haiku-4-5"), "stream": True},
        transport,
        headers={**HEADERS, "Traceparent": own},
    )
    assert [one.headers["traceparent"] for one in server.message_requests] == [own] * 2


def test_the_baggage_of_the_application_does_not_go_out(recording, server):
    token = context.attach(baggage.set_baggage("user", "alice"))
    try:
        recording.client(server).messages.create(**asked("claude-haiku-4-5"))
    finally:
        context.detach(token)
    assert "baggage" not in server.message_requests[0].headers
    assert "traceparent" in server.message_requests[0].headers


@pytest.mark.skipif(not SDK_TRACES, reason="this SDK has no option for it")
def test_no_header_goes_out_where_the_sdks_option_forbids_it(recording, server):
    client = unbroken.wrap(
        anthropic.Anthropic(
            base_url=server.url,
            api_key="test",
            open_telemetry={"traces": False, "propagation": False},
        ),
        AT_ONCE,
        tracer_provider=recording.tracer_provider,
    )
    with client:
        client.messages.create(**asked("claude-haiku-4-5"))
    assert "traceparent" not in server.message_requests[0].headers


def test_without_a_tracer_no_header_goes_out(server):
    with unbroken.wrap(anthropic.Anthropic(base_url=server.url, api_key="test"), AT_ONCE) as client:
        client.messages.create(**asked("claude-haiku-4-5"))
    assert "traceparent" not in server.message_requests[0].headers


def test_other_calls_tell_their_attempts_too(recording, server):
    client = recording.client(server)
    client.messages.count_tokens(
        model="claude-haiku-4-5", messages=[{"role": "user", "content": "Hi"}]
    )
    [attempt] = recording.attempts
    assert server.requests[0].headers["traceparent"] == traceparent(attempt)


@pytest.mark.parametrize("sdk", TRACES)
def test_a_fallback_makes_no_second_span_for_the_call(recording, server, sdk):
    traces = options(recording, sdk=sdk)
    with (
        FaultServer(faults=[faults.status(529)]) as failing,
        anthropic.Anthropic(base_url=failing.url, api_key="test", **traces) as first,
        anthropic.Anthropic(base_url=server.url, api_key="test", **traces) as second,
    ):
        client = unbroken.wrap(
            first,
            unbroken.Policy(budget=None),
            fallbacks=[unbroken.Target(client=second)],
            tracer_provider=recording.tracer_provider,
        )
        with client.messages.stream(**asked("claude-haiku-4-5")) as stream:
            assert stream.get_final_text() == STORY
    call = recording.call
    assert len(recording.spans) == 3
    assert [is_child(attempt, call) for attempt in recording.attempts] == [True, True]
    assert of(call, "gen_ai.usage.output_tokens") > 0
