"""`Gateway`, the ASGI application: which path leads where, and what all calls have in common."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING

from opentelemetry import trace
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, Router, WebSocketRoute

from unbroken.gateway import browser
from unbroken.gateway.access import Access, Record, current
from unbroken.gateway.bodies import ClientLeft
from unbroken.gateway.config import Config
from unbroken.gateway.control import Told
from unbroken.gateway.errors import GatewayError, error_response
from unbroken.gateway.home import Home
from unbroken.gateway.limits import Limits
from unbroken.gateway.messages import Messages
from unbroken.gateway.others import Others
from unbroken.gateway.signed_urls import Signer
from unbroken.gateway.streams import Streams
from unbroken.gateway.upstream import UpstreamClient
from unbroken.gateway.who import identify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from unbroken._core.events import RecoveryEvent
    from unbroken.gateway.who import Authenticate, Who
    from unbroken.journal import Journal

    Endpoint = Callable[[Request, Record, Receive, Send], Awaitable[int]]

__all__ = ["Gateway"]

_log = logging.getLogger("unbroken.gateway")

_READY_FOR = 5.0
_EXPOSED = ("location", "request-id", "retry-after", "x-unbroken-stream-id")


class Gateway:
    """The Messages API behind the recovery of `unbroken`, as an ASGI application.

    Run it with `unbroken serve`, or mount it in an application of your own. Call `aclose()` when
    that ends.

    Args:
        config: The settings; those that concern a server (`host`, `port`, `workers`) are not used.
        journal: Where streams are kept.
        authenticate: A function from the request to its `User`, or None to refuse it; it may be a
            coroutine function. It takes the place of the users of `config`.
        tracer_provider: Creates the spans; the global provider if None.
        meter_provider: Creates the metrics; the global provider if None.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        journal: Journal,
        authenticate: Authenticate | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        if authenticate is not None and not callable(authenticate):
            raise ValueError(f"authenticate must be a function, not {authenticate!r}")
        self.config = config = Config() if config is None else config
        self._authenticate = authenticate
        self.has_users = bool(config.users) or authenticate is not None
        self.signer = Signer(config.secret or secrets.token_urlsafe(32))
        self.limits = Limits()
        self.access = Access(
            config.log_format, tracer_provider=tracer_provider, meter_provider=meter_provider
        )
        self.upstream = UpstreamClient(
            config,
            _note,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
        )
        self._journal = journal
        self._home: Home | None = None
        self._ready: tuple[float, bool] = (-_READY_FOR, False)
        self._app = self._with_cors(self._routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._app(scope, receive, send)

    @property
    def home(self) -> Home:
        """The streams of this process."""
        if self._home is None:
            self._home = Home(
                self._journal.for_tasks(),
                linger=self.config.linger,
                has_users=self.has_users,
                may_be_killed=self.config.demo,
            )
        return self._home

    async def who(self, connection: HTTPConnection) -> Who:
        """Find out who asks.

        Args:
            connection: The request.

        Raises:
            GatewayError: If it is nobody who may.
        """
        return await identify(connection, self.config, self._authenticate)

    def drain(self) -> None:
        """Begin nothing more, and hand over at once what is under way."""
        self.home.drain()

    async def aclose(self) -> None:
        """End all streams and connections."""
        if self._home is not None:
            await self._home.aclose()
        await self.upstream.aclose()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return

    # Routes

    def _routes(self) -> Router:
        messages, streams, others = Messages(self), Streams(self), Others(self)

        def route(path: str, endpoint: Endpoint, methods: list[str] | None = None) -> Route:
            return Route(path, _Call(self, path, endpoint), methods=methods)

        return Router(
            [
                Route("/healthz", self._healthz, methods=["GET"]),
                Route("/readyz", self._readyz, methods=["GET"]),
                *browser.routes(),
                *(browser.demo_routes(self._kill) if self.config.demo else ()),
                route("/v1/messages", messages.post, ["POST"]),
                route("/v1/messages/", messages.post, ["POST"]),
                route("/v1/streams/{id}", streams.read, ["GET"]),
                route("/v1/streams/{id}", streams.stop, ["DELETE"]),
                route("/v1/streams/{id}/message", streams.message, ["GET"]),
                route("/v1/streams/{id}/url", streams.url, ["POST"]),
                WebSocketRoute("/v1/streams/{id}", streams.websocket),
                route("/v1/streams/{rest:path}", _not_found),
                route("/v1/{rest:path}", others.pass_on),
            ],
            redirect_slashes=False,
            default=_Call(self, "/", _not_found),
        )

    def _with_cors(self, app: ASGIApp) -> ASGIApp:
        if not self.config.origins:
            return app
        return CORSMiddleware(
            app,
            allow_origins=self.config.origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )

    async def _healthz(self, _: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, _: Request) -> JSONResponse:
        """Whether the journal and the upstream can be used; looked at every few seconds."""
        checked, is_ready = self._ready
        if time.monotonic() - checked >= _READY_FOR:
            is_ready = await self._is_ready()
            self._ready = (time.monotonic(), is_ready)
        is_ready = is_ready and not self.home.is_draining
        return JSONResponse(
            {"status": "ready" if is_ready else "not ready"}, 200 if is_ready else 503
        )

    async def _kill(self, stream_id: str) -> None:
        await self.home.control.tell(Told("kill", stream_id))

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(_READY_FOR):
                await self.home.journal.read("gateway/ready")
                return await self.upstream.reaches()
        except Exception:  # noqa: BLE001  # whatever it is, nothing can be served
            return False


class _Call:
    """What all calls have in common: a record, a span, an access line, and errors as responses."""

    def __init__(self, gateway: Gateway, path: str, endpoint: Endpoint) -> None:
        self._gateway = gateway
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4404})
            return
        request = Request(scope, receive)
        record = Record(request.method, self._path)
        token = current.set(record)
        span = self._gateway.access.span(record, request.headers)
        try:
            with trace.use_span(span):
                record.status = await self._answer(request, record, receive, send)
        finally:
            self._gateway.access.done(record, span)
            current.reset(token)

    async def _answer(self, request: Request, record: Record, receive: Receive, send: Send) -> int:
        sending = _Sending(send)
        try:
            return await self._endpoint(request, record, receive, sending)
        except GatewayError as error:
            told = error
        except ClientLeft:
            return 499
        except Exception as error:  # noqa: BLE001  # the client must be told
            _log.exception("a call failed in the gateway: %s", type(error).__name__)
            told = GatewayError(500, "the gateway failed; its log tells more")
        if not sending.has_begun:
            await error_response(told)(request.scope, receive, send)
        return told.status


class _Sending:
    """Sends to a client, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        self.has_begun = True
        await self._send(message)


async def _not_found(request: Request, record: Record, receive: Receive, send: Send) -> int:
    del record, receive, send
    raise GatewayError(404, f"there is no such path, or not for {request.method}")


def _note(event: RecoveryEvent) -> None:
    record = current.get()
    if record is not None:
        record.take(event)
