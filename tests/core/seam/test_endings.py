"""Which endings of a text prove a seam: long ones that stand nowhere else and repeat nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken._core.seam.endings import MIN_PROOF, Endings, is_periodic

STORY = "Once upon a time there was a fox. It was quick, and it knew the wood well."
ROWS = "id,name\n" + "7,fox\n" * 20


@pytest.mark.parametrize(
    ("text", "ending", "proves"),
    [
        pytest.param(STORY, STORY[-MIN_PROOF:], True, id="just long enough"),
        pytest.param(STORY, STORY[1 - MIN_PROOF :], False, id="just too short"),
        pytest.param(STORY, STORY, True, id="all of it"),
        pytest.param("Well, yes", "Well, yes", True, id="all of a short text"),
        pytest.param("Yes, so", "Yes, so", False, id="all of a text that is too short"),
        pytest.param(STORY, STORY[:40], False, id="its beginning"),
        pytest.param(f"{STORY} {STORY}", STORY, False, id="stands there twice"),
        pytest.param(ROWS, "7,fox 7,fox 7,fox 7,fox 7,fox 7,fox", False, id="equal rows"),
        pytest.param("I said " + "ha " * 20, "ha " * 19 + "ha", False, id="repeats itself"),
        pytest.param("It\u2019s\n\n" + "x y " * 9, "It's " + "x y " * 8 + "x y", True, id="folded"),
        pytest.param(STORY, "", False, id="nothing"),
    ],
)
def test_an_ending_proves_a_seam(text, ending, proves):
    assert Endings(text).proves(ending) is proves


@pytest.mark.parametrize(
    ("text", "periodic"),
    [
        ("ha ha", True),
        ("ha ha ha ha h", True),
        ("ha ha ", True),
        ("aa", True),
        ("aab", False),
        ("abcab", False),
        ("onion", False),
        ("a", False),
    ],
)
def test_a_periodic_text_is_one_string_at_least_twice(text, periodic):
    assert is_periodic(text) is periodic


@given(st.text(st.sampled_from("ab "), min_size=1, max_size=6), st.integers(2, 5))
def test_a_text_said_twice_is_periodic(unit, times):
    assert is_periodic(unit * times)


@pytest.mark.parametrize(
    ("text", "ending", "period"),
    [
        pytest.param("ha ha ha", "ha", 3, id="to where it stood before"),
        pytest.param("ha ha ha", "ha ha ha", 3, id="in itself"),
        pytest.param("the quick fox", "fox", 3, id="none: its length"),
        pytest.param("fox, cat, fox", "fox", 10, id="with other words between"),
    ],
)
def test_the_period_of_an_ending(text, ending, period):
    assert Endings(text).period(ending) == period


def test_places_are_behind_the_words_where_more_follows_and_the_last_ones_first():
    assert Endings("ab ab ab").places("ab") == [5, 2]
    assert Endings("ab ab ab c").places("ab") == [8, 5, 2]
    assert Endings("ab ab ab c").places("b a") == [7, 4]
    assert Endings("aaaa").places("aa") == [3, 2]
    assert Endings("ab").places("cd") == []


def test_places_are_bounded():
    assert len(Endings("ab " * 1000).places("ab")) == 64


def test_white_space_around_the_text_is_no_part_of_it():
    assert Endings(" \n a  b \n").text == "a b"
    assert Endings("").text == ""
