"""What every door knows of a call over HTTP, whoever sends its requests."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken import _http, _sdk
from unbroken._core.call import Loss
from unbroken._core.eventstream import CONTENT_TYPE, EventStream
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.frames import Framing, ServerSentEvents, from_json
from unbroken._core.recovery import Machine, Recovery, Retrying
from unbroken._core.resume import PlanMode
from unbroken._report import EXTENSION, Reporter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping

    from unbroken._core.call import Call
    from unbroken._core.models import Prefill
    from unbroken._core.policy import Policy
    from unbroken._core.resume import Plan
    from unbroken._drive.clock import AsyncClock, Clock
    from unbroken._report import RecoveryReport

__all__ = [
    "CONNECTION",
    "Ask",
    "AsyncHttpUpstream",
    "HttpCall",
    "HttpUpstream",
    "ReadTimeout",
    "explain",
]

CONNECTION = frozenset({FailureKind.DROPPED, FailureKind.STALLED, FailureKind.UNREACHABLE})
"""The failures that are no word of the service."""

_EAGER_HEADER = "fine-grained-tool-streaming-"


@dataclass(frozen=True, slots=True)
class ReadTimeout:
    """How long the caller's request waits for the next byte.

    Attributes:
        seconds: The seconds; None for no limit.
        is_set: Whether the caller set it. Otherwise the policy's word counts.
    """

    seconds: float | None
    is_set: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """What the caller asks for.

    Attributes:
        body: The JSON body, with the model in it.
        headers: The headers that the caller set, names in lower case.
        is_message: Whether it creates a message.
        streams: Whether the answer is to come as a stream.
        beta: Whether it is for the beta API.
        timeout: How long it waits for a byte; None if that cannot be told, nor changed.
    """

    body: Any
    headers: Mapping[str, str]
    is_message: bool
    streams: bool
    beta: bool
    timeout: ReadTimeout | None


class _Upstream:
    """A response of the HTTP library; None where something else answered."""

    def __init__(self, http: Any, loss: Loss | None, *, streams: bool) -> None:
        self.http = http
        self.status = 200 if http is None else http.status_code
        self.request_id = None if http is None else _http.request_id(http)
        self.streams = streams and http is not None
        self.loss = loss
        self.shares_connection = http is not None and http.http_version == "HTTP/2"

    def _is_compressed(self) -> bool:
        return "content-encoding" in self.http.headers

    def framing(self) -> Framing:
        """A new reader of the body's events."""
        kind = self.http.headers.get("content-type", "")
        return EventStream() if kind.startswith(CONTENT_TYPE) else ServerSentEvents()


class HttpUpstream(_Upstream):
    """A response of a sync client."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the body, with compression undone."""
        if not self.streams:
            return iter(())
        # What is not compressed need not go through the library's decoders.
        return iter(self.http.iter_bytes() if self._is_compressed() else self.http.stream)

    def close(self) -> None:
        """Close the connection, or give it back."""
        if self.http is not None:
            self.http.close()

    def abort(self) -> None:
        """Close the connection while somebody may be reading from it."""
        if self.http is not None:
            _http.hang_up(self.http)
            self.http.close()


