"""What a type checker knows of this package. Checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

import anthropic
import tenacity
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.beta import BetaMessage

import unbroken
import unbroken.testing
import unbroken.transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from unbroken.testing import FaultServer


class Mine(anthropic.Anthropic):
    pass


# `wrap()` gives back the class that it was given.

assert_type(unbroken.wrap(anthropic.Anthropic()), anthropic.Anthropic)
assert_type(unbroken.wrap(anthropic.AsyncAnthropic()), anthropic.AsyncAnthropic)
assert_type(unbroken.wrap(anthropic.AnthropicBedrock()), anthropic.AnthropicBedrock)
assert_type(unbroken.wrap(anthropic.AsyncAnthropicBedrock()), anthropic.AsyncAnthropicBedrock)
assert_type(unbroken.wrap(anthropic.AnthropicVertex()), anthropic.AnthropicVertex)
assert_type(unbroken.wrap(anthropic.AsyncAnthropicVertex()), anthropic.AsyncAnthropicVertex)
assert_type(unbroken.wrap(Mine()), Mine)
assert_type(unbroken.wrap(Mine()).with_options(timeout=3), Mine)

unbroken.wrap("a client")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
unbroken.wrap(Mine(), "fast")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
unbroken.wrap(Mine(), on_event=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
unbroken.wrap(Mine(), retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# What a wrapped client returns is what the SDK returns.


def ask(client: anthropic.Anthropic) -> None:
    message = unbroken.wrap(client).messages.create(model="m", max_tokens=1, messages=[])
    assert_type(message, Message)
    with unbroken.wrap(client).messages.stream(model="m", max_tokens=1, messages=[]) as stream:
        for text in stream.text_stream:
            assert_type(text, str)
        assert_type(unbroken.report(stream), unbroken.RecoveryReport)


async def ask_async(client: anthropic.AsyncAnthropic) -> None:
    wrapped = unbroken.wrap(client)
    assert_type(await wrapped.messages.create(model="m", max_tokens=1, messages=[]), Message)
    async with wrapped.messages.stream(model="m", max_tokens=1, messages=[]) as stream:
        async for text in stream.text_stream:
            assert_type(text, str)
        assert_type(unbroken.report(stream), unbroken.RecoveryReport)


# Policies


policy = unbroken.Policy(
    max_attempts=3,
    deadline=None,
    rules={unbroken.FailureKind.CONFLICT: unbroken.Rule(wait=tenacity.wait_fixed(3))},
    continuation="user_turn",
    thinking="live",
)
assert_type(policy.replace(max_attempts=4), unbroken.Policy)
assert_type(unbroken.Policy.from_env(), unbroken.Policy)
unbroken.Policy(max_attempts="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
unbroken.Policy(thinking="dead")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with unbroken.override(policy):
    pass


# Events, reports and errors


def show(event: unbroken.RecoveryEvent) -> None:
    assert_type(event.attempt, unbroken.Attempt)
    match event:
        case unbroken.Waiting():
            assert_type(event.seconds, float)
        case _:
            pass


async def show_async(event: unbroken.RecoveryEvent) -> None:
    assert_type(event.attempt.failure, unbroken.Failure | None)


unbroken.wrap(anthropic.Anthropic(), on_event=show)
unbroken.wrap(anthropic.AsyncAnthropic(), on_event=show_async)
unbroken.RecoveryMiddleware(policy, on_event=show)


def read(error: unbroken.StreamInterrupted) -> None:
    api_error: anthropic.APIConnectionError = error
    assert_type(error.report, unbroken.RecoveryReport)
    assert_type(error.report.attempts, tuple[unbroken.Attempt, ...])
    assert_type(unbroken.report(api_error), unbroken.RecoveryReport)


# Transports and tests


def transports(inner: httpx.HTTPTransport, async_inner: httpx.AsyncHTTPTransport) -> None:
    unbroken.transport.RecoveryTransport(inner, policy)
    unbroken.transport.AsyncRecoveryTransport(async_inner, policy)


def served() -> Iterator[FaultServer]:
    with unbroken.testing.FaultServer(
        "An answer.", faults=[unbroken.testing.faults.reset(after_chars=3)]
    ) as server:
        assert_type(server.url, str)
        yield server


# Streams, raw responses, subclasses, and the clients of all platforms


class Tenant(anthropic.AsyncAnthropic):
    def __init__(self, tenant: str) -> None:
        super().__init__()
        self.tenant = tenant


assert_type(unbroken.wrap(Tenant("acme")), Tenant)
assert_type(unbroken.wrap(Tenant("acme")).tenant, str)
assert_type(unbroken.wrap(anthropic.AnthropicAWS()), anthropic.AnthropicAWS)
assert_type(unbroken.wrap(anthropic.AsyncAnthropicAWS()), anthropic.AsyncAnthropicAWS)
assert_type(unbroken.wrap(anthropic.AnthropicBedrockMantle()), anthropic.AnthropicBedrockMantle)
assert_type(
    unbroken.wrap(anthropic.AsyncAnthropicBedrockMantle()), anthropic.AsyncAnthropicBedrockMantle
)
assert_type(unbroken.wrap(anthropic.AnthropicFoundry(resource="r")), anthropic.AnthropicFoundry)
assert_type(
    unbroken.wrap(anthropic.AsyncAnthropicFoundry(resource="r")), anthropic.AsyncAnthropicFoundry
)
assert_type(unbroken.wrap(anthropic.AnthropicGoogleCloud()), anthropic.AnthropicGoogleCloud)
assert_type(
    unbroken.wrap(anthropic.AsyncAnthropicGoogleCloud()), anthropic.AsyncAnthropicGoogleCloud
)

unbroken.wrap(anthropic.Anthropic)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def streams(client: anthropic.Anthropic) -> None:
    messages = unbroken.wrap(client).messages
    stream = messages.create(model="m", max_tokens=1, messages=[], stream=True)
    assert_type(stream, anthropic.Stream[RawMessageStreamEvent])
    for event in stream:
        assert_type(event.type == "message_stop", bool)
    raw = messages.with_raw_response.create(model="m", max_tokens=1, messages=[])
    assert_type(raw, anthropic.APIResponse[Message])
    assert_type(raw.parse(), Message)
    with messages.with_streaming_response.create(model="m", max_tokens=1, messages=[]) as read:
        assert_type(read, anthropic.APIResponse[Message])
        assert_type(read.read(), bytes)
        assert_type(unbroken.report(read), unbroken.RecoveryReport)
    beta = unbroken.wrap(client).beta.messages.create(model="m", max_tokens=1, messages=[])
    assert_type(beta, BetaMessage)


async def streams_async(client: anthropic.AsyncAnthropicBedrock) -> None:
    messages = unbroken.wrap(client).messages
    stream = await messages.create(model="m", max_tokens=1, messages=[], stream=True)
    assert_type(stream, anthropic.AsyncStream[RawMessageStreamEvent])
    async for event in stream:
        assert_type(event.type == "message_stop", bool)
    raw = await messages.with_raw_response.create(model="m", max_tokens=1, messages=[])
    assert_type(raw, anthropic.AsyncAPIResponse[Message])
    assert_type(await raw.parse(), Message)
