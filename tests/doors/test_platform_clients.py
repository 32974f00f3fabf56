"""Every client of the SDK whose endpoint speaks the API's own dialect, through a drop.

Bedrock's and Vertex AI's own endpoints are in `test_bedrock.py` and `test_vertex.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from tests.doors.conftest import request
from tests.doors.platforms import ACCESS_KEY, SECRET_KEY
from tests.samples import AT_ONCE, STORY

import unbroken
from unbroken.testing import faults

AWS = {"aws_access_key": ACCESS_KEY, "aws_secret_key": SECRET_KEY, "aws_region": "us-east-1"}
SPEAKERS: dict[str, dict[str, Any]] = {
    "Anthropic": {"api_key": "test"},
    "AnthropicAWS": {**AWS, "workspace_id": "wrkspc_1"},
    "AnthropicBedrockMantle": AWS,
    "AnthropicFoundry": {"api_key": "test"},
    "AnthropicGoogleCloud": {"project": "p", "location": "global", "workspace_id": "wrkspc_1"},
}
ELSEWHERE = {"AnthropicBedrock", "AnthropicVertex"}
SIGNED = {"AnthropicAWS", "AnthropicBedrockMantle"}


def client_of(name: str, url: str) -> Any:
    options, asynchronous = SPEAKERS[name.removeprefix("Async")], name.startswith("Async")
    if not hasattr(anthropic, name):
        pytest.skip(f"this SDK has no {name}")
    if "project" in options:
        options = {**options, "token_provider": token_now if asynchronous else lambda: "token"}
    return getattr(anthropic, name)(base_url=url, **options)


async def token_now() -> str:
    return "token"


NAMES = [f"{prefix}{name}" for name in SPEAKERS for prefix in ("", "Async")]


def test_no_client_of_the_sdk_is_left_out():
    found = {
        name.removeprefix("Async")
        for name in dir(anthropic)
        if "Anthropic" in name and hasattr(getattr(anthropic, name), "with_options")
    }
    assert found - set(SPEAKERS) <= ELSEWHERE


def streamed(client: Any) -> tuple[str, bool]:
    with client, client.messages.stream(**request()) as stream:
        return stream.get_final_text(), unbroken.report(stream).recovered


def streamed_in_a_task(client: Any) -> tuple[str, bool]:
    async def run() -> tuple[str, bool]:
        async with client, client.messages.stream(**request()) as stream:
            return await stream.get_final_text(), unbroken.report(stream).recovered

    return asyncio.run(run())


def whole(client: Any) -> Any:
    with client:
        return client.messages.create(**request())


def whole_in_a_task(client: Any) -> Any:
    async def run() -> Any:
        async with client:
            return await client.messages.create(**request())

    return asyncio.run(run())


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_is_whole(serve, name):
    server = serve(STORY, faults=[faults.reset(after_chars=40), faults.status(529), faults.eof()])
    client = client_of(name, server.url)
    wrapped = unbroken.wrap(client, AT_ONCE)
    assert type(wrapped) is type(client)
    read = streamed_in_a_task if name.startswith("Async") else streamed
    assert read(wrapped) == (STORY, True)
    assert len(server.message_requests) == 4
    if name.removeprefix("Async") in SIGNED:  # each for its own body
        signatures = [seen.headers["authorization"] for seen in server.message_requests]
        assert all(one.startswith("AWS4-HMAC-SHA256 ") for one in signatures)
        assert signatures[0] != signatures[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_answer_is_whole(serve, name):
    server = serve(STORY, faults=[faults.status(529), faults.close(after_bytes=99)])
    read = whole_in_a_task if name.startswith("Async") else whole
    message = read(unbroken.wrap(client_of(name, server.url), AT_ONCE))
    assert message.content[0].text == STORY
    assert len(server.message_requests) == 3
