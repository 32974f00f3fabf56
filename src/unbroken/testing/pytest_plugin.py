"""A pytest fixture, there for every test once `unbroken` is installed: `fault_server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.testing.server import FaultServer

__all__ = ["fault_server"]


@pytest.fixture
def fault_server() -> Iterator[FaultServer]:
    """A started `FaultServer`; set its `answer` and `voice`, and `script` its faults.

    Yields:
        The server.
    """
    from unbroken.testing.server import FaultServer  # noqa: PLC0415  # most test runs do without

    with FaultServer() as server:
        yield server
