"""The SDK's own fallbacks, which answer refusals, beside ours."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from tests.samples import PREFILLS
from tests.targets.test_fallbacks import ASK, AT_ONCE, client_of, close_clients, first

import unbroken
from unbroken import RecoveryMiddleware, Target
from unbroken.testing import FaultServer, faults

__all__ = ["close_clients", "first"]  # fixtures

refusals = pytest.importorskip("tests.doors.test_middlewares")
pytestmark = pytest.mark.skipif(
    not hasattr(anthropic, "BetaRefusalFallbackMiddleware"), reason="this SDK has no fallbacks"
)


@pytest.mark.parametrize("place", ["outer", "inner"])
def test_an_overload_and_a_refusal_are_both_met(first, place) -> None:
    with FaultServer(refusals.refuse) as other:
        first.script(*[faults.status(529)] * 9)
        sdks: Any = anthropic.BetaRefusalFallbackMiddleware([{"model": PREFILLS}])
        ours = RecoveryMiddleware(AT_ONCE, fallbacks=[Target(client=client_of(other))])
        middleware = [sdks, ours] if place == "outer" else [ours, sdks]
        own = client_of(first)
        client = own.with_options(middleware=middleware, max_retries=0)
        if place == "inner":  # the target has its own, as it is asked by its own client
            with_sdks = client_of(other).with_options(middleware=[sdks])
            ours = RecoveryMiddleware(AT_ONCE, fallbacks=[Target(client=with_sdks)])
            client = own.with_options(middleware=[ours, sdks], max_retries=0)
        with client.beta.messages.stream(**ASK) as stream:
            message = stream.get_final_message()
    texts = [block.text for block in message.content if block.type == "text"]
    assert "".join(texts).endswith(refusals.ANSWER)
    assert message.stop_reason == "end_turn"
    assert unbroken.report(stream).attempts
