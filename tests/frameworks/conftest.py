"""What the libraries need to be imported without a network, and are allowed to keep."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.samples import AT_ONCE

import unbroken

if TYPE_CHECKING:
    from collections.abc import Iterator

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> None:
    """Libraries keep threads and connections of their own, which end with the process."""


@pytest.fixture
def _installed(server, monkeypatch) -> Iterator[None]:
    """`unbroken.install()` and nothing else; the SDK finds the server in its own variables."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
    unbroken.install(AT_ONCE)
    yield
    unbroken.uninstall()
