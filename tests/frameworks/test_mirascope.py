from __future__ import annotations

from typing import Any

import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import faults

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

llm = pytest.importorskip("mirascope.llm")
providers = pytest.importorskip("mirascope.llm.providers.anthropic")


def provider_for(url: str) -> Any:
    provider = providers.AnthropicProvider(api_key="test", base_url=url)
    provider.client = unbroken.wrap(provider.client, AT_ONCE)
    provider.async_client = unbroken.wrap(provider.async_client, AT_ONCE)
    return provider


def test_a_streamed_text(server):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    llm.register_provider(provider_for(server.url))
    stream = llm.Model(f"anthropic/{NEWEST}").stream("Tell me a story.")
    assert "".join(stream.text_stream()) == STORY
    assert len(server.message_requests) == 4


def test_a_whole_answer(server):
    server.script(faults.status(529), faults.close())
    llm.register_provider(provider_for(server.url))
    assert llm.Model(f"anthropic/{NEWEST}").call("Tell me a story.").text() == STORY
    assert len(server.message_requests) == 3
