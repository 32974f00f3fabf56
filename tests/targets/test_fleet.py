"""Cooldowns and the retry budget of several processes, through a real Redis."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
import redis
from tests.journal.redis_server import RedisServer
from tests.samples import NEWEST, STORY
from tests.targets.valve import Valve

import unbroken
from unbroken import Policy, RedisFleet, RetryBudget, Target
from unbroken._doors import sdk_clients
from unbroken.testing import FaultServer, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASK: dict[str, Any] = {
    "model": NEWEST,
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Tell me a story."}],
}


def until(holds: Callable[[], bool]) -> bool:
    """Wait for what other threads do."""
    ends = time.monotonic() + 20
    while not holds():
        if time.monotonic() > ends:
            return False
        threading.Event().wait(0.005)
    return True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    redis = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield redis
    redis.stop()


@pytest.fixture
def fleet(server: RedisServer) -> Iterator[Callable[..., RedisFleet]]:
    server.flush()
    made: list[RedisFleet] = []

    def make(url: str = server.url, **settings: Any) -> RedisFleet:
        made.append(RedisFleet(url, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def key_of(client: anthropic.Anthropic) -> str:
    """What the cooldown of a client's own target is known by."""
    return f"{client.base_url.netloc.decode()} {NEWEST} {sdk_clients.account_of(client, {})}"


def now() -> float:
    return time.monotonic()


def test_a_cooldown_is_known_to_the_others(fleet) -> None:
    one, other = fleet(), fleet()
    one.cooldowns.cool("target", now() + 60, now())
    assert until(lambda: other.cooldowns.left("target", now()) > 50)


def test_one_that_comes_later_knows_it_at_once(fleet) -> None:
    one = fleet()
    other = fleet()
    one.cooldowns.cool("target", now() + 60, now())
    assert until(lambda: other.cooldowns.left("target", now()) > 50)
    assert fleet().cooldowns.left("target", now()) > 50


def test_the_budget_is_one(fleet) -> None:
    one, other = fleet(budget=RetryBudget(3, per_second=0)), fleet(budget=RetryBudget(3))
    assert [one.budget.take(now()) for _ in range(4)] == [True, True, True, False]
    assert until(lambda: other.budget.local.level < 1)
    assert not other.budget.take(now())


def test_without_redis_each_is_on_its_own(fleet) -> None:
    alone = fleet("redis://127.0.0.1:1/0", timeout=0.05)
    alone.cooldowns.cool("target", now() + 60, now())
    assert alone.cooldowns.left("target", now()) > 50
    assert alone.budget.take(now())


def test_it_shares_again_when_redis_is_back(tmp_path: Path, fleet) -> None:
    redis = RedisServer(tmp_path).start()
    try:
        one, other = fleet(redis.url), fleet(redis.url)
        redis.stop()
        one.cooldowns.cool("lost", now() + 60, now())
        redis.start()

        def told() -> bool:
            one.cooldowns.cool("target", now() + 60, now())
            return other.cooldowns.left("target", now()) > 50

        assert until(told)
    finally:
        redis.stop()


def test_calls_of_another_client_go_elsewhere(fleet) -> None:
    with FaultServer(STORY) as first, FaultServer(STORY) as second:
        first.script(faults.status(529))
        own = anthropic.Anthropic(api_key="test", base_url=first.url)
        spare = anthropic.Anthropic(api_key="test", base_url=second.url)
        with own, spare:
            clients = [
                unbroken.wrap(own, Policy(), fallbacks=[Target(client=spare)], fleet=one)
                for one in (fleet(), fleet())
            ]
            clients[0].messages.create(**ASK)
            key = key_of(own)
            other = clients[1].middleware[-1]._state._fleet
            assert until(lambda: other.cooldowns.left(key, now()) > 0)
            clients[1].messages.create(**ASK)
        assert (len(first.requests), len(second.requests)) == (1, 2)


