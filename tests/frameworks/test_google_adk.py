from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import faults

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

models = pytest.importorskip("google.adk.models.anthropic_llm")
requests = pytest.importorskip("google.adk.models.llm_request")
types = pytest.importorskip("google.genai.types")


def asked(server: Any, *, stream: bool) -> str:
    async def run() -> str:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as client:
            model = models.AnthropicLlm(model=NEWEST, client=unbroken.wrap(client, AT_ONCE))
            content = types.Content(role="user", parts=[types.Part(text="Tell me a story.")])
            request = requests.LlmRequest(model=NEWEST, contents=[content])
            answers = [a async for a in model.generate_content_async(request, stream=stream)]
        return "".join(part.text or "" for part in answers[-1].content.parts)

    return asyncio.run(run())


def test_a_streamed_text(server):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    assert asked(server, stream=True) == STORY
    assert len(server.message_requests) == 4


def test_a_whole_answer(server):
    server.script(faults.status(529), faults.close())
    assert asked(server, stream=False) == STORY
    assert len(server.message_requests) == 3
