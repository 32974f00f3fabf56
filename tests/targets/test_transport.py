"""A transport has one host, and can ask it for another model."""

from __future__ import annotations

import asyncio
import json

import anthropic
import httpx
import pytest
from tests.samples import HEADERS, NEWEST, PREFILLS, STORY

import unbroken
from unbroken import Policy, Target
from unbroken.testing import FaultServer, faults
from unbroken.transport import AsyncRecoveryTransport, RecoveryTransport

AT_ONCE = Policy(time_scale=0, budget=None)
ASK = {
    "model": NEWEST,
    "max_tokens": 1000,
    "stream": True,
    "messages": [{"role": "user", "content": "Tell me a story."}],
}
FALLBACKS = [Target(model=PREFILLS)]
DROPS = (faults.reset(after_chars=40), faults.status(529))


def text_in(body: str) -> str:
    lines = (line for line in body.splitlines() if line.startswith("data: "))
    events = (json.loads(line.removeprefix("data: ")) for line in lines)
    return "".join(event.get("delta", {}).get("text", "") for event in events)


def test_an_answer_goes_on_with_another_model() -> None:
    with FaultServer(STORY) as server:
        server.script(*DROPS)
        transport = RecoveryTransport(httpx.HTTPTransport(), AT_ONCE, fallbacks=FALLBACKS)
        with httpx.Client(transport=transport, base_url=server.url, headers=HEADERS) as client:
            response = client.post("/v1/messages", json=ASK)
    assert text_in(response.text) == STORY
    models = [attempt.model for attempt in unbroken.report(response).attempts]
    assert models == [NEWEST, NEWEST, PREFILLS]


def test_an_answer_goes_on_with_another_model_for_tasks() -> None:
    async def main(url: str) -> str:
        transport = AsyncRecoveryTransport(httpx.AsyncHTTPTransport(), AT_ONCE, fallbacks=FALLBACKS)
        async with httpx.AsyncClient(transport=transport, base_url=url, headers=HEADERS) as client:
            return (await client.post("/v1/messages", json=ASK)).text

    with FaultServer(STORY) as server:
        server.script(*DROPS)
        assert text_in(asyncio.run(main(server.url))) == STORY


@pytest.mark.parametrize(
    "path",
    [
        "/model/{}/invoke",
        "/v1/projects/p/locations/global/publishers/anthropic/models/{}:rawPredict",
    ],
)
def test_the_model_in_a_path_is_changed(path) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(503 if len(asked) == 1 else 200, json={"type": "message"})

    transport = RecoveryTransport(
        httpx.MockTransport(answer), AT_ONCE.replace(patience=0), fallbacks=[Target(model="b-v1")]
    )
    body = {"anthropic_version": "x", "messages": []}
    with httpx.Client(transport=transport, base_url="http://platform") as client:
        client.post(path.format("a-v1"), json=body)
    assert asked == [path.format("a-v1"), path.format("b-v1")]


def test_a_client_is_nothing_for_a_transport() -> None:
    with anthropic.Anthropic(api_key="test") as other, pytest.raises(ValueError, match="one host"):
        RecoveryTransport(httpx.HTTPTransport(), fallbacks=[Target(client=other)])
