"""The SDK's tool runner, through a break in every turn of a loop of three."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from typing import Any

import anthropic
import pytest
from anthropic import beta_async_tool, beta_tool
from anthropic.resources.beta.messages import Messages
from tests.doors.conftest import AsyncClock
from tests.samples import NEWEST

import unbroken
from unbroken.testing import Answer, answers, faults

# Where there are threads, the runner continues one by default.
HAS_THREADS = "thread" in inspect.signature(Messages.tool_runner).parameters

TURNS = [
    Answer(
        [
            answers.thinking("First I need to know where, so I ask for the place."),
            answers.text("Let me find out where you are."),
            answers.tool_use("place", {"hint": "by the harbour"}),
        ]
    ),
    Answer(
        [
            answers.thinking("Now I know the place, and can ask for the weather there."),
            answers.text("And now the weather there, in two units."),
            answers.tool_use("weather", {"city": "Aarhus", "unit": "C"}),
            answers.tool_use("weather", {"city": "Aarhus", "unit": "F"}),
        ]
    ),
    Answer([answers.thinking("That is all."), answers.text("In Aarhus it is 7 °C, or 45 °F.")]),
]

# Where a turn breaks: in its thinking, in its text, inside a tool call, and between two of them.
PLACES = {
    "in thinking": lambda: faults.reset(after_chars=20),
    "in text": lambda: faults.eof(after_chars=75),
    "inside a tool call": lambda: faults.reset(after_block=1),
    "after a tool call": lambda: faults.close(after_block=2),
}


def turn(body: dict[str, Any]) -> Answer:
    """The turn of the loop that a conversation is at."""
    done = sum(
        block.get("type") == "tool_result"
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    )
    return TURNS[{0: 0, 1: 1}.get(done, 2)]


def settings(**fields: Any) -> dict[str, Any]:
    return {
        "model": NEWEST,
        "max_tokens": 5000,
        "thinking": {"type": "adaptive"},
        "messages": [{"role": "user", "content": "How is the weather?"}],
        **fields,
    }


@pytest.fixture(params=list(itertools.product(PLACES, range(3))), ids=lambda p: f"{p[0]}-{p[1]}")
def server(request, serve):
    place, number = request.param
    script = [None] * number + [PLACES[place]()]
    return serve(turn, enforce_signatures=True, faults=script)


@pytest.fixture(params=["with threads", "without"] if HAS_THREADS else ["no threads yet"])
def thread(request):
    """What to tell the runner of threads."""
    return {"thread": False} if request.param == "without" else {}


def sync_tools(ran: list[tuple[str, ...]]) -> list[Any]:
    """Tools that write down what they were called with."""

    @beta_tool
    def place(hint: str) -> str:
        """Where the user is.

        Args:
            hint: What is known.
        """
        ran.append(("place", hint))
        return "Aarhus"

    @beta_tool
    def weather(city: str, unit: str) -> str:
        """The weather.

        Args:
            city: Where.
            unit: C or F.
        """
        ran.append(("weather", city, unit))
        return "7" if unit == "C" else "45"

    return [place, weather]


def async_tools(ran: list[tuple[str, ...]]) -> list[Any]:
    """The same tools, for the async runner."""
    place, weather = sync_tools(ran)

    @beta_async_tool
    async def async_place(hint: str) -> str:
        """Where the user is.

        Args:
            hint: What is known.
        """
        return str(place.call({"hint": hint}))

    @beta_async_tool
    async def async_weather(city: str, unit: str) -> str:
        """The weather.

        Args:
            city: Where.
            unit: C or F.
        """
        return str(weather.call({"city": city, "unit": unit}))

    async_place.name, async_weather.name = "place", "weather"
    return [async_place, async_weather]


@pytest.mark.parametrize("streams", [True, False], ids=["stream", "plain"])
def test_every_tool_runs_once_and_the_answer_is_whole(server, connect, streams, thread):
    ran: list[tuple[str, ...]] = []

    client = connect(server)
    runner = client.beta.messages.tool_runner(
        tools=sync_tools(ran), stream=streams, **settings(**thread)
    )
    final = None
    for step in runner:
        final = step.get_final_message() if streams else step
    check(final, ran)
    assert server.unmatched == []
    assert ("thread" in server.requests[0].body) == (HAS_THREADS and not thread)


def check(final: Any, ran: list[tuple[str, ...]]) -> None:
    assert final.content[-1].text == "In Aarhus it is 7 °C, or 45 °F."
    assert ran[0] == ("place", "by the harbour")
    # A break after the first of two calls ends the turn there, and the model does without.
    assert ran[1:] in ([("weather", "Aarhus", unit) for unit in units] for units in ("CF", "C"))


@pytest.mark.parametrize("streams", [True, False], ids=["stream", "plain"])
def test_the_async_runner_does_the_same(server, streams, thread):
    ran: list[tuple[str, ...]] = []

    async def run() -> Any:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as client:
            wrapped = unbroken.wrap(client, clock=AsyncClock())
            runner = wrapped.beta.messages.tool_runner(
                tools=async_tools(ran), stream=streams, **settings(**thread)
            )
            final = None
            async for step in runner:
                final = await step.get_final_message() if streams else step
            return final

    check(asyncio.run(run()), ran)
    assert server.unmatched == []


def test_a_runner_survives_a_break_in_every_request(serve, connect, thread):
    script = [faults.reset(after_chars=20), faults.reset_before(), faults.eof(after_chars=75)]
    server = serve(turn, enforce_signatures=True, faults=[*script, None, *script, *script])
    ran: list[tuple[str, ...]] = []
    runner = connect(server).beta.messages.tool_runner(
        tools=sync_tools(ran), stream=True, **settings(**thread)
    )
    final = None
    for step in runner:
        final = step.get_final_message()
    check(final, ran)
