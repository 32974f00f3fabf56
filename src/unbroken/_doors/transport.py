"""Sends the requests of one call through a transport."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import anthropic

from unbroken._core.failures import FailureKind
from unbroken._core.framing.eventstream import CONTENT_TYPE, EventStream
from unbroken._core.framing.frames import ServerSentEvents, from_json, to_json
from unbroken._core.journal.identity import IDEMPOTENCY_KEY
from unbroken._doors import http as http_facts
from unbroken._doors.call import Ask, ReadTimeout
from unbroken._doors.door import CONNECTION, HttpDoor, explain, is_response
from unbroken._doors.responses import spliced_response
from unbroken._doors.upstream import AsyncHttpUpstream, HttpUpstream

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from unbroken._core.actions import Send
    from unbroken._core.call import FailedAttempt, LostCall
    from unbroken._core.framing.frames import Framing
    from unbroken._core.resume import Plan
    from unbroken._doors.call import HttpCall
    from unbroken._drive.clock import AsyncClock, Clock
    from unbroken._drive.ports import AsyncUpstream, Upstream

__all__ = ["AsyncTransportDoor", "TransportDoor", "ask_of", "may_create_message"]

# Bedrock and Vertex AI have the model in the path, and Bedrock whether to stream.
_PATH = re.compile(
    r"/v1/messages/?$"
    r"|/model/(?P<bedrock>.+)/invoke(?P<streams>-with-response-stream)?$"
    r"|/publishers/anthropic/models/(?P<vertex>(?!count-tokens)[^/:]+):(?:streamR|r)awPredict$"
)


def may_create_message(request: Any) -> bool:
    """Whether a request may create a message, by its method, path and headers."""
    plain = "content-encoding" not in request.headers
    return request.method == "POST" and plain and _PATH.search(request.url.path) is not None


def ask_of(request: Any) -> Ask | None:
    """What a request asks for; None if it does not create a message. Its body must be read."""
    path = _PATH.search(request.url.path)
    body = _json_object(request.content)
    if path is None or "messages" not in body:
        return None
    if path["bedrock"] and "anthropic_version" not in body:
        return None  # a model that is not Claude
    model = path["bedrock"] or path["vertex"]
    return Ask(
        body={**body, "model": model} if model else body,
        headers={name.lower(): value for name, value in request.headers.items()},
        is_message=True,
        streams=bool(path["streams"] or body.get("stream")),
        beta=b"beta=true" in request.url.query,
        timeout=_timeout_of(request),
        host=str(request.url.netloc, "ascii"),
        path=request.url.path,
        is_signed=request.headers.get("authorization", "").startswith("AWS4-"),
        provider=_provider(path, request.url.host),
        owner=hash((request.headers.get("x-api-key"), request.headers.get("authorization"))),
    )


def _provider(path: re.Match[str], host: str) -> str:
    """Who serves the model, as OpenTelemetry's conventions name it."""
    if path["bedrock"] or host.startswith("bedrock-mantle."):
        return "aws.bedrock"
    return "gcp.vertex_ai" if path["vertex"] else "anthropic"


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        body = from_json(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _timeout_of(request: Any) -> ReadTimeout | None:
    timeout = request.extensions.get("timeout")
    if not isinstance(timeout, dict):
        return None
    ours = timeout in (_default_client(http_facts.library_of(request))[0], _SDK_TIMEOUT)
    return ReadTimeout(timeout.get("read"), is_set=not ours)


_SDK_TIMEOUT = anthropic.DEFAULT_TIMEOUT.as_dict()


@functools.cache
def _default_client(library: ModuleType) -> tuple[dict[str, float | None], frozenset[str]]:
    """The default timeouts of a client, and the encodings that it can decompress."""
    with library.Client(transport=library.MockTransport(None), trust_env=False) as client:
        encodings = client.headers["accept-encoding"].split(",")
        return client.timeout.as_dict(), frozenset(name.strip() for name in encodings)


class _Content:
    """A body that was read before."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def close(self) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""


class _SyncContent(_Content):
    def __iter__(self) -> Any:
        yield self._content


class _AsyncContent(_Content):
    async def __aiter__(self) -> Any:
        yield self._content


class _TransportDoor(HttpDoor):
    """What both doors of a transport share.

    Args:
        call: The call.
        inner: The transport.
        request: The caller's request.
        clock: The time.
    """

    _content_class: type[_Content]

    def __init__(self, call: HttpCall, inner: Any, request: Any, clock: Clock | AsyncClock) -> None:
        super().__init__(call, clock)
        self._inner = inner
        self._library = http_facts.library_of(request)
        self._request = request
        if call.identity is not None:
            self._request = self._without(IDEMPOTENCY_KEY, request)
        self._framing: Callable[[], Framing] = ServerSentEvents
        """Makes a writer of frames for the caller."""
        self.url = str(request.url)
        """The URL that requests go to."""

    # Requests

    def _without(self, header: str, request: Any) -> Any:
        """The request without a header."""
        if header not in request.headers:
            return request
        headers = request.headers.copy()
        del headers[header]
        return self._library.Request(
            request.method,
            request.url,
            headers=headers,
            content=request.content,
            extensions=request.extensions,
        )

    def _next_request(self, send: Send) -> Any:
        plan, extensions = send.plan, self._extensions(send)
        trace_headers = self._trace_headers()
        is_same = plan.body is self._ask.body and extensions is self._request.extensions
        if is_same and not trace_headers:
            return self._request
        content = self._content(plan)
        headers = self._request.headers.copy()
        headers.pop("transfer-encoding", None)
        headers["content-length"] = str(len(content))
        headers.update(trace_headers)
        return self._library.Request(
            self._request.method,
            self._url(plan),
            headers=headers,
            content=content,
            extensions=extensions,
        )

    def _url(self, plan: Plan) -> Any:
        """The URL for a plan: Bedrock and Vertex AI have the model in its path."""
        url, model = self._request.url, plan.body.get("model")
        path = _PATH.search(url.path)
        own = path and (path["bedrock"] or path["vertex"])
        if not own or own == model:
            return url
        return url.copy_with(path=url.path.replace(f"/{own}", f"/{model}"))

    def _content(self, plan: Plan) -> bytes:
        if plan.body is self._ask.body:
            content: bytes = self._request.content
            return content
        body = dict(plan.body)
        if "model" not in from_json(self._request.content):
            body.pop("model", None)
        return to_json(body)

    def _extensions(self, send: Send) -> Any:
        extensions = self._request.extensions
        if self._ask.timeout is None:
            return extensions
        given = extensions["timeout"]
        timeouts = self._timeouts(given, send)
        # The caller's own mapping is not to be changed.
        return extensions if timeouts == given else {**extensions, "timeout": timeouts}

    # Responses

    def _can_read(self, http: Any) -> bool:
        """Whether the body can be decompressed; otherwise it is passed on as it is."""
        encodings = http.headers.get("content-encoding", "identity").lower().split(",")
        known = _default_client(self._library)[1] | {"identity"}
        return known.issuperset(name.strip() for name in encodings)

    def unread(self, http: Any) -> Any:
        """The response for the caller, with a body that its client can read and close."""
        if not (self._can_read(http) and self._is_read_whole(http)):
            return http
        return spliced_response(http, self._content_class, http.content, {})

    def replayed(self, content_type: str, content: bytes) -> Any:
        """A response for the caller, for an answer that a journal holds."""
        self._framing = EventStream if content_type == CONTENT_TYPE else ServerSentEvents
        return self._library.Response(
            200,
            headers={"content-type": content_type},
            content=content,
            request=self._request,
        )

    # How a lost call is told

    def _error_response(self, lost: LostCall) -> Any:
        if not is_response(lost.reported):
            return None
        return self.unread(self._given_up(lost.reported.origin))

    def _error_frame(self, failed: FailedAttempt) -> bytes | None:
        if not is_response(failed):
            return super()._error_frame(failed)
        error = {
            "type": failed.failure.error_type or "api_error",
            "message": failed.message or failed.failure.detail,
        }
        return self._framing().encode("error", {"type": "error", "error": error})

    def closed(self) -> Exception:
        """What a reader gets after somebody closed the stream."""
        error: Exception = self._library.StreamClosed()
        return error

    def _error(self, lost: LostCall) -> BaseException:
        """The library's own exception for a lost connection, with the report on it."""
        failed = lost.reported
        error: Any = failed.error
        report = self._reporter.report()
        message = explain(lost, report)
        if failed.failure.kind in CONNECTION and not isinstance(error, self._library.HTTPError):
            stalled = failed.failure.kind is FailureKind.STALLED
            cls = self._library.ReadTimeout if stalled else self._library.RemoteProtocolError
            error = cls(message, request=self._request)
            error.__cause__ = failed.error
        else:
            error.add_note(message)
        if failed.is_callers and error.__cause__ is None and lost.cause is not None:
            error.__cause__ = self._error_of(lost.cause)
        error.report = report
        told: BaseException = error
        return told

    def _error_of(self, failed: FailedAttempt) -> BaseException | None:
        if not is_response(failed):
            return failed.error
        error: BaseException = self._library.HTTPStatusError(
            failed.failure.detail, request=self._request, response=failed.origin
        )
        return error


class TransportDoor(_TransportDoor):
    """Sends the requests of one call through a sync transport."""

    opened: Upstream | None = None
    _content_class = _SyncContent

    def send(self, request: Send) -> HttpUpstream:
        """Send a request, and return the response that started."""
        sent = self._next_request(request)
        http = self._inner.handle_request(sent)
        try:
            http.request, can_read, answer = sent, self._can_read(http), None
            if can_read and self._is_read_whole(http):
                answer = self._answer(http, http.read())
            self._started(request, http)
            upstream = HttpUpstream(http, answer, is_stream=self._ask.resumes and can_read)
            self._framing = upstream.framing
            self.opened = upstream
        except BaseException:
            http.close()
            raise
        return upstream


class AsyncTransportDoor(_TransportDoor):
    """Sends the requests of one call through an async transport."""

    opened: AsyncUpstream | None = None
    _content_class = _AsyncContent

    async def send(self, request: Send) -> AsyncHttpUpstream:
        """Send a request, and return the response that started."""
        sent = self._next_request(request)
        http = await self._inner.handle_async_request(sent)
        try:
            http.request, can_read, answer = sent, self._can_read(http), None
            if can_read and self._is_read_whole(http):
                answer = self._answer(http, await http.aread())
            self._started(request, http)
            upstream = AsyncHttpUpstream(http, answer, is_stream=self._ask.resumes and can_read)
            self._framing = upstream.framing
            self.opened = upstream
        except BaseException:
            await http.aclose()
            raise
        return upstream
