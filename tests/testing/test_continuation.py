"""Interrupted answers are gone on with, in the model's own ways."""

from __future__ import annotations

from typing import Any

import pytest
from tests.samples import NEWEST
from tests.testing.helpers import Api, assistant, deltas, user

from unbroken.testing import Answer, Cue, answers, faults, voices

STORY = (
    "Once upon a time there was a fox. It was quick.\n"
    "One day, it said: \u201cI\u2019ll jump.\u201d And it did.\n\n"
    "The dog was lazy. It slept on and on, and the fox jumped over it again. The end."
)
CUT = STORY.index("jumped") + 3


def prompt_for(text: str) -> str:
    return f"My connection dropped. Please begin by repeating these words: {text[-40:]}"


@pytest.fixture
def cut(serve):
    """A server whose first answer was cut, and who is asked to go on."""

    def start(answer=STORY, chars=CUT, **options):
        api = serve(answer, faults=[faults.eof(after_chars=chars)], **options)
        api.broken(model=NEWEST)
        return api

    return start


def go_on(api: Api, partial: str, prompt: str = "Please go on.", **fields: Any) -> str:
    fields = {"model": NEWEST, **fields}
    return api.text(user("Hi"), assistant(partial), user(prompt), **fields)


@pytest.mark.parametrize("chars", [1, 5, 33, 34, 47, 48, CUT, len(STORY)])
def test_prefill_goes_on_exactly(serve, chars):
    api = serve(STORY, faults=[faults.eof(after_chars=chars)], voice=voices.says_it_all_again)
    api.broken()
    sent = STORY[:chars].rstrip()
    assert api.text(user("Hi"), assistant(sent)) == STORY[len(sent) :]
    assert [r.kind for r in api.server.requests] == ["fresh", "prefill"]
    assert api.server.unmatched == []


PARTIAL = STORY[:CUT]
SAID = {
    voices.exact: STORY[CUT:],
    voices.exact_stripped: STORY[CUT:].lstrip(),
    voices.repeats_chars(5): STORY[CUT - 5 :],
    voices.repeats_words(2): "fox jumped over it again. The end.",
    voices.restarts_word: "jumped over it again. The end.",
    voices.restarts_sentence: "It slept on and on, and the fox jumped over it again. The end.",
    voices.restarts_line: STORY[STORY.index("The dog") :],
    voices.restarts_paragraph: STORY[STORY.index("The dog") :],
    voices.restarts_lines(3): STORY[STORY.index("One day") :],
    voices.behind("...", voices.follows_anchor): "..." + STORY[CUT - 40 :],
    voices.behind('"', voices.follows_anchor, '"'): f'"{STORY[CUT - 40 : CUT]}"{STORY[CUT:]}',
    voices.behind("So: ", voices.after_anchor, '"'): "So: " + STORY[CUT:],
    voices.says_it_all_again: STORY,
    voices.preamble(): "Continuing from where I left off:\n\nped over it again. The end.",
    voices.preamble("Sure:", voices.restarts_word): "Sure:\n\njumped over it again. The end.",
    voices.follows_anchor: STORY[CUT - 40 :],
    voices.after_anchor: STORY[CUT:],
    voices.evades(): "No response requested.",
    voices.says_mark: STORY[CUT - 40 :],
    voices.quotes_changed: STORY[CUT - 40 :],
}


@pytest.mark.parametrize("voice", SAID, ids=lambda v: v.__name__)
def test_voices(cut, voice):
    api = cut(voice=voice)
    assert go_on(api, PARTIAL, prompt_for(PARTIAL)) == SAID[voice]
    assert [r.kind for r in api.server.requests] == ["fresh", "user_turn"]
    assert api.server.unmatched == []


def test_voices_that_follow_see_what_was_not_sent_back(cut):
    sent = STORY[: CUT - 3].rstrip()
    asked = prompt_for(PARTIAL)
    assert go_on(cut(voice=voices.follows_anchor), sent, asked) == STORY[CUT - 40 :]
    assert go_on(cut(voice=voices.after_anchor), sent, asked) == STORY[CUT:]
    assert go_on(cut(voice=voices.exact), sent, asked) == STORY[len(sent) :]


