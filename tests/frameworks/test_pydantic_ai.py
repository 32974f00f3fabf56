from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import Answer, answers, faults

pydantic_ai = pytest.importorskip("pydantic_ai")
models = pytest.importorskip("pydantic_ai.models.anthropic")
providers = pytest.importorskip("pydantic_ai.providers.anthropic")


def agent_for(client: Any, **options: Any) -> Any:
    provider = providers.AnthropicProvider(anthropic_client=client)
    return pydantic_ai.Agent(models.AnthropicModel(NEWEST, provider=provider), **options)


def test_a_streamed_text(server):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))

    async def run() -> str:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as client:
            agent = agent_for(unbroken.wrap(client, AT_ONCE))
            async with agent.run_stream("Tell me a story.") as result:
                return "".join([text async for text in result.stream_text(delta=True)])

    assert asyncio.run(run()) == STORY
    assert len(server.message_requests) == 4


def test_tools(server):
    def answer(request: dict[str, Any]) -> Answer | str:
        if len(request["messages"]) > 1:
            return STORY
        return Answer(answers.tool_use("weather", {"city": "Oslo"}))

    server.answer = answer
    server.script(faults.reset(after_chars=9), None, faults.reset(after_chars=9))
    asked = []

    def weather(city: str) -> str:
        asked.append(city)
        return "sunny"

    async def run() -> str:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as client:
            agent = agent_for(unbroken.wrap(client, AT_ONCE), tools=[weather])
            async with agent.run_stream("How is it in Oslo?") as result:
                text: str = await result.get_output()
                return text

    assert asyncio.run(run()) == STORY
    assert asked == ["Oslo"]


@pytest.mark.usefixtures("_installed")
def test_with_nothing_but_install(server):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))

    async def run() -> str:
        agent = pydantic_ai.Agent(f"anthropic:{NEWEST}")
        async with agent, agent.run_stream("Tell me a story.") as result:
            return "".join([text async for text in result.stream_text(delta=True)])

    assert asyncio.run(run()) == STORY
    assert len(server.message_requests) == 4
