"""Ctrl-C, which raises KeyboardInterrupt between any two steps of a call."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.doors.conftest import request

import unbroken
from unbroken._drive.finalizers import finalizers
from unbroken.transport import RecoveryTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT = str(Path(unbroken.__file__).parent)
_OURS = tuple(
    f"{_ROOT}/{room}" for room in ("_core", "_doors", "_drive", "middleware", "transport")
)
_FRAME = b'event: message_start\ndata: {"type": "message_start", "message": {"id": "msg_1"}}\n\n'


class Body(httpx.SyncByteStream):
    """A stream that knows whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield _FRAME

    def close(self) -> None:
        self.is_closed = True


def is_deleting(frame: Any) -> bool:
    """Whether an object is being deleted."""
    while frame is not None:
        if frame.f_code.co_name in ("__del__", "<genexpr>"):
            return True
        frame = frame.f_back
    return False


class Interrupting:
    """Raises a signal at one call or return of a function of ours, the `at`th."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.where = ""

    def __call__(self, frame: Any, event: str, arg: Any) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(_OURS):
            return
        if is_deleting(frame):
            return  # what is raised there is printed
        self.left -= 1
        if self.left == 0:
            sys.setprofile(None)
            self.where = f"{event} of {code.co_name} in {code.co_filename}"
            os.kill(os.getpid(), signal.SIGINT)


def interrupted(make: Callable[[], Callable[[], None]], step: int) -> Iterator[str]:
    """Interrupt what was made at each `step`th place, until there is none left."""
    for at in range(1, 10_000, step):
        run, interrupting = make(), Interrupting(at)
        with suppress(KeyboardInterrupt):
            gc.disable()  # what is raised in a finalizer is printed
            sys.setprofile(interrupting)
            try:
                run()
            finally:
                sys.setprofile(None)
                gc.enable()
            assert not interrupting.where, f"nothing was raised at {interrupting.where}"
            return
        yield interrupting.where
    raise AssertionError("it does not end")


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.nightly)])
def test_an_interrupt_while_a_stream_opens_is_read_and_is_closed_leaves_nothing_open(step):
    bodies: list[Body] = []
    chunks: list[Any] = []

    def answer(_: httpx.Request) -> httpx.Response:
        bodies.append(Body())
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, stream=bodies[-1], headers=headers)

    def make() -> Callable[[], None]:
        bodies.clear()
        chunks.clear()
        transport = RecoveryTransport(httpx.MockTransport(answer))
        asked = httpx.Request("POST", "http://127.0.0.1/v1/messages", json=request(stream=True))

        def run() -> None:
            response = transport.handle_request(asked)
            chunks.append(response.iter_bytes())  # what its finalizer raises is printed
            next(chunks[-1])
            response.close()

        return run

    places = []
    for place in interrupted(make, step):
        places.append(place)
        chunks.clear()
        assert finalizers().finish()
        assert all(body.is_closed for body in bodies), place
    assert len(places) > 100 / step
