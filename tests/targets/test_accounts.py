"""Targets that differ in little, or in nothing."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from tests.samples import PREFILLS, STORY
from tests.targets.test_fallbacks import (
    ASK,
    AT_ONCE,
    WORLDS,
    client_of,
    close_clients,
    first,
    read,
    second,
)

import unbroken
from unbroken import Continuation, Policy, RetryBudget, Target
from unbroken.testing import FaultServer, faults

__all__ = ["close_clients", "first", "second"]  # fixtures

POLICY = Policy(budget=None)


def test_another_account_of_the_same_host_does_not_cool_down_with_the_first(first, clock) -> None:
    first.script(faults.status(429, headers={"retry-after": "50"}))
    other = client_of(first, api_key="another")
    client = unbroken.wrap(client_of(first), POLICY, fallbacks=[Target(client=other)], clock=clock)
    _, report = read(client)
    assert len(first.requests) == 2
    assert sum(clock.waits) == 0
    assert report.attempts[1].target == f"{report.attempts[0].target} (2)"


def test_the_same_client_is_no_target_of_its_own(first, clock) -> None:
    first.script(faults.status(429, headers={"retry-after": "50"}))
    own = client_of(first)
    policy = Policy(budget=RetryBudget(0))
    client = unbroken.wrap(own, policy, fallbacks=[Target(client=own)], clock=clock)
    with pytest.raises(anthropic.RateLimitError):  # a retry there is not free
        client.messages.create(**ASK)
    assert len(first.requests) == 1


def test_a_fallback_whose_client_is_closed_is_not_asked_again(first, second, clock) -> None:
    first.script(faults.status(529))
    other = client_of(second)
    other.close()
    client = unbroken.wrap(
        client_of(first), POLICY, fallbacks=[Target(client=other, name="other")], clock=clock
    )
    message, report = read(client)
    assert message.content[0].text == STORY
    assert report.skipped_targets == {"other": "it refused the request"}
    assert 30 <= sum(clock.waits) <= 60


def test_where_all_targets_fail_the_budget_is_used(first, second, clock) -> None:
    for server in (first, second):
        server.script(*[faults.status(529)] * 30)
    policy = Policy(budget=RetryBudget(2, per_second=0))
    client = unbroken.wrap(
        client_of(first), policy, fallbacks=[Target(client=client_of(second))], clock=clock
    )
    with pytest.raises(anthropic.APIStatusError) as raised:
        client.messages.create(**ASK)
    assert raised.value.status_code == 529
    report = unbroken.report(raised.value)
    assert report.reason is unbroken.Reason.BUDGET
    assert len(report.attempts) == 4  # the first one of each target, and two of the budget


def test_the_policy_of_a_block_decides(first, second, clock) -> None:
    first.script(*[faults.status(429, headers={"retry-after": "5"})] * 2)
    client = unbroken.wrap(
        client_of(first), POLICY, fallbacks=[Target(client=client_of(second))], clock=clock
    )
    with unbroken.override(POLICY.replace(patience=1)):
        read(client)
    assert (len(first.requests), len(second.requests)) == (1, 1)
    clock.time += 5
    read(client.with_options(timeout=30))
    assert (len(first.requests), len(second.requests)) == (3, 1)


@pytest.mark.parametrize("name", ["", 3])
def test_a_name_of_no_use_raises(name: Any) -> None:
    with pytest.raises(ValueError, match="name"):
        Target(model=PREFILLS, name=name)


def test_closing_the_stream_of_a_fallback_closes_its_connection(first) -> None:
    with FaultServer(STORY) as other:
        first.script(faults.status(529))
        spare = client_of(other)
        client = unbroken.wrap(client_of(first), POLICY, fallbacks=[Target(client=spare)])
        with client.messages.stream(**ASK) as stream:
            next(iter(stream))
        pool = spare._client._transport._pool
        assert not [one for one in pool.connections if not (one.is_idle() or one.is_closed())]


@pytest.fixture
def installed(first, second):
    """Fallbacks of both kinds, for all clients."""
    targets = [
        Target(client=client_of(second), name="for threads"),
        Target(client=client_of(second, anthropic.AsyncAnthropic), name="for tasks"),
    ]
    unbroken.install(AT_ONCE, fallbacks=targets)
    yield
    unbroken.uninstall()


@pytest.mark.parametrize(("cls", "ask"), WORLDS)
def test_installed_fallbacks_serve_clients_of_their_kind(installed, first, second, cls, ask):
    first.script(faults.status(529))
    message, report = ask(client_of(first, cls))
    assert message.content[0].text == STORY
    assert len(second.requests) == 1
    assert list(report.skipped_targets.values()) == ["one of the two clients is async"]


class Seen(anthropic.Middleware):
    """Counts what goes through."""

    def __init__(self) -> None:
        self.count = 0

    def handle(self, request: Any, call_next: Any) -> Any:
        self.count += 1
        return call_next(request)


def test_a_fallback_is_bare_though_all_new_clients_recover(installed, first, second):
    seen = Seen()
    with anthropic.Anthropic(api_key="test", base_url=second.url, middleware=[seen]) as other:
        first.script(*[faults.status(529)] * 4)
        second.script(*[faults.status(529)] * 4)
        fallbacks = [Target(client=other)]
        client = unbroken.wrap(
            client_of(first), AT_ONCE.replace(max_attempts=2), fallbacks=fallbacks
        )
        with pytest.raises(anthropic.APIStatusError):
            client.messages.create(**ASK)
        assert (len(second.requests), seen.count) == (1, 1)


TOKENS = Continuation(extend=3)


@pytest.mark.parametrize(("cls", "ask"), WORLDS)
def test_a_lost_extension_leaves_the_answer_as_it_was(first, cls, ask) -> None:
    first.script(None, *[faults.status(529)] * 9)
    policy = AT_ONCE.replace(max_attempts=3, continuation=TOKENS)
    message, report = ask(unbroken.wrap(client_of(first, cls), policy), max_tokens=12)
    assert message.stop_reason == "max_tokens"
    assert STORY.startswith(message.content[0].text)
    assert report.reason is None
    assert [one.outcome for one in report.attempts] == ["complete", "failed", "failed"]
