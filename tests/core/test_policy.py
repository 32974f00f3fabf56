"""A policy is a value: checked as a whole when it is made, and never changed afterwards."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import dataclasses
import pickle
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import tenacity

from unbroken._core.budget import RetryBudget
from unbroken._core.failures import FailureKind
from unbroken._core.policy import Continuation, Policy, current_policy, override
from unbroken._core.rules import DEFAULT_RULES, Rule

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

K = FailureKind
FAIL = Rule(retry=False)
DEFAULT = Policy()


def each(table: Mapping[str, tuple[Any, ...]]) -> list[Any]:
    """A case for each of the values of each field."""
    return [
        pytest.param(field, value, id=f"{field}={value!r:.20}")
        for field, values in table.items()
        for value in values
    ]


def test_the_defaults_are_those_of_the_design():
    values = {
        field.name: getattr(DEFAULT, field.name)
        for field in dataclasses.fields(Policy)
        if field.name not in ("rules", "budget")
    }
    assert values == {
        "max_attempts": 25,
        "max_fruitless": None,
        "max_outage": 300,
        "deadline": None,
        "idle_timeout": 180,
        "progress_timeout": 300,
        "max_retry_after": 120,
        "patience": 10,
        "continuation": Continuation("auto"),
        "thinking": "whole",
        "json": "live",
        "plain_calls": "plain",
        "max_extra_tokens": None,
        "time_scale": 1.0,
    }
    assert DEFAULT.rules == DEFAULT_RULES
    assert DEFAULT.budget is not None
    assert DEFAULT.budget.capacity == 100


# Immutable


@pytest.mark.parametrize("value", [DEFAULT, Rule(), Continuation()], ids=lambda v: type(v).__name__)
def test_nothing_can_be_set(value):
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)
    with pytest.raises((AttributeError, TypeError)):
        value.brand_new = 1


def test_rules_cannot_be_changed_behind_its_back():
    mine = {K.CONFLICT: Rule()}
    policy = Policy(rules=mine)
    mine[K.CONFLICT] = FAIL
    assert policy.rules[K.CONFLICT].retry
    with pytest.raises(TypeError):
        policy.rules[K.CONFLICT] = FAIL


# Changes


def test_replace_makes_a_copy_with_some_fields_changed():
    changed = DEFAULT.replace(max_attempts=3, continuation="off")
    assert changed.max_attempts == 3
    assert changed.resuming.mode == "off"
    assert changed.max_outage == DEFAULT.max_outage
    assert DEFAULT.max_attempts == 25


def test_a_copy_shares_the_budget():
    assert DEFAULT.replace(max_attempts=3).budget is DEFAULT.budget
    assert DEFAULT.replace(budget=None).budget is None
    assert Policy().budget is not Policy().budget


def test_replace_keeps_a_subclass():
    class Mine(Policy):
        pass

    assert type(Mine().replace(max_attempts=2)) is Mine


def test_replace_checks_what_it_gets():
    with pytest.raises(ValueError, match="max_attempts"):
        DEFAULT.replace(max_attempts=0)
    with pytest.raises(TypeError):
        DEFAULT.replace(max_atempts=3)


def test_rules_that_are_replaced_are_completed_by_the_defaults():
    first = Policy(rules={K.CONFLICT: Rule()})
    second = first.replace(rules={K.DROPPED: FAIL})
    assert second.rules[K.DROPPED] is FAIL
    assert second.rules[K.CONFLICT] is DEFAULT_RULES[K.CONFLICT]


# Rules


def test_rules_of_some_kinds_are_completed_by_the_defaults():
    rule = Rule(wait=tenacity.wait_fixed(1))
    policy = Policy(rules={K.CONFLICT: rule})
    assert policy.rules[K.CONFLICT] is rule
    assert {k: r for k, r in policy.rules.items() if k is not K.CONFLICT} == {
        k: r for k, r in DEFAULT_RULES.items() if k is not K.CONFLICT
    }


def test_a_kind_may_be_given_as_a_word():
    rules: Any = {"conflict": Rule()}
    policy = Policy(rules=rules)
    assert policy.rules[K.CONFLICT].retry
    assert all(isinstance(kind, FailureKind) for kind in policy.rules)


def test_a_rule_waits_not_at_all_unless_it_is_told_to():
    rule = Rule()
    assert rule.retry
    state = tenacity.RetryCallState(retry_object=None, fn=None, args=(), kwargs={})
    assert rule.wait(state) == 0


# Validation


FINITE = (-1, -0.001, float("nan"), float("inf"), "3", None, True)
BAD: dict[str, tuple[Any, ...]] = {
    "max_attempts": (0, -1, 1.5, 2.0, "3", None, True, float("inf")),
    "max_fruitless": (0, -1, 1.5, 2.0, "3", True, float("inf")),
    "max_outage": FINITE,
    "max_retry_after": FINITE,
    "patience": FINITE,
    "time_scale": FINITE,
    "deadline": (0, -1, float("nan"), float("inf"), "3", False),
    "idle_timeout": (0, -1, float("nan"), float("inf"), "3", False),
    "progress_timeout": (0, -1, float("nan"), float("inf"), "3", False),
    "continuation": ("on", "", None, 3, [], {"mode": "auto"}),
    "thinking": ("half", "", None, True, []),
    "json": ("half", "", None, True, []),
    "plain_calls": ("streams", "", None, True, []),
    "max_extra_tokens": (-1, 1.5, "3", True),
    "budget": (100, "off", True, RetryBudget),
    "rules": (
        None,
        [(K.CONFLICT, FAIL)],
        {"brand_new": FAIL},
        {429: FAIL},
        {K.CONFLICT: 3},
        {K.CONFLICT: None},
        {K.CONFLICT: tenacity.wait_fixed(1)},
    ),
}


@pytest.mark.parametrize(("field", "bad"), each(BAD))
def test_a_bad_value_is_named(field, bad):
    with pytest.raises(ValueError, match=rf"^Policy: {field} must be .+") as error:
        Policy(**{field: bad})
    assert str(error.value).count(" must be ") == 1


GOOD: dict[str, tuple[Any, ...]] = {
    "max_attempts": (1,),
    "max_fruitless": (1, None),
    "max_outage": (0,),
    "max_retry_after": (0,),
    "patience": (0,),
    "plain_calls": ("plain", "streamed"),
    "max_extra_tokens": (None, 0),
    "time_scale": (0,),
    "deadline": (None, 0.001),
    "idle_timeout": (None, 0.001),
    "progress_timeout": (None, 0.001),
    "budget": (None,),
    "continuation": ("auto", "prefill", "user_turn", "restart", "off"),
    "thinking": ("whole", "live"),
    "json": ("whole", "live"),
    "rules": ({},),
}


@pytest.mark.parametrize(("field", "good"), each(GOOD))
def test_a_value_at_the_edge_is_taken(field, good):
    policy = Policy(**{field: good})
    if field == "continuation":
        assert policy.resuming == Continuation(good)
    elif field != "rules":
        assert getattr(policy, field) == good


def test_every_bad_value_is_named_in_one_error():
    bad = {field: values[0] for field, values in BAD.items()}
    assert set(bad) == {field.name for field in dataclasses.fields(Policy)}
    with pytest.raises(ValueError, match=r"^Policy: ") as error:
        Policy(**bad)
    named = set(re.findall(r"(\w+) must be ", str(error.value)))
    assert named == set(bad)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({"retry": 1}, ["retry"], id="retry"),
        pytest.param({"retry": None}, ["retry"], id="no retry"),
        pytest.param({"wait": 3}, ["wait"], id="a number"),
        pytest.param({"wait": None}, ["wait"], id="no wait"),
        pytest.param({"retry": "no", "wait": "long"}, ["retry", "wait"], id="both"),
    ],
)
def test_a_bad_rule_names_its_fields(fields, named):
    with pytest.raises(ValueError, match=r"^Rule: ") as error:
        Rule(**fields)
    assert re.findall(r"(\w+) must be ", str(error.value)) == named


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({"mode": "on"}, ["mode"], id="mode"),
        pytest.param({"mode": None}, ["mode"], id="no mode"),
        pytest.param({"prompt": ""}, ["prompt"], id="an empty prompt"),
        pytest.param({"prompt": " \n"}, ["prompt"], id="a blank prompt"),
        pytest.param({"prompt": 3}, ["prompt"], id="a number"),
        pytest.param({"extend": -1}, ["extend"], id="a negative number"),
        pytest.param({"extend": True}, ["extend"], id="a boolean"),
        pytest.param({"mode": 1, "prompt": 3}, ["mode", "prompt"], id="both"),
    ],
)
def test_a_bad_continuation_names_its_fields(fields, named):
    with pytest.raises(ValueError, match=r"^Continuation: ") as error:
        Continuation(**fields)
    assert re.findall(r"(\w+) must be ", str(error.value)) == named


@pytest.mark.parametrize("prompt", [None, "Go on.", lambda partial: "Go on after " + partial])
def test_a_prompt_is_a_text_or_a_function(prompt):
    assert Continuation(prompt=prompt).prompt is prompt


# A value


def test_equal_policies_are_equal_whatever_their_budgets():
    assert Policy() == Policy()
    assert hash(Policy()) == hash(Policy())
    assert Policy(budget=None) == Policy()
    assert Policy(continuation="off") == Policy(continuation=Continuation("off"))
    assert hash(Policy(continuation="off")) == hash(Policy(continuation=Continuation("off")))
    assert len({Policy(), Policy(), Policy(max_attempts=2)}) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"max_attempts": 9},
        {"deadline": 1},
        {"continuation": "off"},
        {"rules": {K.CONFLICT: Rule()}},
        {"thinking": "live"},
        {"time_scale": 0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_policies_that_differ_are_not_equal(changes):
    assert Policy(**changes) != Policy()


def test_rules_and_continuations_are_values():
    assert Continuation("off") == Continuation("off")
    assert hash(Continuation("off")) == hash(Continuation("off"))
    assert dataclasses.replace(FAIL) == FAIL
    assert len({FAIL, FAIL}) == 1


def test_a_policy_can_be_copied():
    assert copy.copy(DEFAULT) == DEFAULT


# Overrides


def test_without_an_override_the_clients_own_policy_counts():
    assert current_policy(DEFAULT) is DEFAULT


def test_an_override_counts_inside_its_block_only():
    mine = Policy(max_attempts=2)
    with override(mine) as given:
        assert given is mine
        assert current_policy(DEFAULT) is mine
    assert current_policy(DEFAULT) is DEFAULT


def test_overrides_nest():
    outer, inner = Policy(max_attempts=2), Policy(max_attempts=3)
    with override(outer):
        with override(inner):
            assert current_policy(DEFAULT) is inner
        assert current_policy(DEFAULT) is outer


def test_an_override_ends_with_an_exception_too():
    with pytest.raises(KeyError), override(Policy(max_attempts=2)):
        raise KeyError
    assert current_policy(DEFAULT) is DEFAULT


def test_an_override_that_is_made_once_may_be_used_in_a_function():
    @override(Policy(max_attempts=2))
    def attempts() -> int:
        return current_policy(DEFAULT).max_attempts

    assert [attempts(), attempts()] == [2, 2]
    assert current_policy(DEFAULT) is DEFAULT


def test_another_thread_does_not_see_an_override():
    with override(Policy(max_attempts=2)), ThreadPoolExecutor(1) as pool:
        assert pool.submit(current_policy, DEFAULT).result() is DEFAULT


def test_threads_have_overrides_of_their_own():
    together = threading.Barrier(4, timeout=10)

    def run(number: int) -> int:
        with override(Policy(max_attempts=number)):
            together.wait()
            return current_policy(DEFAULT).max_attempts

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(1, 5))) == [1, 2, 3, 4]


def test_tasks_have_overrides_of_their_own_and_begin_with_that_around_them():
    async def run(number: int, together: asyncio.Barrier) -> tuple[int, int, int]:
        before = current_policy(DEFAULT).max_attempts
        with override(Policy(max_attempts=number)):
            await together.wait()
            inside = current_policy(DEFAULT).max_attempts
        await together.wait()
        return before, inside, current_policy(DEFAULT).max_attempts

    async def main() -> list[tuple[int, int, int]]:
        together = asyncio.Barrier(3)
        with override(Policy(max_attempts=9)):
            return await asyncio.gather(*(run(number, together) for number in (1, 2, 3)))

    assert asyncio.run(main()) == [(9, 1, 9), (9, 2, 9), (9, 3, 9)]


def test_a_generator_may_be_finalised_in_another_context():
    def generate() -> Generator[int]:
        with override(Policy(max_attempts=2)):
            yield current_policy(DEFAULT).max_attempts

    generator = generate()
    assert contextvars.copy_context().run(next, generator) == 2
    generator.close()
    assert current_policy(DEFAULT) is DEFAULT


def test_an_async_generator_may_be_finalised_in_another_task():
    async def generate() -> AsyncGenerator[int]:
        with override(Policy(max_attempts=2)):
            yield current_policy(DEFAULT).max_attempts
            yield current_policy(DEFAULT).max_attempts

    async def main() -> None:
        generator = generate()
        assert await asyncio.create_task(anext(generator)) == 2
        await asyncio.create_task(generator.aclose())
        assert current_policy(DEFAULT) is DEFAULT

    asyncio.run(main())


def test_what_is_raised_in_a_generator_of_another_context_is_raised():
    def generate() -> Generator[None]:
        with override(Policy(max_attempts=2)):
            yield

    generator = generate()
    contextvars.copy_context().run(next, generator)
    with pytest.raises(ValueError, match="mine"):
        generator.throw(ValueError("mine"))


@pytest.mark.parametrize("bad", [None, 3, "off", {"max_attempts": 2}, Policy], ids=repr)
def test_an_override_needs_a_policy(bad):
    with pytest.raises(ValueError, match="policy must be a Policy"), override(bad):
        pass
    assert current_policy(DEFAULT) is DEFAULT


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda policy: pickle.loads(pickle.dumps(policy)),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_it_can_be_copied_and_pickled(copied):
    rules = {FailureKind.CONFLICT: Rule(retry=True, wait=tenacity.wait_fixed(3))}
    policy = Policy(max_attempts=3, rules=rules, continuation="prefill", budget=RetryBudget(7))
    again = copied(policy)
    assert again.max_attempts == 3
    assert again.resuming == policy.resuming
    assert set(again.rules) == set(policy.rules)
    assert again.rules[FailureKind.CONFLICT].retry
    assert again.budget.capacity == 7


def test_a_shallow_copy_shares_the_budget_and_a_deep_one_does_not():
    policy = Policy(budget=RetryBudget(7))
    assert policy.budget.take(0.0)
    assert copy.copy(policy).budget is policy.budget
    assert copy.deepcopy(policy).budget.level == 7
