from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.transport.callers import callers

if TYPE_CHECKING:
    from tests.transport.callers import Caller


@pytest.fixture(params=callers())
def caller(request: pytest.FixtureRequest) -> Caller:
    found: Caller = request.param
    return found
