"""Two strict servers: one that fails, and one that answers in its place."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.samples import NEWEST, PREFILLS, STORY

import unbroken
from unbroken import AttemptKind, FailureKind, Policy, Target
from unbroken._doors import sdk_clients
from unbroken.testing import Answer, FaultServer, answers, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = Policy(time_scale=0, budget=None)
ASK: dict[str, Any] = {
    "model": NEWEST,
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Tell me a story."}],
}


@pytest.fixture
def first() -> Iterator[FaultServer]:
    with FaultServer(STORY) as server:
        yield server


@pytest.fixture
def second() -> Iterator[FaultServer]:
    with FaultServer(STORY) as server:
        yield server


made: list[Any] = []


@pytest.fixture(autouse=True)
def close_clients() -> Iterator[None]:
    yield
    for client in made:
        if isinstance(client, anthropic.Anthropic):
            client.close()
    made.clear()


def client_of(
    server: FaultServer, cls: type[Any] = anthropic.Anthropic, api_key: str = "test"
) -> Any:
    made.append(cls(api_key=api_key, base_url=server.url))
    return made[-1]


def read(client: Any, **fields: Any) -> tuple[Any, unbroken.RecoveryReport]:
    with client.messages.stream(**{**ASK, **fields}) as stream:
        return stream.get_final_message(), unbroken.report(stream)


def aread(client: Any, **fields: Any) -> tuple[Any, unbroken.RecoveryReport]:
    async def main() -> Any:
        async with contextlib.AsyncExitStack() as clients:
            for one in filter(sdk_clients.is_async, made):
                await clients.enter_async_context(one)
            async with client.messages.stream(**{**ASK, **fields}) as stream:
                return await stream.get_final_message(), unbroken.report(stream)

    return asyncio.run(main())


WORLDS = [
    pytest.param(anthropic.Anthropic, read, id="sync"),
    pytest.param(anthropic.AsyncAnthropic, aread, id="async"),
]


@pytest.mark.parametrize(("cls", "ask"), WORLDS)
@pytest.mark.parametrize("model", [NEWEST, PREFILLS])
def test_an_answer_goes_on_with_another_model_elsewhere(first, second, cls, ask, model) -> None:
    first.script(faults.reset(after_chars=40), *[faults.status(529)] * 30)
    fallback = Target(client=client_of(second, cls), model=model, name="other")
    client = unbroken.wrap(client_of(first, cls), AT_ONCE, fallbacks=[fallback])
    message, report = ask(client)
    assert message.content[0].text == STORY
    assert [(one.kind, one.target == "other", one.model) for one in report.attempts] == [
        (AttemptKind.INITIAL, False, NEWEST),
        (AttemptKind.CONTINUATION, False, NEWEST),
        (AttemptKind.CONTINUATION, True, model),
    ]
    assert len(first.requests) == 2
    assert len(second.requests) == 1


@pytest.mark.parametrize(("cls", "ask"), WORLDS)
def test_a_call_that_was_not_answered_is_made_elsewhere(first, second, cls, ask) -> None:
    first.script(*[faults.status(529)] * 30)
    fallback = Target(client=client_of(second, cls))
    client = unbroken.wrap(client_of(first, cls), AT_ONCE, fallbacks=[fallback])
    message, report = ask(client)
    assert message.content[0].text == STORY
    assert [one.kind for one in report.attempts] == [AttemptKind.INITIAL, AttemptKind.RETRY]
    assert second.requests[0].body == first.requests[0].body


def test_a_plain_call_is_made_elsewhere(first, second) -> None:
    first.script(*[faults.status(429)] * 30)
    fallback = Target(client=client_of(second))
    policy = AT_ONCE.replace(patience=3)
    client = unbroken.wrap(client_of(first), policy, fallbacks=[fallback])
    raw = client.messages.with_raw_response.create(**ASK)
    assert raw.parse().content[0].text == STORY
    assert len(unbroken.report(raw).attempts) == 2


def test_another_model_of_the_same_client(first) -> None:
    first.script(faults.reset(after_chars=40), faults.status(529))
    client = unbroken.wrap(client_of(first), AT_ONCE, fallbacks=[Target(model=PREFILLS)])
    message, report = read(client)
    assert message.content[0].text == STORY
    assert [one.model for one in report.attempts] == [NEWEST, NEWEST, PREFILLS]
    assert first.requests[-1].body["model"] == PREFILLS


def test_the_same_model_comes_before_another_one(first, second) -> None:
    first.script(faults.status(529))
    fallbacks = [Target(model=PREFILLS, name="smaller"), Target(client=client_of(second))]
    client = unbroken.wrap(client_of(first), AT_ONCE, fallbacks=fallbacks)
    _, report = read(client)
    assert report.attempts[-1].model == NEWEST
    assert len(second.requests) == 1


def test_a_short_wait_is_waited_for(first, second) -> None:
    first.script(faults.status(429))
    client = unbroken.wrap(client_of(first), AT_ONCE, fallbacks=[Target(client=client_of(second))])
    _, report = read(client)
    assert len(report.attempts) == 2
    assert second.requests == []


def test_other_calls_go_elsewhere_while_a_target_cools_down(first, second, clock) -> None:
    first.script(faults.status(529))
    client = unbroken.wrap(
        client_of(first),
        Policy(budget=None),
        fallbacks=[Target(client=client_of(second))],
        clock=clock,
    )
    read(client)
    read(client)
    assert (len(first.requests), len(second.requests)) == (1, 2)
    clock.time += 60
    read(client)
    assert (len(first.requests), len(second.requests)) == (2, 2)
    assert sum(clock.waits) == 0


def test_a_fallback_that_refuses_the_request_is_not_asked_again(first, second, clock) -> None:
    first.script(faults.status(529))
    second.script(*[faults.status(400)] * 5)
    client = unbroken.wrap(
        client_of(first),
        Policy(budget=None),
        fallbacks=[Target(client=client_of(second), name="other")],
        clock=clock,
    )
    message, report = read(client)
    assert message.content[0].text == STORY
    assert len(second.requests) == 1
    assert report.skipped_targets == {"other": "it refused the request"}
    assert 30 <= sum(clock.waits) <= 60


def test_what_a_fallback_says_does_not_mask_the_failure(first, second) -> None:
    first.script(*[faults.status(529)] * 30)
    second.script(faults.status(401))
    client = unbroken.wrap(
        client_of(first),
        AT_ONCE.replace(max_attempts=4),
        fallbacks=[Target(client=client_of(second))],
    )
    with pytest.raises(anthropic.APIStatusError) as raised:
        client.messages.create(**ASK)
    assert raised.value.status_code == 529
    report = unbroken.report(raised.value)
    assert [one.failure.kind for one in report.attempts if one.failure] == [
        FailureKind.OVERLOADED,
        FailureKind.REJECTED,
        FailureKind.OVERLOADED,
        FailureKind.OVERLOADED,
    ]


def test_keys_and_headers_stay_with_their_host(first, second) -> None:
    first.script(faults.status(529))
    other = client_of(second, api_key="another")
    client = unbroken.wrap(client_of(first), AT_ONCE, fallbacks=[Target(client=other)])
    read(client, extra_headers={"x-secret": "of the first", "anthropic-beta": "some-beta"})
    headers = second.requests[0].headers
    assert "x-api-key" not in headers or headers["x-api-key"] == "another"
    assert headers["anthropic-beta"] == "some-beta"
    assert "x-secret" not in headers


def test_a_target_that_cannot_take_the_request_says_why(first, second) -> None:
    first.script(faults.status(529))
    client = unbroken.wrap(
        client_of(first),
        AT_ONCE,
        fallbacks=[Target(client=client_of(second), name="other")],
    )
    _, report = read(client, extra_body={"container": "container_1"})
    assert report.skipped_targets == {"other": "the request uses a container of its account"}
    assert second.requests == []


THOUGHTFUL = Answer([answers.thinking("First think."), answers.text(STORY)])


def test_thinking_is_not_sent_to_another_model() -> None:
    with FaultServer(THOUGHTFUL) as server:
        server.script(faults.reset(after_chars=60), faults.status(529))
        client = unbroken.wrap(
            client_of(server), AT_ONCE, fallbacks=[Target(model="claude-opus-4-6")]
        )
        message, report = read(client, thinking={"type": "adaptive"})
        assert [block.type for block in message.content] == ["thinking", "text"]
        assert message.content[1].text == STORY
        own, other = (request.body["messages"][-2] for request in server.requests[1:3])
        assert [block["type"] for block in own["content"]] == ["thinking", "text"]
        assert [block["type"] for block in other["content"]] == ["text"]
        assert [one.model for one in report.attempts][-1] == "claude-opus-4-6"


@pytest.mark.parametrize("wrong", [{}, {"model": " "}, {"client": "no client"}])
def test_a_target_of_no_use_raises(wrong) -> None:
    with pytest.raises(ValueError, match="Target"):
        Target(**wrong)


def test_a_client_for_tasks_is_no_fallback_of_one_for_threads(first, second) -> None:
    target = Target(client=client_of(second, anthropic.AsyncAnthropic))
    with pytest.raises(ValueError, match="must be a sync client"):
        unbroken.wrap(client_of(first), fallbacks=[target])
    with pytest.raises(ValueError, match="Target objects"):
        unbroken.wrap(client_of(first), fallbacks=["claude-haiku-4-5"])  # type: ignore[list-item]
