"""A second request joins the first when it is surely the same, and never otherwise."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.gateway.asking import ask, asking, body, client, events_of, text_of
from tests.gateway.serving import serving
from tests.gateway.test_streams import KEY, SLOW, eventually, numbered
from tests.samples import STORY

from unbroken.gateway.joining import body_digest, signs_of
from unbroken.testing import faults

CLAUDE_CODE = {
    "x-claude-code-session-id": "s",
    "x-claude-code-agent-id": "a",
    "x-stainless-retry-count": "0",
}
RETRY = {"x-stainless-retry-count": "1"}


def joins(first, second, *, owners=("u", "u"), digests=("d", "d")) -> Any:
    one = signs_of(owners[0], first, digests[0])
    two = signs_of(owners[1], second, digests[1])
    return bool(set(two.joins) & set(one.found_by))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {}, False),
        (RETRY, {}, False),
        ({}, RETRY, True),
        (RETRY, RETRY, True),
        ({}, {"x-stainless-retry-count": "0"}, False),
        ({}, {"x-stainless-retry-count": "x"}, False),
        (KEY, KEY, True),
        (KEY, {"idempotency-key": "two"}, False),
        (KEY, {}, False),
        ({}, KEY, False),
        (CLAUDE_CODE, CLAUDE_CODE, True),
        (CLAUDE_CODE, {**CLAUDE_CODE, "x-claude-code-agent-id": "b"}, False),
        (CLAUDE_CODE, {**CLAUDE_CODE, "x-claude-code-session-id": "b"}, False),
        ({**CLAUDE_CODE, **KEY}, CLAUDE_CODE, False),
    ],
)
def test_the_signs(first, second, expected):
    assert joins(first, second) is expected
    assert not joins(first, second, owners=("u", "v"))


@pytest.mark.parametrize("headers", [CLAUDE_CODE, RETRY])
def test_without_a_key_another_body_is_another_request(headers):
    assert not joins(headers, headers, digests=("d", "e"))


def test_the_path_belongs_to_the_body():
    assert body_digest("/v1/messages", b"{}") != body_digest("/v1/messages?beta=true", b"{}")


@pytest.mark.parametrize("headers", [KEY, CLAUDE_CODE], ids=["key", "claude code"])
def test_a_second_request_joins_the_first(server, gateway, headers):
    server.script(SLOW)
    with asking(gateway, headers=headers) as first:
        first.until_text(10)
        second = ask(gateway, headers=headers)
        list(first)
    assert second.headers["x-unbroken-stream-id"] == first.stream
    assert text_of(second.text) == STORY
    assert len(server.message_requests) == 1


def test_a_retry_joins_what_its_first_try_began(server, gateway):
    server.script(faults.stall(after_chars=50))
    with asking(gateway) as first:
        first.until_text(45)
    eventually(lambda: not gateway.gateway.home.active)
    second = ask(gateway, headers=RETRY)
    assert second.headers["x-unbroken-stream-id"] == first.stream
    assert text_of(second.text) == STORY
    assert [one.kind for one in server.message_requests] == ["fresh", "user_turn"]


def test_two_equal_requests_are_two(server, gateway):
    ids = {ask(gateway).headers["x-unbroken-stream-id"] for _ in range(2)}
    assert len(ids) == len(server.message_requests) == 2


def test_a_key_is_for_one_request(server, gateway):
    ask(gateway, headers=KEY)
    other = ask(gateway, headers=KEY, max_tokens=7)
    assert other.status_code == 422
    assert other.headers["x-should-retry"] == "false"
    assert other.json()["error"]["message"].startswith("idempotency-key:")
    assert len(server.message_requests) == 1


def test_a_key_is_not_sent_on(server, gateway):
    ask(gateway, headers=KEY)
    assert "idempotency-key" not in server.message_requests[0].headers


def test_an_answer_that_is_not_streamed_is_joined_too(server, gateway):
    server.script(faults.stall(seconds=0.2))
    answers = []

    def post() -> Any:
        with client(gateway) as http:
            answers.append(http.post("/v1/messages", json=body(), headers=KEY))

    threads = [threading.Thread(target=post) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    post()  # and once it is over
    assert {one.json()["content"][0]["text"] for one in answers} == {STORY}
    assert len({one.headers["x-unbroken-stream-id"] for one in answers}) == 1
    assert len(server.message_requests) == 1


def test_ten_at_once_are_one(server, gateway):
    server.script(SLOW)
    texts = []
    threads = [
        threading.Thread(target=lambda: texts.append(ask(gateway, headers=KEY).text))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {text_of(text) for text in texts} == {STORY}
    assert len(server.message_requests) == 1


def test_what_was_given_up_is_continued(server, gateway):
    server.script(faults.reset(after_chars=50), *(faults.status(529) for _ in range(4)))
    broken = ask(gateway, headers=KEY)
    assert events_of(broken.text)[-1][1]["type"] == "error"
    whole = ask(gateway, headers=KEY)
    assert text_of(whole.text) == STORY
    assert server.message_requests[-1].kind == "user_turn"


def test_an_error_before_the_first_word_is_not_kept(server, gateway):
    server.script(faults.status(400))
    assert ask(gateway, headers=KEY).status_code == 400
    assert text_of(ask(gateway, headers=KEY).text) == STORY


# Between processes: two gateways on one journal


@pytest.fixture
def two(server, tmp_path):
    with serving(server.url, tmp_path) as one, serving(server.url, tmp_path) as other:
        yield one, other


def test_another_process_follows(server, two):
    one, other = two
    server.script(SLOW)
    with asking(one, headers=KEY) as first:
        first.until_text(10)
        joined = ask(other, headers=KEY)
        rest = numbered("".join(f"id: {n}\ndata: {{}}\n\n" for n, _ in first))
    assert text_of(joined.text) == STORY
    assert rest[-1][0] == numbered(joined.text)[-1][0]
    assert len(server.message_requests) == 1


def test_another_process_stops_it(server, two):
    one, other = two
    server.script(faults.stall(after_chars=20))
    with asking(one, headers=KEY) as first, client(other) as http:
        first.until_text(10)
        assert http.delete(f"/v1/streams/{first.stream}").status_code == 204
        assert server.wait_idle()
        list(first)
        message = http.get(f"/v1/streams/{first.stream}/message").json()
    assert message["status"] == "stopped"


def test_a_reader_of_another_process_keeps_it_alive(server, two):
    one, other = two
    server.script(faults.stall(after_chars=20, seconds=1.0))
    with asking(one) as first:
        first.until_text(10)
        with client(other) as http, http.stream("GET", f"/v1/streams/{first.stream}") as second:
            lines = second.iter_lines()
            next(lines)
            eventually(lambda: one.gateway.home._running[first.stream].read_until > 0)
            first.response.close()
            assert any("message_stop" in line for line in lines)
    assert len(server.message_requests) == 1


def test_a_process_that_ends_hands_over(server, two):
    one, other = two
    server.script(faults.stall(after_chars=50))
    with asking(one, headers=KEY) as first:
        first.until_text(45)
        one.call(one.gateway.drain)
        with pytest.raises(Exception, match="incomplete chunked read"):
            list(first)
    with client(other) as http:
        path = f"/v1/streams/{first.stream}"
        after = http.get(path, headers={"last-event-id": str(first.last)})
        assert after.status_code == 200
        assert events_of(after.text)[-1][1]["type"] == "message_stop"
        assert http.get(f"{path}/message").json()["content"][0]["text"] == STORY
    assert [request.kind for request in server.message_requests] == ["fresh", "user_turn"]
    assert ask(one).status_code == 503
