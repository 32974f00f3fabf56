"""A message ends as the SDK reads its end, and a stream that brings nothing has stalled."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.core.service import AT_ONCE, Service, read_message, request

from unbroken._core.bounds import Reason
from unbroken._core.framing.frames import ServerSentEvents
from unbroken._core.models import Prefill
from unbroken._core.recovery import Recovery
from unbroken._core.states import Phase

START = {
    "type": "message_start",
    "message": {"id": "msg_1", "usage": {"input_tokens": 3, "output_tokens": 1}},
}
TEXT = {"type": "text", "text": ""}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
STOP = {"type": "message_stop"}


def start(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str | None) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": 9},
    }


class Call:
    """A machine that is told events."""

    def __init__(self, policy: Any = AT_ONCE, **settings: Any) -> None:
        self.machine = Recovery(policy, request(), 0.0, prefill=Prefill(), **settings)
        self.out = b""
        self.open()

    def open(self) -> None:
        self.machine.begin(0.0)
        self.machine.opened(ServerSentEvents, 0.0)

    def tell(self, *events: dict[str, Any], now: float = 0.0) -> None:
        for event in events:
            frame = ServerSentEvents().encode(event["type"], event)
            self.out += self.machine.receive(frame, now)

    @property
    def phase(self) -> Phase:
        return self.machine.call.phase

    def message(self) -> dict[str, Any]:
        frames = self.out.split(b"\n\n")[:-1]
        return read_message([json.loads(frame.split(b"data: ", 1)[1]) for frame in frames])


@pytest.mark.parametrize("reason", ["end_turn", "max_tokens", "refusal"])
def test_a_stop_reason_ends_an_open_text(reason):
    call = Call()
    call.tell(START, start(0, TEXT), delta(0, "text_delta", text="It was so."), end(reason), STOP)
    assert call.phase is Phase.COMPLETE
    message = call.message()
    assert [block["text"] for block in message["content"]] == ["It was so."]
    assert message["stop_reason"] == reason


def test_a_limit_ends_an_open_tool_call():
    call = Call()
    half = delta(0, "input_json_delta", partial_json='{"q": "ha')
    call.tell(START, start(0, TOOL), half, end("max_tokens"), STOP)
    assert call.phase is Phase.COMPLETE
    assert b'{\\"q\\": \\"ha' in call.out
    assert b'"max_tokens"' in call.out


def test_a_stop_reason_ends_an_open_tool_call_that_is_complete():
    call = Call()
    call.tell(START, start(0, TOOL), delta(0, "input_json_delta", partial_json='{"q": 1}'))
    call.tell(end("tool_use"), STOP)
    assert call.phase is Phase.COMPLETE
    assert call.message()["content"][0]["input"] == {"q": 1}


def test_a_message_delta_without_a_stop_reason_is_tolerated_inside_a_block():
    call = Call()
    call.tell(START, start(0, TEXT), delta(0, "text_delta", text="It was"), end(None))
    call.tell(delta(0, "text_delta", text=" so."), stop(0), end("end_turn"), STOP)
    assert call.message()["content"][0]["text"] == "It was so."


def test_a_tool_call_that_is_no_json_is_asked_for_once_more():
    call = Call()
    broken = (
        START,
        start(0, TOOL),
        delta(0, "input_json_delta", partial_json='{"q": '),
        stop(0),
        end("tool_use"),
    )
    call.tell(*broken)
    assert call.phase is Phase.WAITING
    call.machine.waited(0.0)
    call.open()
    call.tell(*broken)
    assert call.phase is Phase.LOST
    assert call.machine.call.reason is Reason.TOOL_INPUT
    assert len(call.machine.call.attempts) == 2


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(delta(0, "text_delta", text=""), id="empty deltas"),
        pytest.param({"type": "brand_new", "index": 0}, id="unknown events"),
        pytest.param({"type": "ping"}, id="pings"),
    ],
)
def test_events_without_content_are_no_progress(event):
    call = Call(progress_timeout=10)
    call.tell(START, start(0, TEXT))
    call.tell(event, now=9)
    assert call.phase is Phase.READING
    call.tell(event, now=11)
    assert call.phase is Phase.WAITING
    assert call.machine.call.attempts[0].failure.kind == "stalled"


@pytest.mark.parametrize(
    ("kind", "block", "field"),
    [
        ("text_delta", TEXT, "text"),
        ("thinking_delta", {"type": "thinking", "thinking": ""}, "thinking"),
        ("input_json_delta", TOOL, "partial_json"),
    ],
)
def test_deltas_with_content_are_progress_also_where_they_are_held(kind, block, field):
    call = Call(progress_timeout=10)
    call.tell(START, start(0, block))
    for now in range(0, 60, 5):
        call.tell(delta(0, kind, **{field: "1"}), now=now)
    assert call.phase is Phase.READING


# JSON documents

DOCUMENT = json.dumps({"items": [{"name": f"item {n}", "size": n * 7} for n in range(12)]})
JSON = {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}


@pytest.mark.parametrize("mode", ["live", "whole"])
@pytest.mark.parametrize("cut", [700, 1200, 2200])
def test_a_document_that_is_written_the_same_again_is_whole(mode, cut):
    service = Service(DOCUMENT, cuts=[cut], delta_chars=7)
    run = service.run(request(**JSON), AT_ONCE.replace(json=mode))
    assert run.message()["content"][0]["text"] == DOCUMENT
    assert service.requests[1] == service.requests[0]


OTHER = json.dumps({"items": [], "note": "another document"})


def first_then(*documents: str) -> Any:
    """Answers with each of these in turn, and with the last one from then on."""
    left = list(documents)
    return lambda _body: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize("cut", [700, 1200, 2200, 3000])
def test_a_document_that_is_held_can_be_mended_however_it_is_written_again(cut):
    service = Service(first_then(DOCUMENT, OTHER), cuts=[cut], delta_chars=7)
    run = service.run(request(**JSON), AT_ONCE.replace(json="whole"))
    assert run.message()["content"][0]["text"] == OTHER
    assert len(service.requests) == 2


def test_a_document_that_differs_is_asked_for_again_until_it_does_not():
    service = Service(first_then(DOCUMENT, OTHER, OTHER, DOCUMENT), cuts=[1200], delta_chars=7)
    run = service.run(request(**JSON))
    assert run.message()["content"][0]["text"] == DOCUMENT
    assert len(service.requests) == 4


def test_a_document_that_differs_is_asked_for_again_within_the_bounds():
    service = Service(first_then(DOCUMENT, OTHER), cuts=[1200], delta_chars=7)
    run = service.run(request(**JSON), AT_ONCE.replace(max_attempts=4))
    assert run.phase is Phase.LOST
    assert run.machine.call.reason is Reason.MAX_ATTEMPTS
    assert len(service.requests) == 4
