"""Many streams of one client, all reset at once, as when a load balancer restarts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import anthropic
import anyio
import pytest
from tests.doors.conftest import ANSWER, request

import unbroken
from unbroken import Policy
from unbroken.testing import faults

CUT = 60
"""Characters after which each stream is reset."""

NIGHTLY = [pytest.mark.nightly, pytest.mark.timeout(600)]


def check(server, streams: int, texts: list[str], policy: Policy) -> None:
    """All are whole after one more request each, and none of these took from the budget."""
    assert texts == [ANSWER] * streams
    assert len(server.requests) == 2 * streams
    assert policy.budget is not None
    assert policy.budget.level == policy.budget.capacity


@pytest.mark.parametrize("streams", [50, pytest.param(250, marks=NIGHTLY)])
def test_streams_in_threads_that_are_reset_at_once_are_all_whole(serve, streams):
    server = serve(faults=[faults.reset(after_chars=CUT)] * streams)
    policy, opened = Policy(), threading.Barrier(streams)

    def one(client: anthropic.Anthropic) -> str:
        with client.messages.stream(**request()) as stream:
            next(stream)
            opened.wait()
            return stream.get_final_text()

    with (
        anthropic.Anthropic(base_url=server.url, api_key="test") as bare,
        ThreadPoolExecutor(streams) as pool,
    ):
        texts = list(pool.map(one, [unbroken.wrap(bare, policy)] * streams))
    check(server, streams, texts, policy)


@pytest.mark.anyio
@pytest.mark.parametrize("streams", [100, pytest.param(1000, marks=NIGHTLY)])
async def test_streams_in_tasks_that_are_reset_at_once_are_all_whole(serve, streams):
    server = serve(faults=[faults.reset(after_chars=CUT)] * streams)
    policy, opened, texts = Policy(), [], []
    all_opened = anyio.Event()

    async def one(client: anthropic.AsyncAnthropic) -> None:
        async with client.messages.stream(**request()) as stream:
            await anext(stream)
            opened.append(stream)
            if len(opened) == streams:
                all_opened.set()
            await all_opened.wait()
            texts.append(await stream.get_final_text())

    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as bare:
        client = unbroken.wrap(bare, policy)
        async with anyio.create_task_group() as tasks:
            for _ in range(streams):
                tasks.start_soon(one, client)
    check(server, streams, texts, policy)
