"""What was delivered, fed to a machine in another process, gives the state that it had."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.service import AT_ONCE, Service, request
from tests.core.strategies import TOOLS, VOICES, agent_answers
from tests.profiles import examples
from tests.samples import NEWEST, PREFILLS

from unbroken._core.actions import READ, RECALL, Send, Sleep
from unbroken._core.attempts import AttemptKind
from unbroken._core.events import AttemptFailed, Completed, Replayed
from unbroken._core.framing.frames import ServerSentEvents
from unbroken._core.models import Prefill
from unbroken._core.policy import Policy
from unbroken._core.recovery import Recovery
from unbroken._core.states import Phase

THINKS = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


def machine_for(body: dict[str, Any], policy: Policy = AT_ONCE) -> Recovery:
    return Recovery(policy, body, 0.0, prefill=Prefill(), recalls=True)


def replay(machine: Recovery, data: bytes, chunk: int = 10_000) -> bytes:
    """Feed a machine with what a journal holds, and return what it returns."""
    assert machine.action is RECALL
    machine.recalled(0.0, found=True)
    machine.opened(ServerSentEvents, 0.0, status=200)
    out = b""
    for begin in range(0, len(data), chunk):
        out += machine.receive(data[begin : begin + chunk], 0.0)
    return out


def next_request(machine: Recovery) -> Any:
    while isinstance(machine.action, Sleep):
        machine.waited(0.0)
    return machine.action.plan.body if isinstance(machine.action, Send) else machine.action


@settings(max_examples=examples(60))
@given(data=st.data(), thinks=st.booleans(), model=st.sampled_from([NEWEST, PREFILLS]))
def test_a_machine_that_is_fed_with_what_was_delivered_asks_for_the_same(data, thinks, model):
    answer = data.draw(agent_answers(thinks=thinks))
    body = request(model=model, tools=TOOLS, **(THINKS if thinks else {}))
    voice = VOICES[data.draw(st.sampled_from(sorted(VOICES)))]
    service = Service(answer, voice, chunk=data.draw(st.sampled_from([50, 10_000])))
    first = machine_for(body)
    first.recalled(0.0, found=False)
    delivered = b""
    for _ in range(data.draw(st.integers(1, 3))):
        while isinstance(first.action, Sleep):
            first.waited(0.0)
        if not isinstance(first.action, Send):
            break
        first.begin(0.0)
        status, whole, ended = service.respond(dict(first.action.plan.body))
        assert status == 200
        first.opened(ServerSentEvents, 0.0)
        cut = data.draw(st.integers(0, len(whole)))
        for begin in range(0, cut, service.chunk):
            if first.action is READ:
                delivered += first.receive(whole[begin : min(begin + service.chunk, cut)], 0.0)
        ended(cut >= len(whole))
        if first.action is READ and first._reading.ended:
            break  # its end is known to this process alone
        if first.action is READ:
            before = delivered
            delivered += first.body_ended(0.0)
            second = machine_for(body)
            assert replay(second, before, data.draw(st.sampled_from([1, 77, 10_000]))) == before
            assert second.action is READ
            after = second.body_ended(0.0)
            assert before + after == delivered
            assert second.partial() == first.partial()
            assert next_request(second) == next_request(first)
    if first.call.phase is Phase.COMPLETE:
        second = machine_for(body)
        assert replay(second, delivered) == delivered
        assert second.call.phase is Phase.COMPLETE
        assert second.partial() == first.partial()


def whole_answer(text: str = "Once upon a time. ") -> bytes:
    return Service(text * 9).run(request()).out


def test_a_replay_is_an_attempt_that_is_no_request():
    machine = machine_for(request())
    out = whole_answer()
    assert replay(machine, out) == out
    [attempt] = machine.call.attempts
    assert (attempt.kind, attempt.number, attempt.usage) == (AttemptKind.REPLAY, 0, None)
    assert machine.call.bounds.attempts == 0
    [replayed] = (event for event in machine.take_events() if isinstance(event, Replayed))
    assert replayed.whole
    assert replayed.chars == attempt.received_chars > 0


def test_texts_that_were_delivered_are_not_held_back_again():
    schema = {"output_config": {"format": {"type": "json_schema", "schema": {}}}}
    machine = machine_for(request(**schema), Policy(json="whole"))
    half = whole_answer()[:400].rpartition(b"\n\n")[0] + b"\n\n"
    assert replay(machine, half) == half


def test_nothing_but_pings_is_no_stall_of_a_replay():
    body = request()
    machine = Recovery(AT_ONCE, body, 0.0, prefill=Prefill(), recalls=True, progress_timeout=30.0)
    machine.recalled(0.0, found=True)
    machine.opened(ServerSentEvents, 0.0)
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'
    assert machine.receive(ping, 1000.0) == ping
    assert machine.action is READ


def test_a_call_that_was_deposed_reads_its_entry_again():
    out = whole_answer()
    half = out[:600].rpartition(b"\n\n")[0] + b"\n\n"
    machine = machine_for(request())
    machine.recalled(0.0, found=False)
    machine.begin(0.0)
    machine.opened(ServerSentEvents, 0.0)
    machine.receive(half, 0.0)
    machine.take_events()
    machine.receive(out[len(half) :], 0.0)  # it is void
    assert machine.is_complete
    machine.deposed(1.0)
    assert machine.action is RECALL
    assert replay(machine, out) == out
    assert machine.is_complete
    kinds = [type(event) for event in machine.take_events()]
    assert kinds.count(Completed) == 1
    assert kinds[0] is AttemptFailed
    assert [attempt.kind for attempt in machine.call.attempts] == ["initial", "replay"]
