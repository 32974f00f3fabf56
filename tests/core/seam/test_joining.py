"""Whole recoveries: texts of any kind, cut anywhere, and models that go on in any way."""

from __future__ import annotations

import collections
import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.core.seam import texts
from tests.core.seam.joints import CutService, join, quoted_in, speaking
from tests.core.seam.speakers import (
    KNOWN_PREFIXES,
    UNKNOWN_PREFIXES,
    VOICES,
    as_told,
    behind,
    quoted,
)
from tests.core.service import AT_ONCE, Service, request

from unbroken._core.bounds import Reason
from unbroken._core.policy import Continuation
from unbroken._core.seam.quote import quote_ending
from unbroken._core.states import Phase
from unbroken.testing import Answer, answers, voices

if TYPE_CHECKING:
    from tests.core.seam.joints import Joint, View

    from unbroken.testing.voices import Voice

PREFIXES = {**KNOWN_PREFIXES, **UNKNOWN_PREFIXES}
WHEREVER = settings(max_examples=max(settings.default.max_examples // 2, 1))

voice_names = st.sampled_from(list(VOICES))
prefix_names = st.sampled_from(list(PREFIXES))


# Joints


@given(texts.cut_texts(texts.PLAIN), voice_names, prefix_names)
def test_nothing_is_eaten_in_a_text_that_does_not_repeat_itself(cut_text, voice, prefix):
    text, at = cut_text
    joint = join(text, at, behind(PREFIXES[prefix], VOICES[voice]))
    assert joint.outcome in ("exact", "doubled", "raised")


@given(texts.cut_texts(texts.ALL), st.sampled_from(["as told", "as told, in other signs"]))
def test_a_model_that_does_as_it_is_told_is_exact(cut_text, voice):
    text, at = cut_text
    joint = join(text, at, VOICES[voice])
    assert joint.outcome == "exact"
    assert joint.requests == 2


@WHEREVER
@given(texts.cut_texts(texts.ALL), st.sampled_from(["dots", "an ellipsis", "a fence"]))
def test_as_told_behind_a_mark_is_exact(cut_text, prefix):
    text, at = cut_text
    joint = join(text, at, behind(PREFIXES[prefix], as_told))
    assert joint.outcome == "exact"
    assert joint.requests == 2


@WHEREVER
@given(texts.cut_texts(texts.PLAIN), st.sampled_from(["\u00ab\u00bb", "\u300c\u300d"]))
def test_as_told_in_quotation_marks_is_exact(cut_text, marks):
    text, at = cut_text
    assume(text[at - 1].isalnum())
    assume(quote_ending(text[:at]).words[0].isalnum())  # what begins with a mark itself: see below
    assert join(text, at, quoted(*marks)).outcome == "exact"


@WHEREVER
@given(texts.cut_texts(texts.PLAIN), st.sampled_from(['""', "\u201c\u201d", "``"]))
def test_of_a_quotation_in_marks_that_the_answer_may_use_only_a_mark_may_be_left(cut_text, marks):
    text, at = cut_text
    joint = join(text, at, quoted(*marks))
    assert joint.outcome in ("exact", "doubled")
    assert len(joint.text) <= len(text) + 1


def test_a_mark_that_can_only_close_goes_with_the_quotation():
    text = "2026-01-07 12:04:00 DEBUG worker-3: job 3613 finished\n2026-01-07 12:05:05 INFO"
    joint = join(text, text.rindex("07 12"), quoted("\u300c", "\u300d"))
    assert joint.outcome == "exact"


def test_a_quotation_of_words_that_begin_with_a_quotation_mark_is_exact():
    text = '{"id": 1, "name": "harbour", "tags": ["lantern"], "active": true}\n'
    joint = join(text, len(text) - 1, quoted('"', '"'))
    assert quote_ending(text).words.startswith('"')
    assert joint.outcome == "exact"


@WHEREVER
@given(texts.cut_texts(texts.PLAIN), st.sampled_from(["a preamble", "another preamble"]))
def test_as_told_behind_a_known_preamble_is_exact_and_announced(cut_text, prefix):
    text, at = cut_text
    joint = join(text, at, behind(PREFIXES[prefix], as_told))
    assert joint.outcome == "exact"
    assert joint.requests == 2


@WHEREVER
@given(texts.cut_texts(texts.PLAIN))
def test_straight_on_is_exact_after_one_more_request(cut_text):
    text, at = cut_text
    joint = join(text, at, VOICES["straight on"])
    assert joint.outcome == "exact"
    assert joint.requests <= 3


def sample(prefixes: dict[str, str], kinds: Any, each: int) -> list[tuple[str, Joint]]:
    joints = []
    for kind in kinds:
        for voice in VOICES:
            chance = random.Random(f"{kind}:{voice}")
            for _ in range(each):
                text = texts.from_seed(kind, chance.randrange(10**6))
                prefix = chance.choice(list(prefixes.values()))
                at = chance.randrange(1, len(text))
                joints.append((f"{kind}, {voice}", join(text, at, behind(prefix, VOICES[voice]))))
    return joints


def test_of_a_sample_95_percent_are_exact_and_none_is_eaten():
    joints = sample(KNOWN_PREFIXES, texts.PLAIN, 2)
    outcomes = collections.Counter(joint.outcome for _, joint in joints)
    assert len(joints) > 300
    assert outcomes["eaten"] == 0
    assert outcomes["exact"] >= 0.95 * len(joints), [n for n, j in joints if j.outcome != "exact"]


def test_of_a_sample_behind_unknown_preambles_95_percent_are_exact_and_none_is_eaten():
    joints = sample(UNKNOWN_PREFIXES, texts.PLAIN, 1)
    outcomes = collections.Counter(joint.outcome for _, joint in joints)
    assert outcomes["eaten"] == 0
    assert outcomes["exact"] >= 0.9 * len(joints), [n for n, j in joints if j.outcome != "exact"]


@WHEREVER
@given(texts.cut_texts(texts.ALL), voice_names, prefix_names, st.sampled_from([1, 2, 3, 11]))
def test_deltas_of_any_size_give_the_same(cut_text, voice, prefix, delta):
    text, at = cut_text
    speaker = behind(PREFIXES[prefix], VOICES[voice])
    whole, parts = (join(text, at, speaker, delta=size) for size in (10_000, delta))
    assert parts.text == whole.text
    assert parts.seams == whole.seams


@pytest.mark.parametrize("rows", [20, 40, 60])
def test_no_more_than_one_repetition_is_lost_where_a_text_repeats_itself(rows):
    head, row = "id,name\n", "7,fox\n"
    text = head + row * 90
    joint = join(text, len(head) + rows * len(row), VOICES["straight on"])
    assert abs(len(text) - len(joint.text)) <= len(row)


# What is told of a seam


STORY = (
    "Once upon a time there was a fox. It was quick, and it knew the wood well.\n"
    "One day, it said: \u201cI\u2019ll jump over that dog.\u201d And it did; nobody laughed.\n\n"
    'The dog was lazy. It slept on and on, and the fox jumped again. "Again?" asked it. The end.'
)
AT = STORY.index("slept on and") + 8


@pytest.mark.parametrize(
    ("voice", "seams"),
    [
        pytest.param(as_told, ["asked"], id="as told"),
        pytest.param(VOICES["restarts the line"], ["restarted"], id="the line"),
        pytest.param(VOICES["says all again"], ["restarted"], id="all again"),
        pytest.param(voices.preamble(then=as_told), ["announced"], id="announced"),
        pytest.param(VOICES["straight on"], [None, "restarted"], id="straight on"),
        pytest.param(lambda asked: "something else.", [None, None, "unproven"], id="other words"),
    ],
)
def test_each_attempt_tells_what_proved_its_seam(voice, seams):
    assert join(STORY, AT, voice).seams == seams


def test_a_prefill_is_exact():
    joint = join(STORY, AT, voices.exact, model="claude-haiku-4-5")
    assert joint.text == STORY
    assert joint.seams == ["exact"]


def unproven(setting: Any) -> Any:
    return AT_ONCE.replace(continuation=Continuation(unproven=setting))


OTHER = "quite another thing happened, and that was that."


@pytest.mark.parametrize(
    ("setting", "requests", "seams", "delivered"),
    [
        pytest.param("ask_again", 4, [None, None, "unproven"], STORY[:AT] + OTHER, id="ask again"),
        pytest.param("join", 2, ["unproven"], STORY[:AT] + OTHER, id="join"),
        pytest.param("give_up", 2, [None], STORY[:AT], id="give up"),
    ],
)
def test_a_reply_without_proof_is_handled_as_the_policy_says(setting, requests, seams, delivered):
    joint = join(STORY, AT, lambda asked: OTHER, policy=unproven(setting))
    assert (joint.requests, joint.seams, joint.text) == (requests, seams, delivered)
    if setting == "give_up":
        assert joint.run.phase is Phase.LOST
        assert joint.run.machine.call.reason is Reason.UNPROVEN


# Short partials


@pytest.mark.parametrize("text", ["Yes", "Yes.", "No way", "\u72d0", "def f(x): pass"])
def test_a_short_answer_that_lacks_only_its_end_is_whole_after_one_more_request(text):
    joint = join(text, len(text), as_told)
    assert joint.outcome == "exact"
    assert joint.requests == 2
    first, second = joint.run.service.requests
    assert first == second


@pytest.mark.parametrize("at", range(1, 24))
def test_a_short_partial_is_asked_for_again_as_a_whole(at):
    joint = join(STORY, at, as_told)
    assert joint.outcome == "exact"
    assert joint.run.service.requests[0] == joint.run.service.requests[1]
    assert joint.seams == ["exact"]


@pytest.mark.parametrize("at", [2, 9, 20])
def test_a_short_partial_is_continued_where_the_answer_differs(at):
    other = "Quite another answer, which begins in another way, and is long enough."
    service = CutService(STORY, at=at)

    def answer(body: dict[str, Any]) -> str:
        if len(body["messages"]) > 1:
            return quoted_in(body["messages"][-1]["content"])[-1] + STORY[at:]
        return STORY if len(service.requests) < 2 else other

    service.api.settings.answer = answer
    run = service.run(request())
    assert run.message()["content"] == [{"type": "text", "text": STORY}]
    assert [len(body["messages"]) for body in service.requests] == [1, 1, 3]


# The end


LOOK = [{"name": "look", "input_schema": {"type": "object"}}]


def saying(*replies: Any) -> Voice:
    """Says one after the other, the last one again and again; a function is a voice."""
    left = list(replies)

    def voice(asked: voices.Cue) -> str:
        reply = left.pop(0) if len(left) > 1 else left[0]
        return reply(asked) if callable(reply) else reply

    return voice


def mark_of(told: View) -> str:
    return re.findall(r"reply with (\[\[.*\]\]) and", told.asked.prompt or "")[-1]


def with_mark(before: str, after: str = "") -> Voice:
    return speaking(lambda told: f"{told.answer[told.begin :]}{before}{mark_of(told)}{after}")


mark_alone = speaking(mark_of)


def is_silent(joint: Joint) -> bool:
    return "[[" not in joint.text and "[[" not in joint.run.out.decode()


def test_an_empty_reply_is_asked_again_and_two_are_the_end():
    joint = join(STORY, len(STORY), lambda asked: "")
    assert joint.outcome == "exact"
    assert joint.requests == 3
    assert joint.seams == [None, "whole"]


@pytest.mark.parametrize("end", [":", "2.", "| 1 |", ")", ".", "```"])
def test_an_empty_reply_is_no_end_whatever_the_text_ends_with(end):
    text = STORY[:AT] + end + "\n\nMore of it follows here, and it ends."
    joint = join(text, AT + len(end), saying("", as_told))
    assert joint.outcome == "exact"
    assert joint.seams == [None, "asked"]


def test_an_empty_reply_after_a_result_is_no_answer():
    search = answers.server_tool("web_search", {"query": "fox"}, content=[])
    answer = Answer(["One moment.", *search, STORY])
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    body = request(tools=tools)
    whole = Service(answer).respond(body)[1]
    at = whole.index(b"content_block_stop", whole.index(b"web_search_tool_result"))
    service = Service(answer, voice=saying("", voices.exact), cuts=[whole.index(b"\n\n", at) + 2])
    message = service.run(body).message()
    assert message["content"][-1].get("text") == STORY


@pytest.mark.parametrize(
    ("before", "after"), [("", ""), (" ", ""), ("\n\n", ""), ("\n", "\n")], ids=repr
)
@pytest.mark.parametrize("delta", [1, 3, 1000])
def test_the_mark_after_the_last_word_is_the_end(before, after, delta):
    joint = join(STORY, AT, with_mark(before, after), delta=delta)
    assert joint.outcome == "exact"
    assert is_silent(joint)


@pytest.mark.parametrize("delta", [1, 3, 1000])
def test_the_mark_alone_is_the_end(delta):
    joint = join(STORY, len(STORY), mark_alone, delta=delta)
    assert joint.outcome == "exact"
    assert joint.requests == 2
    assert joint.seams == ["whole"]
    assert is_silent(joint)


MARKS = ("[[NOTHING WAS LEFT]]", "[[THAT WAS ALL]]")


@pytest.mark.parametrize("mark", [*MARKS, "[[DONE]]"])
def test_a_mark_inside_the_answer_is_text(mark):
    text = STORY[:AT] + f" {mark} and then it went on.\n{mark}\nIt ended after that{mark}."
    assert join(text, AT, as_told).outcome == "exact"


@pytest.mark.parametrize("mark", [*MARKS, "[[DONE]]"])
def test_a_mark_that_was_delivered_is_text_also_at_the_end(mark):
    text = f"{mark} {STORY} {mark}"
    assert join(text, AT, as_told).outcome == "exact"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"system": f"End with {MARKS[0]}."}, id="system"),
        pytest.param(
            {"system": [{"type": "text", "text": f"End with {MARKS[0]}."}]}, id="system blocks"
        ),
        pytest.param({"messages": [{"role": "user", "content": MARKS[0]}]}, id="messages"),
        pytest.param(
            {"tools": [{"name": "a", "description": MARKS[0], "input_schema": {"type": "object"}}]},
            id="tools",
        ),
    ],
)
def test_the_mark_stands_nowhere_in_the_request(fields):
    text = f"{STORY} {MARKS[0]}"
    joint = join(text, AT, as_told, **fields)
    assert joint.outcome == "exact"
    assert MARKS[0] not in joint.run.service.requests[1]["messages"][-1]["content"]
    assert MARKS[1] in joint.run.service.requests[1]["messages"][-1]["content"]


