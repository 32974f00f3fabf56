"""Message threads: a drop is resumed from the conversation that the client remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.doors.conftest import ANSWER
from tests.samples import NEWEST, PREFILLS

import unbroken
from unbroken.testing import FaultServer, faults

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = {"model": NEWEST, "max_tokens": 5000}
# Older versions of the SDK have no argument for it.
CREATE = {"type": "create"}
SYSTEM = "Be brief."


def ask(client: Any, content: Any, thread: Mapping[str, Any], **fields: Any) -> Any:
    """One turn of a thread, streamed."""
    with client.beta.messages.stream(
        messages=[{"role": "user", "content": content}],
        extra_body={"thread": thread},
        **{**FIELDS, **fields},
    ) as stream:
        return stream.get_final_message()


def after(message: Any) -> dict[str, Any]:
    return {"type": "continue", "previous_message_id": message.id}


def threads_of(server: FaultServer) -> list[str | None]:
    """What kind of thread each request was for."""
    return [(request.body.get("thread") or {}).get("type") for request in server.requests]


def roles(request: Any) -> str:
    return "".join(message["role"][0] for message in request.body["messages"])


@pytest.mark.parametrize("model", [NEWEST, PREFILLS])
@pytest.mark.parametrize("turn", range(3))
def test_every_turn_of_a_thread_is_resumed(serve, connect, turn, model):
    server = serve(faults=[None] * turn + [faults.reset(after_chars=60)])
    client = connect(server)
    thread: Mapping[str, Any] = CREATE
    for text in ("Hi", "And?", "So?"):
        fields = {"system": SYSTEM} if thread is CREATE else {}
        message = ask(client, text, thread, model=model, **fields)
        assert message.content[0].text == ANSWER
        thread = after(message)
    resumed = server.requests[turn + 1]
    assert resumed.body["system"] == SYSTEM
    assert roles(resumed) == "ua" * turn + ("ua" if model == PREFILLS else "uau")
    # The API has no thread for an answer that took two requests, so the next turn begins one.
    whole = ["create", *["continue"] * turn, None, "create", "continue"]
    assert threads_of(server) == whole[: len(server.requests)]
    assert len(server.requests) == 4
    assert server.unmatched == []


def test_an_answer_that_did_not_begin_is_asked_for_as_before(serve, connect):
    server = serve()
    client = connect(server)
    first = ask(client, "Hi", CREATE)
    server.script(faults.reset_before(), faults.status(529), faults.reset())
    again = ask(client, "And?", after(first))
    assert again.content[0].text == ANSWER
    assert threads_of(server) == ["create", *["continue"] * 4]
    ask(client, "So?", after(again))
    assert threads_of(server)[-1] == "continue"


CODES = {
    "thread_already_continued": 400,
    "thread_continue_in_flight": 400,
    "thread_not_found": 404,
}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("streams", [True, False], ids=["stream", "plain"])
def test_a_thread_that_the_lost_request_continued_begins_anew(serve, connect, code, streams):
    server = serve()
    client = connect(server)
    first = ask(client, "Hi", CREATE)
    server.script(faults.reset_before(), faults.status(CODES[code], code=code))
    if streams:
        message = ask(client, "And?", after(first))
    else:
        message = client.beta.messages.create(
            messages=[{"role": "user", "content": "And?"}],
            extra_body={"thread": after(first)},
            **FIELDS,
        )
    assert message.content[0].text == ANSWER
    assert threads_of(server) == ["create", "continue", "continue", "create"]
    assert roles(server.requests[-1]) == "uau"
    ask(client, "So?", after(message))
    assert threads_of(server)[-1] == "continue"
    assert len(server.requests) == 5


@pytest.mark.parametrize("code", CODES)
def test_the_apis_own_answer_to_the_callers_request_is_the_callers(serve, connect, code):
    server = serve(faults=[faults.status(CODES[code], code=code)])
    with pytest.raises(anthropic.APIStatusError):
        ask(connect(server), "And?", {"type": "continue", "previous_message_id": "msg_1"})
    assert len(server.requests) == 1


def continue_elsewhere(server: FaultServer, connect: Any, *script: Any) -> Any:
    """Continue a thread with a client that did not begin it, so that it knows nothing of it."""
    first = ask(connect(server), "Hi", CREATE)
    server.script(*script)
    with pytest.raises(anthropic.APIError) as raised:
        ask(connect(server), "And?", after(first))
    report = unbroken.report(raised.value)
    assert report.reason is unbroken.Reason.THREAD
    assert report.explanation is not None
    assert "thread" in report.explanation
    return raised.value


def test_a_thread_that_is_not_known_is_no_guess(serve, connect):
    server = serve()
    error = continue_elsewhere(server, connect, faults.reset(after_chars=60))
    assert isinstance(error, unbroken.StreamInterrupted)
    assert error.report.partial is not None
    assert error.report.partial.content[0].text == ANSWER[:60]
    assert len(server.requests) == 2


def test_a_thread_that_is_not_known_cannot_begin_anew(serve, connect):
    server = serve()
    refusal = faults.status(400, code="thread_already_continued")
    error = continue_elsewhere(server, connect, faults.reset_before(), refusal)
    assert isinstance(error, anthropic.BadRequestError)
    assert len(server.requests) == 3


def test_a_client_with_another_key_does_not_get_the_thread(serve, connect):
    server = serve()
    client = connect(server)
    first = ask(client, "Hi", CREATE)
    server.script(faults.reset(after_chars=60))
    with pytest.raises(unbroken.StreamInterrupted):
        ask(client.with_options(api_key="another"), "And?", after(first))
    server.script(faults.reset(after_chars=60))
    with pytest.raises(unbroken.StreamInterrupted):
        ask(client, "And?", after(first), extra_headers={"x-api-key": "a third"})


def test_a_tool_that_is_delivered_as_it_comes_still_is(serve, connect):
    tool = {"name": "look", "input_schema": {"type": "object"}, "eager_input_streaming": True}
    asked = unbroken.testing.Answer([unbroken.testing.answers.tool_use("look", {"at": "x" * 90})])
    server = serve(asked)
    client = connect(server)
    first = ask(client, "Hi", CREATE, tools=[tool])
    result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": "7"}
    server.script(faults.reset(after_chars=60))
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        ask(client, [result], after(first))
    assert raised.value.report.reason is unbroken.Reason.LIVE_BLOCK
