from __future__ import annotations

import pytest
from tests.samples import NEWEST, STORY

from unbroken.testing import faults

llm = pytest.importorskip("mirascope.llm")


@pytest.fixture
def model():
    provider = llm.register_provider("anthropic")
    yield llm.model(f"anthropic/{NEWEST}")
    provider.client.close()
    llm.reset_provider_registry()


@pytest.mark.usefixtures("_installed")
def test_a_streamed_text(server, request):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    response = request.getfixturevalue("model").stream("Tell me a story.")
    # It ends each block with a line feed.
    assert "".join(response.text_stream()) == f"{STORY}\n"
    assert len(server.message_requests) == 4
