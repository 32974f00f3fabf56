"""`install()`: the middleware in every client of the SDK, for code that builds its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from unbroken._doors import sdk_clients
from unbroken.middleware import RecoveryMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken._core.policy import Policy
    from unbroken._doors.targets import Target
    from unbroken._drive.ports import Fleet
    from unbroken.journal.protocol import Journal

__all__ = ["install", "uninstall"]


class _Installation:
    """Gives each new client one middleware."""

    def __init__(self, recovery: RecoveryMiddleware) -> None:
        self._recovery: RecoveryMiddleware | None = recovery
        self._unhook = sdk_clients.hook_constructors(self._change)

    def _change(self, client: Any, options: dict[str, Any]) -> None:
        given = options.get("middleware")
        others = None if given is None else tuple(given)
        options["middleware"] = others
        if self._recovery is None or not _lacks_recovery(others):
            return
        recovery = self._recovery
        recovery.check_events_for(client)
        options["middleware"] = (*(others or ()), recovery)
        if options.get("max_retries", 0) is not None:  # the SDK says what is wrong with None
            options["max_retries"] = 0

    def end(self) -> None:
        self._recovery = None
        self._unhook()


def _lacks_recovery(given: tuple[Any, ...] | None) -> bool:
    """Whether a client that is given this middleware is to get ours, too.

    Not where it is given none on purpose, and not where it has one: then it was wrapped, or is a
    copy of a client that was.
    """
    if given is None:
        return True
    return given != () and not any(isinstance(one, RecoveryMiddleware) for one in given)


_lock = threading.Lock()
_installation: _Installation | None = None


def install(
    policy: Policy | None = None,
    *,
    tracer_provider: Any = None,
    meter_provider: Any = None,
    on_event: Callable[[Any], Any] | None = None,
    clock: Any = None,
    fallbacks: Sequence[Target] = (),
    fleet: Fleet | None = None,
    journal: Journal | None = None,
) -> None:
    """Give every client of the SDK that is made from now on answers that reach their end.

    It is for libraries that build their own client: call it once, before they do. All classes of
    the SDK are meant, sync and async, and their subclasses. Each client gets the middleware, and
    the SDK's own retries are off; all share one policy and its budget. Clients that exist already
    stay as they are. A client that is given to `wrap()`, or built with a `RecoveryMiddleware`, has
    that one alone, and one that is built or copied with `middleware=[]` has none. Installing again
    replaces what was installed, for the clients made after it.

    Processes that are forked have it, too; those that are started anew have not, unless the program
    is run by `unbroken run`.

    Args:
        policy: When to try again, how long to wait, and when to stop; `Policy.from_env()` if it is
            None.
        tracer_provider: Makes the spans; the global one if it is None.
        meter_provider: Makes the metrics; the global one if it is None.
        on_event: Called with each `RecoveryEvent`, at the time. A coroutine function serves async
            clients only: a sync client then raises `ValueError` when it is made.
        clock: The time, for tests: an object with `now()`, `wall()` and `sleep()`.
        fallbacks: Other models, accounts, regions or platforms, as for `wrap()`. One whose client
            is a sync one serves sync clients alone, and one whose client is async, async clients.
        fleet: A `RedisFleet`, with whose processes cooldowns and the retry budget are shared.
        journal: Keeps the answers of `unbroken.durable()` and of calls with an `Idempotency-Key`
            header; that of the variable `UNBROKEN_JOURNAL` if None.

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
        fallbacks=fallbacks,
        fleet=fleet,
        journal=journal,
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
