"""A text begins with the known string, save for white space around it, or is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unbroken._core.seam import ExactSeam, SeamError, SeamKind, SeamProblem

if TYPE_CHECKING:
    from collections.abc import Iterable


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def joined(seam: ExactSeam, said: Iterable[str]) -> str:
    return "".join(map(seam.feed, said)) + seam.end("end_turn")


@pytest.mark.parametrize(
    ("known", "said", "delivered"),
    [
        pytest.param("", "fox", "fox", id="nothing known"),
        pytest.param(" jum", " jumped", "ped", id="the word begun again"),
        pytest.param(" jum", "jumped", "ped", id="without the white space before it"),
        pytest.param("jum", " jumped", "ped", id="with white space before it"),
        pytest.param(" ", " fox", "fox", id="the same space"),
        pytest.param(" ", "\nfox", "\nfox", id="a line break for a space"),
        pytest.param("the fox ", "the fox ran", "ran", id="space at the end"),
        pytest.param("the fox", "the fox ran", " ran", id="space beyond the end"),
        pytest.param("the fox", "the fox", "", id="nothing beyond"),
        pytest.param("the fox ", "the fox", "", id="nothing beyond, not even the space"),
        pytest.param(" ", " ", "", id="white space only"),
        pytest.param(" ", "", "", id="nothing at all"),
        pytest.param("", "", "", id="nothing of nothing"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_what_is_known_is_removed(known, said, delivered, size):
    seam = ExactSeam(known)
    assert joined(seam, pieces(said, size)) == delivered
    assert seam.settled
    assert seam.joined
    assert not seam.holding
    assert seam.kind is (SeamKind.EXACT if known else None)


@pytest.mark.parametrize(
    ("known", "said", "problem"),
    [
        pytest.param("fox", "cat", SeamProblem.DIVERGED, id="other words"),
        pytest.param("fox", "for", SeamProblem.DIVERGED, id="another ending"),
        pytest.param("the fox", "the  fox", SeamProblem.DIVERGED, id="other white space inside"),
        pytest.param("fox", "Fox", SeamProblem.DIVERGED, id="another case"),
        pytest.param("fox", "fo", SeamProblem.NO_PROGRESS, id="too short"),
        pytest.param("fox", "", SeamProblem.NO_PROGRESS, id="nothing"),
        pytest.param("fox", " ", SeamProblem.NO_PROGRESS, id="white space only"),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_a_text_that_begins_otherwise_is_refused(known, said, problem, size):
    seam = ExactSeam(known)
    with pytest.raises(SeamError) as raised:
        joined(seam, pieces(said, size))
    assert raised.value.problem is problem
    assert seam.kind is None


white = st.text(st.sampled_from("a b\n\t\u3000\u72d0"), max_size=20)


@given(known=white, rest=white, cuts=st.lists(st.integers(0, 40)), strips=st.booleans())
@example(known=" \n a  ", rest=" \n b", cuts=[1, 2, 3], strips=True)
def test_nothing_is_lost_whatever_the_chunks(known, rest, cuts, strips):
    said = known + rest
    if strips and known.strip():
        said = said.lstrip()
    ends = sorted({0, len(said), *(min(cut, len(said)) for cut in cuts)})
    chunks = [said[ends[at] : ends[at + 1]] for at in range(len(ends) - 1)]
    assert joined(ExactSeam(known), chunks) == rest


def test_the_known_text_may_go_on_in_the_next_block():
    seam = ExactSeam("the fox")
    assert seam.feed("the ") == ""
    assert seam.end_block() == ""
    assert seam.feed("fox ran") == " ran"
    assert seam.feed(" and ran") == " and ran"


def test_only_white_space_is_held():
    known = "word " * 1000
    seam = ExactSeam(known)
    for chunk in pieces(known.rstrip(), 7):
        assert seam.feed(chunk) == ""
        assert not seam.holding
    assert seam.feed("  ") == ""
    assert seam.holding
    assert seam.feed("end") == " end"
