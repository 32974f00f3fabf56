"""What a driver needs: a door that sends, an observer, and a retry budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from unbroken._core.actions import Send
    from unbroken._core.call import FailedAttempt, LostCall
    from unbroken._core.cooldown import Cooldowns
    from unbroken._core.events import RecoveryEvent
    from unbroken._core.framing.frames import Framing

__all__ = [
    "AsyncBudget",
    "AsyncDoor",
    "AsyncLog",
    "AsyncObserver",
    "AsyncUpstream",
    "Budget",
    "Door",
    "Fleet",
    "Log",
    "Observer",
    "Upstream",
]


class _Response(Protocol):
    """A response that is an answer, or the start of one.

    Attributes:
        status: Its HTTP status.
        request_id: Its `request-id` header, if it has one.
        is_stream: Whether it is a stream of events, rather than the whole answer.
        answer: The whole answer, if it is a message.
        shares_connection: Whether other responses use the same connection. Its reader then closes
            it after the next chunk: closed by another thread, its bytes would be discarded, and the
            reader would wait on.
    """

    status: int
    request_id: str | None
    is_stream: bool
    answer: dict[str, Any] | None
    shares_connection: bool

    def framing(self) -> Framing:
        """A new reader of the events of the body."""

    def content(self) -> bytes:
        """The whole answer, as it came."""

    def hang_up(self) -> None:
        """Shut down the socket, if it is this response's own: nothing is awaited or locked."""


class Upstream(_Response, Protocol):
    """A response to a thread."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the body, decompressed."""

    def close(self) -> None:
        """Close the connection, or return it to the pool. May be called twice."""

    def abort(self) -> None:
        """Close the connection while another thread may be reading from it."""


class AsyncUpstream(_Response, Protocol):
    """A response to a task."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the body, decompressed."""

    async def close(self) -> None:
        """Close the connection, or return it to the pool. May be called twice."""

    async def abort(self) -> None:
        """Close the connection while another task may be reading from it."""


class _Failures(Protocol):
    """Tells what failures mean, and how the caller gets them."""

    def failed_attempt(self, error: Exception) -> FailedAttempt:
        """What an exception of `send()` or of a body means."""

    def raise_or_frame(self, lost: LostCall) -> bytes:
        """Raise the error of a lost call, or return it as an error frame."""

    def closed(self) -> Exception:
        """What a reader gets after the stream was closed."""


class Door(_Failures, Protocol):
    """Sends the requests of one call, for threads.

    Attributes:
        opened: The response of the last `send()`, until the driver takes it: a signal may interrupt
            the return.
    """

    opened: Upstream | None

    def send(self, request: Send) -> Upstream:
        """Send a request.

        Raises:
            Exception: If no answer started; `failed_attempt()` tells what it means.
        """


class AsyncDoor(_Failures, Protocol):
    """Sends the requests of one call, for tasks.

    Attributes:
        opened: The response of the last `send()`, until the driver takes it; see `Door`.
    """

    opened: AsyncUpstream | None

    async def send(self, request: Send) -> AsyncUpstream:
        """Send a request.

        Raises:
            Exception: If no answer started; `failed_attempt()` tells what it means.
        """


class Observer(Protocol):
    """Is notified of what happens."""

    def notify(self, event: RecoveryEvent) -> None:
        """Take in an event."""

    def sending(self) -> AbstractContextManager[Any]:
        """The context to send a request in."""


class AsyncObserver(Protocol):
    """Is notified of what happens."""

    async def notify(self, event: RecoveryEvent) -> None:
        """Take in an event."""

    def notify_now(self, event: RecoveryEvent) -> None:
        """Take in an event where nothing can be awaited."""

    def sending(self) -> AbstractContextManager[Any]:
        """The context to send a request in."""


class Budget(Protocol):
    """The retries that calls share."""

    def take(self, now: float) -> bool:
        """Take one retry; False if none is left. `now` is in monotonic seconds."""


class Fleet(Protocol):
    """What the processes of a fleet share.

    Attributes:
        budget: The retries that they share.
        cooldowns: The targets that cool down for all of them.
    """

    budget: Budget
    cooldowns: Cooldowns


class AsyncBudget(Protocol):
    """The retries that calls share."""

    async def take(self, now: float) -> bool:
        """Take one retry; False if none is left. `now` is in monotonic seconds."""


class _EndOfLog(Protocol):
    def leave(self) -> None:
        """The call is over. May be called twice, by any thread or task."""

    def abort(self) -> None:
        """Wait for frames no more: `recall()` raises `ConnectionAbortedError` soon."""


class Log(_EndOfLog, Protocol):
    """The entry of one call in a journal, for threads."""

    def recall(self) -> Upstream | None:
        """Claim the entry, and return what it holds of the answer; None if that is nothing.

        Raises:
            ValueError: If it is of another request.
            JournalUnavailable: If the journal fails, and is required.
        """

    def deliver(self, data: bytes, framing: Callable[[], Framing], *, ends: bool) -> bytes | None:
        """Append bytes for the caller, unless they were read from there, and return them.

        Args:
            data: Whole frames, as the machine returned them.
            framing: Makes a reader of them.
            ends: Whether the answer is complete with them.

        Returns:
            What the caller gets; None if another process took the answer over.

        Raises:
            JournalUnavailable: If the journal fails, and is required.
        """

    def put(self, answer: bytes | None) -> bool:
        """Append a whole answer; None for a response that is none.

        Returns:
            Whether the caller gets it; not if another process took it over.

        Raises:
            JournalUnavailable: If the journal fails, and is required.
        """


class AsyncLog(_EndOfLog, Protocol):
    """The entry of one call in a journal, for tasks. Each method is as in `Log`."""

    async def recall(self) -> AsyncUpstream | None:
        """Claim the entry, and return what it holds of the answer; None if that is nothing."""

    async def deliver(
        self, data: bytes, framing: Callable[[], Framing], *, ends: bool
    ) -> bytes | None:
        """Append bytes for the caller, unless they were read from there, and return them."""

    async def put(self, answer: bytes | None) -> bool:
        """Append a whole answer; None for a response that is none."""
