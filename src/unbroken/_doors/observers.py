"""Passes the events of a call to the telemetry and to the caller's `on_event`."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from unbroken._core.events import RecoveryEvent
    from unbroken._telemetry.calls import CallTelemetry

__all__ = ["AsyncCallObserver", "CallObserver"]

_log = logging.getLogger("unbroken")


class CallObserver:
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

    def notify(self, event: RecoveryEvent) -> None:
        """Pass an event on."""
        self._telemetry.notify(event)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception as error:  # noqa: BLE001  # the caller's function must not break the call
                _log_error(event, error)


class AsyncCallObserver:
    """Notifies the telemetry, then the caller.

    Args:
        telemetry: The spans, metrics and log lines of the call.
        on_event: The caller's function, or coroutine function. Exceptions that it raises are
            logged and suppressed.
    """

    def __init__(
        self,
        telemetry: CallTelemetry,
        on_event: Callable[[RecoveryEvent], object] | None,
    ) -> None:
        self._telemetry = telemetry
        self._on_event = on_event

    def sending(self) -> AbstractContextManager[Any]:
        """Make the attempt's span the current one."""
        return self._telemetry.sending()

    async def notify(self, event: RecoveryEvent) -> None:
        """Pass an event on."""
        self._telemetry.notify(event)
        if self._on_event is not None:
            try:
                result = self._on_event(event)
                if inspect.isawaitable(result):
                    await result
            except Exception as error:  # noqa: BLE001  # the caller's function must not break the call
                _log_error(event, error)

    def notify_now(self, event: RecoveryEvent) -> None:
        """Pass an event on where nothing can be awaited: coroutine functions are not called."""
        self._telemetry.notify(event)
        if self._on_event is not None and not inspect.iscoroutinefunction(self._on_event):
            try:
                self._on_event(event)
            except Exception as error:  # noqa: BLE001  # the caller's function must not break the call
                _log_error(event, error)


def _log_error(event: RecoveryEvent, error: Exception) -> None:
    # The message of the exception may contain anything: only its class is logged.
    _log.warning("on_event raised %s at %s", type(error).__name__, type(event).__name__)
