"""What a driver needs of a door: to send requests, and to tell the caller how a call was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractContextManager

    from unbroken._core.call import Call, Loss
    from unbroken._core.events import RecoveryEvent
    from unbroken._core.frames import Framing
    from unbroken._core.resume import Plan

__all__ = ["AsyncDoor", "AsyncObserver", "AsyncUpstream", "Door", "Observer", "Upstream"]


class Upstream(Protocol):
    """A response that began.

    Attributes:
        status: Its HTTP status.
        request_id: Its `request-id` header, if it has one.
        streams: Whether it is a stream to be read, rather than the whole answer.
        loss: Why it is no answer, where it is none.
        shares_connection: Whether other responses come on its connection, too. Then its reader
            wakes up with the next byte, and closes it: if it were closed by somebody else, its
            bytes would be thrown away, and the reader would wait on.
    """

    status: int
    request_id: str | None
    streams: bool
    loss: Loss | None
    shares_connection: bool

    def framing(self) -> Framing:
        """A new reader of the body's events."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the body, with compression undone."""

    def close(self) -> None:
        """Close the connection, or give it back. May be called twice."""

    def abort(self) -> None:
        """Close the connection while somebody may be reading from it, in another thread."""


class AsyncUpstream(Protocol):
    """A response that began; see `Upstream`."""

    status: int
    request_id: str | None
    streams: bool
    loss: Loss | None
    shares_connection: bool

    def framing(self) -> Framing:
        """A new reader of the body's events."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the body, with compression undone."""

    async def close(self) -> None:
        """Close the connection, or give it back. May be called twice."""

    async def abort(self) -> None:
        """Close the connection while somebody may be reading from it, in another task."""


class Door(Protocol):
    """Sends requests for one call."""

    def send(self, plan: Plan, call: Call) -> Upstream:
        """Send a request, and return the response that began."""

    def loss(self, error: Exception) -> Loss:
        """Tell what an exception of `send()` or of a body means."""

    def surface(self, call: Call) -> bytes:
        """Raise what the caller gets to see of a lost call, or return the frame that says it."""

    def closed(self) -> Exception:
        """What a reader gets after somebody closed the stream."""


class AsyncDoor(Protocol):
    """Sends requests for one call; see `Door`."""

    async def send(self, plan: Plan, call: Call) -> AsyncUpstream:
        """Send a request, and return the response that began."""

    def loss(self, error: Exception) -> Loss:
        """Tell what an exception of `send()` or of a body means."""

    def surface(self, call: Call) -> bytes:
        """Raise what the caller gets to see of a lost call, or return the frame that says it."""

    def closed(self) -> Exception:
        """What a reader gets after somebody closed the stream."""


class Observer(Protocol):
    """Is told what happens."""

    def tell(self, event: RecoveryEvent) -> None:
        """Take in an event."""

    def sending(self) -> AbstractContextManager[Any]:
        """What to be in while a request is being sent."""


class AsyncObserver(Protocol):
    """Is told what happens."""

    async def tell(self, event: RecoveryEvent) -> None:
        """Take in an event."""

    def tell_now(self, event: RecoveryEvent) -> None:
        """Take in an event where nothing can be awaited."""

    def sending(self) -> AbstractContextManager[Any]:
        """What to be in while a request is being sent."""
