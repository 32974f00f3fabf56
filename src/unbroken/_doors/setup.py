"""What the calls of one client share: its settings, telemetry, and what it learned."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from unbroken._core.cooldown import Cooldowns
from unbroken._core.journal.block import current_block
from unbroken._core.models import Prefill
from unbroken._core.policy import Policy, current_policy
from unbroken._core.route import NOWHERE_ELSE
from unbroken._core.threads import Threads
from unbroken._doors.call import HttpCall
from unbroken._doors.durable import (
    AsyncEntryLog,
    EntryLog,
    JournaledCall,
    identity_of,
    journal_state,
)
from unbroken._doors.observers import AsyncCallObserver, CallObserver, is_coroutine_function
from unbroken._doors.targets import NO_FALLBACKS
from unbroken._drive.aio import AsyncDriver
from unbroken._drive.budget import LocalBudget
from unbroken._drive.clock import SystemAsyncClock, SystemClock
from unbroken._drive.sync import Driver
from unbroken._telemetry.calls import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from unbroken._core.events import RecoveryEvent
    from unbroken._core.journal.identity import Identity
    from unbroken._core.route import Candidate
    from unbroken._doors.call import Ask
    from unbroken._doors.sdk import AsyncSdkDoor, SdkDoor
    from unbroken._doors.targets import Fallbacks
    from unbroken._doors.transport import AsyncTransportDoor, TransportDoor
    from unbroken._drive.clock import AsyncClock, Clock
    from unbroken._drive.ports import Budget, Fleet
    from unbroken._telemetry.calls import CallTelemetry
    from unbroken.journal.protocol import Journal

__all__ = ["ClientState"]

_log = logging.getLogger("unbroken")


class ClientState:
    """The settings of one client, and what its calls share.

    Args:
        policy: When to retry, how long to wait, and when to give up; `Policy.from_env()` if None.
        tracer_provider: Creates the spans; the global provider if None.
        meter_provider: Creates the metrics; the global provider if None.
        on_event: Called with each `RecoveryEvent`.
        clock: The time, for tests.
        journal: Keeps the answers of `unbroken.durable()` and of calls with an `Idempotency-Key`
            header; that of the variable `UNBROKEN_JOURNAL` if None.
        fallbacks: Other targets that can answer.
        fleet: What other processes share with this one.

    Raises:
        ValueError: If `policy` is not a `Policy`, `on_event` is not callable, `fleet` is of no use,
            or an environment variable has an invalid value.
    """

    def __init__(
        self,
        policy: Policy | None,
        *,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        on_event: Callable[[RecoveryEvent], object] | None,
        clock: Clock | AsyncClock | None,
        journal: Journal | None,
        fallbacks: Fallbacks = NO_FALLBACKS,
        fleet: Fleet | None = None,
    ) -> None:
        if policy is not None and not isinstance(policy, Policy):
            raise ValueError(f"policy must be a Policy, not {policy!r}")
        if fleet is not None and not hasattr(fleet, "cooldowns"):
            raise ValueError(f"fleet must be a RedisFleet, not {fleet!r}")
        if on_event is not None and not callable(on_event):
            raise ValueError(f"on_event must be a function, not {on_event!r}")
        self.policy = Policy.from_env() if policy is None else policy
        """The policy of calls outside every `override()`."""
        self.clock: Clock = SystemClock() if clock is None else cast("Clock", clock)
        self.async_clock: AsyncClock = (
            SystemAsyncClock() if clock is None else cast("AsyncClock", clock)
        )
        self._journal = journal_state(journal)
        self._told_of_no_journal = False
        self.fallbacks = fallbacks
        """Other targets that can answer."""
        self._fleet = fleet
        self._cooldowns = Cooldowns() if fallbacks else None
        if fleet is not None:
            self._cooldowns = fleet.cooldowns
        self._prefill = Prefill()
        self._threads = Threads()
        self._telemetry = Telemetry(tracer_provider, meter_provider)
        self._on_event = on_event
        self._awaits_events = is_coroutine_function(on_event)

    def current_policy(self) -> Policy:
        """The policy of a call that begins now."""
        return current_policy(self.policy)

    def check_for_threads(self) -> None:
        """Check that `on_event` can be called in a thread.

        Raises:
            ValueError: If it is a coroutine function, which a thread cannot await.
        """
        if self._awaits_events:
            raise ValueError(
                "on_event must be a plain function for a sync client, "
                f"not the coroutine function {self._on_event!r}"
            )

    def begin(self, ask: Ask, now: float, client: Any = None) -> HttpCall:
        """Start a call.

        Args:
            ask: What the caller asks for.
            now: Monotonic seconds.
            client: The caller's client, if it is one of the SDK.
        """
        remembers = ask.is_message and not ask.is_signed
        thread = self._threads.turn(ask.body, ask.owner) if remembers else None
        candidates: Sequence[Candidate] = NOWHERE_ELSE
        if self._cooldowns is not None:
            candidates = self.fallbacks.candidates(ask, client, thread)
        return HttpCall.begin(
            ask,
            self.current_policy(),
            self._prefill,
            thread,
            now,
            self._identity_of(ask),
            candidates,
            self._cooldowns,
        )

    def _identity_of(self, ask: Ask) -> Identity | None:
        """How a call is known in the journal; None if it is not to be journaled."""
        if self._journal is not None:
            return identity_of(ask)
        if ask.is_message and not self._told_of_no_journal and current_block() is not None:
            self._told_of_no_journal = True
            _log.warning(
                "a call in unbroken.durable() is not durable, as its client has no journal: pass "
                "journal=, or set UNBROKEN_JOURNAL (logged once for each client)"
            )
        return None

    def driver(self, call: HttpCall, door: SdkDoor | TransportDoor, method: str) -> Driver:
        """A driver of a call, for threads."""
        self.check_for_threads()
        telemetry = self._told(call, door.url, method)
        observer = CallObserver(telemetry, self._on_event)
        log = None
        if self._journal is not None and call.identity is not None:
            journaled = JournaledCall(call.identity, call.ask.resumes, door, telemetry)
            log = EntryLog(self._journal, journaled)
        return Driver(call.machine, door, self.clock, observer, self._budget(call), log)

    def async_driver(
        self, call: HttpCall, door: AsyncSdkDoor | AsyncTransportDoor, method: str
    ) -> AsyncDriver:
        """A driver of a call, for tasks."""
        telemetry = self._told(call, door.url, method)
        observer = AsyncCallObserver(telemetry, self._on_event)
        budget = self._budget(call)
        shared = None if budget is None else LocalBudget(budget)
        log = None
        if self._journal is not None and call.identity is not None:
            journaled = JournaledCall(call.identity, call.ask.resumes, door, telemetry)
            log = AsyncEntryLog(self._journal, journaled)
        return AsyncDriver(call.machine, door, self.async_clock, observer, shared, log)

    def _told(self, call: HttpCall, url: str, method: str) -> CallTelemetry:
        ask = call.ask
        return self._telemetry.call(
            method, url, creates_message=ask.is_message, provider=ask.provider
        )

    def _budget(self, call: HttpCall) -> Budget | None:
        own = call.policy.budget
        return own if own is None or self._fleet is None else self._fleet.budget
