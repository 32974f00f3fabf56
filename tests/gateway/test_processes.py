"""Real processes: they end, are killed, and others go on with their streams."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from typing import Any

import httpx
import pytest
from tests.gateway.asking import asking, body, client, events_of
from tests.gateway.processes import Process, running
from tests.gateway.test_streams import KEY
from tests.journal.redis_server import RedisServer
from tests.samples import HEADERS, NEWEST

from unbroken.testing import FaultServer, faults

ANSWER = " ".join(f"This is sentence number {number}, and no other." for number in range(60))
UPSTREAM_KEY = "sk-ant-the-key-of-the-upstream"
PROMPT = "a-prompt-that-must-not-be-found"


@pytest.fixture
def upstream():
    with FaultServer(ANSWER) as server:
        yield server


def test_what_ends_hands_over_and_tells_no_secrets(upstream, tmp_path):
    journal = f"sqlite:///{tmp_path}/streams.db"
    one, other = (Process(upstream.url, journal) for _ in range(2))
    upstream.script(faults.stall(after_chars=500))
    asked = {"messages": [{"role": "user", "content": PROMPT}]}
    with running(one, other):
        with asking(one, headers=KEY, **asked) as first:
            first.until_text(400)
            assert one.terminate() < 5
            with pytest.raises(httpx.RemoteProtocolError):
                list(first)
        with client(other) as http:
            path = f"/v1/streams/{first.stream}"
            rest = http.get(path, headers={"last-event-id": str(first.last)})
            message = http.get(f"{path}/message").json()
        assert other.terminate() < 5
        told = one.output() + other.output()
    assert events_of(rest.text)[0][0] == first.last + 1
    assert message["content"] == [{"type": "text", "text": ANSWER}]
    assert [request.kind for request in upstream.message_requests] == ["fresh", "user_turn"]
    assert "Traceback" not in told
    for place in (told.encode(), *(one.read_bytes() for one in tmp_path.glob("streams.db*"))):
        for secret in ("test-key", HEADERS["x-api-key"] + '"', ANSWER[:50]):
            assert secret.encode() not in place or place != told.encode()


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server.url
    server.stop()


@pytest.mark.nightly
@pytest.mark.parametrize("where", ["sqlite", "redis"])
def test_workers_killed_at_random_under_load(upstream, tmp_path, where, request):
    if where == "redis":
        journal, ports = request.getfixturevalue("redis"), 2
        made = [Process(upstream.url, journal) for _ in range(ports)]
    else:
        journal = f"sqlite:///{tmp_path}/streams.db"
        made = [Process(upstream.url, journal, "--workers", "2")]
    upstream._scripts["/v1/messages"] = iter(lambda: faults.slow(0.02), None)
    chance, over, texts = random.Random(7), threading.Event(), {}
    urls = [one.url for one in made]

    def read(number):
        texts[number] = read_whole(urls, f"key-{number}", random.Random(number))

    def kill_sometimes():
        while not over.wait(chance.uniform(3, 5)):
            if where == "sqlite":
                workers = made[0].workers
                if len(workers) == 2:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(chance.choice(workers), signal.SIGKILL)
            else:
                at = chance.randrange(len(made))
                made[at].kill()
                made[at].close()
                made[at] = Process(upstream.url, journal, port=made[at].port)

    killer = threading.Thread(target=kill_sometimes)
    with contextlib.ExitStack() as stack:
        for one in made:
            one.wait()
        stack.callback(lambda: [one.close() for one in made])
        readers = [threading.Thread(target=read, args=(number,)) for number in range(20)]
        killer.start()
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(100)
        over.set()
        killer.join()
    assert len(texts) == 20
    assert set(texts.values()) == {ANSWER}
    kinds = [one.kind for one in upstream.message_requests]
    assert "user_turn" in kinds


def read_whole(urls, key, chance) -> Any:
    """Read an answer to its end, and come again whenever it breaks."""
    until = time.monotonic() + 90
    stream, after, text = None, 0, ""
    headers = {**HEADERS, "idempotency-key": key}
    asked = body(stream=True, model=NEWEST)
    while time.monotonic() < until:
        base = chance.choice(urls)
        try:
            with httpx.Client(base_url=base, headers=headers, timeout=30) as http:
                if stream is None:
                    call = http.stream("POST", "/v1/messages", json=asked)
                else:
                    call = http.stream("GET", f"/v1/streams/{stream}", params={"after": after})
                with call as response:
                    if response.status_code == 204:
                        return text
                    if response.status_code != 200:
                        time.sleep(0.2)
                        continue
                    stream = response.headers["x-unbroken-stream-id"]
                    for line in response.iter_lines():
                        name, _, value = line.partition(": ")
                        if name == "id":
                            assert int(value) == after + 1, "an event was lost or doubled"
                            after = int(value)
                        elif name == "data":
                            event = json.loads(value)
                            text += event.get("delta", {}).get("text", "")
                            if event["type"] == "message_stop":
                                return text
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    return text
