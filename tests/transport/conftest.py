from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.transport.callers import STORY, callers

from unbroken.testing import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.transport.callers import Caller


@pytest.fixture(params=callers())
def caller(request: pytest.FixtureRequest) -> Caller:
    found: Caller = request.param
    return found


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(STORY) as server:
        yield server
