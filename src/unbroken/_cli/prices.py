"""What tokens cost: a dated table, which a file of one's own can take the place of."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbroken._cli.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import unbroken

__all__ = ["Price", "Prices", "load_prices", "shown_money"]


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars for a million tokens."""

    input: float
    output: float
    cache_write: float
    cache_read: float

    def of(self, usage: unbroken.Usage) -> float:
        """What an attempt cost, as far as its tokens are known."""
        tokens = (
            (usage.input_tokens, self.input),
            (usage.output_tokens, self.output),
            (usage.cache_creation_input_tokens, self.cache_write),
            (usage.cache_read_input_tokens, self.cache_read),
        )
        return sum((count or 0) * price for count, price in tokens) / 1e6


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of models.

    Attributes:
        date: When they were looked up.
        models: The price of each model.
    """

    date: str
    models: Mapping[str, Price]

    def of(self, model: str) -> Price | None:
        """The price of a model, by its id on any platform; None if it is unknown."""
        found = [name for name in self.models if name in model.lower()]
        return self.models[max(found, key=len)] if found else None


def load_prices(path: str | None = None) -> Prices:
    """Read a table of prices.

    Args:
        path: The file; the table that came with this version if it is None.

    Raises:
        ProblemError: If it cannot be read, or is no such table.
    """
    source = files("unbroken._cli").joinpath("prices.toml") if path is None else Path(path)
    try:
        return _checked(tomllib.loads(source.read_text(encoding="utf-8")))
    except OSError as error:
        raise ProblemError(f"the prices in {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:  # a TOMLDecodeError is a ValueError
        raise ProblemError(
            f"{path} is no table of prices ({error}): it needs a date, and under [models] lines "
            "like claude-x = { input = 1, output = 5, cache_write = 1.25, cache_read = 0.1 }"
        ) from error


def _checked(table: dict[str, Any]) -> Prices:
    models = {name.lower(): Price(**price) for name, price in table["models"].items()}
    for name, price in models.items():
        for field in Price.__slots__:
            value = getattr(price, field)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ValueError(f"{field} of {name} must be a number of at least 0")
    return Prices(str(table["date"]), models)


def shown_money(dollars: float) -> str:
    """An amount of money, for people."""
    return f"${dollars:.2f}" if dollars >= 0.1 else f"${dollars:.4f}"
