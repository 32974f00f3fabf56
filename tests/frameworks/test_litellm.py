from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.samples import AT_ONCE, NEWEST, STORY

from unbroken.testing import faults
from unbroken.transport import AsyncRecoveryTransport, RecoveryTransport

litellm = pytest.importorskip("litellm")
# It warns of its own types.
pytestmark = pytest.mark.filterwarnings("default")
handlers = pytest.importorskip("litellm.llms.custom_httpx.http_handler")


DROPS = (faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=30))


def asked(server: Any, *script: faults.Fault, **fields: Any) -> dict[str, Any]:
    server.script(*script)
    return {
        "model": f"anthropic/{NEWEST}",
        "messages": [{"role": "user", "content": "Tell me a story."}],
        "api_base": server.url,
        "api_key": "test",
        **fields,
    }


def text_of(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_streamed_text(server):
    transport = RecoveryTransport(httpx.HTTPTransport(), AT_ONCE)
    with httpx.Client(transport=transport) as http:
        handler = handlers.HTTPHandler(client=http)
        chunks = litellm.completion(**asked(server, *DROPS, stream=True), client=handler)
        assert text_of(chunks) == STORY
    assert len(server.message_requests) == 4


def test_a_streamed_text_in_a_task(server):
    async def run() -> str:
        handler = handlers.AsyncHTTPHandler()
        await handler.client.aclose()
        transport = AsyncRecoveryTransport(httpx.AsyncHTTPTransport(), AT_ONCE)
        async with httpx.AsyncClient(transport=transport) as handler.client:
            asks = asked(server, *DROPS, stream=True)
            chunks = await litellm.acompletion(**asks, client=handler)
            return text_of([chunk async for chunk in chunks])

    assert asyncio.run(run()) == STORY


def test_a_whole_answer(server):
    script = (faults.status(529), faults.close())
    transport = RecoveryTransport(httpx.HTTPTransport(), AT_ONCE)
    with httpx.Client(transport=transport) as http:
        handler = handlers.HTTPHandler(client=http)
        answer = litellm.completion(**asked(server, *script), client=handler)
    assert answer.choices[0].message.content == STORY


def test_every_call_of_a_program(server, monkeypatch):
    """`litellm.sync_transport` serves sync calls without a client of their own."""
    transport = RecoveryTransport(httpx.HTTPTransport(), AT_ONCE)
    monkeypatch.setattr(litellm, "sync_transport", transport, raising=False)
    litellm.in_memory_llm_clients_cache.flush_cache()
    assert text_of(litellm.completion(**asked(server, *DROPS, stream=True))) == STORY
    assert len(server.message_requests) == 4
    transport.close()
