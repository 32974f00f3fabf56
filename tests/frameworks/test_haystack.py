from __future__ import annotations

import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import faults

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

chat = pytest.importorskip("haystack_integrations.components.generators.anthropic")
messages = pytest.importorskip("haystack.dataclasses")
utils = pytest.importorskip("haystack.utils")


@pytest.fixture
def generator(server, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    generator = chat.AnthropicChatGenerator(model=NEWEST, api_key=utils.Secret.from_token("test"))
    generator.warm_up()
    generator.client = unbroken.wrap(generator.client, AT_ONCE)
    yield generator
    generator.close()


def test_a_streamed_text(server, generator):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    chunks: list[str] = []
    found = generator.run(
        [messages.ChatMessage.from_user("Tell me a story.")],
        streaming_callback=lambda chunk: chunks.append(chunk.content),
    )
    assert "".join(chunks) == found["replies"][0].text == STORY
    assert len(server.message_requests) == 4


def test_a_whole_answer(server, generator):
    server.script(faults.status(529), faults.close())
    found = generator.run([messages.ChatMessage.from_user("Tell me a story.")])
    assert found["replies"][0].text == STORY
    assert len(server.message_requests) == 3
