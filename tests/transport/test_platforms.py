"""Bedrock and Vertex AI through the transport: the model is in the URL."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.doors.platforms import Drop, Platform
from tests.samples import AT_ONCE, STORY

import unbroken
from unbroken._core.framing.eventstream import EventStream

MODELS = {"claude-opus-4-6": "user", "claude-haiku-4-5": "assistant"}


def body(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Tell me a story."}]
    return {"max_tokens": 1000, "messages": messages, "anthropic_version": "x", **fields}


def text_of(content: bytes) -> str:
    """The text in an AWS event stream."""
    stream = EventStream()
    events = [stream.decode(frame) for frame in stream.split(content)]
    deltas = [event.data.get("delta", {}) for event in events if event is not None]
    return "".join(delta.get("text", "") for delta in deltas)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("end", ["reset", "eof", "half_frame", "exception", "status"])
def test_bedrock(caller, model, end):
    with Platform("bedrock", STORY, [Drop(end, after=9)]) as server:
        path = f"/model/us.anthropic.{model}-v1%3A0/invoke-with-response-stream"
        headers = {"authorization": "Bearer key"}
        response = caller.send("POST", server.url + path, json=body(), headers=headers)
        assert text_of(response.content) == STORY
        assert unbroken.report(response).recovered
        if end != "status":
            assert server.seen[1].body["messages"][-1]["role"] == MODELS[model]
            assert set(server.seen[1].body) == set(server.seen[0].body)


def test_a_signed_bedrock_request_passes_its_drop_on(caller):
    with Platform("bedrock", STORY, [Drop("status"), Drop("exception", after=9)]) as server:
        path = "/model/anthropic.claude-opus-4-6-v1/invoke-with-response-stream"
        headers = {"authorization": "AWS4-HMAC-SHA256 Credential=x"}
        response = caller.send("POST", server.url + path, json=body(), headers=headers)
        assert STORY.startswith(text_of(response.content))
        stream = EventStream()
        last = stream.decode(stream.split(response.content)[-1])
        assert last is not None
        assert last.name == "error"
        assert server.seen[0].head.body == server.seen[1].head.body


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("end", ["reset", "eof", "half_frame", "status"])
def test_vertex(caller, model, end):
    with Platform("vertex", STORY, [Drop(end, after=9)]) as server:
        path = "/v1/projects/my-project/locations/global/publishers/anthropic/models/"
        read = caller.stream(f"{server.url}{path}{model}:streamRawPredict", body(stream=True))
        assert read.text == STORY
        if end != "status":
            assert server.seen[1].body["messages"][-1]["role"] == MODELS[model]


@pytest.mark.parametrize("path", ["/model/anthropic.claude-opus-4-6-v1/invoke"])
def test_answers_that_are_not_streamed(caller, path):
    with Platform("bedrock", STORY, [Drop("status")]) as server:
        response = caller.send("POST", server.url + path, json=body())
        assert response.json()["content"][0]["text"] == STORY
        assert len(server.seen) == 2


def test_tokens_are_counted_elsewhere(caller):
    def answer(request: Any) -> Any:
        seen.append(json.loads(request.content))
        return caller.library.Response(503)

    seen: list[Any] = []
    inner = caller.library.MockTransport(answer)
    transport = caller.transport(AT_ONCE, inner=lambda _: inner)
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict"
    assert caller.send("POST", f"http://api.test{path}", transport, json=body()).status_code == 503
    assert len(seen) == 1


def test_an_error_after_the_stream_began_is_an_exception_frame(caller):
    drops = [Drop("reset", after=1), *[Drop("status")] * 3]
    with Platform("bedrock", STORY, drops) as server:
        path = "/model/anthropic.claude-opus-4-6-v1/invoke-with-response-stream"
        response = caller.send("POST", server.url + path, json=body())
        stream = EventStream()
        first, last = map(stream.decode, stream.split(response.content))
        assert first is not None
        assert last is not None
        assert (first.name, last.name) == ("message_start", "error")
