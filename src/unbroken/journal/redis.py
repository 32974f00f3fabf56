"""A journal in Redis, for the processes of many machines."""

from __future__ import annotations

import _thread
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from unbroken._core.journal.entries import (
    Claim,
    Deposed,
    Entry,
    EntryState,
    JournalUnavailable,
    Page,
)
from unbroken._core.validation import Checks
from unbroken.journal._forks import forget_in_children
from unbroken.journal._redis_scripts import APPEND, CLAIM, CLOSE, LEAVE, LIST, READ, RENEW
from unbroken.journal._tasks import Append, Batches, read_waiting
from unbroken.journal._waiters import Waiters

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:  # pragma: no cover  # the tests have it
    raise ImportError("RedisJournal needs redis: pip install 'unbroken[redis]'") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from unbroken.journal.protocol import AsyncJournal

__all__ = ["RedisJournal"]

_PREFIX = "unbroken:"
_BLOCK = 1.0
"""Seconds that the connection of the readers is blocked at once."""
_PAGE = 1000
"""Frames to read at once."""
_ADDED = 1


class RedisJournal:
    """A journal in Redis 6.2 or later, which processes of many machines share.

    Each entry is a stream, whose ids are the numbers of its frames, and a hash. Both expire by
    themselves. Readers that wait share one connection of the process.

    Args:
        url: The server, such as `redis://localhost:6379/0`; also `rediss://` and `unix://`.
        lease: Seconds without a sign of life after which an entry counts as left.
        ttl: Seconds to keep an entry after its last sign of life; 0 to forget it when it is closed.
        required: Whether calls fail when the journal does, rather than go on without it.
        timeout: Seconds to wait for the server.
        clock: Seconds since the epoch, for tests; the time of the server if None.

    Raises:
        ValueError: If the URL or a number is invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        lease: float = 10.0,
        ttl: float = 86_400.0,
        required: bool = False,
        timeout: float = 2.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        checks = Checks("RedisJournal")
        checks.positive("lease", lease)
        checks.number("ttl", ttl)
        checks.positive("timeout", timeout)
        checks.raise_if_any()
        self.lease = lease
        self.ttl = ttl
        self.required = required
        self._clock = clock
        self._name = _without_password(url)
        once = Retry(NoBackoff(), 0)  # an append that is repeated must say so
        self._server: Any = redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=once
        )
        self._blocking: Any = redis.Redis.from_url(
            url, socket_timeout=_BLOCK + timeout, socket_connect_timeout=timeout, retry=once
        )
        self._begin()
        forget_in_children(self)

    def _begin(self) -> None:
        """Set up what belongs to this process."""
        self._lock = threading.Lock()
        self._waiters = Waiters()
        self._positions: dict[str, int] = {}
        self._is_listening = False
        self._listener: int | None = None
        self._tasks: Batches | None = None

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Raise `JournalUnavailable` for what redis raises."""
        try:
            yield
        except (redis.RedisError, OSError) as error:
            raise JournalUnavailable(f"the journal {self._name} failed: {error}") from error

    def _run(self, script: str, key: str, *args: Any) -> Any:
        """Run a script on an entry; once more if the connection was lost."""
        arguments = (2, *_keys(key), self._now(), _milliseconds(max(self.ttl, self.lease)))
        with self._errors_told():
            try:
                return self._server.eval(script, *arguments, 0, *args)
            except redis.TimeoutError:
                raise
            except redis.ConnectionError:
                return self._server.eval(script, *arguments, 1, *args)

    def _now(self) -> Any:
        return "" if self._clock is None else repr(self._clock())

    # Writing

    def claim(self, key: str, owner: str, *, about: str = "", note: bytes = b"") -> Claim:
        """Become the owner of an entry that is absent or left."""
        granted, found, last, about_found, note_found = self._run(
            CLAIM, key, owner, repr(self.lease), about, note
        )
        self._waiters.notify(key)
        state = EntryState(found.decode())
        return Claim(bool(granted), state, last, about_found.decode(), note_found)

    def append(
        self, key: str, owner: str, first: int, frames: Sequence[bytes], *, closes: bool = False
    ) -> None:
        """Write frames, which is a sign of life, too."""
        done = self._run(APPEND, key, *self._arguments(Append(key, owner, first, frames, closes)))
        self._added(key, done)

    def _arguments(self, job: Append) -> tuple[Any, ...]:
        return job.owner, job.first, self._closing(closes=job.closes), *job.frames

    def _closing(self, *, closes: bool) -> int:
        """0 to keep an entry open, 1 to close it, 2 to forget it then."""
        return 0 if not closes else 1 if self.ttl else 2

    def _added(self, key: str, done: int) -> None:
        if done != _ADDED:
            raise Deposed
        self._waiters.notify(key)

    def append_all(self, jobs: Sequence[Append]) -> list[Exception | None]:
        """Carry out several appends in one message to the server, and return how each failed."""
        if len(jobs) == 1:
            return [self._failure(jobs[0])]
        try:
            with self._errors_told():
                pipeline = self._server.pipeline(transaction=False)
                ttl = _milliseconds(max(self.ttl, self.lease))
                for job in jobs:
                    keys = _keys(job.key)
                    pipeline.eval(APPEND, 2, *keys, self._now(), ttl, 0, *self._arguments(job))
                results = pipeline.execute(raise_on_error=False)
        except JournalUnavailable as error:
            return [error] * len(jobs)
        return [self._result(job, done) for job, done in zip(jobs, results, strict=True)]

    def _failure(self, job: Append) -> Exception | None:
        """How one append fails, if it does."""
        try:
            self.append(job.key, job.owner, job.first, job.frames, closes=job.closes)
        except (Deposed, JournalUnavailable) as error:
            return error
        return None

    def _result(self, job: Append, done: Any) -> Exception | None:
        if isinstance(done, Exception):
            return JournalUnavailable(f"the journal {self._name} failed: {done}")
        if done != _ADDED:
            return Deposed()
        self._waiters.notify(job.key)
        return None

    def renew(self, key: str, owner: str) -> None:
        """Show a sign of life."""
        if not self._run(RENEW, key, owner):
            raise Deposed

    def close(self, key: str, owner: str) -> None:
        """Mark an entry as complete, and remove its note."""
        self._added(key, self._run(CLOSE, key, owner, self._closing(closes=True)))

    def leave(self, key: str, owner: str) -> None:
        """Give an entry up, so that another writer can claim it at once; not if deposed."""
        self._run(LEAVE, key, owner)
        self._waiters.notify(key)

    def forget(self, key: str) -> bool:
        """Remove an entry, and return whether there was one."""
        with self._errors_told():
            found = self._server.delete(*_keys(key))
        self._waiters.notify(key)
        return bool(found)

    def sweep(self) -> int:
        """Remove the entries that were kept for `ttl` seconds, and return how many.

        They expire by themselves; this removes what the settings of this journal make too old.
        """
        kept = max(self.ttl, self.lease)
        now = self._time()
        return sum(self.forget(one.key) for one in self.entries() if one.is_expired(now, kept))

    # Reading

    @property
    def waiters(self) -> Waiters:
        """The readers that wait."""
        return self._waiters

    def read(self, key: str, after: int = 0, *, wait: float = 0.0) -> Page:
        """Read the frames after a number."""
        return read_waiting(self, key, after, wait)

    def page(self, key: str, after: int) -> Page:
        """The frames after a number, without waiting."""
        state, *frames = self._run(READ, key, repr(self.lease), after, _PAGE)
        return Page(tuple(frames), after + len(frames), EntryState(state.decode()))

    def page_or_wake(self, key: str, after: int, wake: Callable[[], None]) -> Page | None:
        """A page with frames, or of an entry at which no writer is; else None, and wake later."""
        self._waiters.add(key, wake)
        page = self.page(key, after)
        if page.frames or page.state is not EntryState.ALIVE:
            self._waiters.discard(key, wake)
            return page
        self._listen(key, after)
        return None

    def entries(self) -> list[Entry]:
        """All entries, the one seen last first."""
        with self._errors_told():
            names = [name.decode() for name in self._server.scan_iter(f"{_PREFIX}*:entry")]
        found = [self._entry(name[len(_PREFIX) + 1 : -len("}:entry")]) for name in names]
        return sorted((one for one in found if one), key=lambda one: one.seen, reverse=True)

    def _entry(self, key: str) -> Entry | None:
        row = self._run(LIST, key)
        if not row:
            return None
        about, owner, last, size, seen, closed = (part.decode() for part in row)
        return Entry(
            key, about, owner or None, int(last), int(size), float(seen), closed=closed == "1"
        )

    def state(self, entry: Entry) -> EntryState:
        """What an entry of `entries()` is now."""
        return entry.state(self._time(), self.lease)

    def _time(self) -> float:
        if self._clock is not None:
            return float(self._clock())
        with self._errors_told():
            seconds, micros = self._server.time()
        return float(seconds + micros / 1e6)

    # Waiting

    def _listen(self, key: str, after: int) -> None:
        """Wake the readers of an entry when other processes append to it."""
        with self._lock:
            self._positions[key] = min(after, self._positions.get(key, after))
            starts, self._is_listening = not self._is_listening, True
            blocked = self._listener
        if starts:
            _thread.start_new_thread(self._watch, ())
        elif blocked is not None:
            with suppress(redis.RedisError, OSError):  # it looks again within a second
                self._server.client_unblock(blocked)

    def _watch(self) -> None:
        try:
            while self._waiters:
                self._wait_once()
        finally:
            with self._lock:
                self._is_listening, self._listener = False, None
            self._blocking.close()
            self._blocking.connection_pool.disconnect()

    def _wait_once(self) -> None:
        with self._lock:
            self._waiters.prune()
            waiting = {key: at for key, at in self._positions.items() if self._waiters.has(key)}
            self._positions = dict(waiting)
        if not waiting:
            return
        names = {_keys(key)[1]: key for key in waiting}
        try:
            with self._blocking.client() as connection:
                self._listener = connection.client_id()
                found = connection.xread(
                    {name: f"{waiting[key]}-0" for name, key in names.items()},
                    count=1,
                    block=int(_BLOCK * 1000),
                )
        except (redis.RedisError, OSError):
            self._waiters.notify_all()  # the readers meet the error
            return
        for name, _ in found or ():
            self._waiters.notify(names[name.decode()])

    # The rest

    def dispose(self) -> None:
        """Release connections and threads. The journal opens them again when it is used."""
        self._waiters.notify_all()
        blocked = self._listener
        with suppress(redis.RedisError, OSError):
            if blocked is not None:
                self._server.client_unblock(blocked)
        self._server.close()
        self._server.connection_pool.disconnect()

    def for_tasks(self) -> AsyncJournal:
        """The same journal, for tasks."""
        if self._tasks is None:
            self._tasks = Batches(self, self)
        return self._tasks

    def after_fork(self) -> None:
        """Start anew in a forked process."""
        self._begin()


def _keys(key: str) -> tuple[str, str]:
    """The hash and the stream of an entry, in one slot of a cluster."""
    return f"{_PREFIX}{{{key}}}:entry", f"{_PREFIX}{{{key}}}:frames"


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000) + 1000


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
