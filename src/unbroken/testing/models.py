"""What the server must know of a model, read from its id in any provider's spelling."""

from __future__ import annotations

import re

__all__ = ["binds_thinking", "refuses_forced_tools", "takes_prefill"]

Version = tuple[int, int]

# Dates such as 20250929 have eight digits, so a version part has at most two.
_NUMBER = r"(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?"
_FAMILY_FIRST = re.compile(rf"claude-([a-z]+)-{_NUMBER}")
_VERSION_FIRST = re.compile(rf"claude-{_NUMBER}(?:-([a-z]+))?")

_BINDING = {
    ("fable", (5, 1)),
    ("fable", (5, 2)),
    ("mythos", (5, 2)),
    ("opus", (5, 5)),
    ("sonnet", (5, 5)),
    ("haiku", (5, 5)),
}
_LAST_WITH_PREFILL: Version = (4, 5)


def _parse(model: str) -> tuple[str, Version] | None:
    if match := _FAMILY_FIRST.search(model):
        family, major, minor = match.groups()
        return family, (int(major), int(minor or 0))
    if match := _VERSION_FIRST.search(model):
        major, minor, family = match.groups()
        return family or "", (int(major), int(minor or 0))
    return None


def takes_prefill(model: str) -> bool:
    """Whether the model goes on from a last assistant turn: 4.5 and earlier do."""
    known = _parse(model)
    return known is not None and known[1] <= _LAST_WITH_PREFILL


def binds_thinking(model: str) -> bool:
    """Whether the API checks that a thinking block is sent back after the very same prefix."""
    return _parse(model) in _BINDING


def refuses_forced_tools(model: str) -> bool:
    """Whether `tool_choice` may not force a tool on this model."""
    known = _parse(model)
    if known is None:
        return False
    family, version = known
    return (family in ("fable", "mythos") and version >= (5, 1)) or known == ("opus", (5, 5))
