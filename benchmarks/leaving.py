"""How soon a response ends at the server after its reader left, with many readers at once.

    python -m benchmarks.leaving

The server runs in a process of its own, and stalls in the middle of each answer. All readers of a
round leave at once: by `close()`, or because their tasks are cancelled. Both clients take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from typing import Any

import anthropic
from benchmarks import common
from benchmarks.serving import Server, Settings, serving

import unbroken
from unbroken.testing import faults

CHARS = 600
STALL = faults.stall(after_chars=CHARS // 2)
WAYS = ("close", "cancel")
CLIENTS = ("bare", "wrapped")
POLICY = unbroken.Policy(budget=None)
# One busy loop opens all connections: that takes longer than the SDK's 5 seconds for each.
TIMEOUT = anthropic.Timeout(600, connect=60)
SETTLE = 0.3
"""Seconds until all readers wait for what comes after the stall."""


class Reader:
    """Reads a stream, and leaves it in its middle."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.request_id = ""
        self.left = 0.0

    async def read(self, client: anthropic.AsyncAnthropic, leave: asyncio.Event) -> None:
        """Read until the answer stalls, or until `leave` is set."""
        messages: Any = [{"role": "user", "content": "1"}]
        stream = await client.messages.create(
            model=common.MODEL, max_tokens=4000, messages=messages, stream=True
        )
        self.request_id = stream.response.headers["request-id"]
        waiting = asyncio.create_task(self._close(stream, leave))
        try:
            async for _ in stream:
                self.began.set()
        except Exception:  # noqa: BLE001  # it was closed by the other task
            pass
        finally:
            waiting.cancel()

    async def _close(self, stream: Any, leave: asyncio.Event) -> None:
        await leave.wait()
        self.left = time.monotonic()
        await stream.close()


async def leave(url: str, way: str, count: int, *, wrapped: bool) -> list[Reader]:
    """Have so many readers leave at once."""
    client = anthropic.AsyncAnthropic(base_url=url, api_key="k", timeout=TIMEOUT)
    async with unbroken.wrap(client, POLICY) if wrapped else client as used:
        readers = [Reader() for _ in range(count)]
        closing = asyncio.Event()
        tasks = [asyncio.create_task(reader.read(used, closing)) for reader in readers]
        for reader in readers:
            await reader.began.wait()
        await asyncio.sleep(SETTLE)
        if way == "close":
            closing.set()
        else:
            for reader, task in zip(readers, tasks, strict=True):
                reader.left = time.monotonic()
                task.cancel()
        await asyncio.wait(tasks)
    return readers


def measure(server: Server, way: str, count: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds from leaving to the end at the server, of each reader."""
    took: dict[str, list[float]] = {name: [] for name in CLIENTS}
    for _ in range(rounds):
        for name in CLIENTS:
            readers = asyncio.run(leave(server.url, way, count, wrapped=name == "wrapped"))
            ended = server.ended()
            took[name] += [(ended[reader.request_id] - reader.left) * 1000 for reader in readers]
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=200, help="readers that leave at once")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rows = []
    with serving(Settings(CHARS, fresh_fault=STALL)) as server:
        for way in WAYS:
            for name, took in measure(server, way, given.readers, given.rounds).items():
                p95 = common.percentile(took, 95)
                rows.append((way, name, f"{statistics.median(took):.1f}", f"{p95:.1f}"))
    print(common.table(("how they leave", "client", "median ms", "p95 ms"), rows))


if __name__ == "__main__":
    main()
