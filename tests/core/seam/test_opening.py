"""What may stand before the known words of a reply, and the marks that close a quotation."""

from __future__ import annotations

import pytest

from unbroken._core.seam.fold import fold
from unbroken._core.seam.opening import after_marks, after_preamble, closing


@pytest.mark.parametrize(
    ("said", "begins"),
    [
        pytest.param("the fox", [0], id="nothing"),
        pytest.param("...the fox", [0, 3], id="dots"),
        pytest.param("... the fox", [0, 4], id="dots and a space"),
        pytest.param("\u2026 the fox", [0, 2], id="an ellipsis"),
        pytest.param('"the fox"', [0, 1], id="a quotation"),
        pytest.param('"...the fox"', [0, 1, 4], id="a quotation that begins with dots"),
        pytest.param("> the fox", [0, 2], id="a block quote"),
        pytest.param("**the fox**", [0, 1, 2], id="emphasis"),
        pytest.param("\u300c\u72d0", [0, 1], id="a Japanese quotation"),
        pytest.param("\u00ab the fox", [0, 2], id="a French quotation"),
        pytest.param("```python x = 1", [0, 10], id="a fence that names a language"),
        pytest.param("> " * 8 + "the fox", [0, 2, 4, 6, 8, 10, 12], id="no more than six"),
        pytest.param("", [0], id="nothing at all"),
    ],
)
def test_a_quotation_begins_at_once_or_behind_marks(said, begins):
    assert list(after_marks(said)) == begins


def test_marks_may_stand_behind_a_preamble():
    assert list(after_marks("Sure: ...the fox", 6)) == [6, 9]


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
def test_a_preamble_is_recognised(preamble):
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
def test_other_words_are_no_preamble(text):
    assert after_preamble(text) == 0


@pytest.mark.parametrize(
    ("opening", "delivered", "closes"),
    [
        pytest.param('"', "the fox", '"', id="a quotation"),
        pytest.param('... "', "the fox", '"', id="a quotation behind dots"),
        pytest.param("**", "the fox", "**", id="emphasis"),
        pytest.param('**"', "the fox", '"**', id="one in the other"),
        pytest.param("(", "the fox", ")", id="a bracket"),
        pytest.param("\u300c", "\u72d0", "\u300d", id="a Japanese quotation"),
        pytest.param("\u00ab ", "the fox", "\u00bb", id="a French quotation"),
        pytest.param("`", "the fox", "`", id="a backtick"),
        pytest.param("...", "the fox", "", id="dots alone"),
        pytest.param("```", "the fox", "", id="a fence, which the answer may have to close"),
        pytest.param("", "the fox", "", id="nothing"),
        pytest.param('"', 'it said: "the fox', "", id="the answer's own quotation is open"),
        pytest.param('"', 'it said: "yes". The fox', '"', id="its own quotation is closed"),
        pytest.param("(", "it is (the fox", "", id="its own bracket is open"),
        pytest.param('"', 'a "line"\nthe fox', '"', id="only its last line counts"),
    ],
)
def test_a_quotation_is_closed_by_the_same_marks(opening, delivered, closes):
    assert closing(opening, delivered) == closes
