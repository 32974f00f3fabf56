from __future__ import annotations

import httpx
import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

from unbroken.testing import faults
from unbroken.transport import RecoveryTransport

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

dspy = pytest.importorskip("dspy")
litellm = pytest.importorskip("litellm")


def test_a_whole_answer(server, monkeypatch):
    transport = RecoveryTransport(httpx.HTTPTransport(), AT_ONCE)
    monkeypatch.setattr(litellm, "sync_transport", transport, raising=False)
    litellm.in_memory_llm_clients_cache.flush_cache()
    server.script(faults.status(529), faults.close())
    options = {"api_base": server.url, "api_key": "test", "cache": False, "num_retries": 0}
    assert dspy.LM(f"anthropic/{NEWEST}", **options)("Tell me a story.") == [STORY]
    assert len(server.message_requests) == 3
    transport.close()
