"""What the API refuses is refused in its words, and what it takes is taken."""

from __future__ import annotations

from typing import Any

import pytest
from tests.samples import HEADERS, NEWEST, PREFILLS
from tests.testing.helpers import assistant, body, user

from unbroken.testing import Answer, answers, faults
from unbroken.testing.models import binds_thinking, takes_prefill

NO_PREFILL = (
    "This model does not support assistant message prefill. "
    "The conversation must end with a user message."
)
CALL = {"type": "tool_use", "id": "toolu_1", "name": "t", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
TOOLS = [{"name": "t", "input_schema": {"type": "object"}}]


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


REFUSED = [
    ([], "messages: at least one message is required"),
    ([assistant("Hi")], 'messages: first message must use the "user" role'),
    ([{"role": "tool", "content": "x"}], 'messages: Unexpected role "tool"'),
    ([{"role": "user"}], "messages.0.content: Field required"),
    ("Hi", "messages: Input should be a valid list"),
    (["Hi"], "messages.0: Input should be a valid dictionary"),
    ([user(3)], "messages.0.content: Input should be a valid list"),
    ([user(["Hi"])], "messages.0.content.0: Input should be a valid dictionary"),
    ([user([{"type": "text"}])], "messages.0.content.0.text.text: Field required"),
    ([user("")], "messages.0: all messages must have non-empty content"),
    ([user([])], "messages.0: all messages must have non-empty content"),
    ([user([said("")])], "messages: text content blocks must be non-empty"),
    ([user(" \n")], "messages: text content blocks must contain non-whitespace text"),
    ([user([{"type": "sound"}])], "messages.0.content.0: Input tag 'sound' found using 'type'"),
    ([user([{"text": "x"}])], "messages.0.content.0.type: Field required"),
    ([user([CALL])], "messages.0.content.0: Input tag 'tool_use' found using 'type'"),
    ([user("a"), assistant("b "), assistant("c ")], "messages: final assistant content cannot end"),
    (
        [user("a"), assistant([CALL]), user("b")],
        (
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately "
            "after: toolu_1. Each `tool_use` block must have a corresponding `tool_result` block"
        ),
    ),
    ([user("a"), assistant([said("b"), CALL])], "messages.1: `tool_use` ids were found without"),
    (
        [user("a"), assistant("b"), user([RESULT])],
        "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1.",
    ),
    (
        [user("a"), assistant([CALL, CALL]), user([RESULT])],
        "messages: `tool_use` ids must be unique",
    ),
    (
        [user("a"), assistant([SEARCH]), user("b")],
        (
            "messages.1: `web_search` tool use with id `srvtoolu_1` was found without a "
            "corresponding `web_search_tool_result` block"
        ),
    ),
    (
        [user("a"), assistant([FOUND]), user("b")],
        "messages.1.content.0: unexpected `tool_use_id` found in `web_search_tool_result` blocks",
    ),
    (
        [user("a"), assistant([{"type": "thinking", "thinking": "", "signature": ""}]), user("b")],
        "messages.1: The final block in an assistant message cannot be `thinking`.",
    ),
    (
        [user("a"), assistant("b"), {"role": "system", "content": "c"}, user("d")],
        "messages.2: a `system` message must follow",
    ),
]


@pytest.mark.parametrize(("messages", "message"), REFUSED)
def test_refused_conversations(serve, messages, message):
    response = serve().http.post("/v1/messages", json={**body(), "messages": messages})
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(message)


TAKEN = [
    [user("a"), user("b")],
    [user("a"), assistant("b "), user("c")],
    [user("a"), assistant("b"), assistant([said("c")]), user([said("d")])],
    [user("a"), assistant("")],
    [user("a"), assistant([CALL]), user([RESULT, said("more")])],
    [user("a"), assistant([CALL]), user([RESULT]), assistant("b")],
    [user("a"), assistant([SEARCH, FOUND, said("b")]), user("c")],
    [user("a"), assistant([{"type": "text", "text": "b", "citations": None}]), user("c")],
    [user("a"), {"role": "system", "content": "b"}],
    [user("a"), assistant([SEARCH, FOUND]), {"role": "system", "content": "b"}, user("c")],
]


@pytest.mark.parametrize("messages", TAKEN)
def test_taken_conversations(serve, messages):
    assert serve().message(*messages)["role"] == "assistant"


FIELDS = [
    ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
    ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"model": 5}, "model: Input should be a valid string"),
    ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
    ({"model": None}, "model: Field required"),
    ({"messages": None}, "messages: Field required"),
    ({"retries": 3}, "retries: Extra inputs are not permitted"),
    ({"tools": TOOLS * 2}, "tools: Tool names must be unique."),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 100}},
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 2000},
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
    ({"tool_choice": {"type": "any"}}, "tool_choice: may only be specified while providing tools"),
    (
        {"tool_choice": {"type": "tool", "name": "u"}, "tools": TOOLS},
        "tool_choice: Tool 'u' not found in provided tools",
    ),
    (
        {"tool_choice": {"type": "any"}, "tools": TOOLS, "thinking": {"type": "adaptive"}},
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    (
        {"tool_choice": {"type": "any"}, "tools": TOOLS, "model": NEWEST},
        "tool_choice: forcing tool use is not supported",
    ),
]


