"""Calls with a journal, through the SDK and the transports."""

from __future__ import annotations

import json
import logging
from typing import Any

import anthropic
import anyio
import httpx
import pytest
from tests.samples import AT_ONCE, NEWEST

import unbroken
from unbroken.journal import EntryState, JournalUnavailable, SqliteJournal, from_url
from unbroken.journal.signs import SignsOfLife
from unbroken.testing import Answer, answers, faults
from unbroken.transport import AsyncRecoveryTransport, RecoveryTransport

STORY = "\n".join(
    f"{number}. A fox, a dog and {number} hens met on a bridge, said “{number * 7}”, and slept."
    for number in range(1, 12)
)
ASK = {
    "model": NEWEST,
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "The secret prompt."}],
}


@pytest.fixture
def server(fault_server):
    fault_server.answer = STORY
    return fault_server


def read(client, name="job", events=None, **fields) -> Any:
    """The text of a streamed message and its report; None if it is left after some events."""
    with unbroken.durable(name), client.messages.stream(**{**ASK, **fields}) as stream:
        for at, _ in enumerate(stream, 1):
            if at == events:
                return None
        return stream.get_final_text(), unbroken.report(stream)


def kinds(report) -> list[str]:
    return [attempt.kind.value for attempt in report.attempts]


def test_an_answer_that_was_finished_is_replayed_without_a_request(server, connect):
    client = connect(server)
    first, _ = read(client)
    again, report = read(client)
    assert first == again == STORY
    assert len(server.requests) == 1
    assert kinds(report) == ["replay"]
    assert not report.recovered


def test_an_answer_that_was_left_is_continued(server, connect):
    client = connect(server)
    read(client, events=90)
    text, report = read(client)
    assert text == STORY
    assert kinds(report) == ["replay", "continuation"]
    assert report.recovered
    assert len(server.requests) == 2
    assert server.requests[1].kind == "user_turn"


def test_a_block_knows_how_often_it_asked(server, connect):
    client = connect(server)
    for _ in range(2):
        with unbroken.durable("job"):
            for _ in range(3):
                client.messages.create(**ASK)
    assert len(server.requests) == 3


def test_names_and_requests_are_told_apart(server, connect):
    client = connect(server)
    read(client, "one")
    read(client, "two")
    read(client, "one", max_tokens=999)
    read(client, "one", extra_headers={"anthropic-beta": "some-beta"})
    assert len(server.requests) == 4


def test_outside_of_a_block_nothing_is_journaled(server, connect, journal):
    client = connect(server)
    client.messages.create(**ASK)
    with client.messages.stream(**ASK) as stream:
        stream.until_done()
    assert journal.entries() == []


def test_a_whole_answer_is_replayed(server, connect):
    client = connect(server)
    found = []
    for _ in range(2):
        with unbroken.durable("job"):
            raw = client.messages.with_raw_response.create(**ASK)
            found.append((raw.http_response.content, raw.parse(), kinds(unbroken.report(raw))))
    assert found[0][0] == found[1][0]
    assert found[0][1].to_dict() == found[1][1].to_dict()
    assert found[1][2] == ["replay"]
    assert len(server.requests) == 1


def test_raw_bytes_are_replayed(server, connect):
    client = connect(server)
    found = []
    for _ in range(2):
        with (
            unbroken.durable("job"),
            client.messages.with_streaming_response.create(stream=True, **ASK) as raw,
        ):
            assert raw.headers["content-type"].startswith("text/event-stream")
            assert raw.status_code == 200
            found.append(b"".join(raw.iter_bytes()))
    assert found[0] == found[1]
    assert len(server.requests) == 1


def test_a_call_that_failed_is_made_again(server, connect):
    client = connect(server)
    server.script(faults.status(400))
    with pytest.raises(anthropic.BadRequestError):
        read(client)
    assert read(client)[0] == STORY


