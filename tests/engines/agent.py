"""An agent of several calls that is killed in the middle, for the jobs of all engines."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
from tests.samples import AT_ONCE, PREFILLS

import unbroken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection

    from unbroken.testing import FaultServer

PATIENCE = 240.0
"""Seconds for an engine to start and end, on a machine that is busy."""

ROOT = Path(__file__).parents[2]
TURNS = 3
KILLED_AFTER = 70
"""Events of the job at which it is killed: in the middle of its second call."""


def told(turn: int) -> str:
    """What the model says in a turn."""
    return "\n".join(f"Turn {turn}, line {n}: {n * 7} foxes said “{n}”." for n in range(12))


def answer(body: Mapping[str, Any]) -> str:
    """What the server says."""
    return told(int(body["messages"][0]["content"]))


def ask(turn: int) -> dict[str, Any]:
    said = {"role": "user", "content": str(turn)}
    return {"model": PREFILLS, "max_tokens": 4000, "messages": [said]}


def client() -> anthropic.Anthropic:
    """A client for the server and the journal that the environment names."""
    return unbroken.wrap(anthropic.Anthropic(), AT_ONCE)


def async_client() -> anthropic.AsyncAnthropic:
    """The same, for tasks."""
    return unbroken.wrap(anthropic.AsyncAnthropic(), AT_ONCE)


class Killer:
    """Kills its process with SIGKILL at one event of the first run of a job."""

    def __init__(self) -> None:
        self._marker = Path(os.environ["JOB_FOLDER"]) / "killed"
        self._events = 0

    def event(self) -> None:
        self._events += 1
        if self._events == KILLED_AFTER and not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def run(anthropic: anthropic.Anthropic) -> list[str]:
    """Make the calls, one after another."""
    killer, texts = Killer(), []
    for turn in range(TURNS):
        with anthropic.messages.stream(**ask(turn)) as stream:
            for _ in stream:
                killer.event()
            texts.append(stream.get_final_text())
    return texts


def launch(work: Callable[[], Any], variables: Mapping[str, str]) -> tuple[int | None, Any]:
    """Run a function in a process of its own; return how that ended, and what it returned."""
    # Processes that are forked from one that has imported everything start within milliseconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, work, dict(variables)), daemon=True)
    process.start()
    theirs.close()
    assert ours.poll(PATIENCE), "the process hangs"
    try:
        returned = ours.recv()
    except EOFError:  # it was killed
        returned = None
    finally:
        ours.close()
    process.join(PATIENCE)
    return process.exitcode, returned


def _work(pipe: Connection, work: Callable[[], Any], variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    pipe.send(work())


def environment(server: FaultServer, folder: Path) -> dict[str, str]:
    """What a process that runs the job needs."""
    return {
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_API_KEY": "test",
        "UNBROKEN_JOURNAL": f"sqlite:///{folder / 'answers.db'}?lease=0.3",
        "JOB_FOLDER": str(folder),
    }


def check(server: FaultServer, texts: list[str], folder: Path) -> None:
    """The job was killed once, and nothing that was paid for was paid for again."""
    assert (folder / "killed").exists()
    assert texts == [told(turn) for turn in range(TURNS)]
    made = [(request.body["messages"][0]["content"], request.kind) for request in server.requests]
    assert made == [("0", "fresh"), ("1", "fresh"), ("1", "prefill"), ("2", "fresh")]
