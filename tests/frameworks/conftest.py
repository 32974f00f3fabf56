"""Libraries that use the SDK, as they come, with a server that drops their streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unbroken import Policy
from unbroken.testing import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator

STORY = "Once upon a time there was a fox. It jumped over a dog, “twice”, and then it slept 😀."
MODEL = "claude-sonnet-4-6"
AT_ONCE = Policy(time_scale=0, budget=None)  # tests must not share one


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(STORY) as server:
        yield server
