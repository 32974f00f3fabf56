"""Every private or version-dependent fact of the `anthropic` SDK, in one place.

What is private here: the client in the closure of `call_next`, and what is asked of it (`timeout`,
`max_retries`, `base_url`, `_make_status_error_from_response`, `_open_telemetry`, `_use_sigv4`,
`_token_cache`, `_strict_response_validation`); the names of its base classes;
`options.json_data` and `options.extra_json`. `tests/doors/test_sdk_privates.py` fails when one of
these changes.
"""

from __future__ import annotations

import copy
import functools
import inspect
from typing import TYPE_CHECKING, Any

import anthropic
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent

from unbroken._doors import sdk_clients

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "api_response",
    "body_of",
    "client_of",
    "copy_with",
    "headers_of",
    "is_beta",
    "is_message_call",
    "is_outermost",
    "message_of",
    "next_request",
    "owner_of",
    "provider_of",
    "renew_token",
    "retried_by_sdk",
    "retries_remain",
    "status_error",
    "streams_body",
    "takes_trace_headers",
    "timeout_of",
    "without_header",
]

_DEPTH = 32

_PROVIDERS = {
    "BaseBedrockClient": "aws.bedrock",
    "BaseMantleClient": "aws.bedrock",
    "BaseVertexClient": "gcp.vertex_ai",
}
"""Who serves the model, by the base class of the client; it is Anthropic on other platforms."""

_SIGN = {"BaseBedrockClient", "BaseMantleClient", "AnthropicAWS", "AsyncAnthropicAWS"}
"""The clients whose signatures cover the headers, unless they have an API key."""


def is_message_call(request: anthropic.APIRequest) -> bool:
    """Whether it creates a message. Bedrock and Vertex rewrite the path below the middleware."""
    path = request.url.partition("?")[0].rstrip("/")
    return request.method.lower() == "post" and path == "/v1/messages"


def is_beta(request: anthropic.APIRequest) -> bool:
    """Whether it was made through `client.beta`."""
    qualifiers = getattr(request.options, "qualifiers", None) or {}
    return "beta=true" in request.url or "beta" in qualifiers


def body_of(request: anthropic.APIRequest) -> Any:
    """The JSON body as it is sent: 0.x merges `extra_body` into it below the middleware."""
    extra = getattr(request.options, "extra_json", None)
    if extra and isinstance(request.json, dict):
        return {**request.json, **extra}
    return request.json


def next_request(
    request: anthropic.APIRequest,
    body: Any,
    number: int,
    timeout: Any,
    headers: Mapping[str, str],
) -> anthropic.APIRequest:
    """The request for an attempt.

    Args:
        request: The caller's request.
        body: The body of the attempt.
        number: The attempt's number in the call, from 1.
        timeout: The timeouts to set; None to keep those of the request.
        headers: Headers to add.
    """
    bare = copy.copy(request)
    bare.options = copy.copy(request.options)
    # copy() makes a deep copy of the body, so it gets none.
    bare.options.json_data = bare.options.extra_json = None
    attempt = bare.copy() if timeout is None else bare.copy(timeout=timeout)
    attempt.options.json_data = body
    if headers:
        attempt.options.headers = {**request.headers, **headers}
    attempt.retries_taken = request.retries_taken + number - 1
    return attempt


def streams_body(request: anthropic.APIRequest) -> bool:
    """Whether the caller reads the body by itself, with `with_streaming_response`."""
    return headers_of(request).get("x-stainless-raw-response") == "stream"


def streamed_request(request: anthropic.APIRequest, client: Any, body: Any) -> anthropic.APIRequest:
    """The request of a plain call, made as a stream."""
    made = copy.copy(request)
    made.options = copy.copy(request.options)
    made.options.json_data, made.options.extra_json = body, None
    made.stream = True
    event: Any = BetaRawMessageStreamEvent if is_beta(request) else RawMessageStreamEvent
    stream: Any = anthropic.AsyncStream if sdk_clients.is_async(client) else anthropic.Stream
    made.stream_cls = stream[event]
    return made


def headers_of(request: anthropic.APIRequest) -> dict[str, str]:
    """The headers that the caller set, names in lower case."""
    return {name.lower(): str(value) for name, value in dict(request.headers).items()}


def owner_of(request: anthropic.APIRequest, client: Any) -> int:
    """Tells whose credentials a request has: the same for the same ones, and none of them."""
    headers = headers_of(request)
    of_client = (getattr(client, name, None) for name in ("api_key", "auth_token"))
    return hash((*of_client, headers.get("x-api-key"), headers.get("authorization")))


def is_outermost(client: Any, middleware: object) -> bool:
    """Whether a middleware is the first of its client's; not if the client is unknown."""
    return client is not None and next(iter(client.middleware), None) is middleware


def without_header(request: anthropic.APIRequest, name: str) -> anthropic.APIRequest:
    """The request without a header.

    Args:
        request: The request.
        name: The header, in lower case.
    """
    if name not in headers_of(request):
        return request
    bare = copy.copy(request)
    bare.options = copy.copy(request.options)
    kept = {key: value for key, value in dict(request.headers).items() if key.lower() != name}
    bare.options.headers = kept
    return bare


def client_of(call_next: Callable[..., Any]) -> Any:
    """The client that the `call_next` of a middleware belongs to; None if it is not found."""
    seen: list[Any] = [call_next]
    for found in seen:
        if hasattr(found, "_make_status_error_from_response"):
            return found
        cells = getattr(found, "__closure__", None) or ()
        seen += [cell.cell_contents for cell in cells][: _DEPTH - len(seen)]
    return None