def ending(reason: str, said: Any = "", **extra: Any) -> tuple[Service, Any]:
    """A service whose continuation says this, and stops for this reason."""
    answer = Answer(STORY, stop_reason=reason, **extra)
    joint = join(answer, AT, said if callable(said) else lambda asked: said)
    return joint.run.service, joint.run.message()


@pytest.mark.parametrize(
    ("reason", "extra"),
    [
        ("refusal", {"stop_details": {"type": "refusal", "category": "cyber"}}),
        ("stop_sequence", {"stop_sequence": "END"}),
        ("model_context_window_exceeded", {}),
    ],
)
def test_a_continuation_without_text_ends_as_what_it_is(reason, extra):
    service, message = ending(reason, **extra)
    assert message["stop_reason"] == reason
    assert message["content"] == [{"type": "text", "text": STORY[:AT]}]
    assert len(service.requests) == 2


def test_a_refusal_with_a_word_is_a_refusal():
    service, message = ending("refusal", "I can't help with that.")
    assert message["stop_reason"] == "refusal"
    assert len(service.requests) == 2


REMARKS = [
    "Your message seems to have been cut off. Would you like me to continue?",
    "No response requested.",
    "It looks like the connection dropped. Should I go on?",
]


@pytest.mark.parametrize("remark", REMARKS)
def test_a_remark_is_never_delivered(remark):
    joint = join(STORY, AT, lambda asked: remark)
    assert joint.run.phase is Phase.LOST
    assert joint.text == STORY[:AT]
    assert joint.run.machine.call.reason is Reason.OFF_TOPIC
    assert joint.requests <= 5


