"""What a door is set up with by its user, and what all its calls share."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from unbroken._core.models import Prefill
from unbroken._core.policy import Policy, current_policy
from unbroken._drive.aio import AsyncDriver
from unbroken._drive.clock import SystemAsyncClock, SystemClock
from unbroken._drive.sync import Driver
from unbroken._observers import AsyncCallObserver, CallObserver
from unbroken.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken._drive.clock import AsyncClock, Clock

__all__ = ["Setup"]


class Setup:
    """What a door is set up with.

    Args:
        policy: When to try again, how long to wait, and when to stop; what the environment says if
            it is None.
        tracer_provider: Makes the spans; the global one if it is None.
        meter_provider: Makes the metrics; the global one if it is None.
        on_event: Called with each `RecoveryEvent`.
        clock: The time, for tests.

    Raises:
        ValueError: If `policy` is not a `Policy`, `on_event` cannot be called, or a variable of the
            environment is wrong.
    """

    def __init__(
        self,
        policy: Policy | None,
        *,
        tracer_provider: Any,
        meter_provider: Any,
        on_event: Callable[[Any], Any] | None,
        clock: Any,
    ) -> None:
        if policy is not None and not isinstance(policy, Policy):
            raise ValueError(f"policy must be a Policy, not {policy!r}")
        if on_event is not None and not callable(on_event):
            raise ValueError(f"on_event must be a function, not {on_event!r}")
        self.policy = Policy.from_env() if policy is None else policy
        """The policy of calls outside every `override()`."""
        self.clock: Clock = SystemClock() if clock is None else clock
        self.async_clock: AsyncClock = SystemAsyncClock() if clock is None else clock
        self.prefill = Prefill()
        self._telemetry = Telemetry(tracer_provider, meter_provider)
        self._on_event = on_event
        self._awaits_events = _is_coroutine_function(on_event)

    def check_for_threads(self) -> None:
        """Raise `ValueError` if `on_event` is a coroutine function, which a thread cannot await."""
        if self._awaits_events:
            raise ValueError(
                "on_event must be a plain function for a sync client, "
                f"not the coroutine function {self._on_event!r}"
            )

    def call_policy(self) -> Policy:
        """The policy of a call that begins now."""
        return current_policy(self.policy)

    def driver(self, door: Any, method: str) -> Driver:
        """What carries out a call for threads."""
        self.check_for_threads()
        observer = CallObserver(self._telemetry.call(method, door.url), self._on_event)
        return Driver(door.machine, door, self.clock, observer)

    def async_driver(self, door: Any, method: str) -> AsyncDriver:
        """What carries out a call for tasks."""
        observer = AsyncCallObserver(self._telemetry.call(method, door.url), self._on_event)
        return AsyncDriver(door.machine, door, self.async_clock, observer)


def _is_coroutine_function(function: Any) -> bool:
    """Whether calling it makes a coroutine, also where it is an object that can be called."""
    called = getattr(function, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
