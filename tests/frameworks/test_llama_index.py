from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.samples import AT_ONCE, STORY

import unbroken
from unbroken.testing import faults

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

models = pytest.importorskip("llama_index.llms.anthropic")

DROPS = (faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))


def model_for(url: str) -> Any:
    # It refuses models that it does not know.
    model = models.Anthropic("claude-opus-4-6", base_url=url, api_key="test", max_tokens=1000)
    model._client = unbroken.wrap(model._client, AT_ONCE)
    model._aclient = unbroken.wrap(model._aclient, AT_ONCE)
    return model


def test_a_streamed_text(server):
    server.script(*DROPS)
    model = model_for(server.url)
    *_, last = model.stream_complete("Tell me a story.")
    assert last.text == STORY
    assert len(server.message_requests) == 4
    model._client.close()


def test_a_streamed_text_in_a_task(server):
    server.script(*DROPS)

    async def run() -> str:
        model = model_for(server.url)
        chunks = [chunk async for chunk in await model.astream_complete("Tell me a story.")]
        await model._aclient.close()
        model._client.close()
        return str(chunks[-1].text)

    assert asyncio.run(run()) == STORY
    assert len(server.message_requests) == 4


def test_a_whole_answer(server):
    server.script(faults.status(529), faults.close())
    model = model_for(server.url)
    assert model.complete("Tell me a story.").text == STORY
    model._client.close()


@pytest.mark.usefixtures("_installed")
def test_nothing_but_install(server):
    server.script(*DROPS)
    model = models.Anthropic(model="claude-opus-4-6", max_tokens=1000)
    with model._client:
        assert "".join(part.delta for part in model.stream_complete("Tell me a story.")) == STORY
    assert len(server.message_requests) == 4
