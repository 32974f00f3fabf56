"""A process that makes calls and can be stopped or killed between any two events."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import anthropic
import anyio
from tests.samples import AT_ONCE

import unbroken
from unbroken.journal import from_url

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess


PATIENCE = 60.0
WARM = "tests.journal.warm"

# Processes that are forked from one that has imported everything start within milliseconds.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([WARM])


def ask(turn: int, **fields: Any) -> dict[str, Any]:
    said = {"role": "user", "content": f"Turn {turn}"}
    return {"model": "claude-haiku-4-5", "max_tokens": 4000, "messages": [said], **fields}


def _agent(pipe: Connection, journal: str, base_url: str, turns: int, name: str) -> None:
    """Make calls one after another; before each event is used, wait to be told to go on."""
    bare = anthropic.Anthropic(base_url=base_url, api_key="test")
    client = unbroken.wrap(bare, AT_ONCE, journal=from_url(journal))
    texts = []
    with unbroken.durable(name):
        for turn in range(turns):
            with client.messages.stream(**ask(turn)) as stream:
                for event in stream:
                    pipe.send((turn, event.type))
                    pipe.recv()
                texts.append(stream.get_final_text())
    pipe.send(texts)


async def _async_agent(
    pipe: Connection, journal: str, base_url: str, turns: int, name: str
) -> None:
    bare = anthropic.AsyncAnthropic(base_url=base_url, api_key="test")
    client = unbroken.wrap(bare, AT_ONCE, journal=from_url(journal))
    texts = []
    with unbroken.durable(name):
        for turn in range(turns):
            async with client.messages.stream(**ask(turn)) as stream:
                async for event in stream:
                    pipe.send((turn, event.type))
                    await anyio.to_thread.run_sync(pipe.recv)
                texts.append(await stream.get_final_text())
    pipe.send(texts)


def _run(pipe: Connection, is_async: bool, *args: Any) -> None:
    if is_async:
        anyio.run(_async_agent, pipe, *args)
    else:
        _agent(pipe, *args)


class Worker:
    """A process that runs an agent loop under a name."""

    def __init__(
        self,
        journal: str,
        base_url: str,
        *,
        turns: int = 1,
        name: str = "job",
        is_async: bool = False,
    ) -> None:
        self._pipe, theirs = _context.Pipe()
        args = (theirs, is_async, journal, base_url, turns, name)
        self.process: BaseProcess = _context.Process(target=_run, args=args, daemon=True)
        self.process.start()
        theirs.close()
        self.texts: list[str] | None = None
        """What it got, once it ended."""

    def go(self, events: int) -> None:
        """Let it use so many events."""
        for _ in range(events):
            if self.texts is None:
                assert self._pipe.poll(PATIENCE), "the worker hangs"
                self._step()

    def _step(self) -> None:
        got = self._pipe.recv()
        if isinstance(got, list):
            self.texts = got
            self.process.join(PATIENCE)
            self._pipe.close()
        else:
            self._pipe.send(None)

    @staticmethod
    def finish(*workers: Worker) -> None:
        """Let them go on to their end, together."""
        while running := {one._pipe: one for one in workers if one.texts is None}:
            ready = wait(list(running), PATIENCE)
            assert ready, "the workers hang"
            for pipe in ready:
                running[pipe]._step()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.join(PATIENCE)
        self._pipe.close()

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)
