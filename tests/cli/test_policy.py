"""`unbroken policy` shows what is so: the policy in force, and the longest waits under it."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import TYPE_CHECKING

import pytest

import unbroken
from unbroken._cli import main as cli

if TYPE_CHECKING:
    from collections.abc import Callable

Tables = list[dict[str, list[str]]]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("UNBROKEN_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[..., Tables]:
    """Runs the command, and returns its tables: the cells of each row by its first."""

    def run(*args: str) -> Tables:
        assert cli.main(["policy", *args]) == 0
        *tables, _ = capsys.readouterr().out.split("\n\n")
        rows = [[re.split(r"  +", row) for row in table.splitlines()] for table in tables]
        return [{row[0]: row[1:] for row in table} for table in rows]

    return run


def test_the_defaults(show):
    fields, waits, worst = show()
    names = [field.name for field in dataclasses.fields(unbroken.Policy)]
    assert list(fields) == ["field", *(name for name in names if name != "rules")]
    assert fields["max_attempts"] == ["25", "25"]
    assert fields["max_outage"] == ["300 s (5 min)", "300 s (5 min)"]
    assert fields["deadline"] == ["None", "None"]
    assert fields["budget"][0] == "100 retries, 1 back a success, 0.1 a second"
    assert fields["continuation"] == ["auto", "auto"]
    assert list(waits)[1:] == list(unbroken.FailureKind)
    assert waits["rate_limited"] == ["6, 12, 24, 24, 24, 24, 24 ..."]
    assert waits["dropped"] == ["0, 1, 2, 4, 8, 8, 8 ..."]
    assert waits["rejected"] == ["not retried"]
    assert worst["overloaded for ever"] == ["300 s (5 min)"] * 2
    assert worst["streams fall silent in the middle"] == ["480 s (8 min)", "4500 s (75 min)"]


def test_every_worst_case_is_shown(show):
    cases = unbroken.worst_cases(unbroken.Policy())
    assert list(show()[2])[1:] == [case.trouble for case in cases]


def test_what_the_environment_sets_is_shown_with_its_variable(show, monkeypatch):
    monkeypatch.setenv("UNBROKEN_DEADLINE", "45")
    monkeypatch.setenv("UNBROKEN_BUDGET", "off")
    monkeypatch.setenv("UNBROKEN_MAX_OUTAGE", " ")
    monkeypatch.setenv("UNBROKEN_CONTINUATION", "restart")
    monkeypatch.setenv("UNBROKEN_RETRY_DROPPED", "false")
    fields, waits, worst = show()
    assert fields["deadline"] == ["45 s", "None", "UNBROKEN_DEADLINE"]
    assert fields["budget"][0] == "None"
    assert fields["budget"][2] == "UNBROKEN_BUDGET"
    assert fields["continuation"] == ["restart", "auto", "UNBROKEN_CONTINUATION"]
    assert fields["max_outage"] == ["300 s (5 min)", "300 s (5 min)"]
    assert waits["dropped"] == ["not retried"]
    assert worst["overloaded for ever"] == ["45 s", "45 s"]


def test_what_never_ends_is_said(show, monkeypatch):
    monkeypatch.setenv("UNBROKEN_IDLE_TIMEOUT", "none")
    assert show()[2]["streams hang before the headers"] == ["without end", "without end"]


@pytest.mark.parametrize("scale", ["0", "0.5"])
def test_waits_are_scaled(show, monkeypatch, scale):
    monkeypatch.setenv("UNBROKEN_TIME_SCALE", scale)
    expected = "0, 0, 0, 0, 0, 0, 0 ..." if scale == "0" else "3, 6, 12, 12, 12, 12, 12 ..."
    assert show()[1]["rate_limited"] == [expected]


@pytest.mark.parametrize(
    ("args", "field", "value"),
    [
        (["interactive"], "max_outage", "10 s"),
        (["interactive", "--patience", "50"], "max_outage", "25 s"),
        (["batch"], "max_outage", "21600 s (6 h)"),
        (["batch", "--patience", "3600"], "max_attempts", "360"),
    ],
)
def test_presets(show, monkeypatch, args, field, value):
    monkeypatch.setenv("UNBROKEN_MAX_OUTAGE", "7")
    fields, _, _ = show(*args)
    assert fields[field][0] == value
    assert "UNBROKEN_MAX_OUTAGE" not in fields["max_outage"]


@pytest.mark.parametrize(
    ("args", "environment", "words"),
    [
        ([], {"UNBROKEN_DEADLINE": "soon"}, "UNBROKEN_DEADLINE: must be a number or none"),
        (["batch", "--patience", "0"], {}, "patience must be a finite number above 0, not 0.0"),
        (["--patience", "20"], {}, "--patience is of a preset"),
    ],
)
def test_what_is_no_policy_is_said_in_a_sentence(capsys, monkeypatch, args, environment, words):
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    assert cli.main(["policy", *args]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("unbroken: ")
    assert words in shown.err
    assert shown.err.count("\n") == 1
