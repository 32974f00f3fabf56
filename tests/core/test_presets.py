"""The presets: what they set, and that they keep what they promise."""

from __future__ import annotations

import random

import pytest
import tenacity
from tests.core.outage import LATENCY, TEXT, TROUBLES, Line

from unbroken._core.bounds import Reason
from unbroken._core.budget import RetryBudget
from unbroken._core.failures import FailureKind
from unbroken._core.policy import Policy
from unbroken._core.rules import DEFAULT_RULES, Rule, rules_growing_to
from unbroken._core.states import Phase

K = FailureKind
PRESETS = {"interactive": Policy.interactive, "batch": Policy.batch}
SEEDS = range(5)
HOUR = 3600.0


def test_what_interactive_sets():
    policy = Policy.interactive(patience=20)
    assert policy.replace(rules={}) == Policy(
        max_outage=10, idle_timeout=10, progress_timeout=10, max_retry_after=10, patience=2
    )
    assert policy == Policy.interactive() == Policy.interactive(20)
    assert policy.budget is not None


def test_what_batch_sets():
    policy = Policy.batch(patience=6 * 3600)
    expected = Policy(
        max_attempts=2160, max_outage=21600, max_retry_after=21600, patience=300, budget=None
    )
    assert policy.replace(rules={}) == expected
    assert policy == Policy.batch()
    assert policy.budget is None


@pytest.mark.parametrize(
    ("patience", "most"), [(1, 25), (250, 25), (251, 26), (21600, 2160), (86400.5, 8641)]
)
def test_a_batch_has_an_attempt_for_each_ten_seconds(patience, most):
    assert Policy.batch(patience).max_attempts == most


def longest(policy: Policy, kind: FailureKind) -> list[float]:
    return [policy.rules[kind].longest_wait(n) for n in range(1, 8)]


@pytest.mark.parametrize(
    ("policy", "kind", "expected"),
    [
        (Policy.interactive(20), K.RATE_LIMITED, [2] * 7),
        (Policy.interactive(20), K.OVERLOADED, [2] * 7),
        (Policy.interactive(20), K.SERVER_ERROR, [1, 2, 2, 2, 2, 2, 2]),
        (Policy.interactive(20), K.UNREACHABLE, [1, 2, 2, 2, 2, 2, 2]),
        (Policy.interactive(20), K.DROPPED, [0, 1, 2, 2, 2, 2, 2]),
        (Policy.interactive(20), K.STALLED, [0, 1, 2, 2, 2, 2, 2]),
        (Policy.interactive(20), K.REQUEST_TIMEOUT, [0, 1, 2, 2, 2, 2, 2]),
        (Policy.interactive(2), K.DROPPED, [0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]),
        (Policy.interactive(3000), K.RATE_LIMITED, [5, 10, 20, 40, 60, 60, 60]),
        (Policy.batch(), K.RATE_LIMITED, [5, 10, 20, 40, 80, 160, 300]),
        (Policy.batch(), K.OVERLOADED, [60, 120, 240, 300, 300, 300, 300]),
        (Policy.batch(), K.SERVER_ERROR, [1, 2, 4, 8, 16, 32, 64]),
        (Policy.batch(), K.DROPPED, [0, 1, 2, 4, 8, 16, 32]),
        (Policy.batch(600), K.OVERLOADED, [60] * 7),
    ],
)
def test_waits_double_until_they_are_a_share_of_the_patience(policy, kind, expected):
    assert longest(policy, kind) == expected


@pytest.mark.parametrize(("kind", "share"), [(K.RATE_LIMITED, 0.8), (K.OVERLOADED, 0.5)])
def test_waits_are_scattered(kind, share):
    state = tenacity.RetryCallState(None, None, (), {})
    rule = rules_growing_to(300)[kind]
    drawn = [rule.wait(state) for _ in range(200)]
    most = rule.longest_wait(1)
    assert all(most * share <= wait <= most for wait in drawn)
    assert max(drawn) - min(drawn) > most * (1 - share) / 2


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_what_is_not_retried_by_default_is_not_retried_by_a_preset(preset):
    policy = preset()
    assert {kind for kind in K if policy.rules[kind].retry} == {
        kind for kind in K if DEFAULT_RULES[kind].retry
    }


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_any_field_may_be_set_otherwise(preset):
    budget = RetryBudget(3)
    mine = Rule(wait=tenacity.wait_fixed(7))
    policy = preset(
        50, max_outage=77, deadline=99, thinking="live", budget=budget, rules={K.DROPPED: mine}
    )
    assert (policy.max_outage, policy.deadline, policy.thinking) == (77, 99, "live")
    assert policy.budget is budget
    assert policy.rules[K.DROPPED] is mine
    assert longest(policy, K.STALLED) == longest(preset(50), K.STALLED)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_gives_each_policy_a_budget_of_its_own(preset):
    assert preset().budget is None or preset().budget is not preset().budget


@pytest.mark.parametrize("patience", [0, -1, float("nan"), float("inf"), "20", None, True])
@pytest.mark.parametrize("name", PRESETS)
def test_a_bad_patience_is_named(name, patience):
    with pytest.raises(ValueError, match=rf"Policy\.{name}\(\): patience must be a finite number"):
        PRESETS[name](patience)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_bad_field_is_named(preset):
    with pytest.raises(ValueError, match="Policy: max_attempts must be"):
        preset(max_attempts=0)
    with pytest.raises(ValueError, match="Policy: rules must be a mapping"):
        preset(rules=3)
    with pytest.raises(TypeError, match="no_such_field"):
        preset(no_such_field=1)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_subclass_makes_its_own(preset):
    class Mine(Policy):
        pass

    assert type(getattr(Mine, preset.__name__)()) is Mine


# What they promise


@pytest.mark.parametrize("cut", [None, 100], ids=["at the beginning", "after a drop"])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("patience", [6, 20, 60])
def test_interactive_waits_so_long_for_the_next_word(patience, trouble, cut):
    for seed in SEEDS:
        random.seed(seed)
        line = Line(trouble, 1e9, Policy.interactive(patience), cut=cut)
        line.go()
        assert line.phase is Phase.LOST
        assert line.now - line.began <= patience + 2 * LATENCY


@pytest.mark.parametrize("name", ["drop", "408", "500", "502", "refused", "529", "429"])
@pytest.mark.parametrize("cut", [None, 100], ids=["at the beginning", "after a drop"])
@pytest.mark.parametrize(("patience", "lasts"), [(20, 8), (60, 24), (5, 2)])
def test_interactive_outlasts_an_outage_of_two_fifths_of_its_patience(name, cut, patience, lasts):
    for seed in range(20):
        random.seed(seed)
        line = Line(TROUBLES[name], lasts - LATENCY, Policy.interactive(patience), cut=cut)
        line.go()
        assert line.text() == TEXT
        assert line.now - line.began <= patience


@pytest.mark.parametrize("hours", [0.1, 1, 5.9])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_batch_keeps_trying_all_night(trouble, hours):
    random.seed(1)
    line = Line(trouble, hours * HOUR, Policy.batch(), cut=100)
    line.go()
    assert line.phase is Phase.COMPLETE, line.machine.call.reason
    assert line.text() == TEXT
    assert line.now - line.began <= hours * HOUR + 300 + 2 * LATENCY


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_batch_gives_up_in_the_morning(trouble):
    random.seed(1)
    line = Line(trouble, 1e9, Policy.batch(), cut=100)
    line.go()
    assert line.machine.call.reason is Reason.MAX_OUTAGE
    assert line.now - line.began <= 6 * HOUR + 2 * LATENCY