def test_an_answer_that_was_given_up_is_continued(server, connect):
    client = connect(server, policy=AT_ONCE.replace(max_attempts=1))
    server.script(faults.reset(after_chars=300))
    with pytest.raises(unbroken.StreamInterrupted):
        read(client)
    text, report = read(client)
    assert text == STORY
    assert kinds(report) == ["replay", "continuation"]


TOOLS = [{"name": "look", "input_schema": {"type": "object"}}]


def test_tool_calls_that_were_delivered_end_the_turn(server, connect):
    server.answer = Answer(
        [answers.text(STORY[:300]), *(answers.tool_use("look", {"at": i}) for i in "ab")]
    )
    server.script(faults.reset(after_block=1))  # the process ends before it makes that the end
    client = connect(server)
    started = b""
    with (
        unbroken.durable("job"),
        client.messages.with_streaming_response.create(stream=True, tools=TOOLS, **ASK) as raw,
    ):
        for chunk in raw.iter_bytes():
            started += chunk
            if b"tool_use" in started:
                break
    with unbroken.durable("job"), client.messages.stream(tools=TOOLS, **ASK) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    assert message.content[0].text == STORY[:300]
    assert message.content[1].input == {"at": "a"}
    assert len(server.requests) == 1


# Idempotency keys

KEY = {"Idempotency-Key": "order-1"}


def test_a_key_is_enough_outside_of_a_block_and_is_not_sent(server, connect):
    client = connect(server)
    first = client.messages.create(extra_headers=KEY, **ASK)
    again = client.messages.create(extra_headers=KEY, **ASK)
    assert first.to_dict() == again.to_dict()
    [request] = server.requests
    assert "idempotency-key" not in {name.lower() for name in request.headers}


def test_a_key_with_another_request_is_refused(server, connect):
    client = connect(server)
    client.messages.create(extra_headers=KEY, **ASK)
    with pytest.raises(ValueError, match="Idempotency-Key"):
        client.messages.create(extra_headers=KEY, **{**ASK, "max_tokens": 7})
    assert len(server.requests) == 1


# Tasks, and the transports


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_do_the_same(server, journal, backend):
    async def main():
        async with anthropic.AsyncAnthropic(
            base_url=server.url, api_key="test", http_client=anthropic.DefaultAsyncHttpxClient()
        ) as bare:
            client = unbroken.wrap(bare, AT_ONCE, journal=journal)

            async def ask(name, events=None) -> Any:
                with unbroken.durable(name):
                    async with client.messages.stream(**ASK) as stream:
                        at = 0
                        async for _ in stream:
                            at += 1
                            if at == events:
                                return None
                        return await stream.get_final_text(), unbroken.report(stream)

            if backend == "asyncio":  # trio warns of generators of the SDK that are left
                await ask("job", events=90)
                text, report = await ask("job")
                assert (text, kinds(report)) == (STORY, ["replay", "continuation"])
                assert len(server.requests) == 2
            texts, before = [], len(server.requests)

            async def one():
                texts.append((await ask("at once"))[0])

            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(one)
            assert texts == [STORY] * 4
            made = len(server.requests)
            assert made == before + 1
            with unbroken.durable("plain"):
                first = await client.messages.create(**ASK)
            with unbroken.durable("plain"):
                again = await client.messages.create(**ASK)
            assert first.to_dict() == again.to_dict()
            assert len(server.requests) == made + 1

    anyio.run(main, backend=backend)


HEADERS = {"x-api-key": "test", "anthropic-version": "2023-06-01"}


def test_a_transport_does_the_same(server, journal):
    transport = RecoveryTransport(httpx.HTTPTransport(), AT_ONCE, journal=journal)
    body = {**ASK, "stream": True}
    url = f"{server.url}/v1/messages"
    with httpx.Client(transport=transport, headers=HEADERS) as client:
        with unbroken.durable("job"), client.stream("POST", url, json=body) as response:
            next(response.iter_bytes(200))
        found = []
        for _ in range(2):
            with unbroken.durable("job"):
                found.append(client.post(url, json=body).content)
        plain = [client.post(url, json=ASK, headers=KEY).json() for _ in range(2)]
    assert found[0] == found[1]
    assert b"message_stop" in found[0]
    assert plain[0] == plain[1]
    assert len(server.requests) == 3


