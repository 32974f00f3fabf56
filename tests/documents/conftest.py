"""A server for the examples of the documents, and the end of the clients that they create."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unbroken.testing import FaultServer


@pytest.fixture(autouse=True)
def _closed_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the clients that an application would use to its end."""
    created = []
    init = anthropic.Anthropic.__init__

    def remember(self: anthropic.Anthropic, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        created.append(self)

    monkeypatch.setattr(anthropic.Anthropic, "__init__", remember)
    yield
    for client in created:
        client.close()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, fault_server: FaultServer, tmp_path: Path) -> FaultServer:
    """The server of clients without a `base_url`; files are created in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", fault_server.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    return fault_server