class Worker:
    """A process with a client of its own."""

    def __init__(self, api: FaultServer, redis: RedisServer) -> None:
        program = Path(__file__).with_name("fleet_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), api.url, redis.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> int:
        self._process.communicate()
        return self._process.returncode


def test_processes_that_come_later_send_nothing_until_the_cooldown_is_over(server, fleet) -> None:
    server.flush()
    with FaultServer(STORY) as api:
        api.script(faults.status(429, headers={"retry-after": "2"}))
        workers = [Worker(api, server) for _ in range(3)]
        assert [worker.line() for worker in workers] == ["ready\n"] * 3
        watching = fleet()
        key = key_of(anthropic.Anthropic(api_key="test", base_url=api.url))
        workers[0].go()
        assert until(lambda: watching.cooldowns.left(key, now()) > 0)
        for worker in workers[1:]:
            worker.go()
        first, *later = (json.loads(worker.line()) for worker in workers)
        assert [worker.end() for worker in workers] == [0, 0, 0]
        assert first == [0.0, 2.0]
        assert [len(waits) for waits in later] == [1, 1]
        assert all(0 < waits[0] <= 2 for waits in later)
        assert len(api.requests) == 4


@pytest.mark.parametrize("wrong", [{"budget": 3}, {"timeout": 0}])
def test_wrong_arguments_raise(wrong) -> None:
    with pytest.raises(ValueError, match="RedisFleet"):
        RedisFleet("redis://localhost", **wrong)


def test_a_fleet_of_no_use_raises() -> None:
    with pytest.raises(ValueError, match="fleet must be a RedisFleet"):
        unbroken.wrap(anthropic.Anthropic(api_key="test"), fleet="redis://cache")


def threads_of_fleets() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("unbroken-fleet")]


def test_its_threads_have_names_and_end_with_it(server) -> None:
    before = threads_of_fleets()
    one = RedisFleet(server.url)
    assert sorted(set(threads_of_fleets())) == ["unbroken-fleet-listen", "unbroken-fleet-send"]
    one.close()
    one.close()
    one.cooldowns.cool("target", now() + 60, now())  # on its own
    assert one.cooldowns.left("target", now()) > 50
    assert until(lambda: threads_of_fleets() == before)


def test_it_closes_though_more_waits_than_can_be_sent(fleet) -> None:
    with socket.socket() as silent:  # accepts connections, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        slow = fleet(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.1)
        for number in range(2000):
            slow.cooldowns.cool(f"target {number}", now() + 60, now())
            assert slow.budget.take(now()) or number > 90
        slow.close()
    assert slow.cooldowns.left("target 1999", now()) > 50


def test_what_others_publish_does_no_harm(server, fleet) -> None:
    one, other = fleet(), fleet()
    with redis.Redis.from_url(server.url) as stranger:
        for nonsense in ("no json", "[]", '{"cool": 3}', '{"cool": {"a": "b"}}', "7"):
            stranger.publish("unbroken:fleet", nonsense)
    one.cooldowns.cool("target", now() + 60, now())
    assert until(lambda: other.cooldowns.left("target", now()) > 50)


def test_a_shorter_cooldown_does_not_replace_a_longer_one(fleet) -> None:
    one, other = fleet(), fleet()
    one.cooldowns.cool("target", now() + 60, now())
    assert until(lambda: other.cooldowns.left("target", now()) > 50)
    other.cooldowns.cool("target", now() + 5, now())
    other.cooldowns.cool("last", now() + 60, now())
    assert until(lambda: one.cooldowns.left("last", now()) > 50)
    assert fleet().cooldowns.left("target", now()) > 50


def test_a_connection_that_died_in_silence_is_noticed(server, fleet, monkeypatch) -> None:
    monkeypatch.setattr("unbroken.fleet._QUIET", 0.01)
    with Valve(server.port) as valve:
        one, other = fleet(valve.url, timeout=0.2), fleet()
        valve.mute()

        def told() -> bool:
            other.cooldowns.cool("target", now() + 60, now())
            return one.cooldowns.left("target", now()) > 50

        assert until(told)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_shares_too(fleet) -> None:
    one = fleet()
    told, tell = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child == 0:
        heard = until(lambda: one.cooldowns.left("of the parent", now()) > 50)
        one.cooldowns.cool("of the child", now() + 60, now())
        os.write(tell, b"yes" if heard else b"no")
        until(lambda: one.cooldowns.left("the end", now()) > 0)
        os._exit(0)

    def is_answered() -> bool:
        one.cooldowns.cool("of the parent", now() + 60, now())
        return one.cooldowns.left("of the child", now()) > 50

    try:
        assert until(is_answered)
        assert os.read(told, 3) == b"yes"
    finally:
        one.cooldowns.cool("the end", now() + 60, now())
        os.waitpid(child, 0)
        os.close(told)
        os.close(tell)
