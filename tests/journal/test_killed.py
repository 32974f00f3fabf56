"""Processes that are killed, or stopped for longer than a lease, with real signals."""

from __future__ import annotations

import random

import pytest
from tests.journal.worker import Worker

from unbroken.testing import FaultServer, Request

LEASE = 0.3


def answer(body) -> str:
    """Another text for each turn."""
    turn = body["messages"][0]["content"]
    return "\n".join(f"{turn}, line {n}: the {n * 7} foxes said “{n * 11}”." for n in range(12))


@pytest.fixture
def server():
    with FaultServer(answer, delta_chars=30) as server:
        yield server


@pytest.fixture
def url(journal_url):
    return f"{journal_url}?lease={LEASE}"


@pytest.fixture
def is_async(journal_url):
    """Threads with the one, tasks with the other."""
    return journal_url.startswith("redis")


def expected(turns) -> list[str]:
    return [answer({"messages": [{"content": f"Turn {turn}"}]}) for turn in range(turns)]


def run_with_kills(server, url, kills, *, turns=1, is_async=False) -> None:
    """Run an agent, and kill it after so many events each time; check what was paid for."""
    for events in kills:
        worker = Worker(url, server.url, turns=turns, is_async=is_async)
        worker.go(events)
        if worker.texts is not None:
            break
        worker.kill()
    else:
        worker = Worker(url, server.url, turns=turns, is_async=is_async)
        Worker.finish(worker)
    assert worker.texts == expected(turns)
    assert len(server.requests) <= turns + len(kills)


def from_the_beginning(server, turn) -> list[Request]:
    said = f"Turn {turn}"
    return [
        request
        for request in server.requests
        if request.kind == "fresh" and request.body["messages"][0]["content"] == said
    ]


def test_an_answer_survives_three_kills(server, url, is_async):
    run_with_kills(server, url, [8, 16, 30], is_async=is_async)
    assert len(from_the_beginning(server, 0)) == 1
    assert {request.kind for request in server.requests[1:]} <= {"prefill"}


def test_a_loop_goes_on_where_it_broke(server, url):
    run_with_kills(server, url, [30, 60, 95], turns=3)
    for turn in range(3):
        assert len(from_the_beginning(server, turn)) <= 2  # one may be killed before its text


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(60))
def test_an_answer_survives_kills_at_random(server, url, seed):
    chance = random.Random(seed)
    turns = chance.randint(1, 3)
    kills = [chance.randint(1, 50 * turns) for _ in range(chance.randint(1, 4))]
    run_with_kills(server, url, kills, turns=turns, is_async=chance.random() < 0.5)


def test_two_processes_with_one_name_make_one_generation(server, url):
    first = Worker(url, server.url)
    first.go(12)
    second = Worker(url, server.url)
    second.go(6)
    Worker.finish(first, second)
    assert first.texts == second.texts == expected(1)
    assert len(server.requests) == 1


def test_an_owner_that_stops_for_longer_than_its_lease_is_deposed_and_follows(
    server, url, is_async
):
    first = Worker(url, server.url, is_async=is_async)
    first.go(12)
    first.stop()
    second = Worker(url, server.url, is_async=is_async)
    second.go(30)  # it has taken over
    first.resume()
    Worker.finish(first, second)
    assert first.texts == second.texts == expected(1)
    assert len(server.requests) == 2
    assert len(from_the_beginning(server, 0)) == 1


def test_a_follower_goes_on_when_the_owner_is_killed(server, url):
    first = Worker(url, server.url)
    first.go(16)
    second = Worker(url, server.url)
    second.go(8)
    first.kill()
    Worker.finish(second)
    assert second.texts == expected(1)
    assert len(server.requests) == 2
