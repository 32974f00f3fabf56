"""The guards around every test stop what they are there to stop."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from blockbuster import BlockingError

import unbroken
from tests import guards


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "api.anthropic.com"])
def test_other_machines_are_out_of_reach(host):
    with pytest.raises(guards.NetworkError, match=host):
        socket.create_connection((host, 443), timeout=1)


def test_an_event_loop_does_not_reach_them_either():
    with pytest.raises(guards.NetworkError):
        asyncio.run(asyncio.wait_for(asyncio.open_connection("192.0.2.1", 443), 1))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", None])
def test_loopback_can_be_reached(host):
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection((host, listener.getsockname()[1])),
    ):
        pass


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(guards, "_PATIENCE", 0.0)


@pytest.mark.usefixtures("_impatient")
def test_an_open_socket_is_noticed():
    left: list[socket.socket] = []
    with pytest.raises(AssertionError, match="open sockets"), guards.nothing_left_behind():
        left.append(socket.socket())
    left[0].close()


@pytest.mark.usefixtures("_impatient")
def test_a_thread_is_noticed():
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    with pytest.raises(AssertionError, match="threads"), guards.nothing_left_behind():
        thread.start()
    end.set()
    thread.join()


def test_a_task_is_noticed():
    async def main() -> None:
        forgotten.append(asyncio.create_task(asyncio.sleep(60)))

    forgotten: list[asyncio.Task[None]] = []
    with pytest.raises(AssertionError, match="tasks"), guards.nothing_left_behind():
        asyncio.run(main())


def test_what_ends_in_time_is_not_left_behind():
    async def main() -> None:
        await asyncio.create_task(asyncio.sleep(0))

    with guards.nothing_left_behind():
        asyncio.run(main())
        threading.Timer(0.01, socket.socket().close).start()


def block(path: str) -> None:
    """Block an event loop, as code of this file."""
    code = compile("import time; time.sleep(0)", path, "exec")

    async def main() -> None:
        exec(code)

    asyncio.run(main())


def test_a_blocked_event_loop_is_noticed():
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        block(unbroken.__file__)
    block("elsewhere.py")
