"""The machine that drivers carry out: what comes in goes to its parts, and what to do comes out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Protocol

from unbroken._core.attempts import AttemptKind
from unbroken._core.blocks import Handling
from unbroken._core.bounds import Reason
from unbroken._core.call import Call, Loss
from unbroken._core.delivered import Delivered
from unbroken._core.events import Resumed
from unbroken._core.failures import Failure, FailureKind, classify, error_in
from unbroken._core.frames import FrameError
from unbroken._core.held import InvalidToolInputError
from unbroken._core.ledger import Ledger
from unbroken._core.message import Message
from unbroken._core.models import refuses_prefill
from unbroken._core.reading import Reading
from unbroken._core.replies import NO_REPLIES, Next, after_problem
from unbroken._core.resume import EndTurn, Plan, PlanMode, Situation, resume, wants_json
from unbroken._core.seam import SeamError
from unbroken._core.states import Phase
from unbroken._core.watch import Overdue, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from unbroken._core.blocks import Block
    from unbroken._core.fast_lane import DeltaRun
    from unbroken._core.frames import Event, Framing
    from unbroken._core.models import Prefill
    from unbroken._core.policy import Policy
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
        self.message: Message | None = None
        """The caller's message, once a stream was opened."""
        self._current_plan = self.plan  # of the attempt that is read
        self._delivered_before: list[
            tuple[Block, tuple[int, int]]
        ] = []  # what the caller had before
        self._body = body
        self._prefill = prefill
        self._live = live
        self._may_trim_word = True
        self._seam: Seam | None = None  # of the attempt that is read
        self._replies = NO_REPLIES
        self._has_bad_tool_input = False
        self._watch = Watch(self.call.bounds.ends, progress_timeout)
        self._ledger = Ledger()
        self._framing: Framing | None = None
        self._reading: Reading | None = None
        self._run: DeltaRun | None = None  # what the next bytes may add to
        self._growth = 0  # of the message, as far as the call was told
        self._progress_at: float | None = None  # when the message grew, if the call was not told
        self._kept_chars = 0  # that the caller had when the last attempt was cut

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
        if self.message is None:
            self.message = Message(self._framing)
        plan = self.plan
        again = plan.mode is PlanMode.AGAIN
        self._ledger.begin_attempt(self.call.attempt.number, None if again else plan.prompt_tokens)
        self._reading = Reading(
            self.message,
            self._ledger,
            self._framing,
            self._live,
            mode=plan.mode,
            seam=plan.seam,
            whole=self.call.policy.json == "whole" and wants_json(self._body),
        )
        self._seam = plan.seam
        # The request was sent: its body holds texts that may be long.
        self._current_plan = self.plan = dataclasses.replace(plan, body=self._body, seam=None)
        self._delivered_before = [(block, block.size()) for block in self.message.blocks]
        self._run = None
        self._watch.begin(now)

    def receive(self, data: bytes, now: float) -> bytes:
        """Take in bytes of the body, and return what the caller gets for them."""
        # Nearly always it is one more delta like the last: this is what the caller pays.
        out = None if self._run is None else self._run.add(data)
        if out is None:
            out = self._read(data, now)
        else:
            self._watch.last_event = now
            if out:
                self._progress_at = now
        if now >= self._watch.alarm and self.call.phase is Phase.READING:
            out += self._end_overdue(now)
        return out

    def broke(self, loss: Loss, now: float) -> bytes:
        """The stream ended or broke before its end; return what the caller gets for that."""
        assert self._reading is not None
        self._close_books(now)
        if self._reading.ended:
            return self._finish(now)
        plan = self._next_plan()
        if isinstance(plan, EndTurn):
            out = self._reading.finish_as("tool_use")
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
        return None if self.message is None else self.message.so_far()

    def turns(self) -> tuple[dict[str, Any], ...]:
        """The turns that produced the answer."""
        if self.message is None:
            return ()
        apart = self._current_plan.mode is PlanMode.USER_TURN
        asked = self._asked() if apart else ()
        content = Delivered(self._received() if apart else self.message.blocks, None).turn()
        return (*asked, {"role": "assistant", "content": content}) if content else asked

    def _asked(self) -> tuple[dict[str, Any], ...]:
        """The turns that asked for what is being read."""
        before = Delivered([block.until(size) for block, size in self._delivered_before], None)
        return before.turns(self._current_plan.sent, self._current_plan.prompt)

    def _received(self) -> list[Block]:
        """What the last continuation brought, without what was held back when it broke off."""
        assert self.message is not None
        assert self._reading is not None
        delivered = set(map(id, self.message.blocks))
        return [
            block
            for block in self._reading.received()
            if block.handling is Handling.TEXT
            or id(block) in delivered
            or (block.handling is Handling.THINKING and block.closed)
        ]

    # Reading

    def _read(self, data: bytes, now: float) -> bytes:
        assert self._framing is not None
        assert self._reading is not None
        out: list[bytes] = []
        try:
            for frame in self._framing.split(data):
                piece = self._reading.plain_delta(frame)
                if piece is None:
                    piece = self._take(frame, now)
                else:
                    self._watch.last_event = now
                out.append(piece)
                if self.call.phase is not Phase.READING:
                    break
        except InvalidToolInputError as error:
            out.append(self._tool_input_failed(error, now))
        except FrameError as error:
            out.append(self.broke(Loss(Failure(FailureKind.DROPPED, str(error)), error), now))
        except SeamError as error:
            out.append(self._seam_failed(error, now))
        self._progress(now)
        self._run = None if self._framing.pending else self._reading.lane.run
        return b"".join(out)

    def _take(self, frame: bytes, now: float) -> bytes:
        assert self._framing is not None
        assert self._reading is not None
        event = self._framing.decode(frame)
        if event is None:
            return frame
        if event.name == "error":
            return self.broke(_error_event(event), now)
        if event.name != "ping" and self.call.attempt.first_event is None:
            self.call.note_first_event(now)
        if self._reading.brings_content(event):
            self._watch.last_event = now
        piece = self._reading.take(event)
        if event.name == "message_start":
            self._bill_cut_attempt()
        return piece + self._finish(now) if self._reading.stopped else piece

    def _finish(self, now: float) -> bytes:
        """The model ended the message: deliver its end."""
        assert self._reading is not None
        self._close_books(now)
        out = self._reading.finish()
        self._tell_answer()
        self.call.succeeded(now)
        return out

    def _progress(self, now: float) -> None:
        """Tell the call when the caller last got something new."""
        assert self.message is not None
        if self.message.growth > self._growth:
            self._growth, self._progress_at = self.message.growth, now
        if self._progress_at is None:
            return
        missed = self.call.first is not None
        outage = self.call.progress(self._progress_at)
        self._progress_at = None
        self._replies = NO_REPLIES
        if missed:
            self.call.emit(Resumed, kept_chars=self._kept_chars, outage=outage)

    def _end_overdue(self, now: float) -> bytes:
        """End what is overdue, if anything is; return what the caller gets for that."""
        overdue = self._watch.overdue(now)
        if overdue is None:
            return b""
        if overdue is Overdue.CALL:
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

    def _tool_input_failed(self, error: InvalidToolInputError, now: float) -> bytes:
        """A tool call came to its end, and its input cannot be read."""
        loss = Loss(Failure(FailureKind.DROPPED, str(error)), error)
        if not self._has_bad_tool_input:
            self._has_bad_tool_input = True
            return self.broke(loss, now)
        self._close_books(now)
        self.call.failed(loss, now, refusal=Reason.TOOL_INPUT)
        return b""

    # What to ask next

    def _has_delivered(self) -> bool:
        return self.message is not None and bool(self.message.blocks)

    def _fail(
        self, loss: Loss, plan: Plan | Reason | EndTurn, now: float, *, wrongly: bool = False
    ) -> None:
        """Ask for what is planned next, if the bounds allow; else give up."""
        refusal = plan if isinstance(plan, Reason) else None
        self.call.failed(loss, now, refusal=refusal, wrongly=wrongly)
        if isinstance(plan, Plan):
            self.plan = plan

    def _next_plan(self) -> Plan | Reason | EndTurn:
        assert self.message is not None
        self._kept_chars = sum(
            len(block.text()) for block in self.message.blocks if block.handling is Handling.TEXT
        )
        return resume(
            Situation(
                self._body,
                Delivered(self.message.blocks, self.message.open),
                self.call.policy.resuming,
                takes_prefill=self._prefill.taken_by(self.call.model or ""),
                trim_word=self._may_trim_word,
                replies=self._replies,
            )
        )

    # Counting

    def _tell_answer(self) -> None:
        """Tell the call what stands around the words of the message."""
        assert self.message is not None
        message, end = self.message.start or {}, self.message.end or {}
        usage = {**(message.get("usage") or {}), **(end.get("usage") or {})}
        self.call.answered({**message, **(end.get("delta") or {}), "usage": usage})

    def _close_books(self, now: float) -> None:
        """Write down what the attempt brought."""
        assert self._reading is not None
        self._progress(now)
        self.call.note(
            received_chars=self._reading.received_chars(),
            usage=self._ledger.billed(),
            seam=None if self._seam is None else self._seam.kind,
        )

    def _bill_cut_attempt(self) -> None:
        """Bill the attempt before this one, if only this one's input tells its output."""
        told = self._ledger.estimate_cut_output()
        if told is not None:
            self.call.bill(*told)


def _model(body: Any) -> str | None:
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) else None


def _error_event(event: Event) -> Loss:
    error_type, code, _ = error_in(event.data)
    kind = classify(200, error_type, code)
    failure = Failure(kind, "an error event in the stream", 200, error_type, code)
    return Loss(failure, origin=event.frame)
