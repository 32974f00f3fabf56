from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from tests.telemetry.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def recording(caplog: pytest.LogCaptureFixture) -> Iterator[Recording]:
    """Records a test, and asserts that every span ended, and ended once."""
    caplog.set_level(logging.DEBUG, "unbroken")
    recording = Recording()
    yield recording
    recording.close()
    assert not recording.unended
    complaints = [r.getMessage() for r in caplog.records if r.name.startswith("opentelemetry")]
    assert not complaints
    assert not [r for r in caplog.records if "telemetry failed" in r.getMessage()]
