"""Functions of the policy that raise: the caller gets that, caused by what they were called for."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from tests.doors.both import LIBRARY, Both, both, is_async
from tests.samples import AT_ONCE

import unbroken
from unbroken import Continuation, FailureKind, GaveUp, Reason, Rule
from unbroken.testing import faults

__all__ = ["both", "is_async"]  # fixtures


class OwnError(Exception):
    """Raised by a function of the policy."""


def fail(_: Any) -> Any:
    raise OwnError("own")


def fail_with_a_cause(_: Any) -> Any:
    raise OwnError("own") from KeyError("inner")


def raise_what_failed(state: Any) -> Any:
    raise state.outcome.exception()


def waiting(function: Any) -> unbroken.Policy:
    return AT_ONCE.replace(rules=dict.fromkeys(FailureKind, Rule(retry=True, wait=function)))


def ends() -> tuple[list[Any], Any]:
    """Where events go that end a call, and a change of the client that has them sent there."""
    events: list[Any] = []
    return events, lambda client: unbroken.wrap(
        client, client.middleware[0].policy, on_event=events.append
    )


def check_lost(events: list[Any]) -> None:
    assert not [event for event in events if isinstance(event, unbroken.Cancelled)]
    (end,) = (event for event in events if isinstance(event, GaveUp))
    assert end.reason is Reason.CALLBACK
    assert end.attempts[-1].outcome in ("failed", "interrupted")


def test_a_prompt_that_raises(serve, is_async):
    server = serve(faults=[faults.reset(after_chars=60)])
    events, listen = ends()
    policy = AT_ONCE.replace(continuation=Continuation(mode="user_turn", prompt=fail))
    with pytest.raises(OwnError) as raised:
        Both(is_async, True).call(server, policy, change=listen)
    assert isinstance(raised.value.__cause__, LIBRARY.TransportError)
    check_lost(events)


def test_a_prompt_that_returns_no_text(serve, is_async):
    server = serve(faults=[faults.eof(after_chars=60)])
    prompt = Continuation(mode="user_turn", prompt=lambda _: " ")
    with pytest.raises(ValueError, match="not blank") as raised:
        Both(is_async, True).call(server, AT_ONCE.replace(continuation=prompt))
    assert raised.value.__cause__ is not None


def test_a_wait_that_raises(serve, both):
    events, listen = ends()
    server = serve(faults=[faults.reset_before()])
    with pytest.raises(OwnError) as raised:
        both.call(server, waiting(fail), change=listen)
    assert isinstance(raised.value.__cause__, LIBRARY.TransportError)
    check_lost(events)


def test_a_wait_that_raises_after_an_http_error(serve, both):
    with pytest.raises(OwnError) as raised:
        both.call(serve(faults=[faults.status(529)]), waiting(fail))
    assert isinstance(raised.value.__cause__, anthropic.APIStatusError)


def test_a_wait_that_raises_in_a_stream(serve, is_async):
    server = serve(faults=[faults.error_event(after_chars=60)])
    with pytest.raises(OwnError) as raised:
        Both(is_async, True).call(server, waiting(fail))
    assert isinstance(raised.value.__cause__, unbroken.StreamInterrupted)


def test_a_cause_of_its_own_stays(serve, both):
    with pytest.raises(OwnError) as raised:
        both.call(serve(faults=[faults.reset_before()]), waiting(fail_with_a_cause))
    assert isinstance(raised.value.__cause__, KeyError)


def test_a_wait_that_raises_what_failed_is_no_cause_of_itself(serve, both):
    with pytest.raises(LIBRARY.TransportError) as raised:
        both.call(serve(faults=[faults.reset_before()]), waiting(raise_what_failed))
    assert raised.value.__cause__ is not raised.value
