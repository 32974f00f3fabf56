from __future__ import annotations

import asyncio

import anthropic
import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import faults

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

agents = pytest.importorskip("agno.agent")
models = pytest.importorskip("agno.models.anthropic")

DROPS = (faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))


def test_a_streamed_text(server):
    server.script(*DROPS)
    with anthropic.Anthropic(base_url=server.url, api_key="test") as client:
        agent = agents.Agent(
            model=models.Claude(id=NEWEST, client=unbroken.wrap(client, AT_ONCE)), telemetry=False
        )
        chunks = agent.run("Tell me a story.", stream=True)
        assert "".join(chunk.content or "" for chunk in chunks) == STORY
    assert len(server.message_requests) == 4


def test_a_streamed_text_in_a_task(server):
    server.script(*DROPS)

    async def run() -> str:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as client:
            model = models.Claude(id=NEWEST, async_client=unbroken.wrap(client, AT_ONCE))
            agent = agents.Agent(model=model, telemetry=False)
            chunks = agent.arun("Tell me a story.", stream=True)
            return "".join([chunk.content or "" async for chunk in chunks])

    assert asyncio.run(run()) == STORY
    assert len(server.message_requests) == 4
