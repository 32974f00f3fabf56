"""Cooldowns and the retry budget of many processes, shared through Redis.

No call waits for Redis. What one process learns is sent to the others by a thread, and they act on
what they have been told: while Redis is away, each process is on its own.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from unbroken._core.budget import RetryBudget
from unbroken._core.cooldown import Cooldowns
from unbroken._core.validation import Checks

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:  # pragma: no cover  # the tests have it
    raise ImportError("RedisFleet needs redis: pip install 'unbroken[redis]'") from error

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RedisFleet"]

_CHANNEL = "unbroken:fleet"
_COOLDOWN = "unbroken:cooldown:"
_RECONNECT = 1.0
"""Seconds between attempts to reach Redis."""
_MOST_UNSENT = 1000


class RedisFleet:
    """Shares what clients learn about targets with the processes of other machines.

    A target that failed cools down for all of them: their calls go to fallbacks, or wait. They have
    one retry budget, which time alone refills.

    Args:
        url: The server, such as `redis://cache:6379/0`; also `rediss://` and `unix://`.
        budget: The retry budget of all processes together; it takes the place of `Policy.budget`,
            unless that is None.
        timeout: Seconds to wait for Redis: here, for what is known so far, and in the thread that
            sends.

    Raises:
        ValueError: If a value is invalid; it names the argument.
    """

    def __init__(
        self, url: str, *, budget: RetryBudget | None = None, timeout: float = 1.0
    ) -> None:
        checks = Checks("RedisFleet")
        checks.that(budget is None or isinstance(budget, RetryBudget), "budget", "a RetryBudget")
        checks.positive("timeout", timeout)
        checks.raise_if_any()
        once = Retry(NoBackoff(), 0)
        options: dict[str, Any] = {"socket_connect_timeout": timeout, "retry": once}
        self._sender: Any = redis.Redis.from_url(url, socket_timeout=timeout, **options)
        self._listener: Any = redis.Redis.from_url(url, socket_timeout=None, **options)
        self._timeout = timeout
        self._id = uuid.uuid4().hex
        self._closed = False
        self.budget = _FleetBudget(budget or RetryBudget(), self._send)
        """The retry budget of all processes."""
        self.cooldowns: Cooldowns = _FleetCooldowns(self._send)
        """The targets that cool down, for all processes."""
        self._begin()

    def close(self) -> None:
        """Stop sharing; each process is on its own from then on."""
        self._closed = True
        self._unsent.put_nowait(None)
        self._listener.connection_pool.disconnect()
        for thread in self._threads:
            thread.join(self._timeout)
        self._sender.close()
        self._listener.close()

    def _begin(self) -> None:
        """Start the threads of this process, and wait for what the others know."""
        self._process = os.getpid()
        self._unsent: queue.Queue[dict[str, Any] | None] = queue.Queue(_MOST_UNSENT)
        listening = threading.Event()
        self._threads = [
            threading.Thread(target=target, args=args, name="unbroken-fleet", daemon=True)
            for target, args in ((self._send_all, ()), (self._listen, (listening,)))
        ]
        for thread in self._threads:
            thread.start()
        listening.wait(self._timeout)

    def _send(self, told: dict[str, Any]) -> None:
        """Hand something to the thread that sends. If too much waits already, drop it."""
        if self._closed:
            return
        if self._process != os.getpid():  # threads do not survive a fork
            self._begin()
        with suppress(queue.Full):
            self._unsent.put_nowait(told)

    def _send_all(self) -> None:
        while (told := self._unsent.get()) is not None:
            with suppress(redis.RedisError, OSError):  # Redis is away: the others do without
                self._publish(told)

    def _publish(self, told: dict[str, Any]) -> None:
        with self._sender.pipeline(transaction=False) as batch:
            for target, left in told.get("cool", {}).items():
                batch.set(_COOLDOWN + target, "", px=max(round(left * 1000), 1))
            batch.publish(_CHANNEL, json.dumps({**told, "from": self._id}))
            batch.execute()

    def _listen(self, listening: threading.Event) -> None:
        while not self._closed:
            with suppress(redis.RedisError, OSError, ValueError):
                self._listen_once(listening)
            if not self._closed:
                time.sleep(_RECONNECT)

    def _listen_once(self, listening: threading.Event) -> None:
        """Take in what is known, then what is told, until the connection breaks."""
        with self._listener.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(_CHANNEL)
            channel.get_message(timeout=self._timeout)  # subscribed: nothing is missed from here on
            self._load()
            listening.set()
            for message in channel.listen():
                told = json.loads(message["data"])
                if told.get("from") != self._id:
                    self._take_in(told)

    def _load(self) -> None:
        """Take in the cooldowns that other processes told before."""
        for key in self._sender.scan_iter(match=f"{_COOLDOWN}*", count=100):
            left = self._sender.pttl(key)
            if left > 0:
                self._take_in({"cool": {key.decode().removeprefix(_COOLDOWN): left / 1000}})

    def _take_in(self, told: dict[str, Any]) -> None:
        now = time.monotonic()
        for target, left in told.get("cool", {}).items():
            Cooldowns.cool(self.cooldowns, target, now + left, now)
        for _ in range(told.get("took", 0)):
            self.budget.local.take(now)


class _FleetCooldowns(Cooldowns):
    """Cooldowns that are told to other processes, too."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._send = send

    def cool(self, target: str, until: float, now: float) -> None:
        """Let a target cool down in all processes."""
        super().cool(target, until, now)
        if until > now:
            self._send({"cool": {target: until - now}})


class _FleetBudget:
    """A retry budget that all processes take from.

    Args:
        local: What this process believes to be left.
        send: Tells the other processes.
    """

    def __init__(self, local: RetryBudget, send: Callable[[dict[str, Any]], None]) -> None:
        self.local = local
        self._send = send

    def take(self, now: float) -> bool:
        """Take one retry; False if none is left. `now` is in monotonic seconds."""
        taken = self.local.take(now)
        if taken:
            self._send({"took": 1})
        return taken
