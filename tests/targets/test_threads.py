"""Turns of message threads, answered by another target: it gets the whole conversation."""

from __future__ import annotations

import pytest
from tests.doors.test_threads import after, ask, roles, threads_of
from tests.samples import PREFILLS, STORY
from tests.targets.test_fallbacks import AT_ONCE, client_of, close_clients, first, second

import unbroken
from unbroken import Target
from unbroken.testing import FaultServer, faults

__all__ = ["close_clients", "first", "second"]  # fixtures
CREATE = {"type": "create"}


@pytest.mark.parametrize(
    ("cut", "answer"),
    [([], "Another answer."), ([faults.reset(after_chars=60)], STORY)],
    ids=["begun", "cut"],
)
def test_another_target_gets_the_conversation_without_the_thread(first, cut, answer) -> None:
    first.script(None, *cut, *[faults.status(529)] * 9)
    with FaultServer(answer) as other:
        fallbacks = [Target(client=client_of(other), model=PREFILLS)]
        client = unbroken.wrap(client_of(first), AT_ONCE, fallbacks=fallbacks)
        begun = ask(client, "Hi", CREATE)
        assert ask(client, "And?", after(begun)).content[0].text == answer
        assert threads_of(other) == [None]
        assert roles(other.requests[0]) == "uau" + "a" * len(cut)


def test_a_thread_that_is_not_known_stays_where_it_is(first, second) -> None:
    own = client_of(first)
    begun = ask(own, "Hi", CREATE)
    first.script(faults.status(529))
    fallbacks = [Target(client=client_of(second), name="other")]
    client = unbroken.wrap(own, AT_ONCE, fallbacks=fallbacks)
    assert ask(client, "And?", after(begun)).content[0].text == STORY
    assert second.requests == []
