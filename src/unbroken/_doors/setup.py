"""What the calls of one client share: its settings, telemetry, and what it learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken._core.models import Prefill
from unbroken._core.policy import Policy, current_policy
from unbroken._doors.call import HttpCall
from unbroken._doors.observers import AsyncCallObserver, CallObserver
from unbroken._drive.aio import AsyncDriver
from unbroken._drive.budget import LocalBudget
from unbroken._drive.clock import SystemAsyncClock, SystemClock
from unbroken._drive.sync import Driver
from unbroken._telemetry.calls import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken._doors.call import Ask
    from unbroken._doors.sdk import AsyncSdkDoor, SdkDoor
    from unbroken._doors.transport import AsyncTransportDoor, TransportDoor
    from unbroken._drive.clock import AsyncClock, Clock

__all__ = ["ClientState"]


class ClientState:
    """The settings of one client, and what its calls share.

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
        self._prefill = Prefill()
        self._telemetry = Telemetry(tracer_provider, meter_provider)
        self._on_event = on_event

    def begin(self, ask: Ask, now: float) -> HttpCall:
        """Start a call, at this time in monotonic seconds."""
        return HttpCall.begin(ask, current_policy(self.policy), self._prefill, now)

    def driver(self, call: HttpCall, door: SdkDoor | TransportDoor, method: str) -> Driver:
        """Carries out a call for threads."""
        observer = CallObserver(self._telemetry.call(method, door.url), self._on_event)
        return Driver(call.machine, door, self.clock, observer, call.policy.budget)

    def async_driver(
        self, call: HttpCall, door: AsyncSdkDoor | AsyncTransportDoor, method: str
    ) -> AsyncDriver:
        """Carries out a call for tasks."""
        observer = AsyncCallObserver(self._telemetry.call(method, door.url), self._on_event)
        budget = None if call.policy.budget is None else LocalBudget(call.policy.budget)
        return AsyncDriver(call.machine, door, self.async_clock, observer, budget)
