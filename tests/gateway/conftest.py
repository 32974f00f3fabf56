from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.gateway.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.gateway.serving import Served

    from unbroken.testing import FaultServer


@pytest.fixture
def gateway(server: FaultServer, tmp_path: Path) -> Iterator[Served]:
    """A gateway before the server that tells the story."""
    with serving(server.url, tmp_path) as served:
        yield served
