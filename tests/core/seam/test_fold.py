"""Texts are compared folded, and each place in a folded text is a place in the text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unbroken._core.seam.fold import fold, unfold

texts = st.text(
    st.sampled_from("ab \n\t\u3000'\u2019\"\u201c\u72d0\U0001f642e\u0301."), max_size=40
)


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
def test_white_space_and_quotes_are_folded(text, folded):
    assert fold(text) == folded


@given(texts)
@example(" \n a  b ")
def test_unfold_inverts_fold(text):
    folded = fold(text)
    for position in range(len(folded) + 1):
        at = unfold(text, position)
        assert fold(text[:at]) == folded[:position]
        assert at == 0 or not (text[at - 1 : at].isspace() and text[at : at + 1].isspace())


@given(texts)
def test_folding_twice_is_folding_once(text):
    assert fold(fold(text)) == fold(text)


@given(texts, texts)
def test_the_folded_beginning_is_the_beginning_of_the_folded_text(text, more):
    """What is found in a part of a reply is found in the whole: chunks do not matter."""
    assert fold(text + more).startswith(fold(text).rstrip(" "))
