"""How the `anthropic` SDK makes its clients: what `install()` and `wrap()` need to know of that.

What is private here: every client is built by the constructor of one of two base classes, which
takes `middleware` and `max_retries` by keyword. `tests/doors/test_sdk_privates.py` fails when this
changes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import anthropic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Change = Callable[[Any, dict[str, Any]], None]

__all__ = [
    "ASYNC_BASE",
    "SYNC_BASE",
    "account_of",
    "hook_constructors",
    "host_of",
    "is_async",
    "is_client",
    "platform_of",
    "reads_event_streams",
    "unhooked",
]

SYNC_BASE: Any = next(c for c in anthropic.Anthropic.__mro__ if c.__name__ == "SyncAPIClient")
ASYNC_BASE: Any = next(
    c for c in anthropic.AsyncAnthropic.__mro__ if c.__name__ == "AsyncAPIClient"
)


def is_async(client: object) -> bool:
    """Whether it is a client for tasks."""
    return isinstance(client, ASYNC_BASE)


def is_client(thing: object) -> bool:
    """Whether it is a client of the SDK."""
    return isinstance(thing, (SYNC_BASE, ASYNC_BASE))


def host_of(client: Any) -> str:
    """The host that a client sends to, with its port."""
    return "" if client is None else str(client.base_url.netloc, "ascii")


def account_of(client: object, headers: Mapping[str, str]) -> str:
    """A digest that tells whose account a request uses: no credential can be read from it.

    Args:
        client: The client; None if it is unknown.
        headers: The headers of the request, names in lower case: they win over the client's.
    """
    told = [headers.get("x-api-key"), *(getattr(client, name, None) for name in _ACCOUNT)]
    known = [one for one in told if isinstance(one, str)]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16] if known else ""


_ACCOUNT = ("api_key", "auth_token", "aws_access_key", "aws_profile", "project_id")


def platform_of(client: object) -> str:
    """The name of the client's class in the SDK, the same for threads and tasks."""
    names = (cls.__name__ for cls in type(client).__mro__ if cls.__module__.startswith("anthropic"))
    return next(names, "").removeprefix("Async")


def reads_event_streams(client: object) -> bool:
    """Whether a client reads AWS event streams, rather than server-sent events."""
    return platform_of(client) == "AnthropicBedrock"


def hook_constructors(change: Change) -> Callable[[], None]:
    """Have a function change the arguments that each new client is built with.

    Args:
        change: Gets the client, and the arguments of its base's constructor, to change.

    Returns:
        What undoes it. Where somebody else hooked the constructors since, the function goes on
        being called.
    """
    undo = contextlib.ExitStack()
    for base in (SYNC_BASE, ASYNC_BASE):
        undo.callback(_hook(base, change))
    return undo.close


@contextlib.contextmanager
def unhooked() -> Iterator[None]:
    """Let clients be built as they are told, whatever `hook_constructors()` would change."""
    token = _is_unhooked.set(True)
    try:
        yield
    finally:
        _is_unhooked.reset(token)


_is_unhooked: ContextVar[bool] = ContextVar("_is_unhooked", default=False)


def _hook(base: Any, change: Change) -> Callable[[], None]:
    original = base.__init__

    @functools.wraps(original)
    def build(self: Any, *args: Any, **options: Any) -> None:
        if not _is_unhooked.get():
            change(self, options)
        original(self, *args, **options)

    def undo() -> None:
        if base.__init__ is build:
            base.__init__ = original

    base.__init__ = build
    return undo
