"""What no test may do: leave loopback, leave something behind, or block an event loop."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import socket
import sys
import threading
import time
import types
import weakref
from asyncio import runners
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE = 5.0
"""Seconds for threads and sockets that are about to end."""

_opened: list[weakref.ref[socket.socket]] = []
_unfinished: list[asyncio.Task[Any]] = []
_cancel_all_tasks = runners._cancel_all_tasks  # type: ignore[attr-defined]


class NetworkError(AssertionError):
    """A test wanted to leave this machine."""


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.__new__":
        if isinstance(args[0], socket.socket):
            _opened.append(weakref.ref(args[0]))
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        if isinstance(args[1], tuple) and not _is_local(args[1][0]):
            raise NetworkError(f"{event} to {args[1][0]}: tests stay on loopback")
    elif event == "socket.getaddrinfo" and args[0] and not _is_local(args[0]):
        raise NetworkError(f"the address of {args[0]} was asked for: tests stay on loopback")


def _is_local(host: str | bytes) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _note_and_cancel(loop: asyncio.AbstractEventLoop) -> None:
    """Note what `asyncio.run()` has to cancel."""
    tasks = asyncio.all_tasks(loop)
    _unfinished.extend(task for task in tasks if _is_of_a_test(task.get_coro()))
    _cancel_all_tasks(loop)


def install() -> None:
    """Refuse connections to other machines, and note each socket and each unfinished task."""
    sys.addaudithook(_audit)
    runners._cancel_all_tasks = _note_and_cancel  # type: ignore[attr-defined]


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Assert that all sockets, threads and tasks that begin inside end inside."""
    threads = set(threading.enumerate())
    _opened.clear()
    yield
    tasks = [repr(_unfinished.pop()) for _ in list(_unfinished)]
    assert not tasks, f"tasks were left to the end of their event loop: {tasks}"
    _assert_none(_open_sockets, "open sockets")
    _assert_none(lambda: [one for one in _threads() if one not in threads], "threads")


def _open_sockets() -> list[socket.socket]:
    found = (ref() for ref in list(_opened))
    return [sock for sock in found if sock is not None and sock.fileno() != -1]


def _threads() -> list[threading.Thread]:
    # Trio keeps idle threads for ten seconds, for any event loop.
    return [one for one in threading.enumerate() if not one.name.startswith("Trio thread")]


def _assert_none(find: Callable[[], list[Any]], what: str) -> None:
    """Give what is about to end the time to do so."""
    left = find()
    if left:
        gc.collect()
    until = time.monotonic() + _PATIENCE
    while left and time.monotonic() < until:
        time.sleep(0.005)
        left = find()
    assert not left, f"{what} were left behind: {left}"


def _is_of_a_test(coroutine: Any) -> bool:
    """Whether it is no generator that asyncio closes, and not anyio's runner of tests."""
    is_coroutine = isinstance(coroutine, types.CoroutineType)
    return is_coroutine and coroutine.cr_code.co_name != "_run_tests_and_fixtures"


@contextmanager
def no_blocked_loop() -> Iterator[None]:
    """Raise from what blocks an event loop, where this package called it."""
    with blockbuster_ctx("unbroken", excluded_modules=["unbroken.testing"]) as calls:
        for name in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
            # Coverage has a lock of its own, which it takes wherever new code is run.
            calls.functions[name].can_block_in("coverage/collector.py", "lock_data")
        # Older versions of httpx look for certificates where a client is made.
        calls.functions["os.stat"].can_block_in("httpx/_config.py", "load_ssl_context_verify")
        yield
