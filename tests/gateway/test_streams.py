"""Streams outlive their readers: replay, follow, message, stop; over HTTP and WebSockets."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.gateway.asking import ask, asking, client, events_of, text_of
from tests.samples import HEADERS, STORY
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from unbroken.testing import answers, faults

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = {"idempotency-key": "one"}
SLOW = faults.slow(0.01)


def eventually(reached: Callable[[], object], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.005)


def numbered(text: str) -> list[tuple[int, dict[str, Any]]]:
    return [(number, event) for number, event in events_of(text) if number]


def test_a_stream_is_replayed_after_a_number(gateway):
    done = ask(gateway)
    path = done.headers["location"]
    events = numbered(done.text)
    with client(gateway) as http:
        assert events_of(http.get(path).text) == events
        assert events_of(http.get(path, params={"after": 3}).text) == events[3:]
        again = http.get(path, headers={"last-event-id": "3"})
        assert events_of(again.text) == events[3:]


def test_at_its_end_there_is_no_content(gateway):
    done = ask(gateway)
    last = events_of(done.text)[-1][0]
    with client(gateway) as http:
        assert http.get(done.headers["location"], params={"after": last}).status_code == 204


def test_a_second_reader_follows(server, gateway):
    server.script(SLOW)
    with asking(gateway) as first:
        first.until_text(10)
        with client(gateway) as http:
            followed = http.get(f"/v1/streams/{first.stream}")
        rest = [event for _, event in first]
    assert text_of(followed.text) == STORY
    assert rest[-1]["type"] == "message_stop"
    assert len(server.message_requests) == 1


def test_the_message_so_far(server, gateway):
    server.script(SLOW)
    with asking(gateway) as events, client(gateway) as http:
        events.until_text(20)
        so_far = http.get(f"/v1/streams/{events.stream}/message").json()
        list(events)
        whole = http.get(f"/v1/streams/{events.stream}/message").json()
    assert so_far["status"] == "in_progress"
    assert STORY.startswith(so_far["content"][0]["text"])
    assert whole["status"] == "complete"
    assert whole["content"] == [{"type": "text", "text": STORY}]
    assert (whole["stop_reason"], whole["usage"]["output_tokens"]) == ("end_turn", 22)


def test_the_message_of_tools_and_thinking(server, gateway):
    blocks = [answers.thinking("Hm."), answers.text("So."), answers.tool_use("look", {"at": "fox"})]
    server.answer = answers.Answer(blocks)
    tool = {"name": "look", "input_schema": {"type": "object"}}
    done = ask(gateway, tools=[tool])
    with client(gateway) as http:
        message = http.get(done.headers["location"] + "/message").json()
    thinking, text, call = message["content"]
    assert (thinking["thinking"], text["text"], call["input"]) == ("Hm.", "So.", {"at": "fox"})
    assert thinking["signature"]


def test_a_stop_ends_the_upstream_too(server, gateway):
    server.script(SLOW)
    with asking(gateway, headers=KEY) as events, client(gateway) as http:
        events.until_text(10)
        assert http.delete(f"/v1/streams/{events.stream}").status_code == 204
        assert server.wait_idle()
        rest = [event["type"] for _, event in events]
        assert "message_stop" not in rest
        assert http.get(f"/v1/streams/{events.stream}/message").json()["status"] == "stopped"
        after = {"after": events.last}
        assert http.get(f"/v1/streams/{events.stream}", params=after).status_code == 204
        assert http.delete(f"/v1/streams/{events.stream}").status_code == 204  # once more
    assert len(server.message_requests) == 1


def test_streams_are_for_their_owner(gateway):
    path = ask(gateway).headers["location"]
    for headers in ({"x-api-key": "another"}, {"x-api-key": ""}):
        with client(gateway, **headers) as http:
            for method, below in (
                ("GET", ""),
                ("GET", "/message"),
                ("DELETE", ""),
                ("POST", "/url"),
            ):
                answer = http.request(method, path + below)
                assert answer.status_code == 404
                assert answer.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 30, "²"])
def test_a_wrong_number_is_named(gateway, after):
    path = ask(gateway).headers["location"]
    with client(gateway) as http:
        answer = http.get(path, params={"after": after})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("after:")


def test_pings_come_in_silence(server, gateway):
    object.__setattr__(gateway.gateway.config, "ping_every", 0.02)
    server.script(faults.stall(after_chars=20, seconds=0.2))
    done = ask(gateway)
    assert text_of(done.text) == STORY
    assert sum(event["type"] == "ping" for _, event in events_of(done.text)) >= 3


def test_headers_come_before_the_upstream_answers(server, gateway):
    object.__setattr__(gateway.gateway.config, "headers_within", 0.05)
    server.script(faults.stall(seconds=0.3))
    done = ask(gateway)
    assert (done.status_code, text_of(done.text)) == (200, STORY)


def test_late_errors_are_events(server, gateway):
    object.__setattr__(gateway.gateway.config, "headers_within", 0.0)
    server.script(faults.status(400, "invalid_request_error", message="no such thing"))
    done = ask(gateway)
    assert done.status_code == 200
    [(number, event)] = events_of(done.text)
    assert (number, event["error"]["message"]) == (0, "no such thing")


def test_a_slow_reader_holds_up_neither_the_answer_nor_memory(server, gateway):
    server.answer = "many words " * 100_000
    server._api.settings.delta_chars = 1000
    with asking(gateway, max_tokens=500_000) as slow:
        slow.until_text(5)
        stream = gateway.gateway.home._streams[slow.stream]
        assert server.wait_idle(30)
        eventually(lambda: stream.ending is not None, 20)
        assert stream._size < 64 * 1024
        text = slow.until_text(10**9)
    assert len(text) > 1_000_000


# WebSockets


def socket_to(gateway, stream, query="", headers=HEADERS) -> Any:
    url = f"{gateway.url.replace('http', 'ws')}/v1/streams/{stream}{query}"
    return connect(url, additional_headers=headers, open_timeout=5)


def test_a_web_socket_replays_and_follows(server, gateway):
    server.script(SLOW)
    with asking(gateway) as events:
        events.until_text(10)
        with socket_to(gateway, events.stream) as socket:
            socket.send(json.dumps({"after": 0}))
            got = [json.loads(text) for text in socket]
        list(events)
    assert [one["id"] for one in got] == list(range(1, events.last + 1))
    text = "".join(one["event"].get("delta", {}).get("text", "") for one in got)
    assert text == STORY


def test_a_web_socket_stops(server, gateway):
    server.script(SLOW)
    with asking(gateway, headers=KEY) as events:
        events.until_text(10)
        with socket_to(gateway, events.stream) as socket:
            socket.send(json.dumps({"after": events.last}))
            socket.send(json.dumps({"stop": True}))
            list(socket)
        assert server.wait_idle()
        assert "message_stop" not in [event["type"] for _, event in events]


@pytest.mark.parametrize("first", ["", "[]", "{", '{"after": -1}', '{"after": "1"}'])
def test_a_web_socket_that_begins_otherwise_is_closed(gateway, first):
    stream = ask(gateway).headers["x-unbroken-stream-id"]
    with socket_to(gateway, stream) as socket:
        socket.send(first)
        with pytest.raises(ConnectionClosedError, match="first text"):
            socket.recv(timeout=5)


def test_a_web_socket_of_somebody_else(gateway):
    stream = ask(gateway).headers["x-unbroken-stream-id"]
    with pytest.raises(InvalidStatus, match="40"):
        socket_to(gateway, stream, headers={"x-api-key": "another"})
