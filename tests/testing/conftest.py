from __future__ import annotations

from typing import Any

import pytest
from tests.testing.helpers import Api

from unbroken.testing import FaultServer


@pytest.fixture
def serve():
    """Starts servers, and asserts that nothing of them is left."""
    opened: list[Api] = []

    def start(*args: Any, **options: Any) -> Api:
        api = Api(FaultServer(*args, **options).start())
        opened.append(api)
        return api

    yield start
    for api in opened:
        api.http.close()
        api.server.close()
        assert api.server.open_connections == 0
        assert api.server.errors == []
