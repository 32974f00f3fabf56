"""Makes requests through the SDK. What comes of them is judged in `call_verdicts`."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any

import anthropic

__all__ = ["COUNTING", "PONG", "Complaint", "Reply", "Streamed", "call", "stream"]

PONG: dict[str, Any] = {
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "Reply with the word pong."}],
}
"""A call that costs next to nothing."""
COUNTING: dict[str, Any] = {
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Count from 1 to 40, in words, one a line."}],
}
"""A stream that is long enough to see how it comes."""

_WORD = re.compile(r"[\w.-]{1,64}")


class Complaint(Enum):
    """What only the message of an error tells; the message itself is not shown."""

    SPEND = re.compile(r"credit balance|usage limits|spend limit", re.IGNORECASE)
    MODEL = re.compile(r"model", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a call.

    Attributes:
        seconds: How long it took.
        status: The HTTP status.
        kind: `json`, `html` or `other`.
        error_type: `error.type` of the API's error.
        error_code: `error.details.error_code` of it.
        complaints: What the message of the error is about.
        request_id: The id of the request.
        is_message: Whether it is a message of the API.
        model: The model of the message.
        error: Why there is no response.
    """

    seconds: float
    status: int | None = None
    kind: str = "other"
    error_type: str | None = None
    error_code: str | None = None
    complaints: frozenset[Complaint] = frozenset()
    request_id: str | None = None
    is_message: bool = False
    model: str | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """What came of a stream.

    Attributes:
        reply: The response, without its body; its `error` is what broke the stream.
        arrivals: When each event came, in seconds from the request.
        tokens: The output tokens.
        stop_reason: Why it stopped; None if it ended before that.
        encoding: How it is compressed, if it is.
    """

    reply: Reply
    arrivals: tuple[float, ...] = ()
    tokens: int = 0
    stop_reason: str | None = None
    encoding: str = ""


def call(client: Any, **asked: Any) -> Reply:
    """Make a call that is not streamed."""
    begun = time.monotonic()
    try:
        response = client.messages.with_raw_response.create(**asked).http_response
    except Exception as error:  # noqa: BLE001  # it is judged
        return _failed(error, time.monotonic() - begun)
    return _reply(response, time.monotonic() - begun)


def stream(client: Any, **asked: Any) -> Streamed:
    """Make a call that is streamed, and note when each event comes."""
    begun = time.monotonic()
    arrivals: list[float] = []
    tokens, stop_reason, encoding = 0, None, ""
    reply = Reply(0.0)
    try:
        with client.messages.create(**asked, stream=True) as events:
            response = events.response
            encoding = response.headers.get("content-encoding", "")
            reply = _head(response, time.monotonic() - begun)
            for event in events:
                arrivals.append(time.monotonic() - begun)
                if event.type == "message_delta":
                    tokens, stop_reason = event.usage.output_tokens, event.delta.stop_reason
    except Exception as error:  # noqa: BLE001  # it is judged
        reply = _failed(error, time.monotonic() - begun)
    return Streamed(reply, tuple(arrivals), tokens, stop_reason, _word(encoding) or "")


def _failed(error: Exception, seconds: float) -> Reply:
    if isinstance(error, anthropic.APIStatusError):
        return _reply(error.response, seconds)
    return Reply(seconds, error=error)


def _head(response: Any, seconds: float) -> Reply:
    content_type = response.headers.get("content-type", "")
    kinds = {"json": "json", "html": "html"}
    kind = next((kind for word, kind in kinds.items() if word in content_type), "other")
    headers = response.headers
    request_id = headers.get("request-id") or headers.get("x-amzn-requestid")
    return Reply(seconds, response.status_code, kind, request_id=_word(request_id))


def _reply(response: Any, seconds: float) -> Reply:
    head = _head(response, seconds)
    try:
        body = json.loads(response.content)
    except Exception:  # noqa: BLE001  # whatever it is, it is no JSON; a stream's is not read
        body = None
    body = body if isinstance(body, dict) else {}
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    details = error.get("details")
    message = str(error.get("message") or body.get("message") or "")
    return Reply(
        seconds,
        head.status,
        "json" if body else head.kind,
        _word(error.get("type")),
        _word(details.get("error_code")) if isinstance(details, dict) else None,
        frozenset(one for one in Complaint if one.value.search(message)),
        head.request_id,
        body.get("type") == "message",
        _word(body.get("model")),
    )


def _word(value: object) -> str | None:
    """A value that is a name, and nothing that could be a secret."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None
