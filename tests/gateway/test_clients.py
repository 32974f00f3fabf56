"""Clients as they are, through faults: they get the whole answer, as from the API."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import anthropic
import pytest
from tests.gateway.asking import ask, body, client, events_of, text_of
from tests.samples import HEADERS, NEWEST, PREFILLS, STORY

from unbroken.testing import answers, faults

FAULTS = {
    "status": faults.status(529),
    "html": faults.html(),
    "disconnect": faults.disconnect(),
    "reset_before": faults.reset_before(),
    "reset": faults.reset(after_chars=20),
    "close": faults.close(after_chars=20),
    "eof": faults.eof(after_chars=20),
    "half_frame": faults.half_frame(after_chars=20),
    "garbage": faults.garbage(after_chars=20),
    "error_event": faults.error_event(after_chars=20),
    "no_stop": faults.eof(after_stop_reason=True),
}
TOOL = {"name": "look", "input_schema": {"type": "object"}}


@pytest.fixture
def sdk(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="test", max_retries=0) as made:
        yield made


def question(**fields) -> Any:
    return {key: value for key, value in body(**fields).items() if key != "stream"}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_sdk_streams_through_a_fault(server, sdk, fault):
    server.script(fault)
    with sdk.messages.stream(**question()) as stream:
        assert stream.get_final_text() == STORY


@pytest.mark.parametrize("model", [PREFILLS, NEWEST])
def test_several_faults_in_one_answer(server, sdk, model):
    server.script(faults.status(500), *(faults.reset(after_chars=20) for _ in range(3)))
    with sdk.messages.stream(**question(model=model)) as stream:
        assert stream.get_final_text() == STORY
    assert len(server.message_requests) == 5


@pytest.mark.parametrize("name", ["status", "reset_before", "reset", "html"])
def test_a_call_that_is_not_streamed(server, sdk, name):
    server.script(FAULTS[name])
    assert sdk.messages.create(**question()).content[0].text == STORY


def test_thinking_and_tools(server, sdk):
    server.answer = answers.Answer(
        [
            answers.thinking("Hm, well."),
            answers.text(STORY),
            answers.tool_use("look", {"at": "fox"}),
        ]
    )
    server.script(faults.reset(after_chars=5), faults.reset(after_chars=40))
    with sdk.messages.stream(**question(tools=[TOOL])) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content][-2:] == ["text", "tool_use"]
    assert message.content[-2].text == STORY
    assert message.content[-1].input == {"at": "fox"}


def test_what_was_given_up_is_not_tried_again_by_the_client(server, gateway):
    server.script(*(faults.status(529) for _ in range(20)))
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key="test") as sdk,  # it would try again
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        sdk.messages.create(**question())
    assert caught.value.status_code == 529
    assert len(server.message_requests) == 4


def test_an_answer_that_breaks_for_good_ends_with_an_error_event(server, gateway):
    server.script(faults.reset(after_chars=20), *(faults.reset_before() for _ in range(20)))
    done = ask(gateway)
    assert done.status_code == 200
    number, last = events_of(done.text)[-1]
    assert (number, last["type"]) == (0, "error")
    assert "could not answer" in last["error"]["message"]


def test_an_upstream_that_is_not_there(gateway, server):
    server.close()
    done = ask(gateway)
    assert (done.status_code, done.headers["x-should-retry"]) == (502, "false")
    assert done.json()["error"]["type"] == "api_error"


def test_errors_of_the_api_pass_byte_for_byte(server, gateway):
    server.script(faults.status(400, body={"type": "error", "odd": [1, 2]}))
    done = ask(gateway)
    assert (done.status_code, done.text) == (400, '{"type":"error","odd":[1,2]}')
    assert done.headers["request-id"] == server.message_requests[0].id


def test_headers_and_unknown_fields_pass(server, gateway):
    with client(gateway, **{"anthropic-beta": "some-beta-2026-01-01", "x-odd": "1"}) as http:
        http.post("/v1/messages?beta=true", json=body(odd={"a": 1}))
    [request] = server.message_requests
    assert request.body["odd"] == {"a": 1}
    assert {"anthropic-beta", "x-odd"} <= request.headers.keys()
    assert request.headers["x-api-key"] == "test"


def test_every_event_has_an_id(server, gateway):
    server.script(faults.reset(after_chars=20))
    done = ask(gateway)
    numbers = [number for number, event in events_of(done.text) if event["type"] != "ping"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert text_of(done.text) == STORY
    assert done.headers["location"] == f"/v1/streams/{done.headers['x-unbroken-stream-id']}"
    assert done.headers["x-accel-buffering"] == "no"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(server, gateway):
    server.script(faults.reset(after_chars=20))
    headers = [f"{name}: {value}" for name, value in HEADERS.items()]
    given = [part for one in (*headers, "content-type: application/json") for part in ("-H", one)]
    done = subprocess.run(
        ["curl", "-sN", *given, "-d", json.dumps(body(stream=True)), f"{gateway.url}/v1/messages"],
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert text_of(done.stdout.decode()) == STORY
