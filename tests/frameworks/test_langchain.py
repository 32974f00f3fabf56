from __future__ import annotations

import asyncio
from functools import cached_property
from typing import Any

import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

import unbroken
from unbroken.testing import faults

langchain_anthropic = pytest.importorskip("langchain_anthropic")


def chat_for(url: str) -> Any:
    base: Any = langchain_anthropic.ChatAnthropic

    class Chat(base):  # type: ignore[misc]
        @cached_property
        def _client(self) -> Any:
            return unbroken.wrap(super()._client, AT_ONCE)

        @cached_property
        def _async_client(self) -> Any:
            return unbroken.wrap(super()._async_client, AT_ONCE)

    return Chat(model=NEWEST, api_key="test", base_url=url, max_tokens=1000)


def drop(server: Any) -> None:
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))


def test_a_streamed_text(server):
    drop(server)
    chat = chat_for(server.url)
    with chat._client:
        assert "".join(chunk.text for chunk in chat.stream("Tell me a story.")) == STORY
    assert len(server.message_requests) == 4


def test_a_streamed_text_in_a_task(server):
    drop(server)

    async def run() -> str:
        chat = chat_for(server.url)
        async with chat._async_client:
            return "".join([chunk.text async for chunk in chat.astream("Tell me a story.")])

    assert asyncio.run(run()) == STORY


def test_a_whole_answer(server):
    server.script(faults.status(529), faults.close())
    chat = chat_for(server.url)
    with chat._client:
        assert chat.invoke("Tell me a story.").text == STORY


@pytest.mark.usefixtures("_installed")
def test_with_nothing_but_install(server):
    drop(server)
    chat = pytest.importorskip("langchain.chat_models").init_chat_model(f"anthropic:{NEWEST}")
    with chat._client:
        assert "".join(chunk.text for chunk in chat.stream("Tell me a story.")) == STORY
    assert len(server.message_requests) == 4
