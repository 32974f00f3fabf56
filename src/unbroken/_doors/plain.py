"""Calls that are not streamed, made as streams: a drop in them can be resumed.

The answer is put together again, so that the caller gets the response that a plain call has.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from unbroken._core.framing.frames import to_json
from unbroken._doors import http as http_facts
from unbroken._doors import sdk_clients, sdk_facts
from unbroken._doors.report import EXTENSION

if TYPE_CHECKING:
    import anthropic

    from unbroken._core.policy import Policy
    from unbroken._doors.call import Ask

__all__ = ["as_plain", "is_made_as_stream", "streamed"]

_OF_STREAMS = ("content-type", "content-encoding", "content-length", "transfer-encoding")


def is_made_as_stream(ask: Ask, client: Any, policy: Policy) -> bool:
    """Whether a call is made as a stream, though its caller did not ask for one."""
    if policy.plain_calls != "streamed" or client is None or ask.streams or not ask.is_message:
        return False
    return isinstance(ask.body, dict) and "messages" in ask.body and not ask.is_signed


def streamed(ask: Ask) -> Ask:
    """The same call, as a stream."""
    return dataclasses.replace(ask, streams=True, body={**ask.body, "stream": True})


def as_plain(request: anthropic.APIRequest, client: Any, response: Any) -> Any:
    """The response of a plain call, of a stream that was read to its end.

    Args:
        request: The caller's request.
        client: The caller's client.
        response: The response of the SDK whose stream was read.
    """
    http = response.http_response
    if not http.is_success:
        return response
    headers = [(k, v) for k, v in http.headers.multi_items() if k.lower() not in _OF_STREAMS]
    whole = http_facts.sdk_library().Response(
        http.status_code,
        headers=[*headers, ("content-type", "application/json")],
        content=to_json(http.extensions[EXTENSION].message()),
        request=http.request,
        extensions=http.extensions,
    )
    return sdk_facts.api_response(request, client, whole, is_async=sdk_clients.is_async(client))