def test_anchors_are_found_with_other_quotes_and_spaces(cut):
    chars = STORY.index("And it did.\n\n") + 13
    anchor = " ".join(STORY[:chars].split())[-30:].replace("\u201d", '"').replace("\u2019", "'")
    text = go_on(cut(chars=chars, voice=voices.follows_anchor), STORY[:chars].rstrip(), anchor)
    assert STORY.endswith(text)
    assert chars - 35 < STORY.index(text) < chars - 25


def test_quotes_changed(cut):
    chars = STORY.index(" And it did.")
    text = go_on(cut(chars=chars, voice=voices.quotes_changed), STORY[:chars], "Go on")
    assert text.startswith('One day, it said: "I\'ll jump."')
    assert text.endswith(STORY[chars:])


def test_mark_only_if_nothing_is_left(cut):
    asked = "Go on, or say [[DONE]] if that was all."
    api = cut(chars=len(STORY), voice=voices.says_mark)
    assert go_on(api, STORY, asked) == "[[DONE]]"
    assert STORY[CUT:] in go_on(cut(voice=voices.says_mark), PARTIAL, asked)


def test_seeded_voices_are_the_same_each_time(cut):
    def texts(seed: int) -> list[str]:
        return [go_on(cut(voice=voices.seeded(seed)), STORY[:n], "Go on") for n in range(40, 52)]

    first = texts(1)
    assert first == texts(1) != texts(2)
    assert len(set(first)) > 5


def test_a_voice_is_any_function(cut):
    asked: list[Cue] = []

    def voice(continuation):
        asked.append(continuation)
        return "..." + continuation.remaining

    assert go_on(cut(voice=voice), PARTIAL) == "..." + STORY[CUT:]
    assert asked == [Cue(STORY, CUT, "Please go on.")]
    assert (asked[0].partial, asked[0].remaining) == (PARTIAL, STORY[CUT:])


def test_a_second_cut_goes_on_from_one_longer_partial(cut):
    api = cut()
    api.server.script(faults.eof(after_chars=5))
    raw, _ = api.broken(user("Hi"), assistant(PARTIAL), user("Go on"), model=NEWEST)
    assert go_on(api, PARTIAL + deltas(raw)) == STORY[CUT + 5 :]


@pytest.mark.parametrize("voice", [voices.exact, voices.repeats_words(3), voices.preamble()])
def test_a_second_cut_goes_on_from_appended_turns(cut, voice):
    api = cut(chars=50, voice=voice)
    api.server.script(faults.eof(after_chars=60))
    asked = [user("Hi"), assistant(STORY[:50]), user("Go on")]
    raw, _ = api.broken(*asked, model=NEWEST)
    rest = deltas(raw)
    api.server.voice = voices.exact
    text = api.text(*asked, assistant(rest), user("Go on"), model=NEWEST)
    assert STORY.endswith(rest[-5:] + text)
    assert api.server.unmatched == []


def test_words_of_another_answer_are_unmatched(cut):
    api = cut()
    assert go_on(api, "Once upon a TIME") == STORY
    assert len(api.server.unmatched) == 1


def test_history_of_another_model_is_not_unmatched(serve):
    api = serve(STORY)
    assert api.text(user("a"), assistant("An old answer."), user("b")) == STORY
    assert api.server.unmatched == []


def test_the_next_turn_of_a_conversation_is_answered_anew(serve):
    api = serve(STORY)
    assert api.text(user("a")) == STORY
    assert api.text(user("a"), assistant(STORY), user("b")) == STORY
    assert [r.kind for r in api.server.requests] == ["fresh", "fresh"]


def test_the_next_turn_after_a_recovery_is_answered_anew(cut):
    api = cut()
    go_on(api, PARTIAL)
    assert go_on(api, STORY, "And then?") == STORY


def test_a_function_is_not_asked_about_continuations(serve):
    asked = []

    def answer(request):
        asked.append(request)
        return STORY

    api = serve(answer, faults=[faults.eof(after_chars=CUT)])
    api.broken()
    assert go_on(api, PARTIAL) == STORY[CUT:]
    assert len(asked) == 1


def test_the_callers_own_prefill_is_no_part_of_the_answer(serve):
    api = serve('"name": "fox"}', faults=[faults.eof(after_chars=6)])
    raw, _ = api.broken(user("JSON"), assistant("{"))
    assert deltas(raw) == '"name"'
    assert api.text(user("JSON"), assistant('{"name"')) == ': "fox"}'
    assert api.server.unmatched == []


