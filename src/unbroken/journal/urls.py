"""Journals by their URL."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken.journal.protocol import Journal

__all__ = ["VARIABLE", "from_env", "from_url"]

VARIABLE = "UNBROKEN_JOURNAL"
"""The variable of the environment that names the journal of clients that are given none."""

_EXAMPLES = "sqlite:///answers.db, sqlite:////var/lib/answers.db or redis://localhost:6379/0"


def from_url(url: str) -> Journal:
    """Open the journal that a URL names.

        sqlite:///answers.db            a file, from the current directory
        sqlite:////var/lib/answers.db   a file
        redis://host:6379/0             a Redis server, also rediss:// and unix://

    Settings may follow: `?lease=10&ttl=86400&required=true`.

    Args:
        url: The URL.

    Raises:
        ValueError: If the URL is invalid, or names a file that is no journal.
        JournalUnavailable: If the journal cannot be opened.
    """
    bare, _, query = url.partition("?")
    settings = _settings(query)
    scheme = bare.partition(":")[0]
    if scheme == "sqlite":
        path = unquote(bare.removeprefix("sqlite:///"))
        if not bare.startswith("sqlite:///") or not path:
            raise ValueError(f"a journal in a file is written as {_EXAMPLES}")
        from unbroken.journal.sqlite import SqliteJournal  # noqa: PLC0415  # only what is used

        return SqliteJournal(path, **settings)
    if scheme in ("redis", "rediss", "unix"):
        from unbroken.journal.redis import RedisJournal  # noqa: PLC0415  # an extra

        return RedisJournal(bare, **settings)
    raise ValueError(f"the URL of a journal is written as {_EXAMPLES}, not {scheme!r}")


def from_env() -> Journal | None:
    """The journal that `UNBROKEN_JOURNAL` names, one for all clients; None if it is not set.

    Raises:
        ValueError: If its value is invalid.
        JournalUnavailable: If the journal cannot be opened.
    """
    url = os.environ.get(VARIABLE)
    if not url:
        return None
    try:
        return _shared(url)
    except ValueError as error:
        raise ValueError(f"{VARIABLE}: {error}") from None


@functools.cache
def _shared(url: str) -> Journal:
    return from_url(url)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number of seconds") from None


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


_SETTINGS: dict[str, Callable[[str], Any]] = {
    "lease": _number,
    "ttl": _number,
    "required": _switch,
}


def _settings(query: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in _SETTINGS:
            raise ValueError(f"{name!r} is no setting of a journal: {', '.join(_SETTINGS)} are")
        try:
            settings[name] = _SETTINGS[name](text)
        except ValueError as error:
            raise ValueError(f"{name} must be {error}, not {text!r}") from None
    return settings
