"""A server that tells something else in each turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.engines.agent import answer

from unbroken.testing import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(answer, delta_chars=20) as server:
        yield server
