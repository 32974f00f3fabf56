from __future__ import annotations

import httpx
import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

from unbroken.testing import faults
from unbroken.transport import RecoveryTransport

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

litellm = pytest.importorskip("litellm")
smolagents = pytest.importorskip("smolagents")


def test_a_streamed_text(server, monkeypatch):
    transport = RecoveryTransport(httpx.HTTPTransport(), AT_ONCE)
    monkeypatch.setattr(litellm, "sync_transport", transport, raising=False)
    litellm.in_memory_llm_clients_cache.flush_cache()
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    model = smolagents.LiteLLMModel(f"anthropic/{NEWEST}", api_base=server.url, api_key="test")
    asked = smolagents.ChatMessage(role="user", content=[{"type": "text", "text": "A story."}])
    chunks = model.generate_stream([asked])
    assert "".join(chunk.content or "" for chunk in chunks) == STORY
    assert len(server.message_requests) == 4
    transport.close()
