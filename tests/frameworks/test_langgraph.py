from __future__ import annotations

from functools import cached_property
from typing import Any

import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import faults

# The library warns of its own code.
pytestmark = pytest.mark.filterwarnings("default")

graphs = pytest.importorskip("langgraph.graph")
langchain_anthropic = pytest.importorskip("langchain_anthropic")


@pytest.fixture
def graph(server):
    base: Any = langchain_anthropic.ChatAnthropic

    class Chat(base):  # type: ignore[misc]
        @cached_property
        def _client(self) -> Any:
            return unbroken.wrap(super()._client, AT_ONCE)

    chat = Chat(model=NEWEST, api_key="test", base_url=server.url, max_tokens=1000)
    graph = graphs.StateGraph(graphs.MessagesState)
    graph.add_node("chat", lambda state: {"messages": [chat.invoke(state["messages"])]})
    graph.add_edge(graphs.START, "chat")
    yield graph.compile()
    chat._client.close()


ASKED = {"messages": [("user", "Tell me a story.")]}


def test_a_streamed_text(server, graph):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))
    chunks = graph.stream(ASKED, stream_mode="messages")
    assert "".join(chunk.text for chunk, _ in chunks) == STORY
    assert len(server.message_requests) == 4


def test_a_whole_answer(server, graph):
    server.script(faults.status(529), faults.close())
    assert graph.invoke(ASKED)["messages"][-1].text == STORY
    assert len(server.message_requests) == 3
