"""Targets that differ in little, or in nothing."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from tests.samples import PREFILLS, STORY
from tests.targets.test_fallbacks import ASK, client_of, close_clients, first, read, second

import unbroken
from unbroken import Policy, RetryBudget, Target
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