def test_an_async_transport_does_the_same(server, journal):
    async def main():
        transport = AsyncRecoveryTransport(httpx.AsyncHTTPTransport(), AT_ONCE, journal=journal)
        url = f"{server.url}/v1/messages"
        async with httpx.AsyncClient(transport=transport, headers=HEADERS) as client:
            found = []
            for _ in range(2):
                with unbroken.durable("job"):
                    response = await client.post(url, json={**ASK, "stream": True})
                    found.append(response.content)
            plain = [(await client.post(url, json=ASK, headers=KEY)).json() for _ in range(2)]
        assert found[0] == found[1]
        assert plain[0] == plain[1]
        assert len(server.requests) == 2

    anyio.run(main)


# Journals that fail


class Failing:
    """A journal that fails from a number of calls on."""

    def __init__(self, journal, works=0) -> None:
        self._journal = journal
        self._left = works
        self.lease, self.ttl, self.required = journal.lease, journal.ttl, journal.required

    def __getattr__(self, name):
        real = getattr(self._journal, name)
        if name not in ("claim", "append", "read", "renew", "close", "leave"):
            return real

        def call(*args, **options):
            if self._left <= 0:
                raise JournalUnavailable("the disk is full")
            self._left -= 1
            return real(*args, **options)

        return call


@pytest.mark.parametrize("works", range(6))
def test_a_journal_that_fails_costs_no_answer(server, connect, journal, works, caplog):
    caplog.set_level(logging.WARNING, "unbroken")
    client = connect(server, journal=Failing(journal, works))
    assert read(client)[0] == STORY
    assert "the disk is full" in caplog.text
    assert len(server.requests) == 1


@pytest.mark.parametrize("works", range(6))
def test_a_journal_that_is_required_costs_the_answer(server, connect, journal, works):
    journal.required = True
    client = connect(server, journal=Failing(journal, works))
    with pytest.raises(JournalUnavailable, match="the disk is full"):
        read(client)


@pytest.mark.parametrize("works", range(1, 4))
def test_a_journal_that_fails_in_a_replay_costs_no_answer(server, connect, journal, works):
    read(connect(server), events=90)
    assert read(connect(server, journal=Failing(journal, works)))[0] == STORY


def test_an_entry_that_is_removed_while_it_is_written_costs_no_answer(server, connect, journal):
    client = connect(server)
    with unbroken.durable("job"), client.messages.stream(**ASK) as stream:
        next(iter(stream))
        [entry] = journal.entries()
        journal.forget(entry.key)
        assert stream.get_final_text() == STORY
    assert len(server.requests) == 1


def test_a_wrong_journal_is_named(server):
    with (
        anthropic.Anthropic(base_url=server.url, api_key="test") as client,
        pytest.raises(ValueError, match="journal must be a Journal"),
    ):
        unbroken.wrap(client, journal="answers.db")


def test_a_client_without_a_journal_says_once_that_nothing_is_durable(server, caplog):
    with anthropic.Anthropic(base_url=server.url, api_key="test") as bare:
        client = unbroken.wrap(bare, AT_ONCE)
        client.messages.create(**ASK)
        assert "durable" not in caplog.text
        for _ in range(2):
            read(client)
    assert caplog.text.count("is not durable, as its client has no journal") == 1


def test_an_answer_that_went_on_alone_can_be_taken_over(server, connect, journal):
    client = connect(server, journal=Failing(journal, works=40))
    alone, _ = read(client)
    [entry] = journal.entries()
    journal.leave(entry.key, entry.owner)  # as when its lease has passed
    text, report = read(connect(server))
    assert alone == text == STORY
    assert kinds(report) == ["replay", "continuation"]


# Deadlines


@pytest.fixture
def _another_is_at_it(server, connect, journal):
    """The entry of the call belongs to a process that is alive, and has written nothing yet."""
    read(connect(server))
    [entry] = journal.entries()
    journal.forget(entry.key)
    journal.claim(entry.key, "another", about=entry.about)
    signs = SignsOfLife(journal)
    signs.add(entry.key, "another")
    yield
    signs.leave(entry.key, "another")


