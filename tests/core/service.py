"""The Messages API without a socket: a machine asks a strict one, whose answers come back cut."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.samples import HEADERS, NEWEST

from unbroken._core.actions import READ, AskBudget, Send, Sleep
from unbroken._core.call import FailedAttempt
from unbroken._core.failures import Failure, FailureKind, classify, error_in
from unbroken._core.framing.frames import ServerSentEvents
from unbroken._core.models import Prefill
from unbroken._core.policy import Policy
from unbroken._core.recovery import Recovery
from unbroken.testing import voices
from unbroken.testing.api import Api, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unbroken._core.states import Phase
    from unbroken.testing import Answer
    from unbroken.testing.voices import Voice

AT_ONCE = Policy(time_scale=0, max_attempts=50, max_fruitless=50, budget=None)


def request(**fields: Any) -> dict[str, Any]:
    return {
        "model": NEWEST,
        "max_tokens": 100_000,
        "stream": True,
        "messages": [{"role": "user", "content": "Hi"}],
        **fields,
    }


@dataclass
class Service:
    """A strict API, whose streams break where the test says."""

    answer: Answer | str
    voice: Voice = voices.exact
    cuts: Sequence[int | None] = ()
    chunk: int = 10_000
    delta_chars: int | None = None
    enforce_signatures: bool = True
    prefill: bool | None = None
    ensure_ascii: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = Api(
            Settings(
                answer=self.answer,
                voice=self.voice,
                strict=True,
                enforce_signatures=self.enforce_signatures,
                prefill=self.prefill,
                delta_chars=self.delta_chars,
                ping_every=3,
                ensure_ascii=self.ensure_ascii,
            )
        )

    def respond(self, body: dict[str, Any]) -> tuple[int, bytes, Any]:
        self.requests.append(body)
        raw = json.dumps(body).encode()
        response = self.api.respond("POST", "/v1/messages", HEADERS, raw, "req_1")
        whole = response.body
        if not isinstance(whole, bytes):  # the frames of a stream
            whole = b"".join(frame.data for frame in whole)
        return response.status, whole, response.ended

    def accepts(self, messages: list[dict[str, Any]], **fields: Any) -> str:
        """The refusal of these messages, or nothing."""
        raw = json.dumps(request(messages=messages, **fields)).encode()
        response = self.api.respond("POST", "/v1/messages", HEADERS, raw, "req_1")
        if response.status == 200:
            return ""
        assert isinstance(response.body, bytes)
        return response.body.decode()

    def run(self, body: dict[str, Any], policy: Policy = AT_ONCE, **settings: Any) -> Run:
        machine = Recovery(policy, body, 0.0, prefill=Prefill(), **settings)
        run = Run(machine, self)
        run.go(iter(self.cuts))
        return run


class Run:
    """One call, carried out."""

    def __init__(self, machine: Recovery, service: Service) -> None:
        self.machine = machine
        self.service = service
        self.out = b""

    @property
    def phase(self) -> Phase:
        return self.machine.call.phase

    def go(self, cuts: Iterator[int | None]) -> None:
        """Carry out what the machine says, until nothing is left to do."""
        machine = self.machine
        while isinstance(action := machine.action, Send | Sleep | AskBudget):
            if isinstance(action, Sleep):
                machine.waited(0.0)
            elif isinstance(action, AskBudget):
                budget = machine.call.policy.budget
                machine.charged(granted=budget is None or budget.take(0.0), now=0.0)
            else:
                self.send(action, cuts)
        self.out += machine.take_rest()

    def send(self, request: Send, cuts: Iterator[int | None]) -> None:
        self.machine.begin(0.0)
        status, body, ended = self.service.respond(dict(request.plan.body))
        if status == 200:
            self.read(body, next(cuts, None), ended)
        else:
            self.refuse(status, body)

    def refuse(self, status: int, body: bytes) -> None:
        error_type, code, message = error_in(body)
        self.service.refusals.append(message)
        failure = Failure(classify(status, error_type, code), message, status, error_type, code)
        self.machine.no_response(FailedAttempt(failure, message=message), 0.0)

    def read(self, body: bytes, cut: int | None, ended: Any) -> None:
        self.machine.opened(ServerSentEvents, 0.0)
        arrived = body if cut is None else body[:cut]
        for begin in range(0, len(arrived), self.service.chunk):
            if self.machine.action is not READ:
                break
            self.out += self.machine.receive(arrived[begin : begin + self.service.chunk], 0.0)
        ended(cut is None or cut >= len(body))
        if self.machine.action is READ and cut is not None:
            error = ConnectionResetError("cut")
            failed = FailedAttempt(Failure(FailureKind.DROPPED, "cut"), error)
            self.out += self.machine.connection_lost(failed, 0.0)
        elif self.machine.action is READ:
            self.out += self.machine.body_ended(0.0)

    def events(self) -> list[dict[str, Any]]:
        frames = self.out.split(b"\n\n")
        assert frames.pop() == b""
        return [json.loads(frame.split(b"data: ", 1)[1]) for frame in frames]

    def message(self) -> dict[str, Any]:
        """The message that the events make, if they are well formed."""
        return read_message([e for e in self.events() if e["type"] != "ping"])


def read_message(events: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    inner = ("content_block_start", "content_block_delta", "content_block_stop")
    assert all(kind in inner for kind in kinds[1:-2])
    message: dict[str, Any] = {**events[0]["message"], "content": []}
    content = message["content"]
    is_open = False
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert not is_open
            assert event["index"] == len(content)
            content.append(dict(event["content_block"]))
            is_open = True
            continue
        assert is_open
        assert event["index"] == len(content) - 1
        if event["type"] == "content_block_stop":
            is_open = False
            written = content[-1].pop("_json", "")
            if written:
                content[-1]["input"] = json.loads(written)
        else:
            apply(content[-1], event["delta"])
    assert not is_open
    message |= events[-2]["delta"]
    message["usage"] = {**message["usage"], **events[-2]["usage"]}
    return message


def apply(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "input_json_delta":
            block["_json"] = block.get("_json", "") + delta["partial_json"]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        case "compaction_delta":
            block["content"] = delta["content"]
