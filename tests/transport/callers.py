"""Raw users of httpx and httpx2, sync and async, who read a stream to its end."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.samples import AT_ONCE, HEADERS

from unbroken.testing import faults
from unbroken.transport import AsyncRecoveryTransport, RecoveryTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from unbroken import Policy

DROPS = {
    "reset": faults.reset(after_chars=20),
    "close": faults.close(after_chars=20),
    "eof": faults.eof(after_chars=20),
    "error_event": faults.error_event(after_chars=20),
    "before": faults.reset_before(),
    "overloaded": faults.status(529),
}


def body(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Tell me a story."}]
    return {"model": "claude-opus-5-5", "max_tokens": 1000, "messages": messages, **fields}


@dataclass
class Read:
    """What came of a streamed request."""

    response: Any = None
    events: list[dict[str, Any]] = field(default_factory=list)
    error: Any = None

    @property
    def text(self) -> str:
        deltas = (event["delta"] for event in self.events if "delta" in event)
        return "".join(delta.get("text", "") for delta in deltas)

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    def take(self, line: str) -> None:
        if line.startswith("data: "):
            self.events.append(json.loads(line[6:]))


@dataclass(frozen=True)
class Caller:
    """A user of one of the libraries.

    Attributes:
        name: `httpx` or `httpx2`.
        is_async: Whether it runs in tasks.
    """

    name: str
    is_async: bool

    @property
    def library(self) -> ModuleType:
        return importlib.import_module(self.name)

    def transport(self, policy: Policy | None = AT_ONCE, inner: Any = None, **kwargs: Any) -> Any:
        """A recovering transport, around a real one or what `inner` makes of it."""
        if self.is_async:
            return AsyncRecoveryTransport(
                (inner or _same)(self.library.AsyncHTTPTransport(verify=False)), policy, **kwargs
            )
        return RecoveryTransport(
            (inner or _same)(self.library.HTTPTransport(verify=False)), policy, **kwargs
        )

    def stream(self, url: str, content: Any, transport: Any = None, **kwargs: Any) -> Read:
        """POST a request, and read the response's lines, for better or worse."""
        transport = transport or self.transport()
        asked = {"json": content} if isinstance(content, dict) else {"content": content}
        read = Read()
        kwargs = {"headers": HEADERS, **asked, **kwargs}
        if self.is_async:
            anyio.run(self._astream, transport, url, kwargs, read)
        else:
            self._stream(transport, url, kwargs, read)
        return read

    def _stream(self, transport: Any, url: str, kwargs: Mapping[str, Any], read: Read) -> None:
        try:
            with (
                self.library.Client(transport=transport) as client,
                client.stream("POST", url, **kwargs) as read.response,
            ):
                for line in read.response.iter_lines():
                    read.take(line)
        except self.library.HTTPError as error:
            read.error = error

    async def _astream(
        self, transport: Any, url: str, kwargs: Mapping[str, Any], read: Read
    ) -> None:
        try:
            async with (
                self.library.AsyncClient(transport=transport) as client,
                client.stream("POST", url, **kwargs) as read.response,
            ):
                async for line in read.response.aiter_lines():
                    read.take(line)
        except self.library.HTTPError as error:
            read.error = error

    def send(self, method: str, url: str, transport: Any = None, **kwargs: Any) -> Any:
        """Send a request, and return its whole response."""
        transport = transport or self.transport()
        kwargs = {"headers": HEADERS, **kwargs}

        async def asend() -> Any:
            async with self.library.AsyncClient(transport=transport) as client:
                return await client.request(method, url, **kwargs)

        if self.is_async:
            return anyio.run(asend)
        with self.library.Client(transport=transport) as client:
            return client.request(method, url, **kwargs)


def _same(transport: Any) -> Any:
    return transport


def answering(caller: Caller, answer: Callable[[Any], Any]) -> Any:
    """An inner transport that answers by a function from requests to responses."""
    return caller.library.MockTransport(answer)


def callers() -> list[Any]:
    """Every combination; those of a library that is not installed are skipped."""
    params = []
    for name in ("httpx", "httpx2"):
        missing = importlib.util.find_spec(name) is None
        skip = pytest.mark.skipif(missing, reason=f"{name} is not installed")
        for is_async in (False, True):
            which = f"{name}-{'async' if is_async else 'sync'}"
            params.append(pytest.param(Caller(name, is_async), id=which, marks=skip))
    return params
