"""Each fault does on the wire what it says, where it says."""

from __future__ import annotations

import json
import time

import anthropic
import httpx
import pytest
from tests.samples import HEADERS
from tests.testing.helpers import body, deltas, events

from unbroken.testing import Answer, FaultServer, answers, faults

TEXT = "The quick brown fox \u2014 jumps over the lazy dog; \u00e9\u00e8\U0001f680 and so on. " * 3

BREAKS = {
    "reset": (faults.reset, httpx.ReadError),
    "close": (faults.close, httpx.RemoteProtocolError),
    "eof": (faults.eof, type(None)),
}


@pytest.fixture(scope="module")
def whole():
    with FaultServer(TEXT) as server, httpx.Client(base_url=server.url) as http:
        return http.post("/v1/messages", json=body(stream=True), headers=HEADERS).content


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("gzip", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 9, 22, 50, 150])
def test_breaks_are_exact_to_the_character(serve, name, count, gzip):
    fault, error_type = BREAKS[name]
    raw, error = serve(TEXT, faults=[fault(after_chars=count)], gzip=gzip).broken()
    assert isinstance(error, error_type)
    assert deltas(raw) == TEXT[:count]
    assert raw.endswith(b"\n\n")


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("split", [None, 5])
@pytest.mark.parametrize("count", [0, 1, 100, 700, 701, 702, 703])
def test_breaks_are_exact_to_the_byte(serve, whole, name, count, split):
    fault, error_type = BREAKS[name]
    raw, error = serve(TEXT, faults=[fault(after_bytes=count)], split=split).broken()
    assert isinstance(error, error_type)
    assert len(raw) == count
    assert raw == whole[:count]


def test_a_break_can_be_inside_the_last_frame(serve):
    api = serve(TEXT)
    size = len(api.post(stream=True).content)
    api.server.script(faults.eof(after_bytes=size - 3), faults.eof(after_bytes=size))
    assert len(api.broken()[0]) == size - 3
    assert events(api.broken()[0])[-1]["type"] == "message_stop"


def test_a_place_that_is_not_reached_is_no_fault(serve):
    api = serve("short", faults=[faults.reset(after_chars=99), faults.reset(after_block=4)])
    for _ in range(2):
        raw, error = api.broken()
        assert error is None
        assert deltas(raw) == "short"


@pytest.mark.parametrize("count", range(7))
def test_after_events_counts_no_pings(serve, count):
    raw, _ = serve(TEXT, faults=[faults.eof(after_events=count)], ping_every=1).broken()
    assert len([e for e in events(raw) if e["type"] != "ping"]) == count


def test_after_block_and_after_stop_reason(serve):
    answer = Answer([answers.thinking("Hm."), "Yes."])
    after = [
        faults.eof(after_block=0),
        faults.eof(after_block=1),
        faults.eof(after_stop_reason=True),
    ]
    api = serve(answer, faults=after)
    found = [events(api.broken()[0])[-1] for _ in after]
    assert found[0] == {"type": "content_block_stop", "index": 0}
    assert found[1] == {"type": "content_block_stop", "index": 1}
    assert found[2]["type"] == "message_delta"


@pytest.mark.parametrize("count", [1, 3, 5, 8, 12])
def test_after_chars_counts_thinking_and_tool_input(serve, count):
    answer = Answer([answers.thinking("abc"), "de", answers.tool_use("t", {"k": 1})])
    raw, _ = serve(answer, faults=[faults.eof(after_chars=count)]).broken()
    got = (
        deltas(raw, "thinking_delta", "thinking")
        + deltas(raw)
        + deltas(raw, "input_json_delta", "partial_json")
    )
    assert got == 'abcde{"k": 1}'[:count]


def test_half_frame(serve):
    raw, error = serve(TEXT, faults=[faults.half_frame(after_chars=10)]).broken()
    assert error is None
    assert deltas(raw) == TEXT[:10]
    assert raw.rpartition(b"\n\n")[2].startswith(b"event: content_block_delta")


def test_garbage(serve):
    api = serve(TEXT, faults=[faults.garbage(after_chars=4), faults.garbage(b"?", then_close=True)])
    raw, error = api.broken()
    assert raw.endswith(b"data: {not json\n\n")
    assert error is None
    raw, error = api.broken()
    assert raw == b"?"
    assert isinstance(error, httpx.RemoteProtocolError)


def test_error_event(serve):
    fault = faults.error_event(
        "rate_limit_error", "Slow down", "ramp_limit_exceeded", after_chars=4
    )
    api = serve(TEXT, faults=[fault])
    raw, error = api.broken()
    assert error is None
    assert deltas(raw) == TEXT[:4]
    assert events(raw)[-1] == {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "Slow down",
            "details": {"error_code": "ramp_limit_exceeded"},
        },
        "request_id": api.server.requests[0].id,
    }


def test_the_sdk_sees_an_error_event_as_one(serve):
    api = serve(TEXT, faults=[faults.error_event()])
    client = anthropic.Anthropic(base_url=api.server.url, api_key="test", max_retries=0)
    with client, pytest.raises(anthropic.APIStatusError) as caught:
        list(client.messages.create(**body(), stream=True))
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")


