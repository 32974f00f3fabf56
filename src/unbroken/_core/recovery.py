"""The machine that drivers carry out: what comes in goes to its parts, and what to do comes out."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Protocol

from unbroken._core.attempts import AttemptKind
from unbroken._core.blocks import Handling
from unbroken._core.bounds import Reason
from unbroken._core.call import Call, Loss
from unbroken._core.delivered import Delivered
from unbroken._core.events import Resumed
from unbroken._core.failures import Failure, FailureKind, classify, error_in
from unbroken._core.frames import FrameError
from unbroken._core.models import refuses_prefill
from unbroken._core.replies import NO_REPLIES, Next, after_problem
from unbroken._core.resume import EndTurn, Plan, PlanMode, Situation, resume, wants_json
from unbroken._core.seam import SeamError
from unbroken._core.splice import Splice
from unbroken._core.states import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from unbroken._core.blocks import Block
    from unbroken._core.frames import Event, Framing
    from unbroken._core.models import Prefill
    from unbroken._core.policy import Policy
    from unbroken._core.run import Run
    from unbroken._core.seam import Seam

__all__ = ["Machine", "Recovery", "Retrying"]


class Machine(Protocol):
    """What a driver needs to get a request answered."""

    call: Call
    plan: Plan
    """The request that is under way, or the next one."""

    def begin(self, now: float) -> None:
        """The request of `plan` is about to be sent."""

    def failed(self, loss: Loss, now: float) -> None:
        """There is no response to read: no connection, or an HTTP error."""

    def close(self, now: float) -> None:
        """The caller closed the stream, or cancelled the task."""

    def partial(self) -> dict[str, Any] | None:
        """The message as the caller has been given it."""

    def turns(self) -> tuple[dict[str, Any], ...]:
        """The turns that produced the answer."""


class Retrying:
    """A call that is answered as a whole, or of whose stream only the opening is ours.

    Args:
        policy: The policy of the call.
        body: The JSON body of the request, or whatever else it is.
        now: Monotonic seconds at which the call begins.
    """

    def __init__(self, policy: Policy, body: Any, now: float) -> None:
        self.call = Call(policy, _model(body), now)
        self.plan = Plan(body)

    def begin(self, now: float) -> None:
        """The request is about to be sent."""
        self.call.begin(AttemptKind.RETRY, now)

    def failed(self, loss: Loss, now: float) -> None:
        """There is no response to read: no connection, or an HTTP error."""
        self.call.failed(loss, now)

    def close(self, now: float) -> None:
        """The caller cancelled the call."""
        self.call.close(now)

    def partial(self) -> dict[str, Any] | None:
        """Nothing: the caller gets all or nothing."""
        return None

    def turns(self) -> tuple[dict[str, Any], ...]:
        """None: the caller gets all or nothing."""
        return ()


class Recovery:
    """One streamed message, from as many attempts as it takes.

    Args:
        policy: The policy of the call.
        body: The JSON body of the caller's request.
        now: Monotonic seconds at which the call begins.
        prefill: What is known of models and prefill.
        live: Types of blocks that the caller wants as they come; of tools, also `tool_use name`.
        progress_timeout: Seconds with nothing but pings after which the stream counts as stalled.
    """

    def __init__(
        self,
        policy: Policy,
        body: Mapping[str, Any],
        now: float,
        *,
        prefill: Prefill,
        live: Collection[str] = (),
        progress_timeout: float | None = None,
    ) -> None:
        self.call = Call(policy, _model(body), now)
        self.plan = Plan(body)
        """The request that is under way, or the next one."""
        self._reading = self.plan
        self._had: list[tuple[Block, tuple[int, int]]] = []  # what the caller had before
        self._body = body
        self._prefill = prefill
        self._live = live
        self._may_trim_word = True
        self._seam: Seam | None = None  # of the attempt that is being read
        self._replies = NO_REPLIES
        self._progress_timeout = math.inf if progress_timeout is None else progress_timeout
        self._last_event = now
        self._alarm = -math.inf
        self._framing: Framing | None = None
        self._run: Run | None = None  # what the next bytes may add to
        self._fresh: float | None = None  # when the caller got something new, if not told yet
        self._kept = 0  # characters that the caller had when the last attempt was cut
        self._cut: tuple[int, int] | None = None  # the last attempt that began, and its input
        self.splice: Splice | None = None
        """The caller's message, once a stream was opened."""

    # What drivers tell it

    def begin(self, now: float) -> None:
        """The request of `plan` is about to be sent."""
        again = self.plan.mode is PlanMode.AGAIN
        kind = AttemptKind.RETRY if again else AttemptKind.CONTINUATION
        self.call.begin(kind, now)

    def opened(self, framing: Callable[[], Framing], now: float) -> None:
        """The response is a stream of events, framed like this."""
        self.call.streams()
        self._framing = framing()
        if self.splice is None:
            self.splice = Splice(self._framing, self._live)
        plan = self.plan
        self.splice.begin_attempt(
            plan.seam,
            continues=plan.mode is not PlanMode.AGAIN,
            keeps=plan.mode is PlanMode.USER_TURN,
            prompt_tokens=plan.prompt_tokens,
        )
        self._seam = plan.seam
        # The request was sent: its body holds texts that may be long.
        self._reading = self.plan = dataclasses.replace(plan, body=self._body, seam=None)
        self._had = [(block, block.size()) for block in self.splice.blocks]
        self._run = None
        self._last_event = now
        self._alarm = -math.inf

    def receive(self, data: bytes, now: float) -> bytes:
        """Take in bytes of the body, and return what the caller gets for them."""
        # Nearly always it is one more delta like the last: this is what the caller pays.
        out = None if self._run is None else self._run.add(data)
        if out is None:
            out = self._read(data, now)
        else:
            self._last_event = now
            if out:
                self._fresh = now
        if now >= self._alarm and self.call.phase is Phase.READING:
            out += self._watch(now)
        return out

    def broke(self, loss: Loss, now: float) -> bytes:
        """The stream ended or broke before its end; return what the caller gets for that."""
        assert self.splice is not None
        self._close_books(now)
        if self.splice.end is not None:
            return self._finish(self.splice.finish(), now)
        plan = self._next_plan()
        if isinstance(plan, EndTurn):
            out = self.splice.finish_as("tool_use")
            self._tell_answer()
            self.call.ended_short(loss, now)
            return out
        self._fail(loss, plan, now)
        return b""

    def ended(self, now: float) -> bytes:
        """The body came to an end, without an error; return what the caller gets for that."""
        detail = "the stream ended before message_stop"
        return self.broke(Loss(Failure(FailureKind.DROPPED, detail), EOFError(detail)), now)

    def failed(self, loss: Loss, now: float) -> None:
        """There is no response to read: no connection, or an HTTP error."""
        wrongly = (
            self.plan.mode is PlanMode.PREFILL
            and self.call.policy.resuming.mode == "auto"
            and refuses_prefill(loss.failure.status, loss.message)
        )
        if wrongly and self.call.model is not None:
            self._prefill.refused_by(self.call.model)
        plan = self._next_plan() if self._has_delivered() else Plan(self._body)
        self._fail(loss, plan, now, wrongly=wrongly)

    def close(self, now: float) -> None:
        """The caller closed the stream, or cancelled the task."""
        if self.call.phase is Phase.READING:
            self._close_books(now)
        self.call.close(now)

    # What it can tell

    def partial(self) -> dict[str, Any] | None:
        """The message as the caller has been given it."""
        return None if self.splice is None else self.splice.so_far()

    def turns(self) -> tuple[dict[str, Any], ...]:
        """The turns that produced the answer."""
        if self.splice is None:
            return ()
        apart = self._reading.mode is PlanMode.USER_TURN
        asked = self._asked() if apart else ()
        content = Delivered(self._received() if apart else self.splice.blocks, None).turn()
        return (*asked, {"role": "assistant", "content": content}) if content else asked

    def _asked(self) -> tuple[dict[str, Any], ...]:
        """The turns that asked for what is being read."""
        had = Delivered([block.until(size) for block, size in self._had], None)
        return had.turns(self._reading.sent, self._reading.prompt)

    def _received(self) -> list[Block]:
        """What the last continuation brought, without what was held back when it broke off."""
        assert self.splice is not None
        delivered = set(map(id, self.splice.blocks))
        return [
            block
            for block in self.splice.received
            if block.handling is Handling.TEXT
            or id(block) in delivered
            or (block.handling is Handling.THINKING and block.closed)
        ]

    # Reading

    def _read(self, data: bytes, now: float) -> bytes:
        assert self._framing is not None
        assert self.splice is not None
        out: list[bytes] = []
        try:
            for frame in self._framing.split(data):
                piece = self.splice.plain_delta(frame)
                if piece is None:
                    piece = self._take(frame, now)
                else:
                    self._last_event = now
                out.append(piece)
                if self.call.phase is not Phase.READING:
                    break
        except FrameError as error:
            out.append(self.broke(Loss(Failure(FailureKind.DROPPED, str(error)), error), now))
        except SeamError as error:
            out.append(self._seam_failed(error, now))
        self._progress(now)
        self._run = None if self._framing.pending else self.splice.run
        return b"".join(out)

    def _take(self, frame: bytes, now: float) -> bytes:
        assert self._framing is not None
        assert self.splice is not None
        event = self._framing.decode(frame)
        if event is None:
            return frame
        if event.name == "error":
            return self.broke(_error_event(event), now)
        if event.name != "ping":
            self._last_event = now
            if self.call.attempt.first_event is None:
                self.call.note_first_event(now)
        piece = self.splice.take(event)
        if event.name == "message_start":
            self._settle_cut_attempt()
        return self._finish(piece, now) if self.splice.whole else piece

    def _finish(self, piece: bytes, now: float) -> bytes:
        self._close_books(now)
        self._tell_answer()
        self.call.succeeded(now)
        return piece

    def _progress(self, now: float) -> None:
        """Tell the call when the caller last got something new."""
        assert self.splice is not None
        if self.splice.progressed:
            self.splice.progressed = False
            self._fresh = now
        if self._fresh is None:
            return
        missed = self.call.first is not None
        outage = self.call.progress(self._fresh)
        self._fresh = None
        self._replies = NO_REPLIES
        if missed:
            self.call.emit(Resumed, kept_chars=self._kept, outage=outage)

    def _watch(self, now: float) -> bytes:
        """Look whether something is overdue, and when to look again."""
        ends = math.inf if self.call.bounds.ends is None else self.call.bounds.ends
        stalls = self._last_event + self._progress_timeout
        self._alarm = min(ends, stalls)
        if now < self._alarm:
            return b""
        if now >= ends:
            return self._out_of_time(now)
        detail = "nothing but pings came"
        return self.broke(Loss(Failure(FailureKind.STALLED, detail), TimeoutError(detail)), now)

    def _out_of_time(self, now: float) -> bytes:
        detail = "Policy.deadline passed while the answer was coming"
        self._close_books(now)
        loss = Loss(Failure(FailureKind.STALLED, detail), TimeoutError(detail))
        self.call.failed(loss, now, refusal=Reason.DEADLINE)
        return b""

    def _seam_failed(self, error: SeamError, now: float) -> bytes:
        """The attempt's text cannot be joined."""
        assert self._seam is not None
        loss = Loss(Failure(FailureKind.DROPPED, str(error)), error)
        self._replies = self._replies.add(error.problem, self._seam)
        follows = after_problem(
            error.problem,
            self._replies,
            self.call.policy.resuming,
            is_json=wants_json(self._body),
        )
        if self.plan.trimmed_word:
            self._may_trim_word = False
        self._close_books(now)
        plan = follows if isinstance(follows, Reason) else self._next_plan()
        self._fail(loss, plan, now, wrongly=follows is Next.REFORMULATE)
        return b""

    # What to ask next

    def _has_delivered(self) -> bool:
        return self.splice is not None and bool(self.splice.blocks)

    def _fail(
        self, loss: Loss, plan: Plan | Reason | EndTurn, now: float, *, wrongly: bool = False
    ) -> None:
        """Ask for what is planned next, if the bounds allow; else give up."""
        refusal = plan if isinstance(plan, Reason) else None
        self.call.failed(loss, now, refusal=refusal, wrongly=wrongly)
        if isinstance(plan, Plan):
            self.plan = plan

    def _next_plan(self) -> Plan | Reason | EndTurn:
        assert self.splice is not None
        self._kept = sum(
            len(block.text()) for block in self.splice.blocks if block.handling is Handling.TEXT
        )
        return resume(
            Situation(
                self._body,
                Delivered(self.splice.blocks, self.splice.open),
                self.call.policy.resuming,
                takes_prefill=self._prefill.taken_by(self.call.model or ""),
                trim_word=self._may_trim_word,
                replies=self._replies,
            )
        )

    # Counting

    def _tell_answer(self) -> None:
        """Tell the call what stands around the words of the message."""
        assert self.splice is not None
        message, end = self.splice.message or {}, self.splice.end or {}
        usage = {**(message.get("usage") or {}), **(end.get("usage") or {})}
        self.call.answered({**message, **(end.get("delta") or {}), "usage": usage})

    def _close_books(self, now: float) -> None:
        """Write down what the attempt brought."""
        assert self.splice is not None
        self._progress(now)
        usage = self.splice.usage
        self.call.note(
            received_chars=self.splice.received_chars(),
            usage=usage.billed(),
            seam=None if self._seam is None else self._seam.kind,
        )

    def _settle_cut_attempt(self) -> None:
        """A continuation's input tells what the attempt before it put out."""
        assert self.splice is not None
        total = self.splice.usage.input_total()
        if total is None:
            return
        total -= self.plan.prompt_tokens
        if self.plan.mode is not PlanMode.AGAIN and self._cut is not None:
            number, before = self._cut
            usage = self.call.attempts[number - 1].usage
            if usage is not None and usage.output_tokens is None:
                told = dataclasses.replace(
                    usage, output_tokens=max(total - before, 0), estimated=True
                )
                self.call.bill(number, told)
        self._cut = (self.call.attempt.number, total)


def _model(body: Any) -> str | None:
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) else None


def _error_event(event: Event) -> Loss:
    error_type, code, _ = error_in(event.data)
    kind = classify(200, error_type, code)
    failure = Failure(kind, "an error event in the stream", 200, error_type, code)
    return Loss(failure, origin=event.frame)
