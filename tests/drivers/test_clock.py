"""The system's clocks wait as long as they are asked to, or until they are interrupted."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from unbroken._drive.clock import AsyncInterrupt, Interrupt, SystemAsyncClock, SystemClock


class Waits(Interrupt):
    """Notes how long it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.timeouts.append(timeout)
        return True


@pytest.mark.parametrize(("seconds", "waited"), [(0, []), (-1, []), (30.5, [30.5])])
def test_a_thread_waits_for_the_interrupt_that_long(seconds, waited):
    interrupt = Waits()
    SystemClock().sleep(seconds, interrupt)
    assert interrupt.timeouts == waited


def test_a_thread_that_was_interrupted_does_not_wait():
    interrupt = Interrupt()
    interrupt.set()
    SystemClock().sleep(3600, interrupt)


def asleep(seconds: float, interrupt_after: float | None = None) -> float:
    """For how long a task sleeps, by a clock that goes on whenever all tasks wait."""

    async def main() -> float:
        interrupt = AsyncInterrupt()
        if interrupt_after == 0:
            interrupt.set()
        began = trio.current_time()
        async with anyio.create_task_group() as group:
            if interrupt_after:
                group.start_soon(set_later, interrupt, interrupt_after)
            await SystemAsyncClock().sleep(seconds, interrupt)
        return trio.current_time() - began

    async def set_later(interrupt: AsyncInterrupt, delay: float) -> None:
        await anyio.sleep(delay)
        interrupt.set()

    clock: Any = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(main, clock=clock)


@pytest.mark.parametrize(("seconds", "slept"), [(0, 0), (-1, 0), (0.25, 0.25), (3600, 3600)])
def test_a_task_sleeps_that_long(seconds, slept):
    assert asleep(seconds) == pytest.approx(slept)


@pytest.mark.parametrize("interrupt_after", [0, 7])
def test_a_task_sleeps_until_it_is_interrupted(interrupt_after):
    assert asleep(3600, interrupt_after) == pytest.approx(interrupt_after)


@pytest.mark.parametrize("clock", [SystemClock(), SystemAsyncClock()], ids=["thread", "task"])
def test_they_tell_the_systems_time(clock):
    assert (clock.now, clock.wall) == (time.monotonic, time.time)
