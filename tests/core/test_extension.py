"""Answers that the model ended at a limit or a pause, asked on as one message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.core.service import AT_ONCE, Run, Service, request
from tests.samples import NEWEST, PREFILLS

from unbroken._core.actions import Send, Sleep
from unbroken._core.attempts import AttemptKind, Outcome
from unbroken._core.budget import RetryBudget
from unbroken._core.events import Completed, Extended
from unbroken._core.failures import FailureKind
from unbroken._core.models import Prefill
from unbroken._core.policy import Continuation, Policy
from unbroken._core.recovery import Recovery
from unbroken._core.rules import Rule
from unbroken._core.states import Phase
from unbroken.testing import Answer, answers

TEXT = " ".join(f"Line {n} of a story that takes more than one answer to tell." for n in range(40))
FIRST = (AttemptKind.INITIAL, Outcome.COMPLETE)
MORE = (AttemptKind.EXTENSION, Outcome.COMPLETE)
SEARCH = [{"type": "web_search_20250305", "name": "web_search"}]


def policy(extend: int = 3) -> Policy:
    return AT_ONCE.replace(continuation=Continuation(extend=extend))


def kinds_of(run: Run) -> list[tuple[AttemptKind, Outcome | None]]:
    return [(attempt.kind, attempt.outcome) for attempt in run.machine.call.attempts]


@pytest.mark.parametrize("model", [PREFILLS, NEWEST])
def test_a_text_is_asked_on_at_max_tokens(model: str) -> None:
    service = Service(TEXT)
    run = service.run(request(model=model, max_tokens=250), policy())
    message = run.message()
    assert [block["text"] for block in message["content"]] == [TEXT]
    assert message["stop_reason"] == "end_turn"
    assert service.refusals == []
    assert kinds_of(run) == [FIRST, MORE, MORE]
    assert [body["max_tokens"] for body in service.requests] == [250, 250, 250]
    events = [type(event) for event in run.machine.call.events]
    assert events.count(Extended) == 2
    assert events[-1] is Completed


def test_the_stop_reason_stays_where_the_bound_is_reached() -> None:
    run = Service(TEXT).run(request(max_tokens=150), policy(1))
    message = run.message()
    assert message["stop_reason"] == "max_tokens"
    assert TEXT.startswith(message["content"][0]["text"])
    assert kinds_of(run) == [FIRST, MORE]


def test_nothing_is_extended_by_default() -> None:
    run = Service(TEXT).run(request(max_tokens=150))
    assert run.message()["stop_reason"] == "max_tokens"
    assert kinds_of(run) == [FIRST]


@pytest.mark.parametrize("model", [PREFILLS, NEWEST])
def test_a_drop_in_an_extension_is_resumed(model: str) -> None:
    service = Service(TEXT, cuts=[None, 6000])
    run = service.run(request(model=model, max_tokens=250), policy())
    message = run.message()
    assert [block["text"] for block in message["content"]] == [TEXT]
    assert service.refusals == []
    kinds = kinds_of(run)
    assert kinds[:3] == [
        FIRST,
        (AttemptKind.EXTENSION, Outcome.INTERRUPTED),
        (AttemptKind.CONTINUATION, Outcome.COMPLETE),
    ]
    # What the extension brought before the drop was paid for by its own limit.
    assert service.requests[1]["max_tokens"] == 250
    assert service.requests[2]["max_tokens"] < 250


def test_a_tool_call_that_was_cut_is_not_extended() -> None:
    tool = {"name": "save", "input_schema": {"type": "object"}}
    answer = Answer([answers.text("Saving."), answers.tool_use("save", {"text": "x" * 2000})])
    run = Service(answer).run(request(max_tokens=100, tools=[tool]), policy())
    assert run.message()["stop_reason"] == "max_tokens"
    assert kinds_of(run) == [FIRST]


def test_thinking_that_was_cut_is_not_extended() -> None:
    answer = Answer([answers.thinking("Hm. " * 500), answers.text(TEXT)])
    run = Service(answer).run(request(max_tokens=100, thinking={"type": "adaptive"}), policy())
    assert run.message()["stop_reason"] == "max_tokens"
    assert kinds_of(run) == [FIRST]


def test_a_document_is_not_extended() -> None:
    config = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    answer = '{"text": "' + "x" * 2000 + '"}'
    run = Service(answer).run(request(max_tokens=100, output_config=config), policy())
    assert run.message()["stop_reason"] == "max_tokens"
    assert kinds_of(run) == [FIRST]


def paused(*after: Any) -> Answer:
    blocks = [
        answers.text("One moment, I am looking it up for you."),
        *answers.server_tool("web_search", {"query": "fox"}, content=[]),
        *after,
    ]
    return Answer(blocks, stop_reason="pause_turn")


@pytest.mark.parametrize("cut", [None, 40, 700])
def test_a_pause_is_gone_on_with(cut: int | None) -> None:
    service = Service(paused(), cuts=[None, cut])
    run = service.run(request(tools=SEARCH), policy())
    assert run.message()["stop_reason"] == "end_turn"
    assert service.refusals == []
    sent = service.requests[1]["messages"][-1]
    assert sent["role"] == "assistant"
    assert [block["type"] for block in sent["content"]] == [
        "text", "server_tool_use", "web_search_tool_result"
    ]  # fmt: skip
    assert kinds_of(run)[0] == FIRST
    assert run.machine.call.attempts[1].kind is AttemptKind.EXTENSION


def test_a_pause_stays_by_default() -> None:
    run = Service(paused()).run(request(tools=SEARCH))
    assert run.message()["stop_reason"] == "pause_turn"


LOST = [
    AT_ONCE.replace(max_attempts=3, continuation=Continuation(extend=3)),
    AT_ONCE.replace(budget=RetryBudget(0), continuation=Continuation(extend=3)),
    policy().replace(rules={FailureKind.OVERLOADED: Rule(retry=False)}),
    policy().replace(max_fruitless=1),
]


@dataclass
class Overloaded(Service):
    """Answers some requests, and no further ones."""

    answers: int = 1

    def respond(self, body: dict[str, Any]) -> tuple[int, bytes, Any]:
        answered = super().respond(body)
        return answered if len(self.requests) <= self.answers else (529, b"{}", None)


@pytest.mark.parametrize("bound", LOST)
def test_an_extension_that_is_lost_leaves_the_message_as_it_was(bound: Policy) -> None:
    alone = Service(TEXT).run(request(max_tokens=150)).message()
    run = Overloaded(TEXT).run(request(max_tokens=150), bound)
    message = run.message()
    assert message["content"] == alone["content"]
    assert (message["stop_reason"], message["usage"]) == ("max_tokens", alone["usage"])
    call = run.machine.call
    assert (run.phase, call.reason) == (Phase.COMPLETE, None)
    completed = call.events[-1]
    assert isinstance(completed, Completed)
    assert (completed.stop_reason, completed.message_id) == ("max_tokens", message["id"])
    assert kinds_of(run)[1] == (AttemptKind.EXTENSION, Outcome.FAILED)


def test_a_part_of_a_lost_extension_stays() -> None:
    service = Overloaded(TEXT, cuts=[None, 6000], answers=2)
    run = service.run(request(model=PREFILLS, max_tokens=250), LOST[0])
    message = run.message()
    text = message["content"][0]["text"]
    assert TEXT.startswith(text)
    assert len(text) > 1000
    assert message["stop_reason"] == "max_tokens"
    assert message["usage"]["output_tokens"] > 250


def test_a_process_that_shuts_down_while_more_is_waited_for_has_the_message() -> None:
    service = Overloaded(TEXT)
    machine = Recovery(policy(), request(max_tokens=150), 0.0, prefill=Prefill())
    run = Run(machine, service)
    while not isinstance(machine.action, Sleep):
        assert isinstance(machine.action, Send)
        run.send(machine.action, iter(()))
    machine.drain(0.0)
    run.out += machine.take_rest()
    assert run.message()["stop_reason"] == "max_tokens"
