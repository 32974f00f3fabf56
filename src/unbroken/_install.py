"""`install()`: the middleware in every client of the SDK, for code that builds its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from unbroken._doors import sdk_clients
from unbroken.middleware import RecoveryMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken._core.policy import Policy

__all__ = ["install", "uninstall"]


class _Installation:
    """Gives each new client one middleware."""

    def __init__(self, recovery: RecoveryMiddleware) -> None:
        self._recovery: RecoveryMiddleware | None = recovery
        self._unhook = sdk_clients.hook_constructors(self._change)

    def _change(self, client: Any, options: dict[str, Any]) -> None:
        recovery, others = self._recovery, tuple(options.get("middleware") or ())
        options["middleware"] = others
        # A client that has one was wrapped, or is a copy of one that has.
        if recovery is None or any(isinstance(one, RecoveryMiddleware) for one in others):
            return
        recovery.check_for(client)
        options["middleware"] = (*others, recovery)
        if options.get("max_retries", 0) is not None:  # the SDK says what is wrong with None
            options["max_retries"] = 0

    def end(self) -> None:
        self._recovery = None
        self._unhook()


_lock = threading.Lock()
_installation: _Installation | None = None


def install(
    policy: Policy | None = None,
    *,
    tracer_provider: Any = None,
    meter_provider: Any = None,
    on_event: Callable[[Any], Any] | None = None,
    clock: Any = None,
) -> None:
    """Give every client of the SDK that is made from now on answers that reach their end.

    It is for libraries that build their own client: call it once, before they do. All classes of
    the SDK are meant, sync and async, and their subclasses. Each client gets the middleware, and
    the SDK's own retries are off; all share one policy and its budget. Clients that exist already
    stay as they are. A client that is given to `wrap()`, or built with a `RecoveryMiddleware`, has
    that one alone. Installing again replaces what was installed, for the clients made after it.

    Processes that are forked have it, too; those that are started anew have not.

    Args:
        policy: When to try again, how long to wait, and when to stop; `Policy.from_env()` if it is
            None.
        tracer_provider: Makes the spans; the global one if it is None.
        meter_provider: Makes the metrics; the global one if it is None.
        on_event: Called with each `RecoveryEvent`, at the time. A coroutine function serves async
            clients only: a sync client then raises `ValueError` when it is made.
        clock: The time, for tests: an object with `now()`, `wall()` and `sleep()`.

    Raises:
        ValueError: If `policy` is not a `Policy`, `on_event` cannot be called, or a variable of the
            environment is wrong.
    """
    global _installation  # noqa: PLW0603  # the SDK's classes are global, too
    recovery = RecoveryMiddleware(
        policy,
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        on_event=on_event,
        clock=clock,
    )
    with _lock:
        if _installation is not None:
            _installation.end()
        _installation = _Installation(recovery)


def uninstall() -> None:
    """Undo `install()` for the clients made from now on; do nothing if it was not called.

    Clients that have the middleware keep it.
    """
    global _installation  # noqa: PLW0603
    with _lock:
        if _installation is not None:
            _installation.end()
            _installation = None
