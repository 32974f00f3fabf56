"""The policy that operators set: `UNBROKEN_*` variables, read into fields of `Policy`."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from unbroken._core.budget import RetryBudget
from unbroken._core.failures import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PREFIX", "SWITCHES", "VARIABLES", "read"]

PREFIX = "UNBROKEN_"

_BOOLEANS = dict.fromkeys(("true", "1", "yes", "on"), True)
_BOOLEANS |= dict.fromkeys(("false", "0", "no", "off"), False)


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number") from None


def _count_or_none(text: str) -> int | None:
    try:
        return None if text == "none" else int(text)
    except ValueError:
        raise ValueError("a whole number or none") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _number_or_none(text: str) -> float | None:
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise ValueError("a number or none") from None


def _budget(text: str) -> RetryBudget | None:
    try:
        return None if text in ("off", "none") else RetryBudget(float(text))
    except ValueError:
        raise ValueError("a number of retries of at least 0, or off") from None


def _switch(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError("true or false")
    return _BOOLEANS[text]


_FIELDS: dict[str, Callable[[str], Any]] = {
    "max_attempts": _count,
    "max_fruitless": _count_or_none,
    "max_outage": _number,
    "deadline": _number_or_none,
    "idle_timeout": _number_or_none,
    "progress_timeout": _number_or_none,
    "max_retry_after": _number,
    "patience": _number,
    "budget": _budget,
    "continuation": str,
    "thinking": str,
    "json": str,
    "plain_calls": str,
    "max_extra_tokens": _count_or_none,
    "time_scale": _number,
}

VARIABLES = {PREFIX + field.upper(): field for field in _FIELDS}
"""The variables, and the field of `Policy` that each sets."""

SWITCHES = {f"{PREFIX}RETRY_{kind.upper()}": kind for kind in FailureKind}
"""The variables that say whether a kind of failure is retried."""


_KUBERNETES = re.compile(
    r"UNBROKEN(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|"
    r"PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes sets in each pod of a namespace with a service of this name, or one like it."""

_OTHER_FEATURES = re.compile(r"UNBROKEN_(JOURNAL|GATEWAY_\w*)")


def read(
    environ: Mapping[str, str], check: Callable[[str, Any], object]
) -> tuple[dict[str, Any], dict[FailureKind, bool]]:
    """Read the variables that are set; one that is empty is not.

    What Kubernetes sets for a service named `unbroken`, and what other features read
    (`UNBROKEN_JOURNAL`, `UNBROKEN_GATEWAY_...`), is passed over.

    Args:
        environ: The environment.
        check: Raises a `ValueError` if a field of `Policy` cannot have a value.

    Returns:
        The values of fields, and whether kinds of failure are retried, for those that are set.

    Raises:
        ValueError: If a variable has a wrong value, or begins with the prefix and is unknown; it
            names each of them.
    """
    fields: dict[str, Any] = {}
    switches: dict[FailureKind, bool] = {}
    wrong = []
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or not text.strip() or _is_of_others(name):
            continue
        try:
            if name in SWITCHES:
                switches[SWITCHES[name]] = _parsed(_switch, text)
            else:
                field = _field(name)
                fields[field] = _parsed(_FIELDS[field], text)
                check(field, fields[field])
        except ValueError as error:
            wrong.append(f"{name}: {str(error).removeprefix('Policy: ')}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return fields, switches


def _is_of_others(name: str) -> bool:
    return bool(_KUBERNETES.fullmatch(name) or _OTHER_FEATURES.fullmatch(name))


def _field(name: str) -> str:
    if name in VARIABLES:
        return VARIABLES[name]
    known = [one.removeprefix(PREFIX) for one in (*VARIABLES, *SWITCHES)]
    close = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=2)
    hint = f"; did you mean {' or '.join(PREFIX + one for one in close)}?" if close else ""
    raise ValueError(f"there is no such variable{hint}")


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text.strip().lower())
    except ValueError as error:
        raise ValueError(f"must be {error}, not {text!r}") from None
