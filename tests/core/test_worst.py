"""The longest waits of a policy: computed, and never exceeded by a call on a clock of its own."""

from __future__ import annotations

import math
import random

import pytest
import tenacity
from tests.core.outage import LATENCY, TROUBLES, Line

from unbroken import Policy, Rule, WorstCase, worst_cases
from unbroken._core.failures import FailureKind
from unbroken._core.states import Phase

K = FailureKind
OVERLOADED, LIMITED, HEADERS, PLAIN, SILENT, PINGS = range(6)
POLICIES = {
    "default": Policy(),
    "interactive": Policy.interactive(),
    "batch": Policy.batch(),
    "few attempts": Policy(max_attempts=4),
    "few fruitless attempts": Policy(max_fruitless=3),
    "more than a dozen": Policy(max_attempts=14),
    "deadline": Policy(deadline=90),
    "at once": Policy(time_scale=0),
    "twice as long": Policy(time_scale=2),
    "never again": Policy(rules={kind: Rule(retry=False) for kind in K}),
}


def seconds(policy: Policy, at: int) -> tuple[float, float]:
    case = worst_cases(policy)[at]
    return case.longest_silence, case.longest_call


@pytest.mark.parametrize(
    ("policy", "at", "silence", "call"),
    [
        ("default", OVERLOADED, 300, 300),
        ("default", LIMITED, 238, 238),
        ("default", HEADERS, 480, 480),
        ("default", PLAIN, 900, 900),
        ("default", SILENT, 480, 25 * 180),
        ("default", PINGS, 600, 25 * 300),
        ("interactive", OVERLOADED, 10, 10),
        ("interactive", LIMITED, 0, 0),
        ("interactive", HEADERS, 20, 20),
        ("interactive", SILENT, 20, 250),
        ("interactive", PINGS, 20, 250),
        ("batch", OVERLOADED, 21600, 21600),
        ("batch", LIMITED, 181 * 119, 181 * 119),
        ("batch", HEADERS, 21780, 21780),
        ("few attempts", OVERLOADED, 180, 180),
        ("few attempts", HEADERS, 480, 480),
        ("few attempts", SILENT, 480, 720),
        ("few fruitless attempts", OVERLOADED, 120, 120),
        ("few fruitless attempts", LIMITED, 238, 238),
        ("deadline", OVERLOADED, 90, 90),
        ("deadline", SILENT, 90, 90),
        ("at once", OVERLOADED, 0, 0),
        ("at once", HEADERS, 480, 480),
        ("twice as long", LIMITED, 238, 238),
        ("never again", OVERLOADED, 0, 0),
        ("never again", PINGS, 300, 300),
    ],
)
def test_the_longest_waits_of_a_policy(policy, at, silence, call):
    assert seconds(POLICIES[policy], at) == (silence, call)


def test_each_trouble_is_told_apart():
    cases = worst_cases(Policy())
    assert all(isinstance(case, WorstCase) for case in cases)
    assert len({case.trouble for case in cases}) == len(cases) == 6


def test_what_is_never_noticed_is_infinite():
    policy = Policy(idle_timeout=None, progress_timeout=None)
    assert seconds(policy, HEADERS) == (math.inf, math.inf)
    assert seconds(policy, PINGS) == (math.inf, math.inf)
    assert worst_cases(policy, plain_timeout=None)[PLAIN].longest_silence == math.inf
    assert seconds(policy.replace(deadline=70), PINGS) == (70, 70)


def test_plain_calls_have_the_timeout_that_they_are_given():
    assert worst_cases(Policy(), plain_timeout=30)[PLAIN].longest_silence == 330


def test_an_answer_that_is_not_continued_ends_with_its_first_silence():
    policy = Policy(continuation="off")
    assert seconds(policy, SILENT) == (180, 180)
    assert seconds(policy, HEADERS) == (480, 480)


def test_a_wait_that_does_not_tell_its_length_is_as_long_as_an_outage_may_be():
    policy = Policy(max_attempts=2, rules={K.OVERLOADED: Rule(wait=lambda _state: 1.0)})
    assert seconds(policy, OVERLOADED) == (300, 300)


@pytest.mark.parametrize("name", ["529", "429, retry-after 119", "hang before headers", "stall"])
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_no_call_is_longer(policy, name):
    at = {"529": OVERLOADED, "429, retry-after 119": LIMITED, "hang before headers": HEADERS}
    silence, _ = seconds(policy, at.get(name, SILENT))
    for seed in range(5):
        random.seed(seed)
        line = Line(TROUBLES[name], 1e9, policy)
        line.go()
        assert line.phase is Phase.LOST
        assert line.now - line.began <= silence + LATENCY * line.requests


# The longest wait of a rule


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        pytest.param(tenacity.wait_none(), [0, 0, 0], id="wait_none"),
        pytest.param(tenacity.wait_fixed(3), [3, 3, 3], id="wait_fixed"),
        pytest.param(tenacity.wait_random(2, 5), [5, 5, 5], id="wait_random"),
        pytest.param(tenacity.wait_exponential(max=3), [1, 2, 3], id="wait_exponential"),
        pytest.param(tenacity.wait_incrementing(1, 2), [1, 3, 5], id="wait_incrementing"),
        pytest.param(tenacity.wait_incrementing(1, -2), [1, 0, 0], id="never below 0"),
        pytest.param(
            tenacity.wait_chain(tenacity.wait_fixed(7), tenacity.wait_random(0, 9)),
            [7, 9, 9],
            id="wait_chain",
        ),
        pytest.param(tenacity.wait_fixed(1) + tenacity.wait_random(0, 2), [3] * 3, id="a sum"),
        pytest.param(lambda _state: 1.0, [math.inf] * 3, id="a function"),
        pytest.param(
            tenacity.wait_fixed(1) + tenacity.wait_random_exponential(),
            [math.inf] * 3,
            id="unknown",
        ),
    ],
)
def test_the_longest_wait_of_a_rule(wait, expected):
    assert [Rule(wait=wait).longest_wait(n) for n in (1, 2, 3)] == expected
