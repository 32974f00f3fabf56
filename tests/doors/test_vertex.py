from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from tests.doors.platforms import Drop, Platform
from tests.samples import AT_ONCE, STORY

import unbroken

pytest.importorskip("google.auth")

MODELS = {"claude-opus-4-6": "user", "claude-sonnet-4-5@20250929": "assistant"}
DROPS = {
    "reset": Drop("reset", after=9),
    "eof": Drop("eof", after=9),
    "half_frame": Drop("half_frame", after=9),
    "status": Drop("status", status=503),
}


def client_of(server: Platform, cls: type[Any] = anthropic.AnthropicVertex) -> Any:
    return cls(
        region="europe-west1",
        project_id="my-project",
        access_token="token",
        base_url=f"{server.url}/v1",
    )


def asked(model: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Tell me a story."}]
    return {"model": model, "max_tokens": 1000, "messages": messages}


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
@pytest.mark.parametrize("model", MODELS)
def test_a_message_reaches_its_end(drop, model):
    with (
        Platform("vertex", STORY, [drop]) as server,
        unbroken.wrap(client_of(server), AT_ONCE) as client,
        client.messages.stream(**asked(model)) as stream,
    ):
        assert stream.get_final_text() == STORY
        assert unbroken.report(stream).recovered
    check(server, drop, model)


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
@pytest.mark.parametrize("model", MODELS)
def test_a_message_reaches_its_end_in_a_task(drop, model):
    async def read() -> str:
        client = unbroken.wrap(client_of(server, anthropic.AsyncAnthropicVertex), AT_ONCE)
        async with client, client.messages.stream(**asked(model)) as stream:
            text: str = await stream.get_final_text()
            return text

    with Platform("vertex", STORY, [drop]) as server:
        assert asyncio.run(read()) == STORY
    check(server, drop, model)


def check(server: Platform, drop: Drop, model: str) -> None:
    assert [seen.model for seen in server.seen] == [model] * 2
    assert {seen.head.headers["authorization"] for seen in server.seen} == {"Bearer token"}
    if drop.after:
        assert server.seen[1].body["messages"][-1]["role"] == MODELS[model]


def test_calls_that_are_not_streamed():
    with (
        Platform("vertex", STORY, [Drop("status", status=503)]) as server,
        unbroken.wrap(client_of(server), AT_ONCE) as client,
    ):
        message = client.messages.create(**asked("claude-opus-4-6"))
    assert message.content[0].text == STORY
    assert len(server.seen) == 2
