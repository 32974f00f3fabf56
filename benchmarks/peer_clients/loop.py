"""Answers the questions of `benchmarks.peers`, a line of JSON each, with any client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Ask:
    """What to ask, and where: the same for every client."""

    url: str
    model: str
    prompt: str
    read_timeout: float
    max_tokens: int

    @property
    def messages(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": self.prompt}]


Give = Callable[[str], Any]
Client = Callable[[Ask, Give], Awaitable[str | None]]


async def _answer(client: Client, ask: Ask, limit: float) -> dict[str, Any]:
    shown: list[str] = []
    final, raised = None, None
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(limit):
            final = await client(ask, shown.append)
    except TimeoutError as error:
        raised = "hangs" if time.perf_counter() - begun >= limit else type(error).__name__
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is what the caller gets
        raised = type(error).__name__
    seconds = time.perf_counter() - begun
    return {"shown": "".join(shown), "final": final, "raised": raised, "seconds": seconds}


def serve(client: Client) -> None:
    """Answer each line of the input with a line of output.

    Args:
        client: Gives each piece of text when its caller would get it, and returns the text that
            the caller has in the end.
    """
    out = sys.stdout
    with asyncio.Runner() as runner, contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            told = json.loads(line)
            limit = told.pop("limit")
            result = runner.run(_answer(client, Ask(**told), limit))
            print(json.dumps(result), file=out, flush=True)
