"""Judges what came of requests, without I/O."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from unbroken._cli.doctor.calls import Complaint
from unbroken._cli.doctor.finding import Finding, failed, noted, passed

if TYPE_CHECKING:
    from unbroken._cli.doctor.calls import Reply, Streamed

__all__ = [
    "judge_call",
    "judge_credentials",
    "judge_errors",
    "judge_http",
    "judge_model",
    "judge_silence",
    "judge_stream",
]

_NETWORK = ("APIConnectionError", "APITimeoutError", "TransportError")
_SPEND_CODE = re.compile(r"spend_limit|billing")

_IMPOSSIBLE_RATE = 1000
"""Tokens a second that no model writes: they were held, and came at once."""
_TELLING_TOKENS = 50
"""Fewer may come at once by themselves."""
_FAST_RATE = 400
"""Tokens a second of a fast model: before that, it cannot have written them."""


# The first request is a bad one on purpose, which costs nothing: three boundaries are told by it.


def judge_http(found: Reply) -> Finding:
    """Judge whether it is the API that answers."""
    if found.error is not None:
        return _judge_no_response(found.error)
    if found.status == 407:
        return failed(
            "the proxy asks for a password (407)",
            "put it into HTTP_PROXY: http://user:password@host:port",
        )
    if found.kind == "html":
        return failed(
            f"a web page answers ({found.status}), not the API: a captive portal, a login page or "
            "a proxy",
            "open a browser and log in to this network; check the base URL and the proxy",
        )
    if found.kind != "json":
        return failed(
            f"something answers ({found.status}), but not with the API's JSON",
            "check the base URL: it ends before /v1, and the path behind it must lead to the API",
        )
    if found.status is not None and found.status >= 500:
        return _refused(found)
    who = "the API answers" if found.request_id else "something that speaks the API answers"
    return passed(f"{who} after {found.seconds:.2f} s", seconds=found.seconds, status=found.status)


def judge_credentials(found: Reply) -> Finding:
    """Judge whether the key is taken."""
    if found.status == 401:
        return failed(
            f"the key is refused ({_told(found)})",
            "make a new one in the Console; check which variable holds it, and that the base URL "
            "is where it is valid",
            request_id=found.request_id,
        )
    if found.status == 403:
        return failed(
            f"the key may not be used for this ({_told(found)})",
            "check the permissions of its workspace or role, and whether the API serves this "
            "country and network",
            request_id=found.request_id,
        )
    return passed("they are taken")


def judge_errors(found: Reply) -> Finding:
    """Judge whether a bad request gets a clear error."""
    if Complaint.SPEND in found.complaints or _is_spend(found):
        return _refused(found)
    if found.status == 400 and found.error_type == "invalid_request_error":
        return passed("a bad request gets the API's own error", request_id=found.request_id)
    if found.status is not None and found.status < 400:
        return failed(
            f"a bad request is answered with {found.status}, as if it were a good one",
            "find what stands before the API: it changes requests or answers",
        )
    if found.status == 429:
        return _refused(found)
    return noted(
        f"a bad request gets {_told(found)} instead of the API's invalid_request_error",
        "nothing, but recovery then knows failures by their HTTP status alone",
    )


def judge_model(found: Reply) -> Finding:
    """Judge whether the model may be used."""
    about_model = found.status in (400, 403, 404) and Complaint.MODEL in found.complaints
    if found.status == 404 or about_model:
        return failed(
            f"the model may not be used here ({_told(found)})",
            "check its name with client.models.list(), and that the workspace, region or gateway "
            "has it; choose another with --model",
            request_id=found.request_id,
        )
    return passed(f"{found.model} answers" if found.model else "it is not refused")


def judge_call(found: Reply) -> Finding:
    """Judge a call that is not streamed."""
    if found.error is not None:
        return _judge_no_response(found.error)
    if found.status != 200:
        return _refused(found)
    if not found.is_message:
        return failed(
            "the answer is no message of the API",
            "find what stands before the API: it changes answers",
        )
    return passed(f"answered after {found.seconds:.2f} s", seconds=found.seconds)


def judge_stream(found: Streamed) -> Finding:
    """Judge how a stream comes."""
    reply, arrivals = found.reply, found.arrivals
    if reply.error is not None and not arrivals:
        return _judge_no_response(reply.error)
    if reply.status is not None and reply.status != 200:
        return _refused(reply)
    if not arrivals:
        return failed(
            "a stream was asked for, and no event came",
            "find what stands before the API: it must pass text/event-stream on",
        )
    first, last = arrivals[0], arrivals[-1]
    measured = {
        "first_event": first,
        "seconds": last,
        "events": len(arrivals),
        "longest_gap": max((b - a for a, b in pairwise(arrivals)), default=0),
        "encoding": found.encoding or None,
    }
    if reply.error is not None or found.stop_reason is None:
        return failed(
            f"the stream ends after {last:.1f} s and {len(arrivals)} events, before its end",
            "raise the limits of what is in between; unbroken resumes streams that are cut",
            **measured,
        )
    if _is_buffered(first, last, found.tokens):
        how = f", compressed with {found.encoding}" if found.encoding else ""
        return failed(
            f"the stream is buffered{how}: nothing for {first:.1f} s, then all of it at once",
            "turn off buffering and compression of text/event-stream in what is in between "
            "(nginx: proxy_buffering off; gzip off)",
            **measured,
        )
    tells = f"first event after {first:.2f} s, {len(arrivals)} events, "
    tells += f"longest gap {measured['longest_gap']:.2f} s"
    if found.encoding:
        return noted(
            f"{tells}, compressed with {found.encoding}",
            "nothing as long as it is not held back; a proxy that compresses often buffers",
            **measured,
        )
    return passed(tells, **measured)


def _is_buffered(first: float, last: float, tokens: int) -> bool:
    spread = last - first
    came_at_once = tokens > _IMPOSSIBLE_RATE * spread and first > 4 * spread
    return came_at_once and _TELLING_TOKENS <= tokens <= _FAST_RATE * first


def judge_silence(found: Reply, wanted: float) -> Finding:
    """Judge a call that keeps silent until its answer is whole.

    Args:
        found: What came of it.
        wanted: How many seconds of silence were wanted.
    """
    measured = {"seconds": found.seconds, "wanted": wanted}
    if found.is_message:
        if found.seconds >= wanted:
            return passed(f"a silence of {found.seconds:.1f} s survives", **measured)
        return noted(
            f"a silence of {found.seconds:.1f} s survives; the answer was whole by then",
            "try a slower model to see a longer one",
            **measured,
        )
    if found.status in (400, 401, 402, 403, 404, 413, 429, 529):
        return _refused(found)
    how = "the connection" if found.status is None else f"the request, with {found.status}"
    return failed(
        f"something ends {how} after {found.seconds:.1f} s of silence",
        "raise the read timeout of the proxy, load balancer or firewall in between (nginx: "
        "proxy_read_timeout), or stream: unbroken resumes what is cut",
        **measured,
    )


# What any request may meet


def _judge_no_response(error: Exception) -> Finding:
    names = [cls.__name__ for cls in type(error).__mro__]
    if not any(name in _NETWORK for name in names):
        return failed(
            f"the request could not be made ({names[0]})",
            "check the credentials: ANTHROPIC_API_KEY; on Bedrock `aws sts get-caller-identity`; "
            "on Vertex `gcloud auth application-default login`",
        )
    cause = error.__cause__ or error
    if "ProxyError" in [cls.__name__ for cls in type(cause).__mro__]:
        return failed("the proxy refuses the request", "check HTTPS_PROXY, its user and password")
    if "Timeout" in type(cause).__name__:
        return failed(
            "the connection opens, and no answer comes",
            "find what is in between: it takes requests and does not pass them on",
        )
    return failed(
        f"the connection breaks before an answer ({type(cause).__name__})",
        "find what is in between: a proxy or firewall may refuse requests by their content or size",
    )


def _refused(found: Reply) -> Finding:
    """What a status other than 200 tells, and what to do about it."""
    tells, to_do = "the API refuses the request", "look the error up in the API's documentation"
    if _is_spend(found) or Complaint.SPEND in found.complaints:
        tells = "a spend limit is reached, or there is no credit left"
        to_do = "raise the limit or buy credit in the Console; waiting does not help before that"
    elif found.status == 429:
        tells = "the rate limit is reached"
        to_do = "wait a minute; if it stays, ask for higher limits, or share load between keys"
    elif found.status == 529:
        tells = "the API is overloaded"
        to_do = "try again in a minute; unbroken waits 30 to 60 s after this one"
    elif found.status is not None and found.status >= 500:
        tells = "what answers has an error of its own"
        to_do = "look at the API's status page; with a gateway in front, at its log"
    elif found.status in (401, 403):
        return judge_credentials(found)
    return failed(f"{tells} ({_told(found)})", to_do, request_id=found.request_id)


def _is_spend(found: Reply) -> bool:
    return found.status == 402 or bool(_SPEND_CODE.search(found.error_code or ""))


def _told(found: Reply) -> str:
    """The status, type and code of an error."""
    words = [str(found.status), found.error_type, found.error_code]
    return ", ".join(word for word in words if word)
