"""What a request sends back and what it quotes: together they are the text, and the API takes it.

The API refuses a last assistant turn that ends in white space, and any text that is blank.
"""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.core.seam import texts

from unbroken._core.seam.endings import MIN_PROOF, is_periodic
from unbroken._core.seam.fold import fold
from unbroken._core.seam.quote import (
    MIN_TEXT,
    Quote,
    cut_for_prefill,
    is_shorter,
    quote_again,
    quote_ending,
    strip_lone_surrogates,
    strip_trailing,
)

PIECES = (
    *("the fox ", "jumped", ". ", "ha ", "\n", "\n\n", "  ", "\t", "\u00a0", "    return 1\n"),
    *("- x\n", "\u72d0\u304c\u8d70\u308b", "\u3002", "\u3000", "\U0001f642", "e\u0301", "\u200b"),
    *("https://example.com/" + "path/" * 12, "x" * 41, "'", "\u2019s ", "{", "}"),
)
# A cut may leave half a character (in UTF-16) at the end.
mixed = st.builds(
    "".join,
    st.tuples(
        st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map("".join),
        st.sampled_from(("", "", "\ud83d", "\ud83d ")),
    ),
)
cut = st.one_of(
    mixed.filter(strip_trailing), texts.cut_texts(texts.ALL).map(lambda c: c[0][: c[1]])
)


def is_half(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def check_sent(text: str, sent: str) -> None:
    assert text.startswith(sent)
    assert sent.strip()
    assert sent == sent.rstrip()
    assert not is_half(sent[-1])


# A prefill


@given(mixed, st.booleans())
@example("a", True)
@example("word \n\n", True)
@example("one\ud83d", True)
@example(" x", True)
@example("x" * 1000, True)
def test_a_prefill_sends_all_but_the_last_word(text, trims):
    assume(strip_trailing(text))
    parts = cut_for_prefill(text, trim_word=trims)
    check_sent(text, parts.sent)
    assert parts.sent + parts.rest == text
    left_out = strip_trailing(parts.rest).strip()
    assert len(left_out) <= (40 if trims else 0)
    assert not any(c.isspace() for c in left_out), "more than one word was left out"


@pytest.mark.parametrize(
    ("text", "sent", "rest"),
    [
        pytest.param("The fox jum", "The fox", " jum", id="inside a word"),
        pytest.param("The fox jumped", "The fox", " jumped", id="perhaps inside a word"),
        pytest.param("The fox 12", "The fox", " 12", id="perhaps inside a number"),
        pytest.param("The fox ", "The fox", " ", id="after a word"),
        pytest.param("The fox.", "The fox.", "", id="after a mark"),
        pytest.param("The fox\n\n", "The fox", "\n\n", id="after a paragraph"),
        pytest.param("The fox\n  it", "The fox", "\n  it", id="after indentation"),
        pytest.param("The", "The", "", id="a first word"),
        pytest.param("  The", "  The", "", id="a first word after white space"),
        pytest.param("a " + "x" * 39, "a", " " + "x" * 39, id="a long word"),
        pytest.param("a " + "x" * 41, "a " + "x" * 41, "", id="a word too long to be one"),
        pytest.param("\u72d0\u304c" * 30, "\u72d0\u304c" * 30, "", id="no spaces at all"),
        pytest.param("One \ud83d", "One", " \ud83d", id="half a character"),
        pytest.param("One t\ud83d", "One t", "\ud83d", id="half a character in a word"),
    ],
)
def test_a_prefill_is_cut_where_the_last_word_begins(text, sent, rest):
    assert cut_for_prefill(text, trim_word=True) == (sent, rest)


# A user turn


def check_quote(text: str, quote: Quote) -> None:
    """What is sent and what is asked for are the text, whole or with nothing left out of it."""
    check_sent(text, quote.sent)
    assert quote.words.strip() == quote.words != ""
    assert strip_trailing(text).endswith(quote.asked)
    left_out = strip_trailing(text)[len(quote.sent) :].strip()
    assert strip_lone_surrogates(left_out).strip() in (quote.asked, "")
    assert quote.asked.startswith(quote.words)
    assert quote.is_ending is (quote.asked == quote.words)


@given(cut)
@example("a")
@example("a b")
@example("x" * 1000)
@example("\u72d0" * 200)
@example("ha " * 300)
@example("one two\ud83d")
@example("\n\n" + "\u72d0\u304c\u68ee" * 17 + "\u3002\n")
def test_what_is_quoted_is_what_is_left_out(text):
    quote = quote_ending(text)
    check_quote(text, quote)
    assert len(quote.words) <= 300
    check_quote(text, quote_again(text))


@given(texts.cut_texts(texts.PLAIN))
def test_what_is_quoted_stands_nowhere_else_in_the_text(cut_text):
    text = cut_text[0][: cut_text[1]]
    assume(not is_shorter(text, 2 * MIN_TEXT))
    for quote in (quote_ending(text), quote_again(text)):
        whole = fold(text.strip())
        assert whole.count(fold(quote.words)) == 1
        assert whole.count(fold(quote.asked)) == 1
        assert not is_periodic(fold(quote.words))


SPACED = {name: make for name, make in texts.PLAIN.items() if name != "CJK"}


@given(texts.cut_texts(SPACED))
def test_the_second_quotation_is_another_one(cut_text):
    text = cut_text[0][: cut_text[1]]
    assume(not is_shorter(text, 200))
    first, second = quote_ending(text), quote_again(text)
    assert second.words != first.words
    assert not second.is_ending
    beyond = fold(second.asked[len(second.words) :].strip())
    assert MIN_PROOF <= len(beyond) <= 160
    assert len(fold(second.words)) > len(beyond)


def test_the_second_quotation_is_another_one_in_a_script_without_spaces():
    text = texts.from_seed("CJK", 0)[:220]
    assert quote_again(text).words != quote_ending(text).words


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        pytest.param("ha " * 100, "ha", id="one word"),
        pytest.param("7,fox\n" * 40, "7,fox", id="equal rows"),
        pytest.param(
            "id,name\n" + "7,fox\n" * 40,
            "7,fox",
            id="equal rows below a head",
        ),
        pytest.param("x" * 500, "x", id="one letter"),
    ],
)
def test_no_more_than_one_repetition_is_quoted(text, quote):
    assert quote_ending(text).words == quote


