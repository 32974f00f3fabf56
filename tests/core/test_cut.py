"""Whatever the text: what is sent and what is left out make the text, and the API takes the sent.

The API refuses a last assistant turn that ends in white space, and any text that is blank.
"""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from unbroken._core.cut import Parts, cut_for_prefill, cut_for_user_turn
from unbroken._core.overlap import PROOF, fold

PIECES = (
    *("the fox ", "jumped", ". ", "ha ", "\n", "\n\n", "  ", "\t", "\u00a0", "    return 1\n"),
    *("- x\n", "\u72d0\u304c\u8d70\u308b", "\u3002", "\u3000", "\U0001f642", "e\u0301", "\u200b"),
    *("https://example.com/" + "path/" * 12, "x" * 41, "'", "\u2019s ", "{", "}"),
)
# A cut may leave half a character (in UTF-16) at the end.
texts = st.builds(
    "".join,
    st.tuples(
        st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map("".join),
        st.sampled_from(("", "", "\ud83d", "\ud83d ")),
    ),
)


def is_half(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def core(text: str) -> str:
    """The text without white space around it and without half characters at its end."""
    text = text.rstrip()
    while text and is_half(text[-1]):
        text = text[:-1]
    return text.strip()


def check(text: str, parts: Parts) -> None:
    assert parts.sent + parts.tail == text
    assert parts.sent.strip()
    assert parts.sent == parts.sent.rstrip()
    assert not is_half(parts.sent[-1])
    assert core(text).endswith(parts.anchor)


@given(texts, st.booleans())
@settings(deadline=None)
@example("a", True)
@example("word \n\n", True)
@example("one\ud83d", True)
@example(" x", True)
@example("x" * 1000, True)
def test_a_prefill_sends_nearly_all_of_the_text(text, heal):
    assume(core(text))
    parts = cut_for_prefill(text, heal=heal)
    check(text, parts)
    assert len(core(parts.tail)) <= 40
    assert not any(c.isspace() for c in core(parts.tail)), "more than one word was left out"


@given(texts)
@settings(deadline=None)
def test_a_prefill_that_must_not_heal_leaves_out_white_space_only(text):
    assume(core(text))
    assert not core(cut_for_prefill(text, heal=False).tail)


@given(texts)
@settings(deadline=None)
@example("a")
@example("a b")
@example("x" * 1000)
@example("\u72d0" * 200)
@example("ha " * 300)
@example("one two\ud83d")
def test_a_user_turn_leaves_out_a_few_words(text):
    assume(core(text))
    parts = cut_for_user_turn(text)
    check(text, parts)
    assert len(core(parts.tail)) <= 160
    assert parts.anchor.endswith(core(parts.tail))


@given(texts)
@settings(deadline=None)
def test_what_a_user_turn_leaves_out_stands_nowhere_else_if_that_can_be(text):
    assume(core(text))
    parts = cut_for_user_turn(text)
    tail, known = fold(core(parts.tail)), fold(core(text))
    if len(tail) < PROOF or known.count(tail) == 1:
        return
    # Then no place further back within sight would have done, either.
    whole = text[: text.rindex(core(text)[-1]) + 1]
    spaces = [at for at in range(max(len(whole) - 160, 0), len(parts.sent)) if text[at].isspace()]
    for at in spaces:
        longer = fold(whole[at:].strip())
        assert not whole[:at].strip() or fold(whole).find(longer) < len(fold(whole)) - len(longer)


@pytest.mark.parametrize(
    ("text", "sent", "tail"),
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
def test_a_prefill_is_cut_where_the_last_word_begins(text, sent, tail):
    parts = cut_for_prefill(text, heal=True)
    assert (parts.sent, parts.tail) == (sent, tail)


@pytest.mark.parametrize(
    ("text", "sent", "tail", "anchor"),
    [
        pytest.param("Hi", "Hi", "", "Hi", id="one word"),
        pytest.param("Hi there", "Hi", " there", "Hi there", id="two words"),
        pytest.param(
            "Once upon a time there was a fox who jum",
            "Once upon a time there was",
            " a fox who jum",
            "Once upon a time there was a fox who jum",
            id="enough words to prove it",
        ),
        pytest.param(
            "Once upon a time, in a wood, there was a fox who jumped. ",
            "Once upon a time, in a wood, there was a",
            " fox who jumped. ",
            "in a wood, there was a fox who jumped.",
            id="the anchor begins with a word",
        ),
        pytest.param(
            "It is so: ha ha ha ha ha ha ha ha ha",
            "It is so:",
            " ha ha ha ha ha ha ha ha ha",
            "It is so: ha ha ha ha ha ha ha ha ha",
            id="words that repeat",
        ),
    ],
)
def test_a_user_turn_leaves_out_what_proves_the_seam(text, sent, tail, anchor):
    assert cut_for_user_turn(text) == (sent, tail, anchor)


@pytest.mark.parametrize("text", ["\ud83d", " \ud83d "])
def test_a_text_of_half_a_character_is_cut_without_an_error(text):
    assert "".join(cut_for_user_turn(text)[:2]) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\n\n" + "\u72d0\u304c\u68ee" * 17 + "\u3002\n", id="CJK"),
        pytest.param(" " + "x" * 50 + " ", id="a long word"),
    ],
)
def test_white_space_at_both_ends_does_not_hide_the_words(text):
    parts = cut_for_user_turn(text)
    check(text, parts)
    assert len(fold(core(parts.tail))) >= PROOF
    assert parts.anchor
