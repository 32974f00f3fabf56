"""Checks of what users configure: every wrong field is named, in one error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Checks"]


class Checks:
    """Collects what is wrong with the fields of one object, and raises it all at once."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._wrong: list[str] = []

    def that(self, holds: bool, field: str, expectation: str) -> None:
        """Note that `field` breaks an expectation, unless it holds."""
        if not holds:
            self._wrong.append(f"{field} must be {expectation}")

    def number(self, field: str, value: object) -> None:
        """Expect a finite number of at least 0."""
        self.that(_finite(value) >= 0, field, f"a finite number of at least 0, not {value!r}")

    def period(self, field: str, value: object) -> None:
        """Expect seconds: a finite number above 0, or None for no such limit."""
        fits = value is None or _finite(value) > 0
        self.that(fits, field, f"a finite number above 0, or None, not {value!r}")

    def positive(self, field: str, value: object) -> None:
        """Expect a finite number above 0."""
        self.that(_finite(value) > 0, field, f"a finite number above 0, not {value!r}")

    def count(self, field: str, value: object) -> None:
        """Expect a whole number of at least 1."""
        self.that(_is_count(value), field, f"a whole number of at least 1, not {value!r}")

    def natural(self, field: str, value: object) -> None:
        """Expect a whole number of at least 0."""
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        self.that(whole, field, f"a whole number of at least 0, not {value!r}")

    def limit(self, field: str, value: object) -> None:
        """Expect a whole number of at least 1, or None for no such limit."""
        fits = value is None or _is_count(value)
        self.that(fits, field, f"a whole number of at least 1, or None, not {value!r}")

    def one_of(self, field: str, value: object, choices: Collection[str]) -> None:
        """Expect one of a few words."""
        expectation = f"one of {', '.join(map(repr, choices))}, not {value!r}"
        self.that(isinstance(value, str) and value in choices, field, expectation)

    def raise_if_any(self) -> None:
        """Raise one `ValueError` that names every wrong field."""
        if self._wrong:
            raise ValueError(f"{self._owner}: " + "; ".join(self._wrong))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _finite(value: object) -> float:
    """The number itself, or -1 where it is none."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return -1.0
    return float(value) if math.isfinite(value) else -1.0
