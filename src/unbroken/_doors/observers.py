"""Who is told what happens in a call: the telemetry, and the caller's `on_event`."""

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
    """Tells the telemetry, then the caller.

    Args:
        telemetry: The spans, metrics and log lines of the call.
        on_event: The caller's function. What it raises is logged, and goes no further.
    """

    def __init__(
        self, telemetry: CallTelemetry, on_event: Callable[[RecoveryEvent], Any] | None
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
            except Exception as error:  # noqa: BLE001  # a progress bar must not break the answer
                _complain(event, error)


class AsyncCallObserver:
    """Tells the telemetry, then the caller.

    Args:
        telemetry: The spans, metrics and log lines of the call.
        on_event: The caller's function, or coroutine function. What it raises is logged, and goes
            no further.
    """

    def __init__(
        self,
        telemetry: CallTelemetry,
        on_event: Callable[[RecoveryEvent], Any] | None,
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
            except Exception as error:  # noqa: BLE001  # a progress bar must not break the answer
                _complain(event, error)

    def notify_now(self, event: RecoveryEvent) -> None:
        """Pass an event on where nothing can be awaited: a coroutine function does not get it."""
        self._telemetry.notify(event)
        if self._on_event is not None and not inspect.iscoroutinefunction(self._on_event):
            try:
                self._on_event(event)
            except Exception as error:  # noqa: BLE001  # a progress bar must not break the answer
                _complain(event, error)


def _complain(event: RecoveryEvent, error: Exception) -> None:
    # The error's words are the caller's, and may hold anything: its class has to do.
    _log.warning("on_event raised %s at %s", type(error).__name__, type(event).__name__)
