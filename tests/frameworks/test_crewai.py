from __future__ import annotations

from typing import Any

import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import faults

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

crewai = pytest.importorskip("crewai")


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test")  # it takes no other


def model_for(url: str, *, stream: bool) -> Any:
    recovery = unbroken.RecoveryMiddleware(AT_ONCE)
    return crewai.LLM(
        f"anthropic/{NEWEST}",
        api_key="test",
        base_url=url,
        stream=stream,
        max_tokens=1000,
        max_retries=0,
        client_params={"middleware": [recovery]},
    )


def test_a_streamed_text(server):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    assert model_for(server.url, stream=True).call("Tell me a story.") == STORY
    assert len(server.message_requests) == 4


def test_a_whole_answer(server):
    server.script(faults.status(529), faults.close())
    assert model_for(server.url, stream=False).call("Tell me a story.") == STORY
    assert len(server.message_requests) == 3