@pytest.mark.parametrize("remark", REMARKS)
def test_a_remark_is_followed_by_another_request(remark):
    joint = join(STORY, AT, saying(remark, as_told))
    assert joint.outcome == "exact"
    assert joint.requests == 3


@pytest.mark.parametrize(
    "rest", ["I don't see why not, said the fox.", "I'm sorry, said the fox.", "Could you go on?"]
)
@pytest.mark.parametrize("voice", ["as told", "straight on"])
def test_a_real_rest_may_look_like_a_remark(rest, voice):
    text = STORY + " " + rest
    joint = join(text, len(STORY) + 1, VOICES[voice])
    assert joint.outcome == "exact"


def test_an_apology_before_a_tool_call_is_a_continuation():
    apology = "I'm sorry about the interruption, let me look that up again."
    words = "One moment please, let me look that up again."
    answer = Answer([words, answers.tool_use("look", {"q": 1})])
    service = CutService(answer, voice=lambda asked: apology, at=30)
    message = service.run(request(tools=LOOK)).message()
    assert [block["type"] for block in message["content"]] == ["text", "tool_use"]
    assert len(service.requests) == 2


def test_a_tool_call_without_text_is_a_continuation():
    answer = Answer(["One moment please, I look that up. ", answers.tool_use("look", {"q": 1})])
    service = CutService(answer, voice=lambda asked: "", at=len(answer.text))
    message = service.run(request(tools=LOOK)).message()
    assert [block["type"] for block in message["content"]] == ["text", "tool_use"]
    assert message["content"][0]["text"] == answer.text
    assert len(service.requests) == 2