@pytest.mark.parametrize(("fields", "message"), FIELDS)
def test_refused_fields(serve, fields, message):
    assert serve().refusal(**fields).startswith(message)


def test_a_body_must_be_json(serve):
    api = serve()
    for content in (b"{", b"[]", b""):
        response = api.http.post("/v1/messages", content=content)
        assert (response.status_code, response.json()["error"]["type"]) == (
            400,
            "invalid_request_error",
        )
    assert api.server.requests[0].body is None


def test_a_key_and_a_version_must_be_there(serve):
    api = serve()
    for headers, status in [
        ({"anthropic-version": "v"}, 401),
        ({"x-api-key": "k"}, 400),
        ({"authorization": "Bearer k", "anthropic-version": "v"}, 200),
    ]:
        api.http.headers = {**headers}
        assert api.post().status_code == status
    api.http.headers = HEADERS


def test_counting_needs_no_max_tokens_but_is_checked(serve):
    api = serve()
    content = {"model": NEWEST, "messages": [user("Hi")]}
    assert api.http.post("/v1/messages/count_tokens", json=content).status_code == 200
    content["messages"] = []
    assert api.http.post("/v1/messages/count_tokens", json=content).status_code == 400


def test_nothing_is_refused_if_the_server_is_not_strict(serve):
    api = serve("Hi", strict=False)
    assert api.text(assistant("x "), model=NEWEST, max_tokens=0, odd=1) == ""
    assert api.text(user("")) != ""


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-haiku-4-5", True),
        ("claude-sonnet-4-5-20250929", True),
        ("claude-opus-4-5@20251101", True),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("us.anthropic.claude-opus-4-20250514-v1:0", True),
        ("claude-3-5-sonnet-20241022", True),
        ("claude-3-opus-20240229", True),
        ("claude-2.1", True),
        ("claude-sonnet-4-6", False),
        ("us.anthropic.claude-opus-4-6-v1", False),
        ("claude-opus-4-8@20260401", False),
        ("claude-opus-5", False),
        ("claude-sonnet-5-5", False),
        ("claude-haiku-5-5-20261001", False),
        ("claude-fable-5-2", False),
        ("claude-mythos-preview", False),
        ("some-other-model", False),
    ],
)
def test_prefill_by_model(serve, model, takes):
    assert takes_prefill(model) is takes
    api = serve("Once upon a time")
    if takes:
        assert api.text(user("a"), assistant("Once"), model=model) == " upon a time"
    else:
        assert api.refusal(user("a"), assistant("Once"), model=model) == NO_PREFILL


def test_prefill_can_be_set_for_all_models(serve):
    assert serve("Once", prefill=False).refusal(user("a"), assistant("O")) == NO_PREFILL
    assert serve("Once", prefill=True).text(user("a"), assistant("O"), model=NEWEST) == "nce"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found",
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
            "Assistant message prefill is not supported with `output_config.format`.",
        ),
    ],
)
def test_what_prefill_goes_not_with(serve, fields, message):
    assert serve().refusal(user("a"), assistant("b"), **fields).startswith(message)


def test_an_answer_that_paused_may_be_last_on_every_model(serve):
    paused = Answer(
        ["Searching.", answers.server_tool("web_search", {"query": "x"}, content=[])],
        stop_reason="pause_turn",
    )
    api = serve(paused)
    first = api.message(user("a"), model=NEWEST)
    assert first["stop_reason"] == "pause_turn"
    more = api.message(user("a"), assistant(first["content"]), model=NEWEST)
    assert (more["content"], more["stop_reason"]) == ([], "end_turn")


def test_a_credit_token_authorizes_a_prefill(serve):
    api = serve("Once")
    text = api.text(user("a"), assistant("On"), model=NEWEST, fallback_credit_token="token")
    assert text == "ce"


# --- thinking

THOUGHTFUL = Answer([answers.thinking("Let me see."), "It is nine."])


def test_signatures_hold_for_the_very_same_conversation(serve):
    api = serve(THOUGHTFUL)
    system = "Be brief."
    reply = api.message(user("Time?"), model=NEWEST, system=system)["content"]
    marked = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
    again = [user([said("Time?")]), assistant(reply), user("And now?")]
    assert api.message(*again, model=NEWEST, system=marked, max_tokens=99)["content"]
    assert api.message(*again, user("Well?"), model=NEWEST, system=system)["content"]


