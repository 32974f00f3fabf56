from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import faults

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

strands = pytest.importorskip("strands")
models = pytest.importorskip("strands.models.anthropic")


def test_a_streamed_text(server):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    recovery = unbroken.RecoveryMiddleware(AT_ONCE)
    options = {"base_url": server.url, "api_key": "test"}
    model = models.AnthropicModel(
        client_args={"middleware": [recovery], "max_retries": 0, **options},
        model_id=NEWEST,
        max_tokens=1000,
    )

    async def run() -> Any:
        agent = strands.Agent(model=model, callback_handler=None)
        answer = await agent.invoke_async("Tell me a story.")
        await model.client.close()
        return answer

    assert asyncio.run(run()).message["content"] == [{"text": STORY}]
    assert len(server.message_requests) == 4
