"""The user turn that asks a model to continue: what it quotes, and the mark that it names."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.service import request

from unbroken._core.callbacks import CallbackError
from unbroken._core.policy import Continuation
from unbroken._core.prompts import (
    PROMPT,
    PROMPT_AFTER_RESULT,
    PROMPT_AGAIN,
    Prompt,
    write_prompt,
)

MARK, NEXT_MARK = "[[NOTHING WAS LEFT]]", "[[THAT WAS ALL]]"
PARTIAL = "Once upon a time there was a fox who jumped over the lazy"
WORDS = "a fox who jumped"


def written(
    prompt: Any = None,
    default: str = PROMPT,
    words: str = WORDS,
    partial: str = PARTIAL,
    **fields: Any,
) -> Prompt:
    return write_prompt(Continuation(prompt=prompt), default, words, partial, request(**fields))


@pytest.mark.parametrize("default", [PROMPT, PROMPT_AGAIN])
def test_the_words_are_quoted_as_they_are_and_the_mark_is_named(default):
    text, mark = written(default=default)
    assert f"\n\n{WORDS}\n\n" in text
    assert mark == MARK
    assert MARK in text
    assert "{" not in text


def test_after_a_result_nothing_is_quoted():
    text, mark = written(default=PROMPT_AFTER_RESULT, words="", partial="")
    assert mark == MARK
    assert MARK in text


@pytest.mark.parametrize(
    ("partial", "fields"),
    [
        pytest.param(f"Say {MARK} now.", {}, id="the answer"),
        pytest.param(PARTIAL, {"system": f"End with {MARK}."}, id="the system prompt"),
        pytest.param(
            PARTIAL, {"system": [{"type": "text", "text": MARK}]}, id="a block of the system prompt"
        ),
        pytest.param(PARTIAL, {"messages": [{"role": "user", "content": MARK}]}, id="a message"),
        pytest.param(PARTIAL, {"tools": [{"name": "a", "input_schema": {MARK: 1}}]}, id="a key"),
    ],
)
def test_the_mark_is_a_word_that_stands_nowhere_else(partial, fields):
    assert written(partial=partial, **fields).mark == NEXT_MARK


def test_there_is_always_another_mark():
    used = f"{MARK} {NEXT_MARK} [[NOTHING WAS LEFT 2]]"
    assert written(system=used).mark == "[[NOTHING WAS LEFT 3]]"


def test_a_prompt_of_the_callers_has_its_fields_filled():
    text, mark = written("Fors\u00e4tt efter \u201c{anchor}\u201d, annars {mark}.")
    assert text == f"Fors\u00e4tt efter \u201c{WORDS}\u201d, annars {MARK}."
    assert mark == MARK


def test_a_prompt_without_fields_is_said_as_it_is():
    assert written("Go on {please}.") == ("Go on {please}.", None)


def test_the_name_of_a_field_in_the_answer_is_no_field():
    assert "write {mark} or {anchor}" in written(words="write {mark} or {anchor}").text


def test_a_prompt_may_be_a_function_of_the_partial():
    got = []

    def prompt(partial: str) -> str:
        got.append(partial)
        return "Go on after {anchor}, or say [[FIN]]!"

    assert written(prompt) == ("Go on after {anchor}, or say [[FIN]]!", "[[FIN]]")
    assert got == [PARTIAL]


@pytest.mark.parametrize("said", ["", "  ", None, 7], ids=repr)
def test_a_function_that_returns_no_prompt_is_told_so(said):
    with pytest.raises(CallbackError) as raised:
        written(lambda _partial: said)
    assert isinstance(raised.value.error, ValueError)
    assert "Continuation.prompt" in str(raised.value.error)


def test_a_mark_that_a_function_only_quotes_is_none():
    words = "it ends with [[FIN]] and"
    assert written(lambda _partial: f"Go on after {words}.", words=words).mark is None


def test_a_mark_of_a_function_that_the_request_holds_is_none():
    assert written(lambda _partial: "Or say [[FIN]].", system="End with [[FIN]].").mark is None
