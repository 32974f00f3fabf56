"""The reference of policies says what is so: its code runs, its tables are those of the code."""

from __future__ import annotations

import dataclasses
import re
from math import ceil
from pathlib import Path
from typing import Any

import pytest

import unbroken
from unbroken import FailureKind, Policy, RetryBudget, worst_cases

REFERENCE = (Path(unbroken.__file__).parent / "_core" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", REFERENCE, re.MULTILINE | re.DOTALL)
POLICIES = {
    "Policy()": Policy(),
    "Policy.interactive(20)": Policy.interactive(20),
    "Policy.batch()": Policy.batch(),
}


def table(header: str) -> tuple[list[str], dict[str, list[str]]]:
    """The other headers of the table that begins with this one, and its rows by their names."""
    begin = REFERENCE.index(f"| {header} |")
    lines = REFERENCE[begin:].partition("\n\n")[0].splitlines()
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    return cells[0][1:], {row[0]: row[1:] for row in cells[2:]}


@pytest.mark.parametrize("code", BLOCKS)
def test_its_python_runs(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("\n") == 6


@pytest.mark.parametrize("patience", [5, 20, 400, 21600])
def test_its_table_of_presets(patience):
    headers, rows = table("field")
    names = {"patience": patience, "Policy": Policy}
    policies = [eval(header, names) for header in headers]
    formulas: dict[str, Any] = {"patience": patience, "ceil": ceil, "RetryBudget": RetryBudget}
    for field in dataclasses.fields(Policy):
        values = [getattr(policy, field.name) for policy in policies]
        if field.name in rows:
            expected = [eval(cell, dict(formulas)) for cell in rows[field.name]]
            assert list(map(repr, values)) == list(map(repr, expected)) or values == expected
        elif field.name != "rules":
            assert values == [getattr(Policy(), field.name)] * 3, field.name


def test_its_table_of_waits():
    headers, rows = table("longest waits, in s")
    assert headers == list(POLICIES)
    formulas = rows.pop("the longest of all")
    assert {FailureKind[name] for name in rows} == {
        kind for kind, rule in Policy().rules.items() if rule.retry
    }
    for at, (policy, patience) in enumerate(zip(POLICIES.values(), (0, 20, 21600), strict=True)):
        for name, cells in rows.items():
            rule = policy.rules[FailureKind[name]]
            waits = ", ".join(f"{rule.longest_wait(n):g}" for n in range(1, 5))
            assert cells[at] == f"{waits} ...", name
        longest = max(rule.longest_wait(99) for rule in policy.rules.values())
        assert longest == eval(formulas[at], {"patience": patience})


def test_its_table_of_worst_cases():
    headers, rows = table("silence / call at most, in s")
    assert headers == list(POLICIES)
    for at, policy in enumerate(POLICIES.values()):
        cases = {
            case.trouble: f"{case.longest_silence:g} / {case.longest_call:g}"
            for case in worst_cases(policy)
        }
        assert cases == {trouble: cells[at] for trouble, cells in rows.items()}
