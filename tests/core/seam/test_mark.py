"""The mark counts at the end of a text, and is taken off there; elsewhere it is text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken._core.seam.mark import Mark, choose_mark

MARK = "[[ALL]]"


def split(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def read(said: list[str]) -> tuple[str, bool]:
    mark = Mark(MARK)
    text = "".join(map(mark.strip, said)) + mark.end()
    return text, mark.seen


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("said", "delivered", "seen"),
    [
        pytest.param(MARK, "", True, id="alone"),
        pytest.param(f" \n{MARK}\n", "", True, id="alone, with white space"),
        pytest.param(f"the dog. {MARK}", "the dog.", True, id="after the last word"),
        pytest.param(f"the dog.{MARK}", "the dog.", True, id="right behind the last word"),
        pytest.param(f"the dog.\n\n{MARK}\n", "the dog.", True, id="on its own line"),
        pytest.param(f"{MARK} the dog.", f"{MARK} the dog.", False, id="at the beginning"),
        pytest.param(f"the {MARK}dog", f"the {MARK}dog", False, id="in the middle"),
        pytest.param(f"wo{MARK}rd", f"wo{MARK}rd", False, id="in a word"),
        pytest.param(f"{MARK}\nThe dog.", f"{MARK}\nThe dog.", False, id="a line of its own"),
        pytest.param(f"x {MARK} {MARK}", f"x {MARK}", True, id="twice"),
        pytest.param("the [[AL dog.", "the [[AL dog.", False, id="begun only"),
        pytest.param("the dog [[AL", "the dog [[AL", False, id="begun at the end"),
        pytest.param(f"the [[[[{MARK}", "the [[[[", True, id="behind what looks like it"),
        pytest.param("x[[A[[AL[[ALL]", "x[[A[[AL[[ALL]", False, id="begun again and again"),
        pytest.param("the dog  ", "the dog  ", False, id="white space that is none of it"),
        pytest.param("", "", False, id="nothing"),
    ],
)
def test_the_mark_is_taken_off_the_end(said, delivered, seen, size):
    assert read(split(said, size)) == (delivered, seen)


@given(
    st.lists(st.sampled_from([MARK, "[", "[[", "[[A", "]]", " ", "\n", "dog"]), max_size=12),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_chunks_do_not_matter(parts, cuts):
    said = "".join(parts)
    ends = sorted({0, len(said), *(min(cut, len(said)) for cut in cuts)})
    chunks = [said[ends[at] : ends[at + 1]] for at in range(len(ends) - 1)]
    assert read(chunks) == read([said])


@given(st.text(st.sampled_from("[]AL \nx"), max_size=40), st.integers(1, 5))
def test_no_more_is_held_than_what_may_be_the_mark(said, size):
    mark = Mark(MARK)
    for chunk in split(said * 5, size):
        mark.strip(chunk)
        assert MARK.startswith(mark.held.strip()) or mark.held.strip() == MARK


def test_endless_white_space_is_not_held():
    mark = Mark(MARK)
    out = "".join(mark.strip(" " * 50) for _ in range(20))
    assert len(mark.held) <= 64
    assert out + mark.end() == " " * 1000


def test_what_may_be_the_mark_is_released_where_another_block_follows():
    mark = Mark(MARK)
    assert mark.strip("the dog [[AL") == "the dog"  # noqa: B005
    assert mark.end_block() == " [[AL"
    assert mark.strip("one") == "one"
    assert not mark.seen


def test_the_trigger_is_its_first_byte():
    assert Mark(MARK).trigger == b"["


def test_a_mark_is_chosen_that_is_not_used():
    used: set[str] = set()
    for _ in range(5):
        mark = choose_mark(used.__contains__)
        assert mark not in used
        assert mark.startswith("[[")
        used.add(mark)
