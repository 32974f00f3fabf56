from __future__ import annotations

import pytest
from tests.samples import NEWEST, STORY

from unbroken.testing import faults

anthropic_llms = pytest.importorskip("llama_index.llms.anthropic")


@pytest.mark.usefixtures("_installed")
def test_a_streamed_text(server):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    llm = anthropic_llms.Anthropic(model=NEWEST, max_tokens=1000)
    with llm._client:
        assert "".join(part.delta for part in llm.stream_complete("Tell me a story.")) == STORY
    assert len(server.message_requests) == 4