@pytest.mark.parametrize(
    ("text", "sent", "words"),
    [
        pytest.param("Hi", "H", "i", id="one word"),
        pytest.param(
            "Once upon a time there was a fox who jumped over the laz",
            "Once upon a",
            "time there was a fox who jumped over the laz",
            id="40 characters or more, from the beginning of a word",
        ),
        pytest.param(
            "A: the fox jumped over the lazy dog at noon.\nB: the fox jumped over the lazy dog"
            " at noon.\n",
            "A: the fox jumped over the lazy dog at noon.",
            "B: the fox jumped over the lazy dog at noon.",
            id="as many as stand nowhere else",
        ),
    ],
)
def test_a_user_turn_quotes_what_proves_the_seam(text, sent, words):
    quote = quote_ending(text)
    assert (quote.sent, quote.words) == (sent, words)


@pytest.mark.parametrize(
    ("text", "least", "shorter"),
    [("Yes", 4, True), ("Yes", 3, False), (" Yes \n\n ", 4, True), ("a   b", 3, False)],
)
def test_a_length_is_that_of_the_folded_text(text, least, shorter):
    assert is_shorter(text, least) is shorter


@pytest.mark.parametrize(
    ("text", "turn"),
    [("a \n", "a"), ("a \ud83d", "a"), ("a\ud83d \n", "a"), ("\ud83d", ""), (" ", "")],
)
def test_what_ends_a_turn(text, turn):
    assert strip_trailing(text) == turn
