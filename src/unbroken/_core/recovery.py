"""The machine of one call: it takes in what happens, and tells a driver what to do next."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from unbroken._core.actions import ASK_BUDGET, FINISH, READ, RECALL, Action, GiveUp, Send, Sleep
from unbroken._core.attempts import AttemptKind
from unbroken._core.bounds import Reason
from unbroken._core.call import Call, FailedAttempt
from unbroken._core.callbacks import CallbackError
from unbroken._core.delivered import Delivered, sendable_turn
from unbroken._core.events import RecoveryEvent, Replayed, Resumed
from unbroken._core.extension import can_extend, resume_pause
from unbroken._core.failures import Failure, FailureKind, classify, error_in
from unbroken._core.framing.frames import FrameError
from unbroken._core.ledger import Ledger
from unbroken._core.models import base_model, for_model, refuses_prefill
from unbroken._core.replies import NO_REPLIES, Next, after_problem
from unbroken._core.resume import EndTurn, Plan, PlanMode, Situation, resume, wants_json
from unbroken._core.route import NOWHERE_ELSE, Route
from unbroken._core.seam import SeamError
from unbroken._core.states import Phase
from unbroken._core.stream.blocks import Handling
from unbroken._core.stream.held import InvalidToolInputError
from unbroken._core.stream.message import Message
from unbroken._core.stream.reading import Reading
from unbroken._core.threads import continues_thread, refuses_thread
from unbroken._core.turns import Request
from unbroken._core.usage import CHARS_PER_TOKEN
from unbroken._core.watch import Overdue, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from unbroken._core.cooldown import Cooldowns
    from unbroken._core.framing.frames import Event, Framing
    from unbroken._core.models import Prefill
    from unbroken._core.policy import Policy
    from unbroken._core.route import Candidate
    from unbroken._core.seam import Seam
    from unbroken._core.stream.fast_lane import DeltaRun
    from unbroken._core.threads import ThreadTurn

__all__ = ["Recovery"]


class Recovery:
    """One call, with as many attempts as it takes.

    A response may be a stream, whose message is continued after a drop, or the whole answer.

    Args:
        policy: The policy of the call.
        body: The JSON body of the caller's request.
        now: Monotonic seconds at which the call starts.
        prefill: Which models take a prefill.
        thread: What is known of the thread that the request is a turn of, if it is one of a thread.
        live: Types of blocks to deliver as they come; for tools, also `tool_use name`.
        progress_timeout: Seconds with nothing but pings after which the stream counts as stalled;
            None for no limit.
        recalls: Whether a journal is asked for the answer first.
        candidates: The targets that can answer, the caller's own first.
        cooldowns: The targets that cool down; None if failures of other calls do not count.
        call_id: The id of the call, for its events.
    """

    def __init__(
        self,
        policy: Policy,
        body: Any,
        now: float,
        *,
        prefill: Prefill,
        thread: ThreadTurn | None = None,
        live: Collection[str] = (),
        progress_timeout: float | None = None,
        recalls: bool = False,
        candidates: Sequence[Candidate] = NOWHERE_ELSE,
        cooldowns: Cooldowns | None = None,
        call_id: str = "",
    ) -> None:
        route = Route(policy, candidates, cooldowns)
        self.call = Call(policy, _model(body), now, route, call_id=call_id)
        self.events: list[RecoveryEvent] = self.call.events
        """What happened since `take_events()` was called last."""
        self._thread = thread
        self._body = body if thread is None else thread.first  # to be asked from the beginning
        self._whole = body if thread is None else thread.whole  # to be continued, if it is known
        self._prefill = prefill
        self._thinking_of: str | None = None  # the model whose thinking was delivered
        self._live = live
        self._watch = Watch(self.call.bounds.ends, progress_timeout)
        self._recalls = recalls
        self._begin_message()
        self.action: Action = READ
        """What to do next."""
        self._decide(now)

    def _begin_message(self) -> None:
        """Nothing of the answer is known."""
        self.message: Message | None = None
        """The caller's message, once a stream was opened."""
        self._plan = Plan(self._request_body())  # of the attempt under way, or of the next one
        self._may_trim_word = True
        self._seam: Seam | None = None  # of the attempt that is read
        self._replies = NO_REPLIES
        self._has_bad_tool_input = False
        self._ended: dict[str, Any] | None = None  # how the model ended what it is to go on with
        self._rest = b""  # the end of the message, where no read is left to deliver it
        self._extensions = 0  # requests for more of an answer that the model ended
        self._paused_at: int | None = None  # the growth of the message when the API paused it
        self._paid_chars = 0  # of the last texts, that earlier requests' `max_tokens` paid for
        self._ledger = Ledger()
        self._request: Request | None = None  # whose response is read
        self._reading: Reading | None = None
        self._run: DeltaRun | None = None  # which the next bytes may add to
        self._growth = 0  # of the message, as far as the call was told
        self._progress_at: float | None = None  # when the message grew, if the call was not told
        self._kept_chars = 0  # that the caller had when the last attempt was cut

    # What a driver reports

    def recalled(self, now: float, *, found: bool) -> None:
        """The journal was asked for the answer.

        Args:
            now: Monotonic seconds.
            found: Whether it holds some of it, which is read next.
        """
        self._recalls = False
        if found:
            self.call.begin_replay(now)
        self._decide(now)

    def recall_overdue(self, now: float) -> None:
        """The journal was asked for the answer, and had none of it at the deadline."""
        self._recalls = False
        self.call.begin_replay(now)
        failed = FailedAttempt(Failure(FailureKind.STALLED, Overdue.CALL.value))
        self._retry_or_give_up(failed, Reason.DEADLINE, now)
        self._decide(now)

    def deposed(self, now: float) -> None:
        """Another process took the answer over: ask the journal again, from its beginning.

        What was returned last is void.
        """
        failure = Failure(FailureKind.DROPPED, "another process took the answer over")
        self.call.deposed(FailedAttempt(failure), now)
        self._begin_message()
        self._recalls = True
        self._decide(now)

    def begin(self, now: float) -> None:
        """The request is about to be sent."""
        self.call.begin(_kind_of(self._plan), now)

    def opened(
        self,
        framing: Callable[[], Framing],
        now: float,
        *,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        """The response is a stream of events.

        Args:
            framing: Makes a reader of its events.
            now: Monotonic seconds.
            status: Its HTTP status.
            request_id: Its `request-id` header, if it has one.
        """
        self.call.note(status=status, request_id=request_id)
        self.call.stream_opened()
        frames = framing()
        if self.message is None:
            self.message = Message(frames)
        if not self.message.has_thinking():
            self._thinking_of = self._target_model
        plan = self._plan
        again, is_replay = plan.mode is PlanMode.AGAIN, self.call.is_replay
        self._ledger.begin_attempt(self.call.attempt.number, None if again else plan.prompt_tokens)
        self._reading = Reading(
            self.message,
            self._ledger,
            frames,
            self._live,
            mode=plan.mode,
            seam=plan.seam,
            whole=self.call.policy.json == "whole" and wants_json(self._body),
            replays=is_replay,
        )
        self._seam = plan.seam
        # The request was sent: its body holds texts that may be long.
        self._plan = dataclasses.replace(plan, body=self._body, seam=None)
        before = [(block, block.size()) for block in self.message.blocks]
        self._request = Request(self._plan, before)
        self._run = None
        self._watch.begin(now, stalls=not is_replay)
        self._decide(now)

    def answered(
        self,
        message: dict[str, Any] | None,
        now: float,
        *,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        """The response is the whole answer.

        Args:
            message: The answer, if it is a message.
            now: Monotonic seconds.
            status: Its HTTP status.
            request_id: Its `request-id` header, if it has one.
        """
        self.call.note(status=status, request_id=request_id)
        if message is not None:
            self.call.answered(message)
            self._remember_answer(message)
        self._tell_replayed(whole=True)
        self.call.succeeded(now)
        self._decide(now)

    def no_response(self, failed: FailedAttempt, now: float) -> None:
        """No answer started: there is no connection, or the response is an HTTP error."""
        self.call.note(status=failed.failure.status, request_id=failed.request_id)
        reformulate = self._refuses_prefill(failed)
        if reformulate and self._target_model is not None:
            self._prefill.refused_by(self._target_model)
        refused = self._refuses_thread(failed)
        if refused:
            assert self._thread is not None
            self._body = self._thread.anew or self._body
        lost = refused and continues_thread(self._body)
        plan = Reason.THREAD if lost else self._plan_again()
        self._retry_or_give_up(failed, plan, now, reformulate=reformulate or refused)
        self._decide(now)

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

    def connection_lost(self, failed: FailedAttempt, now: float) -> bytes:
        """The body broke off, or was ended at `read_ends`; return what the caller gets for that."""
        if now >= self.read_ends:
            return self._end_overdue(now)
        out = self._end_attempt(failed, now)
        self._decide(now)
        return out

    def body_ended(self, now: float) -> bytes:
        """The body ended without an error; return what the caller gets for that."""
        detail = "the stream ended before message_stop"
        if self.call.is_replay:
            detail = "the process that wrote the answer left it"
        failed = FailedAttempt(Failure(FailureKind.DROPPED, detail), EOFError(detail))
        return self.connection_lost(failed, now)

    def charged(self, *, granted: bool, now: float) -> None:
        """The retry budget told whether one more attempt may be made."""
        self.call.charged(granted=granted, now=now)
        self._decide(now)

    def waited(self, now: float) -> None:
        """The wait is over."""
        self.call.waited()
        self._decide(now)

    def drain(self, now: float) -> bytes:
        """The process shuts down: end the attempt under way, and make no further one.

        Return what the caller gets for that.
        """
        out = b""
        is_read = self.call.phase is Phase.READING
        if not self.call.attempts:
            self.call.waited()  # the first request is no retry
        elif is_read and self._reading is not None and self._reading.ended:
            out = self._finish(self._reading, now)
        elif is_read or self.call.is_sending:
            if is_read:
                self._record_attempt(now)
            failure = Failure(FailureKind.DROPPED, "ended by unbroken.drain()")
            self._retry_or_give_up(FailedAttempt(failure), Reason.DRAINED, now)
        else:
            self.call.drained(now)
        self._decide(now)
        return out

    def close(self, now: float) -> None:
        """The caller closed the stream, or cancelled the task."""
        if self.call.phase is Phase.READING:
            with suppress(Exception):  # a signal may have interrupted any step before
                self._record_attempt(now)
        self.call.close(now)
        self._decide(now)

    # What it tells

    @property
    def read_ends(self) -> float:
        """Monotonic seconds at which to end the read of the response; infinite for never.

        At the deadline, or where an outage lasts too long and the attempt brought nothing at all.
        """
        return self._watch.ends(self._outage_ends())

    def take_rest(self) -> bytes:
        """What the caller gets once the call is complete: the end, if it was not delivered yet."""
        rest, self._rest = self._rest, b""
        return rest

    @property
    def deadline(self) -> float | None:
        """Monotonic seconds at which the call must end; None for no deadline."""
        return self.call.bounds.ends

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete, and the caller has been given its end."""
        return self.call.phase is Phase.COMPLETE and not self._rest

    def take_events(self) -> list[RecoveryEvent]:
        """What happened since this was called last."""
        return self.call.take_events()

    def partial(self) -> dict[str, Any] | None:
        """The message as JSON, as far as it was delivered; None if no stream was opened."""
        return None if self.message is None else self.message.so_far()

    def turns(self) -> tuple[dict[str, Any], ...]:
        """The turns that produced the answer; none if no stream was opened."""
        if self.message is None or self._request is None or self._reading is None:
            return ()
        return self._request.turns(self.message.blocks, self._reading.received())

    # Deciding

    def _decide(self, now: float) -> None:
        """Set the next action."""
        call = self.call
        match call.phase:
            case Phase.ASKING if self._recalls:
                self.action = RECALL
            case Phase.ASKING:
                bounds = call.bounds
                left, silence = bounds.time_left(now), bounds.longest_silence(now)
                number, target = bounds.attempts + 1, call.route.current
                self.action = Send(self._plan, number, left, silence, target)
            case Phase.CHARGING:
                self.action = ASK_BUDGET
            case Phase.WAITING:
                self.action = Sleep(call.wait)
            case Phase.READING:
                self.action = READ
            case Phase.LOST:
                self.action = GiveUp(call.lost)
            case Phase.COMPLETE | Phase.CLOSED:
                self.action = FINISH
        if call.phase is Phase.COMPLETE and self._ended is not None:
            self._end_as_before()

    def _retry_or_give_up(
        self,
        failed: FailedAttempt,
        plan: Plan | Reason | EndTurn | CallbackError,
        now: float,
        *,
        reformulate: bool = False,
    ) -> None:
        """Plan the next request, if there is one to make and the bounds allow it."""
        if isinstance(plan, Plan) and self._costs_too_much(plan):
            plan = Reason.MAX_EXTRA_TOKENS
        refusal = plan if isinstance(plan, Reason | CallbackError) else None
        before = self.call.route.current
        self.call.failed(failed, now, refusal=refusal, reformulate=reformulate)
        if self.call.route.current != before and self.call.phase not in _OVER:
            plan = self._plan_again()
            if isinstance(plan, CallbackError):
                self.call.callback_raised(plan.error, failed, now)
        if isinstance(plan, Plan):
            self._plan = plan

    def _costs_too_much(self, plan: Plan) -> bool:
        """Whether the input of a request is likely to cost more than the policy allows."""
        most, asked = self.call.policy.max_extra_tokens, self._ledger.input_of_first
        if most is None or not asked:
            return False
        sent = plan.prompt_tokens + plan.sent // CHARS_PER_TOKEN
        return self.call.extra_tokens + asked + sent > most

    @property
    def _target_model(self) -> str | None:
        """The model that the target is asked for."""
        return self.call.route.target.model or self.call.model

    def _request_body(self) -> Any:
        """The caller's request, as the target takes it."""
        if self.call.route.is_own:
            return self._body
        return self._whole_body()

    def _whole_body(self) -> Any:
        """The request that a continuation adds to, as the target takes it.

        Of a thread, it has the whole conversation: no other request or target knows the thread.
        """
        whole = self._body if self._whole is None else self._whole
        return whole if self.call.route.is_own else for_model(whole, self._target_model)

    def _has_delivered(self) -> bool:
        return self.message is not None and bool(self.message.blocks)

    def _refuses_prefill(self, failed: FailedAttempt) -> bool:
        return (
            self._plan.mode is PlanMode.PREFILL
            and self.call.policy.resuming.mode == "auto"
            and refuses_prefill(failed.failure.status, failed.message)
        )

    def _refuses_thread(self, failed: FailedAttempt) -> bool:
        """Whether the same request cannot be made again, as the first may have been answered."""
        again = self.call.attempt.number > 1 and continues_thread(self._plan.body)
        return again and refuses_thread(failed.failure.error_code)

    def _plan_again(self) -> Plan | Reason | EndTurn | CallbackError:
        """Plan the next request after one that brought nothing, or for another target."""
        return self._next_plan() if self._has_delivered() else Plan(self._request_body())

    def _next_plan(self) -> Plan | Reason | EndTurn | CallbackError:
        assert self.message is not None
        blocks = self.message.blocks
        if self.message.growth == self._paused_at:
            return resume_pause(self._whole_body(), self._delivered())
        self._kept_chars = sum(
            len(block.text()) for block in blocks if block.handling is Handling.TEXT
        )
        now = Situation(
            self._whole_body(),
            self._delivered(),
            self.call.policy.resuming,
            takes_prefill=self._prefill.taken_by(self._target_model or ""),
            trim_word=self._may_trim_word,
            replies=self._replies,
            again=self._request_body(),
            paid=self._paid_chars,
        )
        try:
            return resume(now)
        except CallbackError as error:
            return error

    def _delivered(self) -> Delivered:
        """The content that was delivered, for the target."""
        assert self.message is not None
        blocks, is_open = self.message.blocks, self.message.open
        return Delivered(blocks, is_open, thinks_alike=self._thinks_alike())

    def _thinks_alike(self) -> bool:
        """Whether the target can read the thinking that was delivered."""
        return base_model(self._thinking_of or "") == base_model(self._target_model or "")

    # Reading

    def _read(self, data: bytes, now: float) -> bytes:
        reading = self._reading
        assert reading is not None
        out: list[bytes] = []
        try:
            for frame in reading.framing.split(data):
                piece = reading.plain_delta(frame)
                if piece is None:
                    piece = self._take(frame, reading, now)
                else:
                    self._watch.last_event = now
                out.append(piece)
                if self.call.phase is not Phase.READING:
                    break
        except InvalidToolInputError as error:
            out.append(self._tool_input_failed(error, now))
        except FrameError as error:
            out.append(self._end_attempt(_dropped(error), now))
        except SeamError as error:
            self._seam_failed(error, now)
        self._note_progress(now)
        self._run = None if reading.framing.pending else reading.lane.run
        if self.call.phase is not Phase.READING:
            self._decide(now)
        return b"".join(out)

    def _take(self, frame: bytes, reading: Reading, now: float) -> bytes:
        event = reading.framing.decode(frame)
        if event is None:
            return frame
        if event.name == "error":
            return self._end_attempt(_error_event(event), now)
        if event.name != "ping" and self.call.attempt.first_event is None:
            self.call.note_first_event(now)
        if reading.brings_content(event):
            self._watch.last_event = now
        out = reading.take(event)
        if event.name == "message_start":
            self._bill_cut_attempt()
        return out + self._answer_ended(reading, now) if reading.stopped else out

    def _answer_ended(self, reading: Reading, now: float) -> bytes:
        """The model ended its answer: ask for more of it, or deliver its end."""
        assert self.message is not None
        delivered = Delivered(self.message.blocks, self.message.open)
        if (
            self.call.is_replay
            or self._extensions >= self.call.policy.resuming.extend
            or self.call.bounds.attempts >= self.call.policy.max_attempts
            or not can_extend(reading.stop_reason, reading.last_block, delivered, self._body)
        ):
            return self._finish(reading, now)
        self._paid_chars = sum(len(block.text()) for block in delivered.last_texts())
        self._paused_at = self.message.growth if reading.stop_reason == "pause_turn" else None
        plan = self._next_plan()
        if not isinstance(plan, Plan) or plan.mode is PlanMode.AGAIN:
            return self._finish(reading, now)
        self._extensions += 1
        self._ended = reading.ending()
        self._record_attempt(now)
        self.call.answered(self.message.without_content(self._ended))
        self.call.extended(now)
        self._plan = dataclasses.replace(plan, extends=True)
        return b""

    def _finish(self, reading: Reading, now: float) -> bytes:
        """The model ended the message: deliver its end."""
        self._record_attempt(now)
        out = reading.finish()
        self._record_message(is_stored=reading.stopped and self._ledger.is_first)
        self._tell_replayed(whole=True)
        self.call.succeeded(now)
        return out

    def _end_attempt(self, failed: FailedAttempt, now: float) -> bytes:
        """The stream broke off: finish the message if that is possible, else plan what follows."""
        reading = self._reading
        assert reading is not None
        if reading.ended:
            return self._answer_ended(reading, now)
        self._record_attempt(now)
        self._tell_replayed(whole=False)
        plan = self._next_plan()
        if isinstance(plan, EndTurn):
            out = reading.finish_as("tool_use")
            self._record_message(is_stored=False)
            self.call.complete_short(failed, now)
            return out
        self._retry_or_give_up(failed, plan, now)
        return b""

    def _seam_failed(self, error: SeamError, now: float) -> None:
        """The text of the attempt cannot be joined to the text before it."""
        assert self._seam is not None
        self._replies = self._replies.add(error.problem, self._seam)
        follows = after_problem(
            error.problem,
            self._replies,
            self.call.policy.resuming,
            is_json=wants_json(self._body),
        )
        if self._plan.trimmed_word:
            self._may_trim_word = False
        self._record_attempt(now)
        plan = follows if isinstance(follows, Reason) else self._next_plan()
        reformulate = follows is Next.REFORMULATE
        self._retry_or_give_up(_dropped(error), plan, now, reformulate=reformulate)

    def _tool_input_failed(self, error: InvalidToolInputError, now: float) -> bytes:
        """A tool call came to its end, and its input cannot be read."""
        if not self._has_bad_tool_input:
            self._has_bad_tool_input = True
            return self._end_attempt(_dropped(error), now)
        self._record_attempt(now)
        self._retry_or_give_up(_dropped(error), Reason.TOOL_INPUT, now)
        return b""

    def _end_overdue(self, now: float) -> bytes:
        """End what is overdue, if anything is; return what the caller gets for that."""
        overdue = self._watch.overdue(now, self._outage_ends())
        out = b""
        if overdue is Overdue.STREAM:
            out = self._end_attempt(_stalled("nothing but pings came"), now)
        elif overdue is not None:
            self._record_attempt(now)
            self._retry_or_give_up(_stalled(overdue.value), _OVERDUE[overdue], now)
        if overdue is not None:
            self._decide(now)
        return out

    def _outage_ends(self) -> float | None:
        """When the outage must be over; None while the attempt brings content.

        The caller may not have it yet: thinking and tool calls are delivered when they are whole.
        """
        assert self._reading is not None
        if self.call.is_replay or self._reading.received_chars():
            return None
        return self.call.bounds.outage_ends

    def _end_as_before(self) -> None:
        """End the message as the model did, as no more of it came."""
        assert self.message is not None
        assert self._reading is not None
        if self.message.end is None:
            self._rest = self._reading.finish_with(self._ended or {})
            self._record_message(is_stored=False)
        self._ended = None

    # Recording

    def _note_progress(self, now: float) -> None:
        """Tell the call when the caller last got something new."""
        assert self.message is not None
        if self.message.growth > self._growth:
            self._growth, self._progress_at = self.message.growth, now
        if self._progress_at is None:
            return
        was_out = self.call.outage_cause is not None
        outage = self.call.progress(self._progress_at)
        self._progress_at = None
        self._replies = NO_REPLIES
        if was_out:
            self.call.emit(Resumed, kept_chars=self._kept_chars, outage=outage)

    def _record_message(self, *, is_stored: bool) -> None:
        """Record the id, model, usage and stop reason of the message, and the turn of its thread.

        Args:
            is_stored: Whether the API may have this message, under its id.
        """
        assert self.message is not None
        known = self.message.without_content()
        self.call.answered(known)
        own = base_model(self._thinking_of or "") == base_model(self.call.model or "")
        content = Delivered(self.message.blocks, None, thinks_alike=own)
        if self._thread is not None and content.understood():
            stored = is_stored and self.call.route.is_own
            self._thread.answered(known.get("id"), content.turn(), is_stored=stored)

    def _remember_answer(self, message: dict[str, Any]) -> None:
        """Remember the turn of a thread that a whole answer ends."""
        content = message.get("content")
        if self._thread is not None and isinstance(content, list):
            stored = self.call.route.is_own
            self._thread.answered(message.get("id"), sendable_turn(content), is_stored=stored)

    def _record_attempt(self, now: float) -> None:
        """Record what the attempt brought."""
        assert self._reading is not None
        self._note_progress(now)
        received = self._reading.received_chars()
        self.call.note(
            received_chars=received,
            delivered_chars=self._delivered_chars(self._reading, received),
            usage=None if self.call.is_replay else self._ledger.billed(),
            seam=None if self._seam is None else self._seam.kind,
        )

    def _delivered_chars(self, reading: Reading, received: int) -> int:
        """How many of the characters that the attempt brought the caller got."""
        assert self.message is not None
        assert self._request is not None
        if reading.ended and not self._request.before:
            return received  # nothing of a first attempt that ended was left out: do not count
        return self.message.chars_since([size for _, size in self._request.before])

    def _tell_replayed(self, *, whole: bool) -> None:
        """The journal was read to its end."""
        if self.call.is_replay:
            chars = self.call.attempt.received_chars
            self.call.emit(Replayed, chars=chars, whole=whole)

    def _bill_cut_attempt(self) -> None:
        """Bill the attempt before this one, if only this one's input tells its output."""
        told = self._ledger.estimate_cut_output()
        if told is not None:
            self.call.bill(*told)


_OVER = (Phase.COMPLETE, Phase.LOST)
_OVERDUE = {Overdue.CALL: Reason.DEADLINE, Overdue.OUTAGE: Reason.MAX_OUTAGE}


def _kind_of(plan: Plan) -> AttemptKind:
    if plan.extends:
        return AttemptKind.EXTENSION
    return AttemptKind.RETRY if plan.mode is PlanMode.AGAIN else AttemptKind.CONTINUATION


def _model(body: Any) -> str | None:
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) else None


def _dropped(error: Exception) -> FailedAttempt:
    return FailedAttempt(Failure(FailureKind.DROPPED, str(error)), error)


def _stalled(detail: str) -> FailedAttempt:
    return FailedAttempt(Failure(FailureKind.STALLED, detail), TimeoutError(detail))


def _error_event(event: Event) -> FailedAttempt:
    error_type, code, _ = error_in(event.data)
    kind = classify(200, error_type, code)
    failure = Failure(kind, "an error event in the stream", 200, error_type, code)
    return FailedAttempt(failure, origin=event.frame)
