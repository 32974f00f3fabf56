"""`unbroken policy`: the policy in force, and how long a caller may wait under it."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import TYPE_CHECKING, Any

import unbroken
from unbroken._cli.problems import ProblemError
from unbroken._cli.table import aligned

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

__all__ = ["add_parser", "show_policy"]

_PRESETS = {"interactive": unbroken.Policy.interactive, "batch": unbroken.Policy.batch}
_SHOWN_WAITS = 7
_NOTE = """\
The time in which an answer comes is not counted. A call that is not streamed has the read timeout
of its client: here the SDK's, 600 s."""
_SECONDS = ("max_outage", "deadline", "idle_timeout", "progress_timeout", "max_retry_after")


def add_parser(commands: Any) -> None:
    """Add the command to those of `unbroken`."""
    about = "show the policy in force, and the longest waits under it"
    parser = commands.add_parser(
        "policy", help=about, description=f"{about[0].upper()}{about[1:]}."
    )
    parser.add_argument(
        "preset",
        nargs="?",
        choices=tuple(_PRESETS),
        help="a preset; without one, the policy that UNBROKEN_* variables describe",
    )
    parser.add_argument("--patience", type=float, metavar="SECONDS", help="of the preset")
    parser.set_defaults(run=show_policy)


def show_policy(options: argparse.Namespace) -> int:
    """Print the policy as tables: its fields, the waits of its rules, and its worst cases.

    Raises:
        ProblemError: If there is no such policy.
    """
    policy = _policy(options.preset, options.patience)
    fields = _fields(policy, from_environment=options.preset is None)
    tables = (aligned(rows) for rows in (fields, _waits(policy), _worst(policy)))
    print(*tables, _NOTE, sep="\n\n")
    return 0


def _policy(preset: str | None, patience: float | None) -> unbroken.Policy:
    if preset is None and patience is not None:
        raise ProblemError("--patience is of a preset: unbroken policy interactive --patience 20")
    try:
        if preset is None:
            return unbroken.Policy.from_env()
        return _PRESETS[preset]() if patience is None else _PRESETS[preset](patience)
    except ValueError as error:
        raise ProblemError(str(error)) from error


def _fields(policy: unbroken.Policy, *, from_environment: bool) -> Iterable[Sequence[str]]:
    yield "field", "value", "default", "set by" if from_environment else ""
    default = unbroken.Policy()
    for field in dataclasses.fields(policy):
        if field.name == "rules":
            continue
        variable = f"UNBROKEN_{field.name.upper()}"
        is_set = from_environment and os.environ.get(variable, "").strip()
        shown = [_value(field.name, getattr(one, field.name)) for one in (policy, default)]
        yield field.name, *shown, variable if is_set else ""


def _value(name: str, value: Any) -> str:
    if isinstance(value, unbroken.RetryBudget):
        back = f"{value.per_success:g} back a success, {value.per_second:g} a second"
        return f"{value.capacity:g} retries, {back}"
    if isinstance(value, unbroken.Continuation):
        return value.mode if value.prompt is None else f"{value.mode}, with a prompt of its own"
    if value is not None and name in _SECONDS:
        return _duration(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _waits(policy: unbroken.Policy) -> Iterable[Sequence[str]]:
    yield "after", "the longest waits after 1, 2, 3 ... failures in a row, in seconds"
    for kind, rule in policy.rules.items():
        waits = [rule.longest_wait(failures) for failures in range(1, _SHOWN_WAITS + 1)]
        shown = (f"{wait * policy.time_scale:g}" if math.isfinite(wait) else "?" for wait in waits)
        yield kind, f"{', '.join(shown)} ..." if rule.retry else "not retried"


def _worst(policy: unbroken.Policy) -> Iterable[Sequence[str]]:
    yield "at worst", "silence at most", "call at most"
    for case in unbroken.worst_cases(policy):
        yield case.trouble, _duration(case.longest_silence), _duration(case.longest_call)


def _duration(seconds: float) -> str:
    if math.isinf(seconds):
        return "without end"
    shown = f"{seconds:g} s"
    if seconds >= 2 * 3600:
        return f"{shown} ({seconds / 3600:.3g} h)"
    return f"{shown} ({seconds / 60:.3g} min)" if seconds >= 2 * 60 else shown
