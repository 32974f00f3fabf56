"""The README says what is so: its code runs, and its tables are those of the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
import tenacity

import unbroken
from unbroken._cli.demo import ANSWER
from unbroken._core.states import TRANSITIONS, Input, Phase
from unbroken.testing import FaultServer, faults, voices

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
OWN_LIBRARIES = {"anthropic", "unbroken", "tenacity", "pytest"}


def blocks() -> list[tuple[str, str]]:
    """The Python blocks, each with a name: the heading that it stands under, and its line."""
    found = []
    for match in re.finditer(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        before = README[: match.start()]
        heading = re.findall(r"^#+ (.+)$", before, re.MULTILINE)[-1]
        line = before.count("\n") + 1
        # The lines before it make a traceback point to the right one.
        found.append((f"{heading}:{line}", "\n" * line + match[1]))
    return found


def run(code: str, namespace: dict[str, Any]) -> None:
    try:
        exec(compile(code, "README.md", "exec"), namespace)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in OWN_LIBRARIES:
            raise
        pytest.skip(f"{error.name} is not installed")


@pytest.fixture(autouse=True)
def _closed_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes what an application would use to its end."""
    made = []
    init = anthropic.Anthropic.__init__

    def remember(self: anthropic.Anthropic, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        made.append(self)

    monkeypatch.setattr(anthropic.Anthropic, "__init__", remember)
    yield
    for client in made:
        client.close()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, fault_server: FaultServer) -> FaultServer:
    """A server that clients without a `base_url` talk to."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", fault_server.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
    return fault_server


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in blocks()])
def test_its_python_runs(code, api):
    namespace: dict[str, Any] = {"__name__": "readme"}
    run(blocks()[0][1], namespace)
    if code != blocks()[0][1]:
        run(code, namespace)
    for name, thing in list(namespace.items()):
        if name.startswith("test_"):
            with FaultServer() as fault_server:
                thing(fault_server)


def test_its_first_example_survives_what_the_demo_shows(api, capsys):
    api.answer = ANSWER
    api.voice = voices.follows_anchor
    api.script(faults.reset(after_chars=200), faults.eof(after_chars=300))
    namespace: dict[str, Any] = {}
    run(blocks()[0][1], namespace)
    assert capsys.readouterr().out == ANSWER
    assert namespace["message"].content[0].text == ANSWER
    assert isinstance(namespace["client"], anthropic.Anthropic)


# Tables


def tables() -> dict[str, list[list[str]]]:
    """The tables, by the first cell of their headers: the cells of each row but the header."""
    found = {}
    for match in re.finditer(r"(?:^\|.*\|\n)+", README, re.MULTILINE):
        header, _, *rows = (
            [cell.strip() for cell in row.strip("|").split("|")] for row in match[0].splitlines()
        )
        found[header[0]] = rows
    return found


def code_in(cell: str) -> str:
    match = re.fullmatch(r"`(.+)`", cell)
    assert match is not None, cell
    return match[1]


def evaluated(cell: str) -> Any:
    return eval(code_in(cell), {**vars(unbroken), **vars(tenacity)})


def shown(value: Any) -> str:
    """A value as a text that two equal values share."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize("name", ["Policy", "Rule", "Continuation"])
def test_every_field_is_listed_with_its_default(name):
    cls = getattr(unbroken, name)
    rows = {code_in(row[0]): evaluated(row[1]) for row in tables()[f"field of `{name}`"]}
    assert list(rows) == [field.name for field in dataclasses.fields(cls)]
    for field, value in rows.items():
        listed = getattr(cls(**{field: value}), field)
        default = getattr(cls(), field)
        assert listed == default or shown(listed) == shown(default), field


def test_every_argument_of_the_budget_is_listed_with_its_default():
    rows = {code_in(row[0]): evaluated(row[1]) for row in tables()["argument of `RetryBudget`"]}
    parameters = inspect.signature(unbroken.RetryBudget).parameters.values()
    assert rows == {parameter.name: parameter.default for parameter in parameters}


def test_every_mode_of_continuing_is_named():
    [mode, _, unproven] = tables()["field of `Continuation`"]
    for name in re.findall(r'"(\w+)"', " ".join(mode)):
        unbroken.Continuation(mode=name)
    for name in re.findall(r'"(\w+)"', " ".join(unproven)):
        unbroken.Continuation(unproven=name)


def test_its_variables_make_a_policy():
    variables = dict(re.findall(r"^(UNBROKEN_\w+)=(\w+)", README, re.MULTILINE))
    assert unbroken.Policy.from_env(variables) != unbroken.Policy()


def test_every_kind_of_failure_is_listed_with_what_it_gets():
    rows = tables()["`FailureKind`"]
    assert [code_in(row[0]) for row in rows] == [kind.name for kind in unbroken.FailureKind]
    rules = unbroken.Policy().rules
    for kind, _, gets in rows:
        rule = rules[unbroken.FailureKind[code_in(kind)]]
        assert rule.retry is not gets.startswith("fails at once"), kind


def test_every_field_of_a_report_is_listed():
    rows = next(rows for rows in tables().values() if rows[0][0] == "`attempts`")
    fields = {field.name for field in dataclasses.fields(unbroken.RecoveryReport)}
    assert {code_in(row[0]) for row in rows} == {*fields, "recovered"}


def test_every_fault_and_voice_that_it_names_exists():
    section = README.partition("## Testing your own application")[2].partition("\n## ")[0]
    for module, line in ((faults, "- Faults"), (voices, "- Voices")):
        named = section.partition(line)[2].partition("\n- ")[0]
        names = re.findall(r"`(\w+)`", named)
        assert names
        assert set(names) <= set(module.__all__)


def test_its_diagram_is_the_table_of_states():
    drawn = re.findall(r"^    (\w+) --> (\w+): (.+)$", README, re.MULTILINE)
    ends = (Phase.COMPLETE, Phase.LOST, Phase.CLOSED)
    real = [
        (phase.value, to.value, happened.value)
        for phase, row in TRANSITIONS.items()
        if phase not in ends
        for happened, to in row.items()
        if happened is not Input.CLOSE
    ]
    assert sorted(drawn) == sorted(real)
