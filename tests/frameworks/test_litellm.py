from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.frameworks.conftest import AT_ONCE, MODEL, STORY

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
        "model": f"anthropic/{MODEL}",
        "messages": [{"role": "user", "content": "Tell me a story."}],
        "api_base": server.url,
        "api_key": "test",
        **fields,
    }


def text_of(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_streamed_text(server):
    http = httpx.Client(transport=RecoveryTransport(httpx.HTTPTransport(), AT_ONCE))
    handler = handlers.HTTPHandler(client=http)
    assert (
        text_of(litellm.completion(**asked(server, *DROPS, stream=True), client=handler)) == STORY
    )
    assert len(server.message_requests) == 4


def test_a_streamed_text_in_a_task(server):
    async def run() -> str:
        handler = handlers.AsyncHTTPHandler()
        handler.client = httpx.AsyncClient(
            transport=AsyncRecoveryTransport(httpx.AsyncHTTPTransport(), AT_ONCE)
        )
        chunks = await litellm.acompletion(**asked(server, *DROPS, stream=True), client=handler)
        return text_of([chunk async for chunk in chunks])

    assert asyncio.run(run()) == STORY


def test_a_whole_answer(server):
    http = httpx.Client(transport=RecoveryTransport(httpx.HTTPTransport(), AT_ONCE))
    handler = handlers.HTTPHandler(client=http)
    script = (faults.status(529), faults.close())
    answer = litellm.completion(**asked(server, *script), client=handler)
    assert answer.choices[0].message.content == STORY
