"""Many streams at once, a fault in each, against as many without faults.

    python -m benchmarks.scale

The server runs in a process of its own. Every stream has its own prompt and its own answer, which
must come out exact. Afterwards no connection, task or thread may be left.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
from benchmarks import common
from benchmarks.serving import Server, Settings, answer_to, serving

import unbroken
from unbroken.testing import faults

CHARS = 600
FAULT = faults.close(after_chars=CHARS // 2)
CASES = {"async": (1, 50, 500), "threads": (50,)}
CLIENTS = ("bare, no faults", "wrapped, no faults", "wrapped, a fault in each")
POLICY = unbroken.Policy(budget=None)
# With one busy loop, 500 connections take longer than the SDK's 5 seconds for each.
TIMEOUT = anthropic.Timeout(600, connect=60)

Answer = tuple[bool, float]


def request(prompt: int) -> dict[str, Any]:
    """What one stream asks for."""
    return {
        "model": common.MODEL,
        "max_tokens": 4000,
        "messages": [{"role": "user", "content": str(prompt)}],
    }


async def read_async(client: anthropic.AsyncAnthropic, prompt: int) -> Answer:
    """Read one answer: whether it is exact, and seconds to its first text."""
    begun = time.perf_counter()
    first = 0.0
    text = []
    async with client.messages.stream(**request(prompt)) as stream:
        async for piece in stream.text_stream:
            first = first or time.perf_counter() - begun
            text.append(piece)
    return "".join(text) == answer_to(str(prompt), CHARS), first


def read(client: anthropic.Anthropic, prompt: int) -> Answer:
    """The same, for threads."""
    begun = time.perf_counter()
    first = 0.0
    text = []
    with client.messages.stream(**request(prompt)) as stream:
        for piece in stream.text_stream:
            first = first or time.perf_counter() - begun
            text.append(piece)
    return "".join(text) == answer_to(str(prompt), CHARS), first


Batch = tuple[list[Answer], float, int]


async def batch_async(url: str, prompts: range, *, wrapped: bool) -> Batch:
    """As many streams at once as there are prompts: answers, seconds, and tasks left."""
    client = anthropic.AsyncAnthropic(base_url=url, api_key="k", timeout=TIMEOUT)
    async with unbroken.wrap(client, POLICY) if wrapped else client as used:
        begun = time.perf_counter()
        answers = await asyncio.gather(*(read_async(used, prompt) for prompt in prompts))
        took = time.perf_counter() - begun
    return answers, took, len(asyncio.all_tasks()) - 1


def batch_threads(url: str, prompts: range, *, wrapped: bool) -> Batch:
    """The same, with threads."""
    client = anthropic.Anthropic(base_url=url, api_key="k", timeout=TIMEOUT)
    before = threading.active_count()
    used = unbroken.wrap(client, POLICY) if wrapped else client
    with used, ThreadPoolExecutor(len(prompts)) as pool:
        begun = time.perf_counter()
        answers = list(pool.map(lambda prompt: read(used, prompt), prompts))
        took = time.perf_counter() - begun
    return answers, took, threading.active_count() - before


def run(server: Server, mode: str, prompts: range, *, wrapped: bool) -> dict[str, Any]:
    """One batch, and what it left behind."""
    gc.collect()
    if mode == "async":
        answers, took, left = asyncio.run(batch_async(server.url, prompts, wrapped=wrapped))
    else:
        answers, took, left = batch_threads(server.url, prompts, wrapped=wrapped)
    return {
        "seconds": took,
        "exact": sum(exact for exact, _ in answers),
        "first_text_ms": [first * 1000 for _, first in answers],
        "requests": len(server.requests()),
        "connections_left": server.open_connections(),
        "left": left,
    }


def measure(mode: str, streams: int, total: int) -> dict[str, Any]:
    """All clients in turn, until each has read so many answers."""
    rounds = max(2, total // streams)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CLIENTS}
    with serving(Settings(CHARS)) as whole, serving(Settings(CHARS, fresh_fault=FAULT)) as faulty:
        for number in range(rounds):
            prompts = range(number * streams, (number + 1) * streams)
            for name in CLIENTS:
                server = faulty if name.endswith("each") else whole
                wrapped = name.startswith("wrapped")
                offset = 10**6 * CLIENTS.index(name)  # a prompt of its own for each client
                ours = range(prompts.start + offset, prompts.stop + offset)
                runs[name].append(run(server, mode, ours, wrapped=wrapped))
    return {name: _summary(done, streams) for name, done in runs.items()}


def _summary(runs: list[dict[str, Any]], streams: int) -> dict[str, Any]:
    first = [value for one in runs for value in one["first_text_ms"]]
    total = {
        name: sum(one[name] for one in runs)
        for name in ("exact", "requests", "connections_left", "left")
    }
    return {
        "answers": streams * len(runs),
        "answers_a_second": common.spread([streams / one["seconds"] for one in runs]),
        "first_text_ms": common.spread(first) | {"p95": common.percentile(first, 95)},
        **total,
    }


def report(results: dict[str, Any]) -> str:
    """The table of results."""
    rows = [
        (
            name,
            client,
            f"{case['exact']} of {case['answers']}",
            f"{case['requests'] / case['answers']:g}",
            f"{case['answers_a_second']['median']:.0f}",
            f"{case['first_text_ms']['median']:.0f} ({case['first_text_ms']['p95']:.0f})",
            case["connections_left"],
            case["left"],
        )
        for name, cases in results["cases"].items()
        for client, case in cases.items()
    ]
    head = ("streams at once", "client", "exact", "requests each", "answers a s")
    more = ("first text ms (p95)", "connections left", "tasks or threads left")
    return common.table((*head, *more), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--total", type=int, default=300, help="answers of each client and case")
    total = parser.parse_args().total
    results: dict[str, Any] = {"chars": CHARS, "cases": {}}
    for mode, sizes in CASES.items():
        for streams in sizes:
            cases = measure(mode, streams, min(total, 100) if streams == 1 else total)
            results["cases"][f"{streams} {mode}"] = cases
            common.note(f"{streams} {mode}: done")
    print(report(results))
    common.save("scale", results)


if __name__ == "__main__":
    main()
