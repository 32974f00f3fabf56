"""Cooldowns and the retry budget of many processes, shared through Redis.

No call waits for Redis. What one process learns is sent to the others by a thread, and they act on
what they have been told: while Redis is away, each process is on its own.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import threading
import time
import uuid
import weakref
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
_COOLDOWNS = "unbroken:cooldowns"
"""A sorted set: each target, and when its cooldown ends by the clock of Redis."""
_KEPT = 7 * 86_400
"""Seconds that it is kept after the last cooldown."""
_RECONNECT = 1.0
"""Seconds between attempts to reach Redis."""
_QUIET = 15.0
"""Seconds without a message after which Redis is asked whether it is still there."""
_MOST_UNSENT = 1000


class RedisFleet:
    """Shares what clients learn about targets with the processes of other machines.

    A target that failed cools down for all of them: their calls go to fallbacks, or wait. They have
    one retry budget, which time alone refills.

    A process that is forked shares from its first call on. The threads end with the process, or
    with `close()`.

    Args:
        url: The server, such as `redis://cache:6379/0`; also `rediss://` and `unix://`. It is
            Redis 6.2 or later, or Valkey.
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
        self._over = threading.Event()
        self._prepare()
        self.budget = _FleetBudget(budget or RetryBudget(), self._send)
        """The retry budget of all processes."""
        self.cooldowns: Cooldowns = _FleetCooldowns(self._send, self._start)
        """The targets that cool down, for all processes."""
        atexit.register(self.close)
        _reset_in_child(self)
        self._start()
        self._loaded.wait(timeout)

    def close(self) -> None:
        """Stop sharing; each process is on its own from then on."""
        atexit.unregister(self.close)
        self._over.set()
        with suppress(queue.Full):  # then it looks at `_over` before long
            self._unsent.put_nowait(None)
        self._listener.connection_pool.disconnect()
        ends = time.monotonic() + self._timeout
        for thread in self._threads:
            thread.join(max(ends - time.monotonic(), 0.0))
        self._sender.close()
        self._listener.close()

    def _prepare(self) -> None:
        """Prepare for the threads of this process."""
        self._starting = threading.Lock()
        self._loaded = threading.Event()
        self._unsent: queue.Queue[dict[str, Any] | None] = queue.Queue(_MOST_UNSENT)
        self._threads: list[threading.Thread] = []

    def _start(self) -> None:
        """Start the threads, unless they run; nothing is waited for."""
        if self._threads or self._over.is_set():
            return
        with self._starting:
            if not self._threads:
                self._threads = [
                    threading.Thread(target=work, name=f"unbroken-fleet-{name}", daemon=True)
                    for name, work in (("send", self._send_all), ("listen", self._listen))
                ]
                for thread in self._threads:
                    thread.start()

    def _reset(self) -> None:
        """Begin anew in a forked process: it has no threads, and nobody releases its locks."""
        over, self._over = self._over.is_set(), threading.Event()
        if over:
            self._over.set()
        self._id = uuid.uuid4().hex
        self._prepare()
        self.cooldowns.renew_lock()
        self.budget.local.renew_lock()

    def _send(self, told: dict[str, Any]) -> None:
        """Hand something to the thread that sends. If too much waits already, drop it."""
        self._start()
        with suppress(queue.Full):
            self._unsent.put_nowait(told)

    def _send_all(self) -> None:
        while (told := self._unsent.get()) is not None and not self._over.is_set():
            with suppress(redis.RedisError, OSError):  # Redis is away: the others do without
                self._publish(told)

    def _publish(self, told: dict[str, Any]) -> None:
        seconds, microseconds = self._sender.time() if "cool" in told else (0, 0)
        now = seconds + microseconds / 1e6
        with self._sender.pipeline(transaction=False) as batch:
            if "cool" in told:
                ends = {target: now + left for target, left in told["cool"].items()}
                batch.zadd(_COOLDOWNS, ends, gt=True)
                batch.zremrangebyscore(_COOLDOWNS, "-inf", now)
                batch.expire(_COOLDOWNS, _KEPT)
            batch.publish(_CHANNEL, json.dumps({**told, "from": self._id}))
            batch.execute()

    def _listen(self) -> None:
        while not self._over.is_set():
            # The last two where `close()` takes the connection away from under it.
            with suppress(redis.RedisError, OSError, ValueError, AttributeError):
                self._listen_once()
            self._over.wait(_RECONNECT)

    def _listen_once(self) -> None:
        """Take in what is known, then what is told, until the connection breaks."""
        with self._listener.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(_CHANNEL)
            channel.get_message(timeout=self._timeout)  # subscribed: nothing is missed from here on
            self._load()
            self._loaded.set()
            while not self._over.is_set() and self._is_there(channel):
                pass

    def _is_there(self, channel: Any) -> bool:
        """Take in the next message; return whether Redis is still there.

        A connection may be dead without anybody saying so.
        """
        message = channel.get_message(timeout=_QUIET)
        if message is None:
            channel.ping()
            message = channel.get_message(timeout=self._timeout)
        if message is not None and message["type"] == "message":
            with suppress(ValueError, TypeError, AttributeError):  # of somebody else
                self._heard(json.loads(message["data"]))
        return message is not None

    def _load(self) -> None:
        """Take in the cooldowns that other processes told before."""
        seconds, microseconds = self._sender.time()
        now = seconds + microseconds / 1e6
        known = self._sender.zrangebyscore(_COOLDOWNS, now, "+inf", withscores=True)
        self._take_in({"cool": {target.decode(): ends - now for target, ends in known}})

    def _heard(self, told: dict[str, Any]) -> None:
        if told.get("from") != self._id:
            self._take_in(told)

    def _take_in(self, told: dict[str, Any]) -> None:
        now = time.monotonic()
        for target, left in told.get("cool", {}).items():
            Cooldowns.cool(self.cooldowns, target, now + left, now)
        if told.get("took"):
            self.budget.local.take(now)


def _reset_in_child(fleet: RedisFleet) -> None:
    """Have a fleet reset in each forked process, for as long as there is one."""
    reset = weakref.WeakMethod(fleet._reset)  # noqa: SLF001  # it is of this module

    def in_child() -> None:
        found = reset()
        if found is not None:
            found()

    os.register_at_fork(after_in_child=in_child)


class _FleetCooldowns(Cooldowns):
    """Cooldowns that are told to other processes, too.

    Args:
        send: Tells the other processes.
        listen: Listens to them, from its first call on.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None], listen: Callable[[], None]) -> None:
        super().__init__()
        self._send = send
        self._listen = listen

    def left(self, target: str, now: float) -> float:
        """Seconds until a target may be asked again; 0 if it may be now."""
        self._listen()
        return super().left(target, now)

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
