"""What is remembered of threads: whole conversations, by reference, within bounds."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from unbroken._core.threads import Threads, ThreadTurn, continues_thread, refuses_thread

REPLY = [{"type": "text", "text": "Hello"}]


def request(*messages: Any, of: str | None = None, **fields: Any) -> dict[str, Any]:
    thread = {"type": "create"}
    if of is not None:
        thread = {"type": "continue", "previous_message_id": of}
    return {"model": "m", "max_tokens": 9, "messages": list(messages), "thread": thread, **fields}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def turn(threads: Threads, body: Any, owner: int = 0) -> ThreadTurn:
    found = threads.turn(body, owner)
    assert found is not None
    return found


def begin(threads: Threads, name: str = "msg_1", text: str = "Hi", **settings: Any) -> None:
    is_stored = settings.pop("is_stored", True)
    turn(threads, request(user(text)), **settings).answered(name, REPLY, is_stored=is_stored)


def knows(threads: Threads, name: str, owner: int = 0) -> bool:
    return turn(threads, request(user("?"), of=name), owner).whole is not None


@pytest.mark.parametrize("body", [None, [], {}, {"thread": None}], ids=repr)
def test_a_request_without_a_thread_is_no_turn_of_one(body):
    assert Threads().turn(body) is None
    assert not continues_thread(body)


def test_a_whole_conversation_is_made_of_the_turns_of_a_thread():
    threads = Threads()
    first, second, third = user("Hi"), user("And?"), user("So?")
    fields = {"system": "Be brief.", "tools": [{"name": "look"}]}
    turn(threads, request(first, **fields)).answered("msg_1", REPLY, is_stored=True)
    turn(threads, request(second, of="msg_1")).answered("msg_2", REPLY, is_stored=True)
    asked = turn(threads, request(third, of="msg_2", top_k=3))
    said = {"role": "assistant", "content": REPLY}
    assert asked.whole == {
        "model": "m",
        "max_tokens": 9,
        "top_k": 3,
        **fields,
        "messages": [first, said, second, said, third],
    }
    assert asked.anew == {**asked.whole, "thread": {"type": "create"}}


def test_messages_are_kept_by_reference():
    threads = Threads()
    first, tools = user([{"type": "text", "text": "Hi"}]), [{"name": "look"}]
    turn(threads, request(first, tools=tools)).answered("msg_1", REPLY, is_stored=True)
    whole = turn(threads, request(of="msg_1")).whole
    assert whole is not None
    assert whole["messages"][0] is first
    assert whole["tools"] is tools


def test_the_callers_request_comes_first_where_the_api_may_have_the_thread():
    threads = Threads()
    begin(threads)
    body = request(user("And?"), of="msg_1")
    assert turn(threads, body).first is body
    assert turn(threads, request(user("And?"), of="msg_0")).first["thread"]["type"] == "continue"


def test_a_new_thread_comes_first_where_the_api_never_stored_the_last_response():
    threads = Threads()
    begin(threads, is_stored=False)
    asked = turn(threads, request(user("And?"), of="msg_1"))
    assert asked.first == asked.anew
    assert len(asked.first["messages"]) == 3


def test_a_forgotten_thread_has_no_whole_conversation():
    body = request(user("And?"), of="msg_1")
    asked = turn(Threads(), body)
    assert asked.whole is None
    assert asked.anew is None
    asked.answered("msg_2", REPLY, is_stored=True)
    assert turn(Threads(), request(of="msg_2")).whole is None


def test_a_response_takes_the_place_of_the_one_before_it():
    threads = Threads()
    begin(threads)
    turn(threads, request(user("And?"), of="msg_1")).answered("msg_2", REPLY, is_stored=True)
    assert not knows(threads, "msg_1")
    assert knows(threads, "msg_2")


def test_the_threads_continued_last_are_kept():
    threads = Threads(max_threads=2)
    begin(threads, "msg_1")
    begin(threads, "msg_2")
    assert knows(threads, "msg_1")
    begin(threads, "msg_3")
    assert [knows(threads, name) for name in ("msg_1", "msg_2", "msg_3")] == [True, False, True]


def test_no_more_bytes_are_kept_than_the_bound_allows():
    threads = Threads(max_bytes=10_000)
    begin(threads, "msg_1", "a" * 4_000)
    begin(threads, "msg_2", "b" * 4_000)
    assert knows(threads, "msg_1")
    assert knows(threads, "msg_2")
    turn(threads, request(user("c" * 4_000), of="msg_1")).answered("msg_3", REPLY, is_stored=True)
    assert not knows(threads, "msg_2")
    assert knows(threads, "msg_3")
    begin(threads, "msg_4", "d" * 10_000)
    assert not knows(threads, "msg_4")
    begin(threads, "msg_5")
    assert knows(threads, "msg_5")


def test_nobody_gets_the_thread_of_somebody_else():
    threads = Threads()
    begin(threads, owner=1)
    assert not knows(threads, "msg_1", owner=2)
    assert knows(threads, "msg_1", owner=1)


def test_breakpoints_of_the_cache_are_left_out_of_earlier_turns_only():
    threads, mark = Threads(), {"cache_control": {"type": "ephemeral"}}
    inner = {"type": "text", "text": "7"}
    given = {"type": "tool_use", "id": "t", "name": "n", "input": mark}
    first = user([{"type": "tool_result", "tool_use_id": "t", "content": [{**inner, **mark}]}])
    second = user([{"type": "text", "text": "And?", **mark}])
    fields = {"tools": [{"name": "look", **mark}]}
    body = request({"role": "assistant", "content": [given]}, first, **fields)
    turn(threads, body).answered("msg_1", REPLY, is_stored=True)
    whole = turn(threads, request(second, of="msg_1")).whole
    assert whole is not None
    assert whole["tools"] == fields["tools"]
    assert whole["messages"][0]["content"] == [given]
    assert whole["messages"][1]["content"][0]["content"] == [inner]
    assert whole["messages"][-1] is second
    assert first["content"][0]["content"] == [{**inner, **mark}], "the caller's own was changed"


def test_a_response_without_content_is_no_turn():
    threads = Threads()
    turn(threads, request(user("Hi"))).answered("msg_1", [], is_stored=True)
    whole = turn(threads, request(of="msg_1")).whole
    assert whole is not None
    assert whole["messages"] == [user("Hi")]


def test_only_the_codes_of_a_lost_thread_refuse_it():
    codes = ["thread_already_continued", "thread_continue_in_flight", "thread_not_found"]
    assert all(map(refuses_thread, codes))
    assert not any(map(refuses_thread, ["thread_unsupported_request", "", None]))


def test_many_os_threads_keep_the_count_of_bytes():
    threads = Threads(max_threads=50)

    def work(number: int) -> None:
        for step in range(50):
            begin(threads, f"msg_{number}_{step}")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert threads._size == sum(known.size for known in threads._known.values())
    assert len(threads._known) == 50