class AsyncHttpUpstream(_Upstream):
    """A response of an async client."""

    _chunks: AsyncGenerator[bytes]

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the body, with compression undone."""
        if not self.streams:
            self._chunks = _nothing()
        elif self._is_compressed():
            self._chunks = self.http.aiter_bytes()
        else:
            self._chunks = aiter(self.http.stream)
        return self._chunks

    async def close(self) -> None:
        """Close the connection, or give it back."""
        if self.http is None:
            return
        await self.http.aclose()
        with suppress(RuntimeError):  # another task is reading, and finds the connection closed
            await self._chunks.aclose()

    async def abort(self) -> None:
        """Close the connection while somebody may be reading from it."""
        await self.close()


async def _nothing() -> AsyncGenerator[bytes]:
    return
    yield b""


class HttpCall:
    """One call: what decides in it, and what the ends of its requests mean.

    Args:
        ask: What the caller asks for.
        policy: The policy of the call.
        prefill: What is known of models and prefill.
        clock: The time.
    """

    def __init__(
        self, ask: Ask, policy: Policy, prefill: Prefill, clock: Clock | AsyncClock
    ) -> None:
        self._ask = ask
        self._policy = policy
        self._clock = clock
        self._resumes = ask.is_message and ask.streams and _has_messages(ask.body)
        self.machine: Machine = self._recovery(prefill) if self._resumes else self._retrying()
        self.reporter = Reporter(self.machine, lambda data: _sdk.message_of(data, beta=ask.beta))

    def _retrying(self) -> Retrying:
        return Retrying(self._policy, self._ask.body, self._clock.now())

    def _recovery(self, prefill: Prefill) -> Recovery:
        return Recovery(
            self._policy,
            self._ask.body,
            self._clock.now(),
            prefill=prefill,
            live=_live_blocks(self._policy, self._ask),
            progress_timeout=self._progress_timeout(),
        )

    # Timeouts: what the caller set wins

    def _progress_timeout(self) -> float | None:
        progress, timeout = self._policy.progress_timeout, self._ask.timeout
        if progress is None or timeout is None or not timeout.is_set:
            return progress
        return None if timeout.seconds is None else max(progress, timeout.seconds)

    def _read_timeout(self, call: Call) -> float | None:
        """How long the next attempt waits for a byte."""
        assert self._ask.timeout is not None
        read = self._ask.timeout.seconds
        if self._resumes and not self._ask.timeout.is_set:
            read = self._policy.idle_timeout
        if call.bounds.ends is None:
            return read
        left = max(call.bounds.ends - self._clock.now(), 0.001)
        return min(math.inf if read is None else read, left)

    # What responses mean

    def _is_read_whole(self, http: Any) -> bool:
        return not http.is_success or (self._ask.is_message and not self._ask.streams)

    def _loss_of(self, http: Any, body: bytes) -> Loss | None:
        """Why a response whose body was read is no answer, if it is none."""
        if not http.is_success:
            return _http.http_loss(http, body, self._clock.wall())
        try:
            message = from_json(body)
        except ValueError as error:
            return Loss(
                Failure(FailureKind.DROPPED, "the body is no JSON", http.status_code), error
            )
        if isinstance(message, dict):
            self.machine.call.answered(message)
        return None

    def _exception_loss(self, error: Exception, cause: BaseException) -> Loss:
        """What an exception means, given what caused it."""
        failure = _http.transport_failure(cause)
        if failure is None:
            return Loss(Failure(FailureKind.REJECTED, type(cause).__name__), error)
        return Loss(failure, cause)

    def _let_go(self, plan: Plan, http: Any, loss: Loss | None) -> None:
        """Forget what a continuation sent when its answer begins: it holds the partial answer."""
        if plan.mode is not PlanMode.AGAIN and loss is None and http is not None:
            _http.forget_request(http)

    def _is_response(self, loss: Loss) -> bool:
        return loss.origin is not None and not isinstance(loss.origin, bytes)

    def _given_up(self, http: Any) -> Any:
        """The response as the caller gets it: no outer retry loop is to begin anew."""
        http.headers["x-should-retry"] = "false"
        http.extensions[EXTENSION] = self.reporter
        return http


def explain(call: Call, report: RecoveryReport) -> str:
    """Why a call was given up, in a few sentences."""
    failure = call.speaker.failure
    kept = sum(attempt.received_chars for attempt in report.attempts)
    return (
        f"The answer could not be brought to its end: {failure.kind} ({failure.detail}). "
        f"{len(report.attempts)} attempt(s) brought {kept} characters. "
        f"Given up because {report.reason}. What arrived is in .report.partial."
    )


def _live_blocks(policy: Policy, ask: Ask) -> set[str]:
    """The types of blocks that the caller wants as they come; of tools, also `tool_use name`."""
    live = {"thinking", "redacted_thinking"} if policy.thinking == "live" else set()
    if _EAGER_HEADER in ask.headers.get("anthropic-beta", ""):
        return live | {"tool_use"}
    tools = (tool for tool in ask.body.get("tools") or () if isinstance(tool, dict))
    return live | {f"tool_use {t.get('name')}" for t in tools if t.get("eager_input_streaming")}


def _has_messages(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("messages"), list)
