from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.samples import AT_ONCE

import unbroken

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def _installed(server, monkeypatch) -> Iterator[None]:
    """`unbroken.install()` and nothing else; the SDK finds the server in its own variables."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
    unbroken.install(AT_ONCE)
    yield
    unbroken.uninstall()
