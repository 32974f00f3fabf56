"""Whatever JSON a stream holds, the machine reads it or counts it as a drop, and can report.

One value of one event is replaced by another; nothing else may come out than a message, a drop or a
loss, and no other exception.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.service import AT_ONCE, Service, request
from tests.profiles import examples

from unbroken._core.framing.frames import ServerSentEvents
from unbroken._core.models import Prefill
from unbroken._core.recovery import Recovery
from unbroken._core.states import Phase
from unbroken.testing import Answer, answers

ANSWER = Answer(
    [
        answers.thinking("First, think about it."),
        answers.text("Then say something about it, at some length, so that it can be cut."),
        answers.server_tool("web_search", {"query": "x"}, content=[]),
        answers.text("And then something more."),
        answers.tool_use("first", {"a": [1, {"b": "c"}]}),
    ]
)
FIELDS: dict[str, Any] = {
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "tools": [
        {"name": "first", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
}


def recorded() -> list[dict[str, Any]]:
    """The events of the answer."""
    status, body, _ = Service(ANSWER).respond(request(**FIELDS))
    assert status == 200
    return [json.loads(frame.split(b"data: ", 1)[1]) for frame in body.split(b"\n\n") if frame]


EVENTS = recorded()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values inside JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, below in inner:
        found.append((*path, key))
        if isinstance(below, dict | list):
            found += places(below, (*path, key))
    return found


PLACES = places(EVENTS)
others: st.SearchStrategy[Any] = st.sampled_from(
    (
        None,
        True,
        -1,
        10**30,
        1.5,
        "",
        "text",
        "tool_use",
        [],
        ["x"],
        [[]],
        {},
        {"type": 1},
        {"a": {}},
    )
)


def mutated(path: tuple[Any, ...], value: Any, *, removes: bool) -> bytes:
    events: list[Any] = copy.deepcopy(EVENTS)
    at: Any = events
    for key in path[:-1]:
        at = at[key]
    if removes:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    frames = (event for event in events if isinstance(event, dict))
    return b"".join(ServerSentEvents().encode(str(event.get("type")), event) for event in frames)


@given(st.sampled_from(PLACES), others, st.booleans(), st.sampled_from([1, 50, 10_000]))
@settings(max_examples=examples(400))
def test_one_wrong_value_is_read_or_counts_as_a_drop(path, value, removes, size):
    machine = Recovery(AT_ONCE, request(**FIELDS), 0.0, prefill=Prefill())
    machine.begin(0.0)
    machine.opened(ServerSentEvents, 0.0)
    data = mutated(path, value, removes=removes)
    for begin in range(0, len(data), size):
        if machine.call.phase is not Phase.READING:
            break
        machine.receive(data[begin : begin + size], 0.0)
    if machine.call.phase is Phase.READING:
        machine.body_ended(0.0)
    assert machine.call.phase in (Phase.COMPLETE, Phase.WAITING, Phase.CHARGING, Phase.LOST)
    machine.partial()
    json.dumps(machine.turns())


@pytest.mark.parametrize("name", ["text", "thinking", "partial_json"])
def test_a_delta_of_another_type_is_a_drop(name):
    events = [event for event in EVENTS if name in event.get("delta", {})]
    number = EVENTS.index(events[0])
    machine = Recovery(AT_ONCE, request(**FIELDS), 0.0, prefill=Prefill())
    machine.begin(0.0)
    machine.opened(ServerSentEvents, 0.0)
    machine.receive(mutated((number, "delta", name), 5, removes=False), 0.0)
    assert machine.call.phase is Phase.WAITING
    assert machine.call.attempts[0].failure.kind == "dropped"
