"""An activity of Temporal, and one attempt of it, as a worker makes it."""

from __future__ import annotations

import dataclasses
from typing import Any

import anyio
from temporalio import activity
from temporalio.testing import ActivityEnvironment
from tests.engines import agent

import unbroken


@activity.defn
async def invoice() -> list[str]:
    info = activity.info()
    killer, texts = agent.Killer(), []
    async with agent.async_client() as client:
        with unbroken.durable(f"{info.workflow_run_id}/{info.activity_id}"):
            for turn in range(agent.TURNS):
                async with client.messages.stream(**agent.ask(turn)) as stream:
                    async for _ in stream:
                        activity.heartbeat(turn)
                        killer.event()
                    texts.append(await stream.get_final_text())
    return texts


def attempt(number: int) -> tuple[list[str], list[Any]]:
    """Run one attempt; return its result and its heartbeats."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, attempt=number)
    heartbeats: list[Any] = []
    environment.on_heartbeat = lambda *details: heartbeats.append(details)

    async def run() -> list[str]:
        return await environment.run(invoice)

    return anyio.run(run), heartbeats


def first_attempt() -> tuple[list[str], list[Any]]:
    return attempt(1)


def second_attempt() -> tuple[list[str], list[Any]]:
    return attempt(2)
