"""The reference of policies and resuming agrees with the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import pytest
import tenacity
from tests.documents.markdown import CORE, code_in

import unbroken
from unbroken._core import bounds
from unbroken._core.environment import VARIABLES
from unbroken._core.failures import TELLING_STATUS
from unbroken._core.seam import endings, free, quote
from unbroken._core.states import TRANSITIONS, Input, Phase


def evaluated(cell: str) -> Any:
    return eval(
        code_in(cell),
        {**{name: getattr(unbroken, name) for name in unbroken.__all__}, **vars(tenacity)},
    )


def shown(value: Any) -> str:
    """A value as a text that two equal values share."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize("name", ["Policy", "Rule", "Continuation"])
def test_every_field_is_listed_with_its_default(name):
    cls = getattr(unbroken, name)
    rows = {code_in(row[0]): evaluated(row[1]) for row in CORE.table(f"field of `{name}`")}
    assert list(rows) == [field.name for field in dataclasses.fields(cls)]
    for field, value in rows.items():
        listed = getattr(cls(**{field: value}), field)
        default = getattr(cls(), field)
        assert listed == default or shown(listed) == shown(default), field


def test_every_argument_of_the_budget_is_listed_with_its_default():
    rows = {code_in(row[0]): evaluated(row[1]) for row in CORE.table("argument of `RetryBudget`")}
    parameters = inspect.signature(unbroken.RetryBudget).parameters.values()
    assert rows == {parameter.name: parameter.default for parameter in parameters}


def test_every_mode_of_continuing_is_named():
    [mode, _, unproven, _] = CORE.table("field of `Continuation`")
    for name in re.findall(r'"(\w+)"', " ".join(mode)):
        unbroken.Continuation(mode=name)
    for name in re.findall(r'"(\w+)"', " ".join(unproven)):
        unbroken.Continuation(unproven=name)


def test_every_field_of_a_preset_is_listed():
    made = [unbroken.Policy.interactive(patience=20), unbroken.Policy.batch(patience=21600)]
    default = unbroken.Policy()
    *fields, waits = CORE.table("field")
    listed = {code_in(row[0]): [evaluated(cell) for cell in row[1:]] for row in fields}
    for field in dataclasses.fields(default):
        values = [getattr(policy, field.name) for policy in made]
        if field.name in listed and field.name != "budget":
            assert values == listed[field.name], field.name
        elif field.name not in ("budget", "rules"):
            assert values == [getattr(default, field.name)] * 2, field.name
    assert [policy.budget is None for policy in made] == [one is None for one in listed["budget"]]
    rules = [policy.rules.values() for policy in made]
    longest = [max(rule.longest_wait(20) for rule in policy if rule.retry) for policy in rules]
    assert longest == [evaluated(cell) for cell in waits[1:]]


def test_the_example_of_variables_makes_a_policy():
    variables = dict(re.findall(r"^(UNBROKEN_\w+)=(\w+)", CORE.text, re.MULTILINE))
    assert variables
    assert unbroken.Policy.from_env(variables) != unbroken.Policy()


def test_every_variable_is_listed_with_its_default():
    rows = {code_in(row[0]): code_in(row[2]) for row in CORE.table("variable")}
    assert set(rows) == set(VARIABLES)
    for name, default in rows.items():
        assert unbroken.Policy.from_env({name: default}) == unbroken.Policy()
    section = CORE.section("Environment")
    assert [kind for kind in unbroken.FailureKind if f"`{kind.upper()}`" not in section] == []


def test_the_diagram_is_the_table_of_states():
    drawn = re.findall(r"^    (\w+) --> (\w+): (.+)$", CORE.text, re.MULTILINE)
    ends = (Phase.COMPLETE, Phase.LOST, Phase.CLOSED)
    real = [
        (phase.value, to.value, happened.value)
        for phase, row in TRANSITIONS.items()
        if phase not in ends
        for happened, to in row.items()
        if happened not in (Input.CLOSE, Input.DEPOSED)
    ]
    assert sorted(drawn) == sorted(real)


def test_every_kind_of_seam_is_listed():
    listed = [code_in(row[0]) for row in CORE.table("`SeamKind`")]
    assert listed == [kind.name for kind in unbroken.SeamKind]


@pytest.mark.parametrize(
    ("pattern", "number"),
    [
        (r"fewer than (\d+) characters", quote.MIN_TEXT),
        (r"leaves out at least (\d+) characters", quote._MIN_QUOTE),
        (r"At most (\d+) characters", free.ROOM),
        (r"at least (\d+) characters \(\d+ if it", endings.MIN_PROOF),
        (r"at least \d+ characters \((\d+) if it", endings._MIN_WHOLE),
        (r"but at most (\d+) s\.", bounds.LONGEST_SPREAD),
        (r"While at least (\d+) s", 2 * bounds._SHORTEST_SILENCE),
    ],
)
def test_the_numbers_are_those_of_the_code(pattern, number):
    [found] = re.findall(pattern, re.sub(r"\s+", " ", CORE.text))
    assert float(found) == number


def test_the_statuses_that_decide_before_the_type_are_listed():
    sentence = re.search(r"The statuses ([\d, and\s]+) take precedence", CORE.text)
    assert sentence is not None
    assert set(map(int, re.findall(r"\d+", sentence[1]))) == set(TELLING_STATUS)