RICH = Answer(
    [
        answers.thinking("Hm."),
        "Let me look. ",
        answers.server_tool("web_search", {"query": "x"}, content=[]),
        answers.thinking("Aha."),
        "Found it here.",
        answers.tool_use("t", {"a": 1}),
    ]
)


def kinds(message: dict[str, Any]) -> list[str]:
    return [block["type"] for block in message["content"]]


@pytest.mark.parametrize(
    ("sent", "rest", "text"),
    [
        (2, ["thinking", "text", "server_tool_use", "web_search_tool_result"], " "),
        (4, ["thinking", "text", "tool_use"], "Found it here."),
        (6, ["thinking", "text", "tool_use"], " here."),
    ],
)
def test_blocks_that_were_sent_back_are_not_said_again(serve, sent, rest, text):
    api = serve(RICH)
    content = [b for b in api.message(model=NEWEST)["content"] if b["type"] != "tool_use"]
    partial = [b for b in content[:sent] if b["type"] != "thinking"]
    if sent == 6:
        partial = [b for b in content if b["type"] != "thinking"]
        partial[-1] = {"type": "text", "text": "Found it"}
    if partial[-1]["type"] == "text":
        partial[-1] = {**partial[-1], "text": partial[-1]["text"].rstrip()}
    message = api.message(user("Hi"), assistant(partial), user("Go on"), model=NEWEST)
    assert kinds(message)[: len(rest)] == rest
    assert next(b["text"] for b in message["content"] if b["type"] == "text") == text
    assert message["stop_reason"] == "tool_use"


def test_new_thinking_is_an_option(serve):
    thoughts: list[answers.Block | str] = [answers.thinking("Hm."), "It is nine."]
    asked = [user("Hi"), assistant("It is"), user("Go on")]
    assert kinds(serve(Answer(thoughts)).message(*asked)) == ["thinking", "text"]
    assert kinds(serve(Answer(thoughts, thinks_again=False)).message(*asked)) == ["text"]
    off = serve(Answer(thoughts)).message(*asked, thinking={"type": "disabled"})
    assert kinds(off) == ["text"]
    assert kinds(serve(Answer(thoughts)).message(*asked[:2])) == ["text"]


def test_an_evasion_is_all_there_is(serve):
    api = serve(RICH, voice=voices.evades())
    message = api.message(
        user("Hi"), assistant("Let"), user("Go on"), thinking={"type": "disabled"}
    )
    assert kinds(message) == ["text"]
    assert message["content"][0]["text"] == "No response requested."


def test_results_of_tools_are_no_request_to_go_on(serve):
    call = answers.tool_use("t", {}, id="toolu_1")
    api = serve(lambda r: Answer(["Wait.", call]) if len(r["messages"]) == 1 else "Sunny.")
    first = api.message()
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sun"}
    assert api.text(user("Hi"), assistant(first["content"]), user([result])) == "Sunny."


def test_white_space_that_was_cut_before_a_tool_is_passed_over(serve):
    api = serve(RICH)
    found = api.message(model=NEWEST)["content"]
    partial = [{"type": "text", "text": "Let me look."}, *found[2:4]]
    message = api.message(user("Hi"), assistant(partial), user("Go on"), model=NEWEST)
    assert kinds(message) == ["thinking", "text", "tool_use"]


def test_merged_text_blocks_are_matched(serve):
    api = serve(Answer(["One. ", answers.cited_text("Two. ", []), "Three."]))
    message = api.message(user("Hi"), assistant("One. Two."), user("Go on"))
    assert [b["text"] for b in message["content"]] == [" ", "Three."]


def test_a_tool_that_the_answer_does_not_have_is_no_match(serve):
    api = serve(RICH, faults=[faults.eof(after_chars=8)])
    api.broken()
    search = {"type": "server_tool_use", "id": "srvtoolu_9", "name": "web_fetch", "input": {}}
    result = {"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_9", "content": {}}
    partial = [{"type": "text", "text": "Let"}, search, result]
    message = api.message(user("Hi"), assistant(partial), user("Go on"))
    assert kinds(message)[:2] == ["thinking", "text"]
    assert len(api.server.unmatched) == 1