SOON = AT_ONCE.replace(deadline=0.05)


def check_overdue(server, error) -> None:
    report = unbroken.report(error)
    assert report.reason == "deadline"
    assert kinds(report) == ["replay"]
    assert len(server.requests) == 1


@pytest.mark.usefixtures("_another_is_at_it")
def test_a_follower_waits_for_the_first_frame_until_its_deadline(server, connect):
    with pytest.raises(anthropic.APIError) as caught:
        read(connect(server, policy=SOON))
    check_overdue(server, caught.value)


@pytest.mark.usefixtures("_another_is_at_it")
def test_a_follower_among_tasks_waits_until_its_deadline(server, journal):
    async def main():
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as bare:
            client = unbroken.wrap(bare, SOON, journal=journal)
            with unbroken.durable("job"), pytest.raises(anthropic.APIError) as caught:
                await client.messages.create(stream=True, **ASK)
            check_overdue(server, caught.value)

    anyio.run(main)


# What it holds


def test_it_holds_no_prompt_and_no_key(server, tmp_path):
    path = tmp_path / "answers.db"
    journal = SqliteJournal(path)
    with anthropic.Anthropic(base_url=server.url, api_key="sk-secret-key") as bare:
        client = unbroken.wrap(bare, AT_ONCE, journal=journal)
        read(client)
        read(client, "left", events=90)
        client.messages.create(extra_headers=KEY, **ASK)
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    journal.dispose()
    assert STORY[:20].encode() in held
    for secret in (b"secret prompt", b"sk-secret-key", b"order-1"):
        assert secret not in held


def test_without_a_time_to_live_an_answer_is_forgotten_when_it_is_closed(server, tmp_path):
    journal = SqliteJournal(tmp_path / "answers.db", ttl=0)
    with anthropic.Anthropic(base_url=server.url, api_key="test") as bare:
        client = unbroken.wrap(bare, AT_ONCE, journal=journal)
        read(client, events=90)
        assert read(client)[0] == STORY
        assert journal.entries() == []
        assert read(client)[0] == STORY
    journal.dispose()
    assert len(server.requests) == 3


def test_an_entry_says_whose_it_is(server, connect, journal):
    read(connect(server))
    [entry] = journal.entries()
    assert json.loads(entry.about)["name"] == "job"
    assert journal.state(entry) is EntryState.CLOSED


# Names and URLs


@pytest.mark.parametrize("name", ["", None, 7, b"job"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="name must be a text"), unbroken.durable(name):
        pass


def test_the_environment_names_the_journal(server, tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'answers.db'}?lease=2&ttl=5&required=true"
    monkeypatch.setenv("UNBROKEN_JOURNAL", url)
    with anthropic.Anthropic(base_url=server.url, api_key="test") as bare:
        for _ in range(2):
            assert read(unbroken.wrap(bare, AT_ONCE))[0] == STORY
    assert len(server.requests) == 1
    journal = from_url(url)
    assert (journal.lease, journal.ttl, journal.required) == (2.0, 5.0, True)
    journal.dispose()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("answers.db", "sqlite:///answers"),
        ("sqlite:answers.db", "sqlite:///answers"),
        ("mysql://host", "sqlite:///answers"),
        ("sqlite:///a.db?lese=1", "'lese' is no setting"),
        ("sqlite:///a.db?lease=soon", "lease must be a number of seconds"),
        ("sqlite:///a.db?required=maybe", "required must be true or false"),
    ],
)
def test_a_wrong_url_is_told(url, says, monkeypatch):
    with pytest.raises(ValueError, match=says):
        from_url(url)
    monkeypatch.setenv("UNBROKEN_JOURNAL", url)
    with pytest.raises(ValueError, match=rf"UNBROKEN_JOURNAL: .*{says}"):
        unbroken.RecoveryMiddleware()
