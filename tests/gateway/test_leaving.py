"""Readers that leave: nothing goes on for nobody, and nothing is left over."""

from __future__ import annotations

import math
import socket
import time
from typing import Any

import httpx
import pytest
from tests.gateway.asking import asking, body, client
from tests.gateway.serving import serving
from tests.gateway.test_streams import KEY, SLOW, eventually
from tests.samples import HEADERS, STORY

from unbroken.gateway.leaving import OnDisconnect, linger_of
from unbroken.testing import faults


@pytest.mark.parametrize(
    ("asked", "has_key", "expected"),
    [
        (None, False, 0),
        (None, True, 7),
        (OnDisconnect.STOP, True, 0),
        (OnDisconnect.LINGER, False, 7),
        (OnDisconnect.CONTINUE, False, math.inf),
        (OnDisconnect.CONTINUE, True, math.inf),
    ],
)
def test_how_long_an_answer_goes_on(asked, has_key, expected):
    assert linger_of(asked, has_key=has_key, linger=7) == expected


def is_empty(gateway) -> Any:
    home = gateway.gateway.home
    return not (home._streams or home._running)


def test_without_a_key_the_upstream_request_ends_at_once(server, gateway):
    server.script(SLOW)
    with asking(gateway) as events:
        events.until_text(5)
    left = time.monotonic()
    assert server.wait_idle()
    assert time.monotonic() - left < 1
    eventually(lambda: is_empty(gateway))


@pytest.mark.parametrize("streams", [True, False])
def test_before_the_first_byte(server, gateway, streams):
    server.script(faults.hang())
    with client(gateway) as http, pytest.raises(httpx.ReadTimeout):
        http.post("/v1/messages", json=body(stream=streams), timeout=0.2)
    assert server.wait_idle()
    eventually(lambda: is_empty(gateway))
    assert len(server.message_requests) == 1


def test_with_a_key_it_lingers(server, tmp_path):
    with serving(server.url, tmp_path, linger=0.2) as gateway:
        server.script(faults.stall(after_chars=10))
        with asking(gateway, headers=KEY) as events:
            events.until_text(5)
        assert not server.wait_idle(0.05)
        assert server.wait_idle()
        eventually(lambda: is_empty(gateway))


def test_a_reader_who_comes_again_keeps_it(server, tmp_path):
    with serving(server.url, tmp_path, linger=0.2) as gateway:
        server.script(faults.stall(after_chars=10, seconds=0.6))
        with asking(gateway, headers=KEY) as events:
            events.until_text(5)
        with client(gateway) as http:
            assert http.get(f"/v1/streams/{events.stream}").text.count("message_stop")
    assert len(server.message_requests) == 1


def test_one_that_is_to_continue_does(server, gateway):
    server.script(SLOW)
    with asking(gateway, headers={"x-unbroken-on-disconnect": "continue"}) as events:
        events.until_text(5)
    with client(gateway) as http:
        path = f"/v1/streams/{events.stream}/message"
        eventually(lambda: http.get(path).json()["status"] == "complete")
        assert http.get(path).json()["content"][0]["text"] == STORY


def test_what_else_is_asked_for_is_refused(server, gateway):
    with client(gateway) as http:
        headers = {"x-unbroken-on-disconnect": "dance"}
        answer = http.post("/v1/messages", json=body(), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("x-unbroken-on-disconnect:")
    assert not server.requests


def leave(gateway, *, after) -> Any:
    """Ask, and leave after so many seconds without a word."""
    content = httpx.Request("POST", gateway.url, json=body(stream=True), headers=HEADERS)
    lines = [f"{name}: {value}" for name, value in content.headers.items()]
    head = "\r\n".join(["POST /v1/messages HTTP/1.1", *lines, "", ""])
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as made:
        made.sendall(head.encode() + content.content)
        time.sleep(after)


@pytest.mark.parametrize("readers", [100, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_readers_that_leave_leave_nothing_over(server, tmp_path, readers):
    with serving(server.url, tmp_path, linger=0.05) as gateway:
        server._scripts["/v1/messages"] = iter(lambda: faults.stall(after_chars=10), None)
        for number in range(readers):
            leave(gateway, after=number % 7 * 0.002)
        assert server.wait_idle(20)
        eventually(lambda: is_empty(gateway), 20)
        home = gateway.gateway.home
        eventually(lambda: not home._timers and len(home._tasks) <= 2, 20)
        kept = [one.key for one in gateway.journal.entries() if "control" not in one.key]
        assert kept == []
