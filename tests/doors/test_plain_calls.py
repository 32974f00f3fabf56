"""`Policy(plain_calls="streamed")`: a call that is not streamed, resumed after a drop."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from tests.doors.conftest import ANSWER, request
from tests.samples import AT_ONCE

import unbroken
from unbroken import AttemptKind
from unbroken.testing import Answer, answers, faults

STREAMED = AT_ONCE.replace(plain_calls="streamed")
TOOL = {"name": "look", "input_schema": {"type": "object"}}


def test_a_drop_is_resumed(serve, connect) -> None:
    server = serve()
    server.script(faults.reset(after_chars=40))
    client = connect(server, STREAMED)
    raw = client.messages.with_raw_response.create(**request())
    message = raw.parse()
    assert message.content[0].text == ANSWER
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0
    assert raw.headers["content-type"] == "application/json"
    assert [one.kind for one in unbroken.report(raw).attempts] == [
        AttemptKind.INITIAL,
        AttemptKind.CONTINUATION,
    ]
    assert [seen.body["stream"] for seen in server.requests] == [True, True]


def test_the_message_is_that_of_a_plain_call(serve, connect) -> None:
    answer = Answer([answers.thinking("Hm."), answers.text("See."), answers.tool_use("look", {})])
    fields = request(tools=[TOOL], thinking={"type": "adaptive"})
    plain = connect(serve(answer), AT_ONCE).messages.create(**fields)
    whole = connect(serve(answer), STREAMED).messages.create(**fields)
    ignored: Any = {"id": True, "usage": True}
    assert whole.to_dict().keys() == plain.to_dict().keys()
    assert [block.type for block in whole.content] == [block.type for block in plain.content]
    assert whole.model_dump(exclude=ignored)["stop_reason"] == plain.stop_reason


def test_a_drop_is_resumed_for_tasks(serve) -> None:
    server = serve()
    server.script(faults.reset(after_chars=40))

    async def main() -> Any:
        async with anthropic.AsyncAnthropic(api_key="test", base_url=server.url) as bare:
            client = unbroken.wrap(bare, STREAMED)
            return await client.messages.create(**request())

    assert asyncio.run(main()).content[0].text == ANSWER


def test_the_beta_api(serve, connect) -> None:
    server = serve()
    server.script(faults.reset(after_chars=40))
    message = connect(server, STREAMED).beta.messages.create(**request())
    assert type(message).__name__.startswith("BetaMessage") or "Beta" in type(message).__name__
    assert message.content[0].text == ANSWER


def test_errors_are_those_of_a_plain_call(serve, connect) -> None:
    server = serve()
    server.script(faults.status(400), *[faults.reset(after_chars=40)] * 9)
    client = connect(server, STREAMED.replace(max_attempts=2))
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(**request())
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        client.messages.create(**request())
    assert raised.value.report.partial is not None


def test_an_error_event_raises(serve, connect) -> None:
    server = serve()
    server.script(faults.error_event("invalid_request_error", after_chars=40))
    with pytest.raises(anthropic.APIStatusError):
        connect(server, STREAMED).messages.create(**request())


def test_other_calls_are_made_as_they_are(serve, connect) -> None:
    client = connect(serve(), STREAMED)
    fields = {name: value for name, value in request().items() if name != "max_tokens"}
    assert client.messages.count_tokens(**fields).input_tokens > 0
