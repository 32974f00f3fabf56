"""Message threads: what is begun is resumed, what is continued is not guessed."""

from __future__ import annotations

import pytest
from tests.doors.conftest import ANSWER
from tests.samples import NEWEST

import unbroken
from unbroken.testing import faults

FIELDS = {"model": NEWEST, "max_tokens": 5000}
# Older versions of the SDK have no argument for it.
CREATE = {"thread": {"type": "create"}}


def test_an_answer_that_begins_a_thread_is_resumed(serve, connect):
    server = serve(faults=[faults.reset(after_chars=60)])
    with connect(server).beta.messages.stream(
        messages=[{"role": "user", "content": "Hi"}], extra_body=CREATE, **FIELDS
    ) as stream:
        assert "".join(stream.text_stream) == ANSWER


@pytest.mark.parametrize("chars", [0, 60])
def test_an_answer_that_continues_a_thread_is_not(serve, connect, chars):
    server = serve()
    client = connect(server)
    first = client.beta.messages.create(
        messages=[{"role": "user", "content": "Hi"}], extra_body=CREATE, **FIELDS
    )
    server.script(faults.reset(after_chars=chars))
    body = {"thread": {"type": "continue", "previous_message_id": first.id}}
    with (
        pytest.raises(unbroken.StreamInterrupted) as raised,
        client.beta.messages.stream(
            messages=[{"role": "user", "content": "And?"}], extra_body=body, **FIELDS
        ) as stream,
    ):
        stream.get_final_message()
    assert len(server.requests) == 2
    report = raised.value.report
    assert "thread" in report.explanation
    assert chars == 0 or report.partial.content[0].text == ANSWER[:chars]


def test_a_thread_is_retried_before_its_answer_began(serve, connect):
    server = serve()
    client = connect(server)
    first = client.beta.messages.create(
        messages=[{"role": "user", "content": "Hi"}], extra_body=CREATE, **FIELDS
    )
    server.script(faults.status(529))
    body = {"thread": {"type": "continue", "previous_message_id": first.id}}
    again = client.beta.messages.create(
        messages=[{"role": "user", "content": "And?"}], extra_body=body, **FIELDS
    )
    assert again.content[0].text == ANSWER
