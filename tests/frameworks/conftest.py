"""What the libraries need to be imported without a network, and are allowed to keep."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> None:
    """Libraries keep threads and connections of their own, which end with the process."""