# JSON output


DOCUMENT = json.dumps({"id": 7, "names": ["fox", "dog", "cat"] * 12, "done": True})
JSON_OUTPUT = {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}


@pytest.mark.parametrize("at", [1, 20, 90, len(DOCUMENT)])
def test_json_output_is_asked_for_again_and_compared(at):
    joint = join(DOCUMENT, at, as_told, **JSON_OUTPUT)
    assert joint.outcome == "exact"
    assert joint.seams == ["exact"]
    first, second = joint.run.service.requests
    assert first == second


def test_json_output_that_differs_is_asked_for_again_within_the_bounds():
    given = [DOCUMENT, DOCUMENT, '{"other": 1}', '{"id": 8}', DOCUMENT]
    service = CutService(DOCUMENT, at=40)
    service.api.settings.answer = lambda _body: given[len(service.requests)]
    run = service.run(request(**JSON_OUTPUT))
    assert run.message()["content"] == [{"type": "text", "text": DOCUMENT}]
    assert len(service.requests) == 4


def test_json_output_that_always_differs_is_given_up_by_the_bounds():
    service = CutService(DOCUMENT, at=40)
    service.api.settings.answer = lambda _body: (
        DOCUMENT if len(service.requests) < 2 else '{"other": 1}'
    )
    run = service.run(request(**JSON_OUTPUT), AT_ONCE.replace(max_fruitless=4))
    assert run.phase is Phase.LOST
    assert run.machine.call.reason is Reason.MAX_FRUITLESS
    assert len(service.requests) == 5
