"""From server-sent events to AWS event streams and back, in the middle of an answer."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from tests.doors.platforms import ACCESS_KEY, SECRET_KEY, Drop, Platform
from tests.doors.test_vertex import client_of as vertex
from tests.samples import STORY

import unbroken
from unbroken import Policy, Target
from unbroken.testing import FaultServer, faults

pytest.importorskip("botocore")

MODEL = "claude-opus-4-6"
ON_BEDROCK = "anthropic.claude-opus-4-6-v1"
AT_ONCE = Policy(time_scale=0, budget=None)
ASK = {"max_tokens": 1000, "messages": [{"role": "user", "content": "Tell me a story."}]}


def bedrock(server: Platform, cls: type[Any] = anthropic.AnthropicBedrock) -> Any:
    return cls(
        aws_access_key=ACCESS_KEY,
        aws_secret_key=SECRET_KEY,
        aws_region="us-east-1",
        base_url=server.url,
    )


@pytest.mark.parametrize("drop", [faults.reset(after_chars=40), faults.status(529)])
def test_from_the_api_to_bedrock(drop) -> None:
    with FaultServer(STORY) as server, Platform("bedrock", STORY) as platform:
        server.script(drop, *[faults.status(529)] * 30)
        own = anthropic.Anthropic(api_key="test", base_url=server.url)
        with own, bedrock(platform) as other:
            fallback = Target(client=other, model=ON_BEDROCK)
            client = unbroken.wrap(own, AT_ONCE, fallbacks=[fallback])
            with client.messages.stream(model=MODEL, **ASK) as stream:
                message = stream.get_final_message()
                assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert message.content[0].text == STORY
    assert [seen.model for seen in platform.seen] == [ON_BEDROCK]
    assert platform.errors == []


@pytest.mark.parametrize("drop", [Drop("reset", after=9), Drop("status", kind="x", status=503)])
def test_from_bedrock_to_the_api(drop) -> None:
    down = Drop("status", kind="ThrottlingException")
    with FaultServer(STORY) as server, Platform("bedrock", STORY, [drop, *[down] * 30]) as platform:
        other = anthropic.Anthropic(api_key="test", base_url=server.url)
        with other, bedrock(platform) as own:
            fallback = Target(client=other, model=MODEL)
            policy = AT_ONCE.replace(patience=3)
            client = unbroken.wrap(own, policy, fallbacks=[fallback])
            with client.messages.stream(model=ON_BEDROCK, **ASK) as stream:
                message = stream.get_final_message()
    assert message.content[0].text == STORY
    assert len(server.requests) == 1


async def ask_async(own: Any, server: FaultServer, model: str, *, plain: bool) -> Any:
    """The answer of the API, where Bedrock or Vertex AI fails."""
    other = anthropic.AsyncAnthropic(api_key="test", base_url=server.url)
    async with own, other:
        policy = AT_ONCE.replace(patience=3)
        client = unbroken.wrap(own, policy, fallbacks=[Target(client=other, model=MODEL)])
        if plain:
            return await client.messages.create(model=model, **ASK)
        async with client.messages.stream(model=model, **ASK) as stream:
            return await stream.get_final_message()


@pytest.mark.parametrize("plain", [False, True], ids=["streamed", "plain"])
@pytest.mark.parametrize("name", ["bedrock", "vertex"])
def test_from_platforms_to_the_api_for_tasks(name, plain) -> None:
    down = Drop("status", kind="ThrottlingException")
    drops = [down] * 30 if plain else [Drop("reset", after=9), *[down] * 30]
    with FaultServer(STORY) as server, Platform(name, STORY, drops) as platform:
        if name == "bedrock":
            own, model = bedrock(platform, anthropic.AsyncAnthropicBedrock), ON_BEDROCK
        else:
            own, model = vertex(platform, anthropic.AsyncAnthropicVertex), MODEL
        message = asyncio.run(ask_async(own, server, model, plain=plain))
    assert message.content[0].text == STORY
    assert len(server.requests) == 1
    assert platform.errors == []


def test_from_the_api_to_vertex() -> None:
    with FaultServer(STORY) as server, Platform("vertex", STORY) as platform:
        server.script(faults.reset(after_chars=40), *[faults.status(529)] * 30)
        own = anthropic.Anthropic(api_key="test", base_url=server.url)
        with own, vertex(platform) as other:
            client = unbroken.wrap(own, AT_ONCE, fallbacks=[Target(client=other)])
            with client.messages.stream(model=MODEL, **ASK) as stream:
                message = stream.get_final_message()
    assert message.content[0].text == STORY
    assert len(platform.seen) == 1
    assert platform.errors == []