def test_stall_lasts_until_the_client_leaves(serve):
    api = serve(TEXT, faults=[faults.stall(after_chars=10)])
    arrived = b""
    with api.http.stream("POST", "/v1/messages", json=body(stream=True)) as response:
        chunks = response.iter_bytes()
        while len(deltas(arrived)) < 10:
            arrived += next(chunks)
        assert api.server.active == 1
        assert api.server.open_connections == 1
    assert api.server.wait_idle()
    assert api.server.wait_closed()


def test_stall_is_silence(serve):
    api = serve(TEXT, faults=[faults.stall(after_chars=10)])
    with pytest.raises(httpx.ReadTimeout):
        api.http.post("/v1/messages", json=body(stream=True), timeout=0.05)


def test_stall_can_ping(serve):
    api = serve(TEXT, faults=[faults.stall(after_chars=4, pings=True, ping_interval=0.001)])
    arrived = b""
    with api.http.stream("POST", "/v1/messages", json=body(stream=True)) as response:
        for chunk in response.iter_bytes():
            arrived += chunk
            if [e["type"] for e in events(arrived)].count("ping") > 5:
                break
    assert deltas(arrived) == TEXT[:4]
    assert api.server.wait_idle()


@pytest.mark.parametrize("pings", [True, False])
def test_stall_can_end(serve, pings):
    fault = faults.stall(after_chars=4, seconds=0.01, pings=pings, ping_interval=0.004)
    raw, error = serve(TEXT, faults=[fault]).broken()
    assert error is None
    assert deltas(raw) == TEXT


def test_slow(serve):
    began = time.monotonic()
    raw, _ = serve("ab", delta_chars=1, faults=[faults.slow(0.002)]).broken()
    assert deltas(raw) == "ab"
    assert time.monotonic() - began >= 0.002 * 8


@pytest.mark.parametrize(
    ("fault", "error"),
    [(faults.disconnect(), httpx.RemoteProtocolError), (faults.reset_before(), httpx.ReadError)],
)
def test_no_response(serve, fault, error):
    api = serve(TEXT, faults=[fault])
    with pytest.raises(error):
        api.post()
    assert api.text() == TEXT


def test_hang_lasts_until_the_client_leaves(serve):
    api = serve(TEXT, faults=[faults.hang()])
    with pytest.raises(httpx.ReadTimeout):
        api.http.post("/v1/messages", json=body(), timeout=0.02)
    assert api.server.wait_idle()
    assert api.server.wait_closed()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_status_has_the_apis_type(serve, status, kind):
    response = serve(faults=[faults.status(status)]).post()
    assert response.status_code == status
    assert response.json()["error"]["type"] == kind


def test_status_in_full(serve):
    fault = faults.status(
        429,
        code="enforced_spend_limit_reached",
        message="No more",
        headers={"retry-after": "3", "x-should-retry": "false"},
    )
    response = serve(faults=[fault]).post()
    assert response.json()["error"] == {
        "type": "rate_limit_error",
        "message": "No more",
        "details": {"error_code": "enforced_spend_limit_reached"},
    }
    assert response.headers["retry-after"] == "3"
    assert response.headers["request-id"]


def test_statuses_of_whatever_stands_before_the_api(serve):
    api = serve(faults=[faults.status(503), faults.html(), faults.status(502, body={"a": 1})])
    assert api.post().headers["content-type"] == "text/plain"
    page = api.post()
    assert (page.status_code, page.text[:15]) == (200, "<!DOCTYPE html>")
    assert api.post().json() == {"a": 1}


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("gzip", [False, True])
def test_a_whole_response_breaks_too(serve, name, gzip):
    fault, _ = BREAKS[name]
    api = serve(TEXT, faults=[fault(after_bytes=30), fault(after_chars=3)], gzip=gzip)
    for _ in range(2):
        if name == "eof":
            with pytest.raises(json.JSONDecodeError):
                api.post().json()
        else:
            with pytest.raises(httpx.TransportError):
                api.post()


def test_a_whole_response_gets_the_status_of_an_error_event(serve):
    api = serve(TEXT, faults=[faults.error_event(after_chars=3), faults.error_event("odd_error")])
    assert api.post().status_code == 529
    assert api.post().json()["error"]["type"] == "odd_error"


def test_faults_come_in_order_and_end(serve):
    api = serve(TEXT, faults=[None, faults.status(500)])
    api.server.script(faults.status(502))
    assert [api.post().status_code for _ in range(4)] == [200, 500, 502, 200]
    assert [r.fault for r in api.server.message_requests][::3] == [None, None]


def test_faults_of_other_paths(serve):
    api = serve(TEXT)
    api.server.script(faults.status(529), path="/v1/messages/count_tokens")
    assert api.post().status_code == 200
    statuses = [
        api.http.post("/v1/messages/count_tokens", json=body()).status_code for _ in range(2)
    ]
    assert statuses == [529, 200]


def test_a_fault_has_one_place():
    with pytest.raises(ValueError, match="one place"):
        faults.reset(after_bytes=1, after_chars=2)
    with pytest.raises(TypeError, match="after_lunch"):
        faults.reset(after_lunch=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="after_chars"):
        faults.reset(after_chars=-1)
