"""How much of a text is a repetition: what is found, and what is no more than chance."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unbroken._core.overlap import PROOF, Known, after_preamble, fold, starts, unfold

STORY = "Once upon a time there was a fox. It was quick, and it knew the wood well."

texts = st.text(
    st.sampled_from("ab \n\t\u3000'\u2019\"\u201c\u72d0\U0001f642e\u0301."), max_size=40
)


# Folding


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        pytest.param("a  b\n\n c", "a b c", id="white space"),
        pytest.param("a\u00a0\u3000b", "a b", id="white space of other scripts"),
        pytest.param("\u2018a\u2019 \u201cb\u201d \u201ec\u201f", '\'a\' "b" "c"', id="quotes"),
        pytest.param("A\u0301", "A\u0301", id="nothing else"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_texts_are_compared_folded(text, folded):
    assert fold(text) == folded


@given(texts)
@settings(deadline=None)
@example(" \n a  b ")
def test_each_place_in_the_folded_text_has_its_place_in_the_text(text):
    folded = fold(text)
    for position in range(len(folded) + 1):
        at = unfold(text, position)
        assert fold(text[:at]) == folded[:position]
        assert at == 0 or not (text[at - 1 : at].isspace() and text[at : at + 1].isspace())


@given(texts)
@settings(deadline=None)
def test_folding_twice_is_folding_once(text):
    assert fold(fold(text)) == fold(text)


# Where an answer may begin after a preamble


@pytest.mark.parametrize(
    "preamble",
    [
        "Continuing from where I left off:\n\n",
        "Continuing from where I left off...\n",
        "Continuing from where I left off\u2026 ",
        "continuing where we left off.\n",
        "Resuming from where I was cut off:\n",
        "Picking up where I left off: ",
        "As I was saying before the connection dropped:\n",
        "Here's the rest of the answer:\n\n",
        "Here\u2019s the rest of the answer:\n\n",
        "Here is the continuation:\n",
        "I'll continue from where I stopped.\n\n",
        "I will pick up where I left off.\n",
        "Let me continue from there, where I was interrupted:\n",
        "Sure, continuing from there:\n",
        "Sorry about that! Continuing from where it dropped:\n",
        "Of course. Here is the rest of it.\n",
    ],
)
def test_what_models_say_before_they_go_on_is_known(preamble):
    assert after_preamble(preamble + "the fox") == len(fold(preamble))


@pytest.mark.parametrize(
    "text",
    [
        "the fox jumped over the dog. It was cut off.",
        "Continuing education is worth it.\nAll the more so: now.",
        "Here is the plan:\n\n1. Go.",
        "Sure, the fox ran.\nIt stopped.",
        "I'll go home. Nothing else matters:\n",
        "Continuing from where I left off",
        "Continuing in the same way,\nthe connection dropped.",
        "",
    ],
)
def test_an_answers_own_words_are_no_preamble(text):
    assert after_preamble(text) == 0


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        pytest.param("the fox", [], id="nowhere"),
        pytest.param("Sure! The fox", [6], id="after a sentence"),
        pytest.param("Sure:\n\n  The fox", [6], id="after a line, folded"),
        pytest.param("a\nb\nc", [2, 4], id="after each line"),
        pytest.param("1.5 and x:y", [], id="not inside a word"),
        pytest.param("x" * 250 + ". y", [], id="not far into the text"),
    ],
)
def test_an_answer_may_begin_after_a_sentence_or_a_line(text, begins):
    assert starts(text) == begins
    assert all(0 < at <= len(fold(text)) for at in begins)


# What is known


def test_what_is_known_holds_words_that_have_more_behind_them():
    known = Known(STORY, ())
    assert known.holds("a fox. It")
    assert not known.holds("a cat")
    assert known.holds("the wood")
    assert not known.holds("the wood well."), "those are its last words, with none behind them"


def test_places_are_behind_the_words_and_the_last_ones_first():
    known = Known("ab ab ab", ())
    assert known.places("ab") == [8, 5, 2]
    assert known.places("ab", most=2) == [8, 5]
    assert known.places("b a") == [7, 4]
    assert known.places("cd") == []


def test_places_may_overlap():
    assert Known("aaaa", ()).places("aa") == [4, 3, 2]


@pytest.mark.parametrize(
    ("known", "expected", "said", "overlap"),
    [
        pytest.param("the quick brown fox", (), "quick brown fox jumps", 15, id="long enough"),
        pytest.param("the quick brown fox", (), "brown fox jumps", 9, id="whole words"),
        pytest.param("the quick brown fox", (), "fox jumps", 3, id="one whole word"),
        pytest.param("the quick brown fox", (), "ox jumps", 0, id="the end of a word"),
        pytest.param("the quick brown fox", (), "x", 0, id="one character"),
        pytest.param("the quick brown fox", ("fox",), "fox jumps", 3, id="what was asked for"),
        pytest.param("I am", ("am",), "am here", 2, id="what was asked for, however short"),
        pytest.param("see a", ("a",), "a fox", 1, id="one character that was asked for"),
        pytest.param("the quick brown fox", ("fox",), "cat", 0, id="something else"),
        pytest.param("it\u2019s  \u201cso\u201d", (), 'it\'s "so" and', 9, id="folded"),
        pytest.param("\u72d0\u304c\u68ee\u306b", (), "\u68ee\u306b\u4f4f", 0, id="CJK, too short"),
        pytest.param(
            "\u72d0\u304c\u68ee\u306b", ("\u68ee\u306b",), "\u68ee\u306b\u4f4f", 2, id="CJK, asked"
        ),
        pytest.param("ha ha ha ha ha", ("ha ha ha",), "ha ha ha ha ha!", 8, id="asked, repeating"),
        pytest.param("so: ha ha ha", (), "ha ha ha!", 0, id="not asked, repeating"),
    ],
)
def test_an_overlap_is_found(known, expected, said, overlap):
    assert Known(known, expected).overlap(fold(said), words=True) == overlap


def test_a_few_words_need_not_count():
    known = Known("the quick brown fox", ())
    assert known.overlap("fox jumps", words=False) == 0
    assert known.overlap("quick brown fox jumps", words=False) == 15


@pytest.mark.parametrize(
    ("known", "expected", "said", "overlap"),
    [
        pytest.param("ha ha", "ha", "ha ha ha!", 2, id="ha ha"),
        pytest.param("bye bye", "bye", "bye bye!", 3, id="bye bye"),
    ],
)
def test_a_word_said_twice_does_not_tell_how_often(known, expected, said, overlap):
    assert Known(known, (expected,)).overlap(said, words=True) == overlap


@pytest.mark.parametrize("word", ["did", "wow", "aha", "onion", "101"])
def test_a_word_that_ends_as_it_begins_is_no_repetition(word):
    assert Known(f"and then he saw {word}", ()).overlap(f"{word} go", words=True) == len(word)


@given(texts, texts, st.booleans())
@settings(deadline=None)
def test_an_overlap_is_the_end_of_the_one_and_the_beginning_of_the_other(known, said, words):
    folded = fold(said)
    length = Known(known, ()).overlap(folded, words=words)
    assert fold(known.strip()).endswith(folded[:length])


@pytest.mark.parametrize(
    ("expected", "said", "at"),
    [
        pytest.param("it knew the wood", "Sure: it knew the wood well", 22, id="somewhere"),
        pytest.param("it knew the wood", "it knew the wood well", 16, id="at the beginning"),
        pytest.param("it knew the wood", "it knew the woo", 0, id="not all of it"),
        pytest.param("the wood", "Sure: the wood well", 0, id="too short to prove anything"),
        pytest.param("x" * PROOF, "a " + "x" * PROOF, PROOF + 2, id="just long enough"),
    ],
)
def test_what_was_asked_for_is_found_anywhere(expected, said, at):
    assert Known(STORY, (expected,)).found_in(said) == at


def test_what_is_blank_is_not_asked_for():
    assert Known(STORY, ("", " \n", "wood well.")).overlap("wood well. It", words=False) == 10
