"""Signed URLs: one stream, for a while, without a key."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from tests.gateway.asking import ask, asking, client, text_of
from tests.gateway.test_streams import KEY, SLOW
from tests.samples import STORY

from unbroken.gateway.signed_urls import Signer


def query_of(signer, stream="s", expires=100, *, may_stop=False) -> Any:
    return dict(httpx.QueryParams(signer.query(stream, expires, may_stop=may_stop)))


def test_a_signature_is_for_one_stream_until_it_expires():
    signer = Signer("secret")
    query = query_of(signer)
    assert signer.allows(query, "s", 99.9, to_stop=False)
    assert not signer.allows(query, "s", 100, to_stop=False)
    assert not signer.allows(query, "t", 0, to_stop=False)
    assert not signer.allows(query, "s", 0, to_stop=True)
    assert not Signer("other").allows(query, "s", 0, to_stop=False)
    assert signer.allows(query_of(signer, may_stop=True), "s", 0, to_stop=True)


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "101"},
        {"expires": "x"},
        {"expires": ""},
        {"may": "stop"},
        {"signature": ""},
        {"signature": "é"},
        {"signature": "\udc80"},
    ],
)
def test_a_forged_one_is_refused(change):
    signer = Signer("secret")
    assert not signer.allows({**query_of(signer), **change}, "s", 0, to_stop=False)
    assert not signer.allows({}, "s", 0, to_stop=False)


def sign(gateway, stream, **asked) -> Any:
    with client(gateway) as http:
        return http.post(f"/v1/streams/{stream}/url", json=asked)


def test_a_browser_reads_without_a_key(gateway):
    done = ask(gateway)
    signed = sign(gateway, done.headers["x-unbroken-stream-id"], expires_in=60).json()
    assert 50 < signed["expires_at"] - time.time() <= 61
    url = gateway.url + signed["url"]
    assert text_of(httpx.get(url).text) == STORY
    assert httpx.get(url.replace("?", "/message?")).json()["status"] == "complete"
    refused = httpx.delete(url)
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
    assert httpx.get(url[:-1] + "x").status_code == 403
    assert httpx.post(url.replace("?", "/url?"), json={}).status_code == 403


def test_one_that_may_stop_stops(server, gateway):
    server.script(SLOW)
    with asking(gateway, headers=KEY) as events:
        events.until_text(5)
        url = gateway.url + sign(gateway, events.stream, stop=True).json()["url"]
        assert httpx.delete(url).status_code == 204
        assert server.wait_idle()
        assert httpx.delete(url).status_code == 204  # replayed
        list(events)


@pytest.mark.parametrize("asked", [{"expires_in": 0}, {"expires_in": "1"}, {"stop": 1}])
def test_what_makes_no_sense_is_named(gateway, asked):
    stream = ask(gateway).headers["x-unbroken-stream-id"]
    refused = sign(gateway, stream, **asked)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith(next(iter(asked)))
