"""What is asked next after a drop: each row of the table, and what every request leaves alone."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.core.service import Service, request
from tests.samples import NEWEST, PREFILLS

from unbroken._core.bounds import Reason
from unbroken._core.delivered import Delivered
from unbroken._core.models import Prefill
from unbroken._core.policy import Continuation
from unbroken._core.replies import NO_REPLIES, Replies
from unbroken._core.resume import END_TURN, Plan, PlanMode, Situation, resume
from unbroken._core.seam import ExactSeam, FreeSeam
from unbroken._core.stream.blocks import Block
from unbroken._core.usage import CHARS_PER_TOKEN

AUTO = Continuation()
STORY = "Once upon a time there was a fox who jumped over the lazy"
JSON_FORMAT = {"format": {"type": "json_schema", "schema": {"type": "object"}}}


def block(content: dict[str, Any], *deltas: dict[str, Any], closed: bool = True) -> Block:
    made = Block(content)
    for delta in deltas:
        made.add(delta)
    made.closed = closed
    return made


def text(words: str, *, closed: bool = True, citations: int = 0) -> Block:
    cited = [{"type": "citations_delta", "citation": {"n": n}} for n in range(citations)]
    delta = {"type": "text_delta", "text": words}
    return block({"type": "text", "text": ""}, *([delta] if words else []), *cited, closed=closed)


def thinking(words: str = "Hm.", signature: str = "sig") -> Block:
    return block(
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": words},
        {"type": "signature_delta", "signature": signature},
    )


def redacted() -> Block:
    return block({"type": "redacted_thinking", "data": "x"})


def tool(kind: str = "tool_use", *, closed: bool = True) -> Block:
    return block(
        {"type": kind, "id": f"{kind}_1", "name": "look", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"q":1}'},
        closed=closed,
    )


def result(kind: str = "web_search_tool_result", of: str = "server_tool_use_1") -> Block:
    return block({"type": kind, "tool_use_id": of, "content": []})


CONTINUES = request(thread={"type": "continue", "previous_message_id": "msg_1"})


def asked(
    *blocks: Block,
    body: dict[str, Any] | None = None,
    continuation: Continuation = AUTO,
    takes_prefill: bool = False,
    is_open: bool | None = None,
    trim_word: bool = True,
    replies: Replies = NO_REPLIES,
) -> Any:
    """What is asked after these blocks, the last of them open if it is not closed."""
    body = request() if body is None else body
    before = copy.deepcopy(body)
    last = blocks[-1] if blocks else None
    is_open = last is not None and not last.closed if is_open is None else is_open
    plan = resume(
        Situation(
            body,
            Delivered(blocks, last if is_open else None),
            continuation,
            takes_prefill=takes_prefill,
            trim_word=trim_word,
            replies=replies,
        )
    )
    assert body == before, "the caller's request was changed"
    if isinstance(plan, Plan):
        only_appends(body, plan)
    return plan


def only_appends(body: dict[str, Any], plan: Plan) -> None:
    """A continuation differs in `max_tokens`, and in the messages at its end, and in no more."""
    assert list(plan.body) == list(body)
    for name, value in body.items():
        if name not in ("messages", "max_tokens"):
            assert plan.body[name] is value
    messages = body["messages"]
    assert plan.body["messages"][: len(messages)] == messages
    assert json.dumps(plan.body)
    if plan.mode is not PlanMode.AGAIN:
        roles = [turn["role"] for turn in plan.body["messages"][len(messages) :]]
        assert roles == (["assistant"] if plan.mode is PlanMode.PREFILL else ["assistant", "user"])
    else:
        assert plan.body is body


def turns(plan: Plan) -> list[dict[str, Any]]:
    """The turns that were appended."""
    return list(plan.body["messages"][-1 if plan.mode is PlanMode.PREFILL else -2 :])


def words(plan: Plan) -> str:
    """The text of the assistant turn that was appended."""
    return "".join(b["text"] for b in turns(plan)[0]["content"] if b["type"] == "text")


# The table of what to ask next


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param((), id="nothing"),
        pytest.param((thinking(),), id="thinking"),
        pytest.param((thinking(), redacted()), id="thinking and redacted thinking"),
        pytest.param((text(""),), id="an empty text block"),
    ],
)
@pytest.mark.parametrize("mode", ["auto", "prefill", "user_turn", "restart", "off"])
@pytest.mark.parametrize("takes_prefill", [True, False])
def test_nothing_yet_or_only_thinking_asks_the_identical_request(blocks, mode, takes_prefill):
    body = request()
    plan = asked(*blocks, body=body, continuation=Continuation(mode), takes_prefill=takes_prefill)
    assert plan == Plan(body)


def test_white_space_alone_asks_the_identical_request_and_takes_it_off():
    body = request()
    plan = asked(thinking(), text("\n\n"), body=body)
    assert plan.body is body
    assert plan.mode is PlanMode.AGAIN
    assert isinstance(plan.seam, ExactSeam)
    assert plan.seam.feed("\n\nOnce") == "Once"


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "open"])
def test_text_with_prefill_is_the_last_assistant_turn(closed):
    plan = asked(text(STORY, closed=closed), takes_prefill=True)
    assert plan.mode is PlanMode.PREFILL
    assert plan.trimmed_word
    content = [{"type": "text", "text": STORY.removesuffix(" lazy")}]
    assert turns(plan) == [{"role": "assistant", "content": content}]
    assert isinstance(plan.seam, ExactSeam)
    assert plan.seam.feed(" lazy dog") == " dog"
    assert plan.prompt_tokens == 0


def test_a_prefill_that_must_not_trim_sends_all_the_words():
    plan = asked(text(STORY), takes_prefill=True, trim_word=False)
    assert words(plan) == STORY
    assert not plan.trimmed_word
    assert plan.seam.settled


@pytest.mark.parametrize("space", [" ", "\n\n", "\t", " \n "], ids=repr)
def test_white_space_at_the_end_is_cut_for_a_prefill_and_reconciled(space):
    plan = asked(text(STORY + "." + space), takes_prefill=True)
    assert words(plan) == STORY + "."
    assert not plan.trimmed_word
    assert plan.seam.feed(space + "The dog") == "The dog"


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "open"])
def test_text_otherwise_is_an_assistant_turn_and_a_user_turn(closed):
    plan = asked(text(STORY, closed=closed))
    assert plan.mode is PlanMode.USER_TURN
    assistant, user = turns(plan)
    assert assistant["role"] == "assistant"
    assert STORY.startswith(words(plan))
    assert user["role"] == "user"
    assert isinstance(plan.seam, FreeSeam)
    assert plan.seam.feed(STORY[len(words(plan)) :] + " dog") == " dog"


@pytest.mark.parametrize(
    ("given", "prefills"),
    [
        pytest.param(None, True, id="no thinking"),
        pytest.param({"type": "disabled"}, True, id="thinking disabled"),
        pytest.param({"type": "enabled", "budget_tokens": 1024}, False, id="thinking enabled"),
        pytest.param({"type": "adaptive"}, False, id="adaptive thinking"),
    ],
)
def test_thinking_rules_a_prefill_out(given, prefills):
    body = request() if given is None else request(thinking=given)
    plan = asked(text(STORY), body=body, takes_prefill=True)
    assert plan.mode is (PlanMode.PREFILL if prefills else PlanMode.USER_TURN)


@pytest.mark.parametrize("mode", ["prefill", "user_turn"])
@pytest.mark.parametrize("takes_prefill", [True, False])
def test_a_mode_insists(mode, takes_prefill):
    plan = asked(text(STORY), continuation=Continuation(mode), takes_prefill=takes_prefill)
    assert (plan.mode is PlanMode.PREFILL) is (mode == "prefill")


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param((tool(),), id="alone"),
        pytest.param((text(STORY), tool()), id="after text"),
        pytest.param((thinking(), text(STORY), tool(), tool()), id="two of them"),
        pytest.param((tool(), text(STORY)), id="before text"),
    ],
)
@pytest.mark.parametrize("mode", ["auto", "prefill", "user_turn", "restart", "off"])
def test_finished_tool_calls_end_the_turn_without_a_request(blocks, mode):
    assert asked(*blocks, continuation=Continuation(mode)) is END_TURN


def test_a_finished_server_tool_call_and_its_result_are_sent_back():
    call, found = tool("server_tool_use"), result()
    plan = asked(text("I will look it up."), call, found)
    content = turns(plan)[0]["content"]
    assert [b["type"] for b in content] == ["text", "server_tool_use", "web_search_tool_result"]
    assert content[1]["input"] == {"q": 1}
    assert content[2] == found.content()
    assert "{mark}" not in turns(plan)[1]["content"]
    assert "result" in turns(plan)[1]["content"]


def test_after_a_result_there_is_no_prefill():
    plan = asked(tool("server_tool_use"), result(), takes_prefill=True)
    assert plan.mode is PlanMode.USER_TURN
    assert turns(plan)[1]["role"] == "user"


def test_text_after_a_result_goes_on_from_that_text():
    plan = asked(text("I will look."), tool("server_tool_use"), result(), text(STORY))
    assert [b["type"] for b in turns(plan)[0]["content"]] == [
        "text",
        "server_tool_use",
        "web_search_tool_result",
        "text",
    ]
    assert turns(plan)[0]["content"][0]["text"] == "I will look."
    assert STORY.startswith(turns(plan)[0]["content"][3]["text"])


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"output_config": JSON_FORMAT}, id="output_config"),
        pytest.param({"output_format": JSON_FORMAT["format"]}, id="output_format"),
    ],
)
class TestJsonOutput:
    def test_is_asked_for_again_while_nothing_was_delivered(self, fields):
        body = request(**fields)
        assert asked(body=body) == Plan(body)
        assert asked(thinking(), body=body) == Plan(body)

    @pytest.mark.parametrize("mode", ["auto", "prefill", "user_turn", "restart"])
    def test_is_asked_for_again_and_compared(self, fields, mode):
        body = request(**fields)
        plan = asked(text('{"a":'), body=body, continuation=Continuation(mode), takes_prefill=True)
        assert plan.body is body
        assert plan.seam.feed('{"a":1}') == "1}"

    def test_is_given_up_after_other_blocks(self, fields):
        plan = asked(tool("server_tool_use"), result(), text('{"a":'), body=request(**fields))
        assert plan is Reason.JSON_OUTPUT


def test_an_effort_alone_is_no_json_output():
    plan = asked(text(STORY), body=request(output_config={"effort": "high"}))
    assert plan.mode is not PlanMode.AGAIN


def test_a_restart_asks_the_identical_request():
    body = request()
    plan = asked(thinking(), text(STORY), body=body, continuation=Continuation("restart"))
    assert plan.body is body
    assert plan.mode is PlanMode.AGAIN
    assert plan.seam.feed(STORY + " dog") == " dog"


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param((text("One."), text("Two.")), id="two texts"),
        pytest.param((tool("server_tool_use"), result()), id="a result"),
        pytest.param((tool("server_tool_use"), result(), text(STORY)), id="a result and text"),
    ],
)
def test_a_restart_needs_one_text(blocks):
    assert asked(*blocks, continuation=Continuation("restart")) is Reason.DIVERGED


def test_off_never_goes_on_once_text_was_delivered():
    assert asked(text(STORY), continuation=Continuation("off")) is Reason.CONTINUATION_OFF


@pytest.mark.parametrize("mode", ["auto", "prefill", "user_turn", "restart", "off"])
@pytest.mark.parametrize("block", [text(STORY), tool()], ids=["text", "tool call"])
def test_the_rest_of_a_forgotten_thread_is_no_guess(block, mode):
    assert asked(block, body=CONTINUES, continuation=Continuation(mode)) is Reason.THREAD


@pytest.mark.parametrize("blocks", [(), (thinking(),)], ids=["nothing", "thinking"])
def test_a_forgotten_thread_is_continued_again_if_nothing_was_delivered(blocks):
    assert asked(*blocks, body=CONTINUES).body is CONTINUES


@pytest.mark.parametrize("blocks", [(), (thinking(),), (text("Once"),)], ids=len)
def test_the_callers_request_is_made_again_rather_than_the_whole_conversation(blocks):
    now = Situation(request(), Delivered(blocks, None), AUTO, takes_prefill=False, again=CONTINUES)
    plan = resume(now)
    assert isinstance(plan, Plan)
    assert plan.body is CONTINUES


@pytest.mark.parametrize("thread", [{"type": "new"}, None])
def test_a_request_that_begins_a_thread_is_one_like_others(thread):
    assert asked(text(STORY), body=request(thread=thread)).mode is PlanMode.USER_TURN


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param(block({"type": "brand_new"}), id="block"),
        pytest.param(block({"type": "text", "text": "a"}, {"type": "brand_new_delta"}), id="delta"),
    ],
)
@pytest.mark.parametrize("mode", ["auto", "prefill", "user_turn", "restart", "off"])
def test_what_the_core_does_not_know_is_no_guess(unknown, mode):
    plan = asked(text(STORY), unknown, continuation=Continuation(mode))
    assert plan is Reason.UNKNOWN_BLOCK


@pytest.mark.parametrize("live", [thinking(), tool(closed=False), block({"type": "brand_new"})])
def test_a_drop_inside_a_live_block_is_no_guess(live):
    assert asked(text(STORY), live, is_open=True) is Reason.LIVE_BLOCK


# What is sent back


def test_thinking_before_text_goes_back_as_it_came():
    thought = thinking("Let me see.", "signed")
    plan = asked(thought, redacted(), text(STORY))
    assert turns(plan)[0]["content"][:2] == [
        thought.content(),
        {"type": "redacted_thinking", "data": "x"},
    ]


def test_a_text_before_thinking_is_not_delivered_again():
    plan = asked(text(STORY * 4), thinking())
    assert plan.mode is PlanMode.USER_TURN or plan.seam is not None


def test_thinking_at_the_end_does_not_go_back():
    plan = asked(text(STORY), tool("server_tool_use"), result(), thinking(), redacted())
    kinds = [b["type"] for b in turns(plan)[0]["content"]]
    assert kinds == ["text", "server_tool_use", "web_search_tool_result"]


def test_blank_texts_do_not_go_back():
    plan = asked(text("\n"), tool("server_tool_use"), result(), text(" "), text(STORY))
    assert [b["type"] for b in turns(plan)[0]["content"]] == [
        "server_tool_use",
        "web_search_tool_result",
        "text",
    ]


def test_null_fields_do_not_go_back():
    opened = block({"type": "text", "text": STORY, "citations": None})
    (content,) = turns(asked(opened))[0]["content"]
    assert set(content) == {"type", "text"}


@pytest.mark.parametrize("prefill", [True, False], ids=["prefill", "user turn"])
def test_citations_go_back_with_their_text(prefill):
    plan = asked(text("It is so."), text(STORY, citations=2), takes_prefill=prefill)
    last = turns(plan)[0]["content"][-1]
    assert last["citations"] == [{"n": 0}, {"n": 1}]


def test_texts_in_a_row_are_cut_as_one():
    plan = asked(text("Once upon a time there was "), text("a fox"))
    assert [b["text"] for b in turns(plan)[0]["content"]] == ["Once"]
    assert plan.seam.feed("upon a time there was a fox who") == " who"


@pytest.mark.parametrize("prefill", [True, False], ids=["prefill", "user turn"])
@pytest.mark.parametrize("length", range(1, len(STORY)))
def test_a_strict_service_takes_every_request(prefill, length):
    model = PREFILLS if prefill else NEWEST
    for partial in (STORY[:length], STORY[:length] + "\n\n"):
        plan = asked(text(partial), body=request(model=model), takes_prefill=prefill)
        assert (plan.mode is PlanMode.PREFILL) is prefill
        service = Service(STORY + " dog.")
        assert service.accepts(plan.body["messages"], model=model) == ""


@pytest.mark.parametrize("prefill", [True, False], ids=["prefill", "user turn"])
def test_half_a_character_asks_the_identical_request(prefill):
    body = request()
    plan = asked(text("\ud83d"), body=body, takes_prefill=prefill)
    assert plan.body is body


# max_tokens


def limit(plan: Plan) -> Any:
    return plan.body["max_tokens"]


@pytest.mark.parametrize("prefill", [True, False], ids=["prefill", "user turn"])
@pytest.mark.parametrize(
    "words",
    [
        pytest.param("word " * 1000, id="short words"),
        pytest.param("extraordinarily " * 1000, id="long words"),
        pytest.param("x" * 8000, id="no words"),
        pytest.param("\u72d0" * 3000, id="CJK"),
        pytest.param("1, 2, 3, 4, 5, " * 500, id="numbers"),
        pytest.param("a", id="a letter"),
    ],
)
def test_max_tokens_is_what_is_left_by_an_estimate_that_errs_low(words, prefill):
    plan = asked(text(words), body=request(max_tokens=10_000), takes_prefill=prefill)
    spent = 10_000 - limit(plan)
    assert 0 <= spent <= len(words) / CHARS_PER_TOKEN
    assert spent <= max(len(words.split()), 1)


def test_max_tokens_counts_down_where_much_was_sent():
    plan = asked(text("word " * 1000), body=request(max_tokens=10_000))
    assert limit(plan) <= 10_000 - 500


@pytest.mark.parametrize("most", [1, 2, 100])
def test_max_tokens_is_never_below_one(most):
    assert limit(asked(text("word " * 10_000), body=request(max_tokens=most))) == 1


@pytest.mark.parametrize(
    ("most", "budget", "left"),
    [
        pytest.param(4000, 2000, 2001, id="above the budget"),
        pytest.param(2001, 2000, 2001, id="right above it from the first"),
        pytest.param(1000, 2000, 1000, id="below it from the first"),
    ],
)
def test_max_tokens_stays_above_a_thinking_budget(most, budget, left):
    body = request(max_tokens=most, thinking={"type": "enabled", "budget_tokens": budget})
    assert limit(asked(text("word " * 10_000), body=body)) == left


def test_a_request_without_max_tokens_gets_none():
    body = request()
    del body["max_tokens"]
    assert "max_tokens" not in asked(text(STORY), body=body).body


def test_an_odd_max_tokens_is_left_to_the_service():
    assert limit(asked(text(STORY), body=request(max_tokens="many"))) == "many"


def test_the_identical_request_has_the_identical_max_tokens():
    assert limit(asked(thinking("word " * 1000), body=request(max_tokens=5))) == 5


# After replies that could not be joined


def quoted(plan: Plan) -> str:
    said: str = turns(plan)[1]["content"]
    return said


@pytest.mark.parametrize(
    "replies", [Replies(unproven=1), Replies(empty=1), Replies(off_topic=1, unproven=1)]
)
def test_the_next_request_after_a_reply_without_proof_quotes_in_other_words(replies):
    long = (
        STORY + " dog. " + "It was a fine day for that, and nobody in the wood was surprised. " * 3
    )
    first, second = asked(text(long)), asked(text(long), replies=replies)
    assert quoted(first) != quoted(second)
    assert words(first) != words(second) or quoted(first)[:40] != quoted(second)[:40]


def test_a_prompt_of_the_callers_is_not_reworded():
    mine = Continuation(prompt="Go on after {anchor}, or say {mark}.")
    long = STORY * 4
    first = asked(text(long), continuation=mine)
    assert quoted(asked(text(long), continuation=mine, replies=Replies(unproven=1))) == quoted(
        first
    )


@pytest.mark.parametrize(
    ("partial", "replies", "again"),
    [
        pytest.param("Yes", NO_REPLIES, True, id="a word"),
        pytest.param("x" * 23, NO_REPLIES, True, id="just too short"),
        pytest.param("x" * 24, NO_REPLIES, False, id="just long enough"),
        pytest.param("Yes", Replies(diverged=True), False, id="a word, after another answer"),
        pytest.param(STORY, Replies(unproven=1), True, id="a line, after a reply without proof"),
        pytest.param(STORY * 3, Replies(unproven=1), False, id="a long text"),
        pytest.param(STORY, Replies(unproven=1, diverged=True), False, id="after both"),
    ],
)
def test_a_short_text_is_asked_for_again_as_a_whole(partial, replies, again):
    plan = asked(text(partial), replies=replies)
    assert (plan.mode is PlanMode.AGAIN) is again


def test_a_short_text_after_another_block_is_not_asked_for_again():
    plan = asked(tool("server_tool_use"), result(), text("Yes"))
    assert plan.mode is PlanMode.USER_TURN


# The same again


def test_asking_twice_asks_the_same():
    blocks = (thinking(), text(STORY))
    first, second = asked(*blocks), asked(*blocks)
    assert first.body == second.body
    assert first.seam is not second.seam


def test_what_takes_a_prefill_is_not_resumes_to_know():
    assert Prefill().taken_by(PREFILLS)
    plan = asked(text(STORY), body=request(model=PREFILLS), takes_prefill=False)
    assert plan.mode is PlanMode.USER_TURN


# A partial in several views


def test_the_turn_of_all_that_was_delivered_is_one_the_service_takes():
    blocks = [
        thinking(),
        text(" \n"),
        text(STORY + " "),
        tool("server_tool_use"),
        result(),
        thinking(),
    ]
    content = Delivered(blocks, None).turn()
    kinds = [b["type"] for b in content]
    assert kinds == ["thinking", "text", "server_tool_use", "web_search_tool_result"]
    assert content[1]["text"] == STORY + " "


def test_the_turn_of_nothing_is_nothing():
    assert Delivered([], None).turn() == []
    assert Delivered([thinking(), text(" ")], None).turn() == []
