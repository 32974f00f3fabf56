"""Any answer, any cuts, any voice: one well-formed message, and requests that the API accepts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.core.service import AT_ONCE, Run, Service, request
from tests.core.strategies import TOOLS, VOICES, agent_answers, texts
from tests.profiles import examples, step
from tests.samples import NEWEST, PREFILLS

from unbroken._core.actions import READ
from unbroken._core.attempts import AttemptKind, Outcome
from unbroken._core.bounds import Reason
from unbroken._core.events import AttemptFailed, AttemptStarted, Completed, Resumed, Waiting
from unbroken._core.failures import FailureKind
from unbroken._core.framing.frames import ServerSentEvents
from unbroken._core.models import Prefill
from unbroken._core.policy import Continuation
from unbroken._core.recovery import Recovery
from unbroken._core.states import Phase
from unbroken.testing import Answer, answers, voices

thorough = settings(max_examples=examples(40))

# Where the caller has less than this, a model that goes on cannot be asked for words that prove it.
ENOUGH_TO_PROVE = 40


def size_of(answer: Answer | str, **fields: Any) -> int:
    """The bytes of the whole stream."""
    status, body, _ = Service(answer).respond(request(**fields))
    assert status == 200, body
    return len(body)


def text_of(message: dict[str, Any]) -> str:
    return "".join(block.get("text", "") for block in message["content"])


def begins_at(answer: Answer | str, **fields: Any) -> int:
    """The bytes of a stream before there is enough text to prove a seam."""
    body = Service(answer, delta_chars=1).respond(request(**fields))[1]
    frames = body.split(b"\n\n")
    chars = 0
    for number, frame in enumerate(frames):
        chars += b"text_delta" in frame
        if chars > ENOUGH_TO_PROVE:
            return len(b"\n\n".join(frames[: number + 1]))
    return len(body)


@st.composite
def cut_texts(draw: st.DrawFn, model: str) -> tuple[str, list[int], int, str]:
    text = draw(texts(least=15, most=120))
    fields = {"model": model}
    earliest = begins_at(text, **fields) if model == NEWEST else 0
    size = len(Service(text, delta_chars=1).respond(request(**fields))[1])
    first = draw(st.integers(earliest, size))
    cuts = [first, *draw(st.lists(st.integers(0, size), max_size=3))]
    return text, cuts, draw(st.sampled_from([1, 37, 10_000])), draw(st.sampled_from(list(VOICES)))


def check_text(model: str, text: str, cuts: list[int], chunk: int, voice: str) -> None:
    service = Service(text, voice=VOICES[voice], cuts=cuts, chunk=chunk, delta_chars=1)
    run = service.run(request(model=model))
    assert text_of(run.message()) == text
    assert len(run.message()["content"]) == 1
    assert service.refusals == []
    assert service.api.unmatched == []


@thorough
@given(cut_texts(NEWEST))
def test_a_text_is_exact_after_a_user_turn(drawn: tuple[str, list[int], int, str]) -> None:
    check_text(NEWEST, *drawn)


@thorough
@given(cut_texts(PREFILLS))
def test_a_text_is_exact_after_a_prefill(drawn: tuple[str, list[int], int, str]) -> None:
    check_text(PREFILLS, *drawn)


TEXT = (
    "The night train left at ten.\n\n1. First: ha ha ha ha ha ha, said he.\n2. Then:\n"
    "        return x + 1\n\n        return y\n\n“Again, and again, and again”, it went — 七十歳."
)


@pytest.mark.parametrize("model", [PREFILLS, NEWEST])
def test_a_cut_every_few_bytes(model: str) -> None:
    for cut in range(0, size_of(TEXT, model=model) + 1, step(3)):
        service = Service(TEXT, cuts=[cut])
        run = service.run(request(model=model))
        assert text_of(run.message()) == TEXT, cut
        assert service.refusals == []


@pytest.mark.parametrize("model", [PREFILLS, NEWEST])
def test_cuts_all_over_continuations(model: str) -> None:
    size = size_of(TEXT, model=model)
    for cut in range(0, size, step(17)):
        service = Service(TEXT, cuts=[size // 2, cut, cut, cut])
        run = service.run(request(model=model))
        assert text_of(run.message()) == TEXT, cut


class Agent:
    """An agent turn, cut and recovered."""

    def __init__(self, answer: Answer, model: str, voice: str, cuts: list[int], chunk: int) -> None:
        thinks = any(block.type == "thinking" for block in answer.blocks)
        self.answer = answer
        self.fields: dict[str, Any] = {
            "model": model,
            "tools": TOOLS,
            "thinking": {"type": "adaptive" if thinks else "disabled"},
        }
        self.service = Service(answer, voice=VOICES[voice], cuts=cuts, chunk=chunk)
        self.run: Run = self.service.run(request(**self.fields))

    def check(self) -> None:
        message = self.run.message()
        assert self.service.refusals == []
        self.check_content(message)
        self.check_history(message)

    def check_content(self, message: dict[str, Any]) -> None:
        tools = [(b["name"], b["input"]) for b in message["content"] if b["type"] == "tool_use"]
        meant = [(b.content["name"], b.content["input"]) for b in self.answer.blocks
                 if b.type == "tool_use"]  # fmt: skip
        # A drop after a finished tool call ends the turn there: it is not asked for again.
        assert tools == meant[: len(tools)]
        assert bool(tools) == bool(meant)
        assert text_of(message) == self.answer.text
        assert message["stop_reason"] == self.answer.stop_reason
        ids = [b["id"] for b in message["content"] if "id" in b]
        answered = [b["tool_use_id"] for b in message["content"] if "tool_use_id" in b]
        assert len(set(ids)) == len(ids)
        assert set(answered) <= set(ids)

    def check_history(self, message: dict[str, Any]) -> None:
        content = [{k: v for k, v in b.items() if v is not None} for b in message["content"]]
        calls = [b["id"] for b in content if b["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": i, "content": "ok"} for i in calls]
        reply = {"role": "user", "content": results or "And then?"}
        before = request()["messages"]
        merged = {"role": "assistant", "content": content}
        assert self.service.accepts([*before, merged, reply], **self.fields) == ""
        turns = self.run.machine.turns()
        assert self.service.accepts([*before, *turns, reply], **self.fields) == ""
        asked = self.service.requests[-1]["messages"][len(before) :]
        if asked and asked[-1]["role"] == "user":
            assert list(turns[: len(asked)]) == asked


# Where to cut, as shares of the whole stream.
places = st.lists(st.floats(0, 1), min_size=1, max_size=3)
chunks = st.sampled_from([1, 53, 10_000])


def check_agent(answer: Answer, model: str, shares: list[float], chunk: int) -> None:
    thinks = any(block.type == "thinking" for block in answer.blocks)
    thinking = {"type": "adaptive" if thinks else "disabled"}
    size = size_of(answer, model=model, tools=TOOLS, thinking=thinking)
    cuts = [int(size * share) for share in shares]
    # How words are joined is proved above: here the model simply goes on.
    Agent(answer, model, "exact", cuts, chunk).check()


@thorough
@given(agent_answers(thinks=True), places, chunks)
def test_an_agent_turn_with_thinking(answer: Answer, shares: list[float], chunk: int) -> None:
    check_agent(answer, NEWEST, shares, chunk)


@thorough
@given(agent_answers(thinks=False), places, chunks)
def test_an_agent_turn_without_thinking(answer: Answer, shares: list[float], chunk: int) -> None:
    check_agent(answer, NEWEST, shares, chunk)


@thorough
@given(agent_answers(thinks=False), places, chunks)
def test_an_agent_turn_on_a_model_with_prefill(
    answer: Answer, shares: list[float], chunk: int
) -> None:
    check_agent(answer, PREFILLS, shares, chunk)


AGENT_TURN = Answer(
    [
        answers.thinking("Let me look that up, and then call the tools."),
        answers.text("One moment, I am looking it up."),
        *answers.server_tool("web_search", {"query": "x" * 30}, content=[]),
        answers.text("Found it; now two calls."),
        answers.tool_use("first", {"query": "é" * 10}),
        answers.tool_use("second", {}),
    ]
)


def test_an_agent_turn_cut_every_few_bytes() -> None:
    fields = {"tools": TOOLS, "thinking": {"type": "adaptive"}}
    for cut in range(0, size_of(AGENT_TURN, **fields), step(7)):
        Agent(AGENT_TURN, NEWEST, "exact", [cut], 10_000).check()


class TestEvents:
    """What is told of a call, in order."""

    def test_a_recovered_call(self) -> None:
        run = Service(TEXT, cuts=[size_of(TEXT) // 2]).run(request())
        kinds = [type(event) for event in run.machine.call.events]
        assert kinds == [
            AttemptStarted, AttemptFailed, Waiting, AttemptStarted, Resumed, Completed
        ]  # fmt: skip
        first, second = run.machine.call.attempts
        assert (first.kind, first.outcome) == (AttemptKind.INITIAL, Outcome.INTERRUPTED)
        assert (second.kind, second.outcome) == (AttemptKind.CONTINUATION, Outcome.COMPLETE)
        assert first.received_chars > 0


class TestWhatIsNoGuess:
    """Where the answer cannot be continued, the call is lost, with a reason."""

    def lost(self, answer: Answer | str, cut: int, **fields: Any) -> Run:
        settings = fields.pop("settings", {})
        policy = fields.pop("policy", AT_ONCE)
        run = Service(answer, cuts=[cut]).run(request(**fields), policy, **settings)
        assert run.phase is Phase.LOST
        assert len(run.service.requests) == 1
        return run

    def test_json_output_after_another_block(self) -> None:
        schema = {"type": "json_schema", "schema": {"type": "object"}}
        text = '{"a": "' + "long " * 30 + '"}'
        answer = Answer([*answers.server_tool("web_search", {}, content=[]), text])
        fields: dict[str, Any] = {"output_config": {"format": schema}, "tools": TOOLS}
        run = self.lost(answer, size_of(answer, **fields) - 900, **fields)
        assert run.machine.call.reason is Reason.JSON_OUTPUT

    def test_json_output_of_which_nothing_was_delivered(self) -> None:
        schema = {"type": "json_schema", "schema": {"type": "object"}}
        service = Service('{"a": 1}', cuts=[300])
        run = service.run(request(output_config={"format": schema}))
        assert text_of(run.message()) == '{"a": 1}'
        assert service.requests[0] == service.requests[1]

    def test_json_output_with_restart(self) -> None:
        schema = {"type": "json_schema", "schema": {"type": "object"}}
        text = '{"a": "' + "long " * 30 + '"}'
        policy = AT_ONCE.replace(continuation=Continuation("restart"))
        run = Service(text, cuts=[900]).run(request(output_config={"format": schema}), policy)
        assert text_of(run.message()) == text

    def test_an_unknown_block(self) -> None:
        answer = Answer([answers.block({"type": "hologram", "data": "x"}), answers.text(TEXT)])
        run = self.lost(answer, 900)
        assert run.machine.call.reason is Reason.UNKNOWN_BLOCK

    def test_an_eager_tool_call(self) -> None:
        answer = Answer([answers.tool_use("first", {"query": "x" * 200})])
        run = self.lost(answer, 1200, tools=TOOLS, settings={"live": {"tool_use"}})
        assert run.machine.call.reason is Reason.LIVE_BLOCK
        assert b"input_json_delta" in run.out

    def test_live_thinking(self) -> None:
        answer = Answer([answers.thinking("hm " * 80), answers.text("Yes.")])
        run = self.lost(
            answer, 1200, thinking={"type": "adaptive"}, settings={"live": {"thinking"}}
        )
        assert run.machine.call.reason is Reason.LIVE_BLOCK
        assert b"thinking_delta" in run.out

    def test_a_continued_thread(self) -> None:
        service = Service(TEXT)
        first = service.run(request(thread={"type": "create"}))
        thread = {"type": "continue", "previous_message_id": first.message()["id"]}
        service.cuts = [900]
        run = service.run(request(thread=thread))
        assert run.machine.call.reason is Reason.THREAD

    def test_a_continued_thread_of_which_nothing_was_delivered(self) -> None:
        service = Service(TEXT)
        first = service.run(request(thread={"type": "create"}))
        thread = {"type": "continue", "previous_message_id": first.message()["id"]}
        service.cuts = [10]
        run = service.run(request(thread=thread))
        assert run.machine.call.reason is Reason.THREAD

    def test_continuation_off(self) -> None:
        run = self.lost(TEXT, 900, policy=AT_ONCE.replace(continuation="off"))
        assert run.machine.call.reason is Reason.CONTINUATION_OFF


@pytest.mark.parametrize(
    ("reason", "extra"),
    [
        ("refusal", {"stop_details": {"type": "refusal", "category": "cyber"}}),
        ("pause_turn", {}),
        ("stop_sequence", {"stop_sequence": "END"}),
        ("max_tokens", {}),
        ("model_context_window_exceeded", {}),
    ],
)
def test_every_stop_reason_is_an_end(reason: str, extra: dict[str, Any]) -> None:
    answer = Answer("A part of an answer", stop_reason=reason, **extra)
    service = Service(answer)
    body = service.respond(request())[1]
    stop = body.index(b"message_stop")
    for cut in (None, stop - 7, stop + 5):
        service = Service(answer, cuts=[cut])
        run = service.run(request())
        assert run.message()["stop_reason"] == reason
        assert len(service.requests) == 1


def test_a_tool_call_that_is_complete_is_never_asked_for_again() -> None:
    body = Service(AGENT_TURN).respond(request(tools=TOOLS, thinking={"type": "adaptive"}))[1]
    second = body.index(b'"name":"second"')
    service = Service(AGENT_TURN, cuts=[second + 20])
    run = service.run(request(tools=TOOLS, thinking={"type": "adaptive"}))
    message = run.message()
    assert [b["name"] for b in message["content"] if b["type"] == "tool_use"] == ["first"]
    assert message["stop_reason"] == "tool_use"
    assert len(service.requests) == 1


def test_pings_pass_while_a_block_is_held() -> None:
    answer = Answer([answers.tool_use("first", {"query": "word " * 100})])
    run = Service(answer).run(request(tools=TOOLS))
    first_ping = run.out.index(b"event: ping")
    assert first_ping < run.out.index(b"content_block_start")
    assert run.out.count(b"event: ping") > 10


def test_thinking_born_in_a_continuation_is_in_the_turns_only() -> None:
    answer = Answer([answers.thinking("Hm."), answers.text(TEXT)])
    fields = {"thinking": {"type": "adaptive"}}
    cut = size_of(answer, **fields) // 2
    run = Service(answer, cuts=[cut]).run(request(**fields))
    kinds = [block["type"] for block in run.message()["content"]]
    assert kinds == ["thinking", "text"]
    *_, rest = run.machine.turns()
    assert [block["type"] for block in rest["content"]] == ["thinking", "text"]


def test_max_tokens_of_a_continuation_does_not_cut_the_answer_short() -> None:
    text = "word " * 400 + "end."
    whole = Service(text).run(request()).message()
    limit = whole["usage"]["output_tokens"]
    for cut in range(2000, size_of(text), 1500):
        service = Service(text, cuts=[cut])
        run = service.run(request(max_tokens=limit + 50))
        assert text_of(run.message()) == text
        assert all(1 <= body["max_tokens"] <= limit + 50 for body in service.requests)


def test_max_tokens_stays_above_a_thinking_budget() -> None:
    answer = Answer([answers.thinking("Hm."), answers.text("word " * 3000)])
    fields = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "model": PREFILLS}
    service = Service(answer, cuts=[size_of(answer, **fields) - 500])
    service.run(request(max_tokens=5000, **fields))
    assert service.requests[1]["max_tokens"] > 1024
    assert service.refusals == []


def test_usage_counts_what_the_prompt_cache_read_and_wrote() -> None:
    cached = [{"type": "text", "text": "long " * 500, "cache_control": {"type": "ephemeral"}}]
    fields = {"model": PREFILLS, "system": cached}
    whole = Service(TEXT).run(request(**fields)).message()["usage"]
    run = Service(TEXT, cuts=[size_of(TEXT, **fields) // 2]).run(request(**fields))
    spliced = run.message()["usage"]
    inputs = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    assert [spliced[name] for name in inputs] == [whole[name] for name in inputs]
    assert abs(spliced["output_tokens"] - whole["output_tokens"]) <= 2
    first, second = run.machine.call.attempts
    assert first.usage is not None
    assert second.usage is not None
    assert first.usage.estimated
    assert second.usage.cache_read_input_tokens


@given(st.data())
@settings(max_examples=examples(30))
@example(None)
def test_the_caller_gets_a_part_at_any_time(data: Any) -> None:
    """The partial message is what the delivered events make, wherever the call is lost."""
    size = size_of(TEXT)
    cut = size // 2 if data is None else data.draw(st.integers(0, size - 200))
    policy = AT_ONCE.replace(continuation=Continuation("off"), max_attempts=1)
    run = Service(TEXT, cuts=[cut], voice=voices.exact).run(request(), policy)
    delivered = b"".join(f for f in run.out.split(b"\n\n") if b"text_delta" in f)
    partial = run.machine.partial()
    text = "" if partial is None else text_of(partial)
    assert TEXT.startswith(text)
    assert bool(text) == bool(delivered)


def frames_of(body: bytes, size: int) -> bytes:
    """The whole frames within this many bytes."""
    return body[: body.rindex(b"\n\n", 0, size) + 2]


class TestTime:
    """Time is told to the machine; it reads no clock."""

    def reading(self, policy: Any, **settings: Any) -> Recovery:
        machine = Recovery(policy, request(), 0.0, prefill=Prefill(), **settings)
        machine.begin(0.0)
        machine.opened(ServerSentEvents, 0.0)
        body = Service(TEXT).respond(request())[1]
        machine.receive(frames_of(body, 1500), 1.0)
        assert machine.action is READ
        return machine

    PING = b'event: ping\ndata: {"type": "ping"}\n\n'

    def test_pings_alone_are_a_stall(self) -> None:
        machine = self.reading(AT_ONCE, progress_timeout=10.0)
        for now in (5.0, 9.0, 10.5):
            assert machine.receive(self.PING, now) == self.PING
        machine.receive(self.PING, 11.5)
        assert machine.call.attempt.failure is not None
        assert machine.call.attempt.failure.kind is FailureKind.STALLED
        assert machine.call.phase is Phase.WAITING

    def test_events_are_none(self) -> None:
        machine = self.reading(AT_ONCE, progress_timeout=10.0)
        body = Service(TEXT).respond(request())[1]
        rest = frames_of(body, 1700).removeprefix(frames_of(body, 1500))
        machine.receive(rest, 10.0)
        machine.receive(self.PING, 19.0)
        assert machine.action is READ

    def test_the_deadline_ends_the_call(self) -> None:
        machine = self.reading(AT_ONCE.replace(deadline=20.0))
        machine.receive(self.PING, 19.0)
        assert machine.action is READ
        machine.receive(self.PING, 20.0)
        assert machine.call.phase is Phase.LOST
        assert machine.call.reason is Reason.DEADLINE

    def test_closing_counts_what_had_come(self) -> None:
        machine = self.reading(AT_ONCE)
        machine.close(2.0)
        assert machine.call.phase is Phase.CLOSED
        assert machine.call.attempt.outcome is Outcome.CANCELLED
        assert machine.call.attempt.received_chars > 0


def test_an_error_event_in_the_middle_is_a_failure_by_its_type() -> None:
    machine = Recovery(AT_ONCE, request(), 0.0, prefill=Prefill())
    machine.begin(0.0)
    machine.opened(ServerSentEvents, 0.0)
    machine.receive(frames_of(Service(TEXT).respond(request())[1], 1500), 0.0)
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    assert machine.receive(b"event: error\ndata: " + error + b"\n\n", 0.0) == b""
    failure = machine.call.attempt.failure
    assert failure is not None
    assert (failure.kind, failure.status) == (FailureKind.OVERLOADED, 200)


def test_a_refused_prefill_is_learned_and_masks_nothing() -> None:
    prefill = Prefill()
    service = Service(TEXT, prefill=False, cuts=[1500])
    machine = Recovery(AT_ONCE, request(model=PREFILLS), 0.0, prefill=prefill)
    run = Run(machine, service)
    run.go(iter([1500]))
    assert text_of(run.message()) == TEXT
    assert len(service.refusals) == 1
    assert not prefill.taken_by(PREFILLS)


def test_a_model_that_takes_another_word_is_asked_again_from_the_exact_place() -> None:
    asked_for: list[str] = []

    def voice(asked: voices.Cue) -> str:
        asked_for.append(asked.partial)
        return " other words" if len(asked_for) == 1 else asked.remaining

    text = "The night train left the harbour"
    body = Service(text, delta_chars=1).respond(request(model=PREFILLS))[1]
    inside = body.index(b"b", body.rindex(b'"text":"b"')) + 20
    service = Service(text, voice=voice, cuts=[inside], delta_chars=1)
    run = service.run(request(model=PREFILLS))
    assert text_of(run.message()) == text
    assert asked_for == ["The night train left the", "The night train left the harb"]


def test_a_restart_that_begins_otherwise_is_given_up() -> None:
    answers_in_turn = iter([TEXT, "Something else altogether, and long enough to tell."])
    service = Service(lambda _body: next(answers_in_turn), cuts=[1500])
    run = service.run(request(), AT_ONCE.replace(continuation=Continuation("restart")))
    assert run.machine.call.reason is Reason.DIVERGED