@pytest.mark.parametrize(
    ("question", "system"), [("Time!", "Be brief."), ("Time?", "Be long."), (None, "Be brief.")]
)
def test_signatures_are_bound_to_what_stood_before(serve, question, system):
    api = serve(THOUGHTFUL)
    reply = api.message(user("Time?"), model=NEWEST, system="Be brief.")["content"]
    first = user(question) if question else user([said("Time?"), said("Please.")])
    messages = [first, assistant(reply), user("And now?")]
    refusal = api.refusal(*messages, model=NEWEST, system=system)
    assert refusal == (
        "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a "
        "different conversation. Remove the block, or set "
        '`thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'
    )
    assert api.message(*messages, model="claude-opus-5", system=system)
    drop = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    assert api.message(*messages, model=NEWEST, system=system, thinking=drop)


def test_signatures_can_be_enforced_on_all_models(serve):
    api = serve(THOUGHTFUL, enforce_signatures=True)
    reply = api.message(user("Time?"))["content"]
    assert "different conversation" in api.refusal(user("No"), assistant(reply), user("b"))


def test_thinking_must_not_be_changed_on_any_model(serve):
    api = serve(THOUGHTFUL)
    thought, text = api.message(user("Time?"))["content"]
    for changed in ({**thought, "thinking": "Hm."}, {**thought, "signature": "made up"}):
        refusal = api.refusal(user("Time?"), assistant([changed, text]), user("b"))
        assert refusal == "messages.1.content.0: Invalid `signature` in `thinking` block"


def test_thinking_may_be_removed_from_the_front_only(serve):
    twice = Answer(
        [answers.thinking("a"), "A", answers.thinking("b"), "B", answers.thinking("c"), "C"]
    )
    api = serve(twice)
    reply = api.message(user("x"), model=NEWEST)["content"]
    api.message(user("x"), assistant(reply[1:]), user("y"), model=NEWEST)
    api.message(user("x"), assistant(reply), user("y"), model=NEWEST)
    gap = [*reply[:2], *reply[3:]]
    refusal = api.refusal(user("x"), assistant(gap), user("y"), model=NEWEST)
    assert refusal.startswith("messages.1.content.3: Invalid `signature`")


def test_thinking_of_a_continuation_does_not_fit_a_merged_turn(serve):
    api = serve(THOUGHTFUL, faults=[faults.eof(after_chars=15)])
    api.broken(user("Time?"), model=NEWEST)
    asked = [user("Time?"), assistant("It "), user("Go on")]
    rest = api.message(*asked, model=NEWEST)["content"]
    assert [b["type"] for b in rest] == ["thinking", "text"]
    api.message(*asked, assistant(rest), user("Thanks"), model=NEWEST)
    merged = [rest[0], said("It is nine.")]
    refusal = api.refusal(user("Time?"), assistant(merged), user("Thanks"), model=NEWEST)
    assert "different conversation" in refusal


def test_models_that_bind_thinking():
    bound = [
        *("claude-fable-5-1", "claude-fable-5-2", "claude-mythos-5-2", "claude-opus-5-5"),
        *("claude-sonnet-5-5", "anthropic.claude-haiku-5-5-v1:0"),
    ]
    assert all(map(binds_thinking, bound))
    assert not any(map(binds_thinking, ["claude-mythos-5-1", "claude-opus-5", PREFILLS, "x"]))


# --- threads


def test_threads_keep_the_conversation(serve):
    api = serve(lambda request: f"{len(request['messages'])} messages")
    first = api.message(user("a"), thread={"type": "create"}, system="S")
    follow = {"type": "continue", "previous_message_id": first["id"]}
    second = api.message(user("b"), thread=follow)
    assert second["content"][0]["text"] == "3 messages"
    response = api.post(user("c"), thread=follow)
    assert response.status_code == 400
    assert response.json()["error"]["details"] == {"error_code": "thread_already_continued"}
    follow["previous_message_id"] = second["id"]
    assert api.text(user("c"), thread=follow) == "5 messages"


def test_threads_hold_whole_replies_only(serve):
    api = serve("Once upon", faults=[faults.eof(after_chars=4)])
    raw, _ = api.broken(thread={"type": "create"})
    message_id = raw.decode().partition('"id":"')[2].partition('"')[0]
    follow = {"type": "continue", "previous_message_id": message_id}
    response = api.post(user("b"), thread=follow)
    assert response.status_code == 404
    assert response.json()["error"]["details"] == {"error_code": "thread_not_found"}
