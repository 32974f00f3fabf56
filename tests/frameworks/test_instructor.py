from __future__ import annotations

from typing import Any

import anthropic
import pytest
from pydantic import BaseModel
from tests.samples import AT_ONCE

import unbroken
from unbroken.testing import Answer, answers, faults

instructor = pytest.importorskip("instructor")


class City(BaseModel):
    name: str
    people: int


ASKED: dict[str, Any] = {
    "model": "claude-opus-4-6",  # newer ones cannot be made to use a tool
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Oslo?"}],
    "response_model": City,
}


@pytest.fixture
def client(server):
    server.answer = Answer(answers.tool_use("City", {"name": "Oslo", "people": 700_000}))
    with anthropic.Anthropic(base_url=server.url, api_key="test") as client:
        yield instructor.from_anthropic(unbroken.wrap(client, AT_ONCE))


def test_a_whole_answer(server, client):
    server.script(faults.status(529), faults.close())
    city = client.messages.create(**ASKED)
    assert (city.name, city.people) == ("Oslo", 700_000)
    assert len(server.message_requests) == 3


def test_a_streamed_answer(server, client):
    server.script(faults.reset(after_chars=20), faults.status(529), faults.eof(after_chars=9))
    *_, last = client.messages.create_partial(**ASKED)
    assert (last.name, last.people) == ("Oslo", 700_000)
    assert len(server.message_requests) == 4
