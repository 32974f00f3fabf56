"""The way to the upstream: a recovering transport for messages, a plain one for all else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from unbroken.gateway.calls import Calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from unbroken._core.events import RecoveryEvent
    from unbroken.gateway.config import Config

__all__ = ["UpstreamClient"]

_KEPT_ALIVE = 100
# As the SDK has them, so that the policy decides how long a stream may be silent.
_TIMEOUT = httpx.Timeout(600.0, connect=5.0)
_PLAIN_TIMEOUT = httpx.Timeout(600.0, connect=10.0)


class UpstreamClient:
    """Sends requests to the upstream.

    Args:
        config: The configuration.
        on_event: Called with what happens in each call.
        tracer_provider: Creates the spans; the global provider if None.
        meter_provider: Creates the metrics; the global provider if None.
    """

    def __init__(
        self,
        config: Config,
        on_event: Callable[[RecoveryEvent], object],
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._url = config.upstream.url.rstrip("/")
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_ALIVE)
        self._plain = httpx.AsyncHTTPTransport(limits=limits)
        self._calls = Calls(
            self._plain,
            config.policy,
            on_event,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
        )

    async def ask(
        self, path: str, headers: list[tuple[str, str]], body: bytes, frames: list[bytes]
    ) -> Any:
        """Ask for a message; the response is retried and resumed.

        Args:
            path: The path and the query.
            headers: The headers.
            body: The JSON.
            frames: What another process has delivered of the answer.
        """
        request = httpx.Request(
            "POST",
            self._url + path,
            headers=_raw(headers),
            content=body,
            extensions={"timeout": _TIMEOUT.as_dict()},
        )
        return await self._calls.make(request, frames)

    async def pass_on(
        self, method: str, path: str, headers: list[tuple[str, str]], body: Any
    ) -> httpx.Response:
        """Send a request as it is, and return its response, unread."""
        request = httpx.Request(
            method,
            self._url + path,
            headers=_raw(headers),
            content=body,
            extensions={"timeout": _PLAIN_TIMEOUT.as_dict()},
        )
        return await self._plain.handle_async_request(request)

    async def reaches(self) -> bool:
        """Whether the upstream answers at all."""
        try:
            response = await self.pass_on("HEAD", "/", [], None)
        except httpx.TransportError:
            return False
        await response.aclose()
        return True

    async def aclose(self) -> None:
        """Close all connections."""
        await self._plain.aclose()


def _raw(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as they came: what is not ASCII is Latin-1."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
