"""A text answer that broke off is resumed, by prefill or by a user turn."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from tests.doors.conftest import ANSWER, read, request
from tests.samples import NEWEST, PREFILLS

import unbroken
from unbroken import AttemptKind, Continuation, Outcome, Policy
from unbroken.testing import faults, voices

BREAKS = {
    "reset": faults.reset,
    "premature end": faults.close,
    "clean end": faults.eof,
    "half a frame": faults.half_frame,
    "garbage": faults.garbage,
}


@pytest.mark.once
@pytest.mark.parametrize("model", [PREFILLS, NEWEST])
@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize("chars", [0, 1, 11, 40, 170, len(ANSWER)])
def test_a_break_at_any_character_is_not_seen(serve, connect, model, fault, chars):
    server = serve(faults=[fault(after_chars=chars)])
    text, stream = read(connect(server), model=model)
    assert text == ANSWER
    assert stream.get_final_message().content[0].text == ANSWER
    # A reply without text is the end of the answer only if it comes twice in a row.
    twice = chars == len(ANSWER) and model == NEWEST
    assert len(server.requests) == (3 if twice else 2)
    assert server.unmatched == []
    assert unbroken.report(stream).recovered


@pytest.mark.parametrize("model", [PREFILLS, NEWEST])
@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_frames_may_be_split_anywhere(serve, connect, model, gzip):
    script = [faults.reset(after_chars=90), faults.close(after_bytes=1500)]
    server = serve(split=3, gzip=gzip, faults=script)
    assert read(connect(server), model=model)[0] == ANSWER


@pytest.mark.once
def test_a_cut_inside_a_character_of_several_bytes(serve, connect):
    for cut in range(700, 730):
        server = serve("日本語" * 30, delta_chars=10, faults=[faults.reset(after_bytes=cut)])
        assert read(connect(server))[0] == "日本語" * 30


@pytest.mark.parametrize("model", [PREFILLS, NEWEST])
def test_several_breaks_in_one_answer(serve, connect, model):
    script = [
        faults.reset(after_chars=33),
        faults.eof(after_chars=41),
        faults.error_event("overloaded_error", after_chars=60),
        faults.close(after_chars=30),
    ]
    server = serve(faults=script)
    text, stream = read(connect(server), model=model)
    assert text == ANSWER
    report = unbroken.report(stream)
    kinds = [attempt.kind for attempt in report.attempts]
    assert kinds == [AttemptKind.INITIAL, *[AttemptKind.CONTINUATION] * 4]
    assert report.attempts[-1].outcome is Outcome.COMPLETE


def test_a_prefill_sends_the_partial_answer_as_the_last_turn(serve, connect):
    server = serve(faults=[faults.reset(after_chars=40)])
    read(connect(server), model=PREFILLS)
    first, second = (sent.body for sent in server.requests)
    assert second["messages"][:-1] == first["messages"]
    assert second["messages"][-1]["role"] == "assistant"
    assert ANSWER.startswith(second["messages"][-1]["content"][0]["text"])


def test_a_user_turn_follows_the_partial_answer_where_a_model_takes_no_prefill(serve, connect):
    server = serve(faults=[faults.reset(after_chars=100)])
    read(connect(server), system="Be brief.", stop_sequences=["@@"])
    first, second = (sent.body for sent in server.requests)
    changed = {"messages", "max_tokens"}
    assert {k: v for k, v in first.items() if k not in changed} == {
        k: v for k, v in second.items() if k not in changed
    }
    assert [turn["role"] for turn in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][:1] == first["messages"]
    assert 1 <= second["max_tokens"] < first["max_tokens"]


def test_a_model_that_refuses_a_prefill_gets_a_user_turn_from_then_on(serve, connect):
    server = serve(prefill=False, faults=[faults.reset(after_chars=40), None, None])
    client = connect(server)
    text, stream = read(client, model=PREFILLS)
    assert text == ANSWER
    assert [sent.kind for sent in server.requests] == ["fresh", "prefill", "user_turn"]
    server.script(faults.reset(after_chars=40))
    assert read(client, model=PREFILLS)[0] == ANSWER
    assert [sent.kind for sent in server.requests[3:]] == ["fresh", "user_turn"]
    assert len(unbroken.report(stream).attempts) == 3


def test_a_break_before_the_first_character_asks_the_same_again(serve, connect):
    server = serve(faults=[faults.eof(after_events=2)])
    text, stream = read(connect(server))
    assert text == ANSWER
    assert server.requests[0].body == server.requests[1].body
    assert unbroken.report(stream).attempts[1].kind is AttemptKind.RETRY


@pytest.mark.parametrize(
    "fault", [faults.reset, faults.eof, faults.close], ids=["reset", "eof", "close"]
)
def test_a_break_after_the_stop_reason_costs_no_request(serve, connect, fault):
    server = serve(faults=[fault(after_stop_reason=True)])
    text, stream = read(connect(server))
    assert text == ANSWER
    assert stream.get_final_message().stop_reason == "end_turn"
    assert len(server.requests) == 1


def test_a_break_between_blocks(serve, connect):
    server = serve(faults=[faults.reset(after_block=0)])
    text, stream = read(connect(server))
    assert text == ANSWER
    assert len(stream.get_final_message().content) == 1


VOICES = {
    "goes on exactly": voices.exact,
    "goes on without the white space": voices.exact_stripped,
    "repeats a word": voices.repeats_words(1),
    "repeats eight words": voices.repeats_words(8),
    "repeats 17 characters": voices.repeats_chars(17),
    "restarts the word": voices.restarts_word,
    "restarts the line": voices.restarts_line,
    "restarts the sentence": voices.restarts_sentence,
    "restarts the paragraph": voices.restarts_paragraph,
    "says it all again": voices.says_it_all_again,
    "has a preamble": voices.preamble(),
    "has a preamble and says it all again": voices.preamble("Sure:", voices.says_it_all_again),
    "follows the anchor": voices.follows_anchor,
}


@pytest.mark.once
@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
@pytest.mark.parametrize("chars", [20, 99, 133, 150, 170, 190, len(ANSWER)])
def test_the_seam_is_exact_whatever_the_model_says_first(serve, connect, voice, chars):
    server = serve(voice=voice, faults=[faults.reset(after_chars=chars)])
    assert read(connect(server))[0] == ANSWER
    assert len(server.requests) <= 3


def test_an_evasion_is_no_text(serve, connect):
    server = serve(voice=voices.evades(), faults=[faults.reset(after_chars=190)])
    client = connect(server)
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        read(client)
    assert raised.value.report.partial.content[0].text == ANSWER[:190]
    assert isinstance(raised.value.__cause__, Exception)
    assert len(server.requests) == 4


def test_a_model_with_nothing_left_to_say(serve, connect):
    server = serve(voice=voices.says_mark, faults=[faults.eof(after_chars=len(ANSWER))])
    assert read(connect(server))[0] == ANSWER


def test_a_prompt_of_ones_own(serve, connect):
    seen = []

    def prompt(partial: str) -> str:
        seen.append(partial)
        return "Weiter, bitte."

    server = serve(faults=[faults.reset(after_chars=60)])
    policy = Policy(continuation=Continuation(prompt=prompt))
    assert read(connect(server, policy))[0] == ANSWER
    assert server.requests[1].body["messages"][-1]["content"] == "Weiter, bitte."
    assert seen == [ANSWER[:60]]


def test_mode_off_raises_with_the_partial_answer(serve, connect):
    server = serve(faults=[faults.reset(after_chars=60)])
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        read(connect(server, Policy(continuation="off")))
    assert len(server.requests) == 1
    assert raised.value.report.partial.content[0].text == ANSWER[:60]


def test_mode_restart_asks_the_same_and_goes_on(serve, connect):
    server = serve(faults=[faults.reset(after_chars=60)])
    assert read(connect(server, Policy(continuation="restart")))[0] == ANSWER
    assert server.requests[0].body == server.requests[1].body


def test_mode_restart_gives_up_on_another_answer(serve, connect):
    answers = iter([ANSWER, "Something else altogether, which is long enough."])
    server = serve(lambda _body: next(answers), faults=[faults.reset(after_chars=60)])
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        read(connect(server, Policy(continuation="restart")))
    assert raised.value.report.partial.content[0].text == ANSWER[:60]


def test_usage_is_that_of_one_message(serve, connect):
    server = serve(faults=[faults.reset(after_chars=100)])
    _, broken = read(connect(server), model=PREFILLS)
    _, whole = read(connect(serve()), model=PREFILLS)
    spliced, plain = (s.get_final_message().usage for s in (broken, whole))
    assert spliced.input_tokens == plain.input_tokens
    assert abs(spliced.output_tokens - plain.output_tokens) <= 2
    first, second = unbroken.report(broken).attempts
    assert first.usage.estimated
    assert second.usage.output_tokens + first.usage.output_tokens == spliced.output_tokens


def test_the_turns_tell_how_the_answer_came_about(serve, connect):
    server = serve(faults=[faults.reset(after_chars=100)])
    client = connect(server)
    _, stream = read(client)
    turns = unbroken.report(stream).turns
    assert [turn["role"] for turn in turns] == ["assistant", "user", "assistant"]
    assert turns[:2] == tuple(server.requests[1].body["messages"][-2:])
    messages = [*request()["messages"], *turns, {"role": "user", "content": "Thanks."}]
    server.answer = "You are welcome."
    assert client.messages.create(**request(messages=messages)).content[0].text


@pytest.mark.parametrize("model", [PREFILLS, NEWEST])
def test_what_a_continuation_sent_is_not_kept_while_it_is_read(serve, connect, model):
    server = serve(faults=[faults.reset(after_chars=90)])
    sent: list[Any] = []
    with anthropic.DefaultHttpxClient(event_hooks={"request": [sent.append]}) as http_client:
        client = connect(server).with_options(http_client=http_client)
        text, stream = read(client, model=model)
    assert text == ANSWER
    assert [b"".join(one.stream) == b"" for one in sent] == [False, True]
    assert stream.response.request is sent[0]
    assert len(server.requests[1].body["messages"]) > 1