def provider_of(client: Any) -> str:
    """Who serves the model, as OpenTelemetry's conventions and the SDK's own spans name it."""
    classes = (cls.__name__ for cls in type(client).__mro__)
    return next((_PROVIDERS[name] for name in classes if name in _PROVIDERS), "anthropic")


def takes_trace_headers(client: Any) -> bool:
    """Whether requests of a client may get headers of a trace.

    Not where its signature would cover them: an instrumentation of the HTTP client replaces them
    after that. Not where its option `open_telemetry` (1.14 and later) forbids it.
    """
    if client is None or _signs(client):
        return False
    options = getattr(client, "_open_telemetry", None)
    return options.get("propagation", True) is not False if isinstance(options, dict) else True


def _signs(client: Any) -> bool:
    if _SIGN.isdisjoint(cls.__name__ for cls in type(client).__mro__):
        return False
    has_key = getattr(client, "api_key", None) is not None
    return bool(getattr(client, "_use_sigv4", not has_key))


def copy_with(client: Any, middleware: Sequence[Any], *, traces: bool = True) -> Any:
    """A copy of a client, with this middleware and without retries.

    Args:
        client: The client.
        middleware: The middleware of the copy.
        traces: Whether it makes the spans (1.14 and later) that the client makes.
    """
    parameters = inspect.signature(client.with_options).parameters
    options: dict[str, Any] = {"middleware": middleware, "max_retries": 0}
    if not traces and "open_telemetry" in parameters:
        options["open_telemetry"] = False
    extra: dict[str, Any] = {}
    profile = getattr(client, "aws_profile", None)
    # Before 2.6, a copy of a Bedrock client forgets its profile.
    if profile and "aws_profile" not in parameters:
        extra["aws_profile"] = profile
    if getattr(client, "_strict_response_validation", False):  # a copy forgets it
        extra["_strict_response_validation"] = True
    if extra:
        options["_extra_kwargs"] = extra
    base = _sdk_class(type(client))
    if type(client).__init__ is base.__init__:
        return client.with_options(**options)
    return _copy_of_subclass(client, base, options)


def _sdk_class(cls: type) -> Any:
    """The class of the SDK that a client's class is, or is derived from."""
    return next((c for c in cls.__mro__ if c.__module__.partition(".")[0] == "anthropic"), cls)


def _copy_of_subclass(client: Any, base: Any, options: dict[str, Any]) -> Any:
    """A copy of a client whose class has a constructor of its own, which copies do not call.

    The SDK copies a client by calling its class with the SDK's own arguments, which such a
    constructor may not take, or not pass on.
    """
    cls = type(client)
    kept = {
        name: value
        for name, value in vars(client).items()
        if not isinstance(getattr(cls, name, None), functools.cached_property)
    }
    plain = object.__new__(base)
    vars(plain).update(kept)
    copied = plain.with_options(**options)
    copied.__class__ = cls
    for name, value in kept.items():
        vars(copied).setdefault(name, value)
    return copied


def ask_message(client: Any, *, beta: bool, arguments: dict[str, Any]) -> Any:
    """A context manager of a client's response to a message request, whose body is not read."""
    messages = client.beta.messages if beta else client.messages
    return messages.with_streaming_response.create(**arguments)


def status_error(client: Any, response: Any) -> anthropic.APIStatusError | None:
    """The SDK's own error for a response; None if the client is unknown."""
    if client is None:
        return None
    error: anthropic.APIStatusError = client._make_status_error_from_response(response)  # noqa: SLF001
    return error


def timeout_of(request: anthropic.APIRequest, client: Any) -> tuple[Any, bool]:
    """The timeouts of a request, and whether the caller set them; None if they are unknown."""
    timeout: Any = request.timeout
    is_set = not isinstance(timeout, anthropic.NotGiven)
    if not is_set:
        if client is None:
            return None, True
        timeout = client.timeout
        is_set = timeout != anthropic.DEFAULT_TIMEOUT
    if not isinstance(timeout, anthropic.Timeout | float | int | None):
        return None, True  # the SDK says what is wrong with it
    return timeout if isinstance(timeout, anthropic.Timeout) else anthropic.Timeout(timeout), is_set


def message_of(data: dict[str, Any], *, beta: bool) -> Message | BetaMessage:
    """A message of the SDK from its JSON, which may be incomplete."""
    return (BetaMessage if beta else Message).construct(**data)


def retried_by_sdk(error: BaseException) -> BaseException | None:
    """The exception for which the SDK may retry, among this one and its causes; None if none is."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        if isinstance(current, _RETRIED):
            return current
        seen.append(current)
        current = current.__cause__
    return None


_RETRIED = (anthropic.RetryableError, anthropic.APIStatusError, anthropic.APIConnectionError)


def renew_token(client: Any, response: Any) -> bool:
    """Discard the token of the client's credentials if it was refused; return whether it was.

    The SDK does so where it retries, once, even an error that it does not retry otherwise.
    """
    tokens = getattr(client, "_token_cache", None)
    if tokens is None or getattr(response, "status_code", None) != 401:
        return False
    tokens.invalidate()
    return True


def retries_remain(request: anthropic.APIRequest, client: Any) -> bool:
    """Whether the SDK would retry by itself, if it got an error that it retries."""
    most: Any = request.max_retries
    if isinstance(most, anthropic.NotGiven):
        most = getattr(client, "max_retries", None)
    return most is None or request.retries_taken < most


def api_response(
    request: anthropic.APIRequest, client: Any, http_response: Any, *, is_async: bool
) -> Any:
    """The SDK's response for an HTTP response of our own."""
    cls: Any = anthropic.AsyncAPIResponse if is_async else anthropic.APIResponse
    return cls(
        raw=http_response,
        cast_to=request.cast_to,
        client=client,
        stream=request.stream,
        stream_cls=request.stream_cls,
        options=request.options,
    )
