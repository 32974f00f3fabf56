"""The body of a response that the caller reads: bytes from a driver."""

from __future__ import annotations

import weakref
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from unbroken._drive.aio import AsyncDriver
    from unbroken._drive.sync import Driver

__all__ = ["AsyncBody", "Body", "Timed"]


class Timed:
    """Tells a response how long it took."""

    def __init__(self) -> None:
        self._response: Callable[[], Any] = _no_response

    def set_response(self, response: Any) -> None:
        """Set the response whose `elapsed` is to be set when the body is closed."""
        self._response = weakref.ref(response)

    def set_elapsed(self, seconds: float) -> None:
        """Set the `elapsed` of the response, unless that was done before."""
        response, self._response = self._response(), _no_response
        if response is not None:
            response.elapsed = timedelta(seconds=seconds)


class Body(Timed):
    """A byte stream that can be closed before it is read, and from another thread.

    Args:
        driver: Reads the stream.
    """

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def __iter__(self) -> Iterator[bytes]:
        return self._driver

    def close(self) -> None:
        """End the call, and close its connection."""
        self.set_elapsed(self._driver.elapsed())
        self._driver.close()


class AsyncBody(Timed):
    """A byte stream that can be closed before it is read, and from another task.

    Args:
        driver: Reads the stream.
    """

    def __init__(self, driver: AsyncDriver) -> None:
        super().__init__()
        self._driver = driver

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._driver

    async def aclose(self) -> None:
        """End the call, and close its connection."""
        self.set_elapsed(self._driver.elapsed())
        await self._driver.close()


def _no_response() -> None:
    """No response was set."""
