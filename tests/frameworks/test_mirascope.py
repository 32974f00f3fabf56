from __future__ import annotations

import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import faults

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

llm = pytest.importorskip("mirascope.llm")
providers = pytest.importorskip("mirascope.llm.providers.anthropic")


@pytest.fixture
def model(server):
    provider = providers.AnthropicProvider(api_key="test", base_url=server.url)
    provider.client = unbroken.wrap(provider.client, AT_ONCE)
    llm.register_provider(provider)
    yield llm.Model(f"anthropic/{NEWEST}")
    provider.client.close()


def test_a_streamed_text(server, model):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    chunks = model.stream("Tell me a story.").text_stream()
    assert "".join(chunks).rstrip("\n") == STORY  # it ends each part with a line break
    assert len(server.message_requests) == 4


def test_a_whole_answer(server, model):
    server.script(faults.status(529), faults.close())
    assert model.call("Tell me a story.").text() == STORY
    assert len(server.message_requests) == 3


@pytest.mark.usefixtures("_installed")
def test_nothing_but_install(server):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    provider = llm.register_provider("anthropic")
    chunks = llm.model(f"anthropic/{NEWEST}").stream("Tell me a story.").text_stream()
    assert "".join(chunks).rstrip("\n") == STORY
    provider.client.close()
    llm.reset_provider_registry()
    assert len(server.message_requests) == 4
