"""Passes the events of a call to the telemetry and to the caller's `on_event`."""

from __future__ import annotations

import inspect
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from unbroken._telemetry import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from unbroken._core.events import RecoveryEvent
    from unbroken._telemetry.calls import CallTelemetry

__all__ = ["AsyncCallObserver", "CallObserver", "is_coroutine_function"]

_log = logging.getLogger("unbroken")


class _Observer:
    """Notifies the telemetry, then the caller.

    Args:
        telemetry: The spans, metrics and log lines of the call.
        on_event: The caller's function. Exceptions that it raises are logged and suppressed.
    """

    def __init__(
        self, telemetry: CallTelemetry, on_event: Callable[[RecoveryEvent], object] | None
    ) -> None:
        self._telemetry = telemetry
        self._on_event = on_event

    def sending(self) -> AbstractContextManager[Any]:
        """Make the attempt's span the current one."""
        return self._telemetry.sending()

    def notify_now(self, event: RecoveryEvent) -> None:
        """Pass an event on where nothing can be awaited: coroutine functions are not called."""
        self._telemetry.notify(event)
        if self._on_event is not None and not is_coroutine_function(self._on_event):
            with _errors_logged(event):
                self._on_event(event)


class CallObserver(_Observer):
    """The observer of a call that a thread makes."""

    def notify(self, event: RecoveryEvent) -> None:
        """Pass an event on."""
        self.notify_now(event)


class AsyncCallObserver(_Observer):
    """The observer of a call that a task makes: its function may be a coroutine function."""

    async def notify(self, event: RecoveryEvent) -> None:
        """Pass an event on."""
        self._telemetry.notify(event)
        if self._on_event is not None:
            with _errors_logged(event):
                result = self._on_event(event)
                if inspect.isawaitable(result):
                    await result


def is_coroutine_function(function: object) -> bool:
    """Whether a call makes a coroutine, also a call of an object that can be called."""
    called = getattr(function, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


@contextmanager
def _errors_logged(event: RecoveryEvent) -> Iterator[None]:
    """Log an exception of the caller's function: it must not break the call."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        # Its message may contain anything: only its class is logged.
        kinds = type(error).__name__, type(event).__name__
        extra = {names.CALL_ID: event.call_id}
        _log.warning("call %s: on_event raised %s at %s", event.call_id, *kinds, extra=extra)
