"""Pytest fixtures, there for every test once `unbroken` is installed: `fault_server`, `chaos`."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unbroken.testing.server import FaultServer

__all__ = ["chaos", "fault_server"]


@pytest.fixture
def fault_server() -> Iterator[FaultServer]:
    """A started `FaultServer`; set its `answer` and `voice`, and `script` its faults.

    Yields:
        The server.
    """
    from unbroken.testing.server import FaultServer  # noqa: PLC0415  # most test runs do without

    with FaultServer() as server:
        yield server


@pytest.fixture
def chaos(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a `ChaosTransport`, or an `AsyncChaosTransport`, around a transport.

    It takes their arguments. The seed is that of the test's name, so that each run is the same.
    What was done is printed after the test, which pytest shows if the test fails.

    Yields:
        The function that makes them.
    """
    from unbroken.testing import chaos as module  # noqa: PLC0415  # most test runs do without

    made: list[Any] = []

    def make(inner: Any, **options: Any) -> Any:
        is_async = hasattr(inner, "handle_async_request")
        cls = module.AsyncChaosTransport if is_async else module.ChaosTransport
        made.append(cls(inner, **{"seed": zlib.crc32(request.node.name.encode()), **options}))
        return made[-1]

    yield make
    for transport in made:
        print(f"chaos: seed {transport.seed}, {transport.requests} requests")  # noqa: T201
        for entry in transport.log:
            print(f"chaos: {entry}")  # noqa: T201
