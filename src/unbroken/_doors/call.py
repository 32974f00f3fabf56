"""One call over HTTP: what the caller asks for, and the machine that decides."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken._core.journal.identity import fingerprint
from unbroken._core.models import THINKING
from unbroken._core.recovery import Recovery
from unbroken._core.route import NOWHERE_ELSE
from unbroken._doors import sdk_facts
from unbroken._doors.report import Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken._core.cooldown import Cooldowns
    from unbroken._core.journal.identity import Identity
    from unbroken._core.models import Prefill
    from unbroken._core.policy import Policy
    from unbroken._core.route import Candidate
    from unbroken._core.threads import ThreadTurn

__all__ = ["Ask", "HttpCall", "ReadTimeout"]

_EAGER_HEADER = "fine-grained-tool-streaming-"


@dataclass(frozen=True, slots=True)
class ReadTimeout:
    """How long the caller's request waits for the next byte.

    Attributes:
        seconds: The seconds; None for no limit.
        is_set: Whether the caller set it. Otherwise the policy decides.
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
        timeout: How long it waits for a byte; None if that is unknown, and cannot be changed.
        host: The host that it is for.
        path: The path that it is for.
        is_signed: Whether a signature covers the body, so that no other body can be sent.
        provider: Who serves the model, as OpenTelemetry's conventions name it.
        owner: Tells whose credentials it has.
    """

    body: Any
    headers: Mapping[str, str]
    is_message: bool
    streams: bool
    beta: bool
    timeout: ReadTimeout | None
    host: str = ""
    path: str = ""
    is_signed: bool = False
    provider: str = "anthropic"
    owner: int = 0

    def fingerprint(self) -> str:
        """A digest of what is asked, by which a journal knows it."""
        beta = self.headers.get("anthropic-beta", "")
        return fingerprint(self.path, self.body, beta, self.host)

    @property
    def resumes(self) -> bool:
        """Whether a stream that drops can be resumed."""
        return self.is_message and self.streams and _has_messages(self.body)


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One call over HTTP.

    Attributes:
        ask: What the caller asks for.
        policy: The policy of the call.
        machine: Decides what to do.
        reporter: Makes the report.
        identity: How a journal knows it; None if it is not journaled.
    """

    ask: Ask
    policy: Policy
    machine: Recovery
    reporter: Reporter
    identity: Identity | None = None

    @classmethod
    def begin(
        cls,
        ask: Ask,
        policy: Policy,
        prefill: Prefill,
        thread: ThreadTurn | None,
        now: float,
        identity: Identity | None = None,
        candidates: Sequence[Candidate] = NOWHERE_ELSE,
        cooldowns: Cooldowns | None = None,
    ) -> HttpCall:
        """Start a call at this time, in monotonic seconds."""
        whole = None if thread is None else thread.whole
        if ask.is_signed:
            policy = policy.replace(continuation="off")
        machine = Recovery(
            policy,
            ask.body,
            now,
            prefill=prefill,
            thread=thread,
            live=_live_blocks(policy, ask, whole or ask.body) if ask.resumes else (),
            progress_timeout=_progress_timeout(policy, ask),
            recalls=identity is not None,
            call_id=os.urandom(8).hex(),
            candidates=candidates,
            cooldowns=cooldowns,
        )
        reporter = Reporter(machine, lambda data: sdk_facts.message_of(data, beta=ask.beta))
        return cls(ask, policy, machine, reporter, identity)


def _progress_timeout(policy: Policy, ask: Ask) -> float | None:
    """Seconds with nothing but pings that are too long; a longer timeout of the caller wins."""
    progress, timeout = policy.progress_timeout, ask.timeout
    if progress is None or timeout is None or not timeout.is_set:
        return progress
    return None if timeout.seconds is None else max(progress, timeout.seconds)


def _live_blocks(policy: Policy, ask: Ask, body: Mapping[str, Any]) -> set[str]:
    """The types of blocks to deliver as they come; for tools, also `tool_use name`."""
    live = set(THINKING) if policy.thinking == "live" else set()
    if _EAGER_HEADER in ask.headers.get("anthropic-beta", ""):
        return live | {"tool_use"}
    tools = (tool for tool in body.get("tools") or () if isinstance(tool, dict))
    return live | {f"tool_use {t.get('name')}" for t in tools if t.get("eager_input_streaming")}


def _has_messages(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("messages"), list)
