from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import faults

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

agents = pytest.importorskip("autogen_agentchat.agents")
models = pytest.importorskip("autogen_ext.models.anthropic")

INFO = {
    "vision": True,
    "function_calling": True,
    "json_output": False,
    "family": "claude-4-opus",
    "structured_output": False,
}


def client_for(url: str) -> Any:
    return models.AnthropicChatCompletionClient(
        model=NEWEST,
        api_key="test",
        base_url=url,
        model_info=INFO,
        middleware=[unbroken.RecoveryMiddleware(AT_ONCE)],
        max_retries=0,
    )


def test_a_streamed_text(server):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))

    async def run() -> str:
        client = client_for(server.url)
        agent = agents.AssistantAgent("teller", client, model_client_stream=True)
        events = [event async for event in agent.run_stream(task="Tell me a story.")]
        await client.close()
        chunks = [event for event in events if type(event).__name__.endswith("ChunkEvent")]
        return "".join(chunk.content for chunk in chunks)

    assert asyncio.run(run()) == STORY
    assert len(server.message_requests) == 4


def test_a_whole_answer(server):
    server.script(faults.status(529), faults.close())

    async def run() -> Any:
        client = client_for(server.url)
        result = await agents.AssistantAgent("teller", client).run(task="Tell me a story.")
        await client.close()
        return result.messages[-1].content

    assert asyncio.run(run()) == STORY
    assert len(server.message_requests) == 3
