"""Breaks a share of real traffic: for game days in staging, and for tests of a whole application.

    import anthropic
    from unbroken.testing import ChaosTransport

    chaos = ChaosTransport(anthropic_transport, share=0.2, seed=7)
    client = anthropic.Anthropic(http_client=anthropic.DefaultHttpxClient(transport=chaos))

Requests that create a message fail in every way that a `FaultServer` knows: in place of a response,
which then costs nothing, or in the middle of a real one. All others pass unchanged. What was done
to which request is in `log`, and goes to the logger `unbroken.chaos` and to `on_fault`.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import anyio

from unbroken._doors.http import joined_class, library_of, request_id, transport_class
from unbroken._doors.transport import may_create_message
from unbroken.testing import faults
from unbroken.testing.breaking import Breaking, End, Pause
from unbroken.testing.errors import STATUS_OF
from unbroken.testing.faults import ErrorEvent, Fault, Hang, Html, NoResponse, Status
from unbroken.testing.orders import checked_faults
from unbroken.testing.place import in_bytes
from unbroken.testing.responses import failure_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
    from random import Random

    import httpx
    import httpx2

    from unbroken.testing.breaking import Step

    class _SyncBase(httpx.BaseTransport, httpx2.BaseTransport):
        """The base class, for type checkers."""

        def handle_request(self, request: Any) -> Any: ...

    class _AsyncBase(httpx.AsyncBaseTransport, httpx2.AsyncBaseTransport):
        """The base class, for type checkers."""

        async def handle_async_request(self, request: Any) -> Any: ...

else:  # `_Chaos` finds the base that fits the inner transport
    _SyncBase = _AsyncBase = object

__all__ = ["KINDS", "AsyncChaosTransport", "ChaosEntry", "ChaosTransport"]

_LOG = logging.getLogger("unbroken.chaos")
_KEPT = 10_000
_LONGEST_SILENCE = 600.0  # seconds, for readers without a timeout
_LONGEST_PLACE = 3.3  # as a power of ten: 2000 characters


def _place(chance: Random) -> int:
    """Some characters: early as often as late."""
    return int(10 ** chance.uniform(0, _LONGEST_PLACE))


KINDS: Mapping[str, Callable[[Random], Fault]] = MappingProxyType(
    {
        "status": lambda chance: faults.status(chance.choice((429, 500, 502, 503, 529))),
        "html": lambda chance: faults.html(chance.choice((200, 502))),
        "disconnect": lambda _: faults.disconnect(),
        "reset_before": lambda _: faults.reset_before(),
        "hang": lambda _: faults.hang(),
        "reset": lambda chance: faults.reset(after_chars=_place(chance)),
        "eof": lambda chance: faults.eof(after_chars=_place(chance)),
        "close": lambda chance: faults.close(after_chars=_place(chance)),
        "half_frame": lambda chance: faults.half_frame(after_chars=_place(chance)),
        "garbage": lambda chance: faults.garbage(after_chars=_place(chance)),
        "error_event": lambda chance: faults.error_event(after_chars=_place(chance)),
        "stall": lambda chance: faults.stall(
            pings=chance.random() < 0.5, ping_interval=10, after_chars=_place(chance)
        ),
        "slow": lambda chance: faults.slow(chance.uniform(0.1, 1.0)),
    }
)
"""The kinds of fault, and how chance makes one of each."""


@dataclass(frozen=True, slots=True)
class ChaosEntry:
    """What was done to one request.

    Attributes:
        number: The number of the request among those that create a message, from 1.
        time: When, in seconds since the epoch.
        fault: The fault.
        happened: Whether it took effect: False if the response ended before the fault's place, or
            was an error already.
        request_id: The `request-id` of the real response, if there was one.
    """

    number: int
    time: float
    fault: Fault
    happened: bool
    request_id: str | None = None


class _Chaos:
    """What both transports share: which request gets which fault, and the log."""

    _base: str

    def __new__(cls, inner: Any, **_: Any) -> Self:
        made: Self = object.__new__(transport_class(cls, cls._base, inner))
        return made

    def __init__(
        self,
        inner: Any,
        *,
        share: float = 0.1,
        kinds: Iterable[str] = tuple(KINDS),
        seed: int | None = None,
        on_fault: Callable[[ChaosEntry], object] | None = None,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share must be from 0 to 1, not {share!r}")
        self._kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        unknown = [name for name in self._kinds if name not in KINDS]
        if unknown or not self._kinds:
            raise ValueError(f"kinds must be some of {', '.join(KINDS)}, not {unknown}")
        self.seed = random.SystemRandom().randrange(2**32) if seed is None else seed
        self.log: deque[ChaosEntry] = deque(maxlen=_KEPT)
        self._inner = inner
        self._share = share
        self._on_fault = on_fault
        self._sleep = sleep
        self._lock = threading.Lock()
        self._requests = 0
        self._script: deque[Fault | None] = deque()

    @property
    def requests(self) -> int:
        """The number of requests that could have got a fault."""
        return self._requests

    def script(self, *faults: Fault | None) -> None:
        """Give these to the next requests, one for each in order, before chance decides again.

        Args:
            *faults: The faults; None for no fault.

        Raises:
            TypeError: If one of them is neither a fault nor None.
        """
        checked = list(checked_faults(faults))
        with self._lock:
            self._script.extend(checked)

    def _next_case(self, request: Any) -> _Case | None:
        if not may_create_message(request):
            return None
        with self._lock:
            self._requests += 1
            number = self._requests
            fault = self._script.popleft() if self._script else self._by_chance(number)
        return None if fault is None else _Case(self._note, request, number, fault)

    def _by_chance(self, number: int) -> Fault | None:
        # By its number alone, so that what other threads do changes nothing.
        chance = random.Random(f"{self.seed}:{number}")  # noqa: S311
        if chance.random() >= self._share:
            return None
        return KINDS[chance.choice(self._kinds)](chance)

    def _note(self, entry: ChaosEntry) -> None:
        self.log.append(entry)
        _LOG.info(
            "request %d: %s%s", entry.number, entry.fault, "" if entry.happened else ", not reached"
        )
        if self._on_fault is not None:
            self._on_fault(entry)


class _Case:
    """One request and its fault."""

    def __init__(
        self, note: Callable[[ChaosEntry], None], request: Any, number: int, fault: Fault
    ) -> None:
        self._note = note
        self._request = request
        self._number = number
        self._is_noted = False
        self.fault = fault
        self.library = library_of(request)
        self.request_id: str | None = None

    def note(self, *, happened: bool = True) -> None:
        """Write down, once, what became of the fault."""
        if not self._is_noted:
            self._is_noted = True
            at = time.time()
            self._note(ChaosEntry(self._number, at, self.fault, happened, self.request_id))

    def instead(self) -> Any:
        """The response in place of the real one, if there is to be one.

        Raises:
            httpx.TransportError: If the connection is to end, or nothing is to come.
        """
        match self.fault:
            case Status() | Html() as fault:
                return self.failure(fault)
            case NoResponse(end):
                self.note()
                raise self.lost("reset" if end == "reset" else "disconnect")
        return None

    def failure(self, fault: Status | Html) -> Any:
        """An error in place of the real response."""
        self.note()
        given = failure_response(fault, self.request_id or f"req_chaos_{self._number}")
        return self.library.Response(given.status, headers=given.headers, content=given.body)

    def lost(self, how: str) -> Exception:
        """How the library tells that a connection ended."""
        name, text = _ERRORS[how]
        error: Exception = getattr(self.library, name)(text, request=self._request)
        return error

    def silence(self, seconds: float | None) -> tuple[float, bool]:
        """How long nothing comes, and whether the reader gives up then."""
        timeout = self._request.extensions.get("timeout") or {}
        patience = timeout.get("read")
        longest: float = _LONGEST_SILENCE if patience is None else patience
        gives_up = seconds is None or seconds > longest
        return (longest, True) if seconds is None or gives_up else (seconds, False)

    def breaking(self, response: Any, length: int | None) -> Breaking | Status | None:
        """What happens to a response.

        Args:
            response: The response.
            length: The length of a body that is no stream.
        """
        self.request_id = request_id(response)
        fault = self.fault if length is None else in_bytes(self.fault, length)
        assert not isinstance(fault, Status | Html | NoResponse | Hang | None)
        if response.status_code != 200:
            return None
        if length is not None and isinstance(fault, ErrorEvent):
            return Status(STATUS_OF.get(fault.type, 500), fault.type, fault.code, fault.message)
        is_sse = response.headers.get("content-type", "").startswith("text/event-stream")
        return Breaking(fault, self.request_id or "", is_sse=is_sse)

    def broken(self, response: Any, body: type, *args: Any) -> Any:
        """The response with a body that breaks."""
        is_async = hasattr(body, "__aiter__")
        base = self.library.AsyncByteStream if is_async else self.library.SyncByteStream
        headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
        ]
        return self.library.Response(
            response.status_code,
            headers=headers,
            stream=joined_class(body, base)(self, response, *args),
            extensions=response.extensions,
        )


_ERRORS = {
    "reset": ("ReadError", "[Errno 104] Connection reset by peer"),
    "disconnect": ("RemoteProtocolError", "Server disconnected without sending a response."),
    "close": (
        "RemoteProtocolError",
        "peer closed connection without sending complete message body",
    ),
    "silent": ("ReadTimeout", "The read operation timed out"),
    "closed": ("ReadError", "the response was closed"),
}


def _is_stream(response: Any) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.startswith(("text/event-stream", "application/vnd.amazon.eventstream"))


class ChaosTransport(_Chaos, _SyncBase):
    """A transport that breaks a share of real traffic, for `httpx.Client` and `httpx2.Client`.

    It is an `httpx.BaseTransport` or an `httpx2.BaseTransport`, as the inner transport is. To see
    what recovery makes of it, put it below: `RecoveryTransport(ChaosTransport(inner))`, or as the
    transport of a client that is given to `wrap()`.

    Args:
        inner: The transport that sends, such as `httpx.HTTPTransport()`.
        share: The share of the requests that get a fault, from 0 to 1.
        kinds: The kinds of fault, each as likely: names of `KINDS`. `hang` and `stall` last until
            the reader's timeout.
        seed: Chooses the faults: the nth request gets the same one each time; random if None.
        on_fault: Called with each `ChaosEntry`.
        sleep: Waits so many seconds, for tests.

    Attributes:
        seed: The seed, to repeat what happened.
        log: The last 10,000 entries, in order.

    Raises:
        TypeError: If `inner` is not a sync transport of httpx or httpx2.
        ValueError: If `share` is not from 0 to 1, or a kind is unknown.
    """

    _base = "BaseTransport"

    def handle_request(self, request: Any) -> Any:
        """Answer a request."""
        case = self._next_case(request)
        if case is None:
            return self._inner.handle_request(request)
        if isinstance(case.fault, Hang):
            case.note()
            _wait(case, None, self._sleep or time.sleep)
        instead = case.instead()
        if instead is not None:
            return instead
        response = self._inner.handle_request(request)
        content = None if _is_stream(response) else response.read()
        breaking = case.breaking(response, None if content is None else len(content))
        if isinstance(breaking, Breaking):
            return case.broken(response, _Body, content, breaking, self._sleep)
        if breaking is not None:
            return case.failure(breaking)
        case.note(happened=False)
        return response

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class AsyncChaosTransport(_Chaos, _AsyncBase):
    """A transport that breaks a share of real traffic, for the async clients of httpx and httpx2.

    It is an `httpx.AsyncBaseTransport` or an `httpx2.AsyncBaseTransport`, as the inner transport
    is. See `ChaosTransport`.

    Args:
        inner: The transport that sends, such as `httpx.AsyncHTTPTransport()`.
        share: The share of the requests that get a fault, from 0 to 1.
        kinds: The kinds of fault, each as likely: names of `KINDS`. `hang` and `stall` last until
            the reader's timeout.
        seed: Chooses the faults: the nth request gets the same one each time; random if None.
        on_fault: Called with each `ChaosEntry`.
        sleep: Waits so many seconds, for tests: a coroutine function.

    Attributes:
        seed: The seed, to repeat what happened.
        log: The last 10,000 entries, in order.

    Raises:
        TypeError: If `inner` is not an async transport of httpx or httpx2.
        ValueError: If `share` is not from 0 to 1, or a kind is unknown.
    """

    _base = "AsyncBaseTransport"

    async def handle_async_request(self, request: Any) -> Any:
        """Answer a request."""
        case = self._next_case(request)
        if case is None:
            return await self._inner.handle_async_request(request)
        sleep = self._sleep or anyio.sleep
        if isinstance(case.fault, Hang):
            case.note()
            await _await(case, None, sleep)
        instead = case.instead()
        if instead is not None:
            return instead
        response = await self._inner.handle_async_request(request)
        content = None if _is_stream(response) else await response.aread()
        breaking = case.breaking(response, None if content is None else len(content))
        if isinstance(breaking, Breaking):
            return case.broken(response, _AsyncBody, content, breaking, sleep)
        if breaking is not None:
            return case.failure(breaking)
        case.note(happened=False)
        return response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


def _wait(case: _Case, seconds: float | None, sleep: Callable[[float], object]) -> None:
    """Be silent.

    Raises:
        httpx.ReadTimeout: If the reader gives up before the silence is over.
    """
    longest, gives_up = case.silence(seconds)
    sleep(longest)
    if gives_up:
        raise case.lost("silent")


async def _await(
    case: _Case, seconds: float | None, sleep: Callable[[float], Awaitable[object]]
) -> None:
    """As `_wait()`, for tasks."""
    longest, gives_up = case.silence(seconds)
    await sleep(longest)
    if gives_up:
        raise case.lost("silent")


class _Body:
    """A body that breaks, for threads."""

    def __init__(
        self,
        case: _Case,
        response: Any,
        content: bytes | None,
        breaking: Breaking,
        sleep: Callable[[float], object] | None,
    ) -> None:
        self._case = case
        self._response = response
        self._chunks = response.iter_bytes() if content is None else iter([content])
        self._breaking = breaking
        self._sleep = sleep or self._sleep_until_closed
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        for step in self._steps():
            if self._breaking.happened:
                self._case.note()
            if isinstance(step, Pause):
                _wait(self._case, step.seconds, self._sleep)
            elif isinstance(step, End):
                self.close()
                if step.how != "eof":
                    raise self._case.lost(step.how)
                return
            elif step:
                yield step
        self._case.note(happened=False)

    def _steps(self) -> Iterator[Step]:
        for chunk in self._chunks:
            yield from self._breaking.feed(chunk)
        yield from self._breaking.finish()

    def _sleep_until_closed(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise self._case.lost("closed")

    def close(self) -> None:
        """Close the real response."""
        self._case.note(happened=self._breaking.happened)
        self._closed.set()
        self._response.close()


class _AsyncBody:
    """A body that breaks, for tasks."""

    def __init__(
        self,
        case: _Case,
        response: Any,
        content: bytes | None,
        breaking: Breaking,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._case = case
        self._response = response
        self._content = content
        self._breaking = breaking
        self._sleep = sleep

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for step in self._steps():
            if self._breaking.happened:
                self._case.note()
            if isinstance(step, Pause):
                await _await(self._case, step.seconds, self._sleep)
            elif isinstance(step, End):
                await self.aclose()
                if step.how != "eof":
                    raise self._case.lost(step.how)
                return
            elif step:
                yield step
        self._case.note(happened=False)

    async def _steps(self) -> AsyncIterator[Step]:
        if self._content is None:
            async for chunk in self._response.aiter_bytes():
                for step in self._breaking.feed(chunk):
                    yield step
        else:
            for step in self._breaking.feed(self._content):
                yield step
        for step in self._breaking.finish():
            yield step

    async def aclose(self) -> None:
        """Close the real response."""
        self._case.note(happened=self._breaking.happened)
        await self._response.aclose()
