"""A reply is cut on proof only: each row of the table, and never more than a few words are held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.seam import texts

from unbroken._core.seam import Expected, FreeSeam, SeamError, SeamKind, SeamProblem
from unbroken._core.seam.fold import fold
from unbroken._core.seam.free import ROOM
from unbroken._core.seam.quote import quote_ending

if TYPE_CHECKING:
    from collections.abc import Iterable

MARK = "[[ALL]]"
TEXT = (
    "Once upon a time there was a fox. It was quick, and it knew the wood well.\n"
    "One day it met a dog, and this dog was lazy, so the fox jumped over it. Twice. Then it ran"
)
ASKED = quote_ending(TEXT).words
MARK_SPACE = 64  # white space that is held before what may be the mark, and comes at once


def seam(text: str = TEXT, **fields: object) -> FreeSeam:
    known = {"asked": quote_ending(text).words if text.strip() else "", "mark": MARK, **fields}
    return FreeSeam(Expected(text, **known))


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def joined(free: FreeSeam, said: Iterable[str], reason: str | None = "end_turn") -> str:
    return "".join(map(free.feed, said)) + free.end(reason)


def outcome(free: FreeSeam, said: Iterable[str]) -> str | SeamProblem:
    try:
        return joined(free, said)
    except SeamError as error:
        return error.problem


# The table


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        pytest.param(ASKED, SeamKind.ASKED, id="asked"),
        pytest.param(" " + ASKED, SeamKind.ASKED, id="asked, behind a space"),
        pytest.param(f"...{ASKED}", SeamKind.ASKED, id="asked, behind dots"),
        pytest.param("It was quick, " + TEXT[48:], SeamKind.RESTARTED, id="further back"),
        pytest.param(TEXT, SeamKind.RESTARTED, id="all again"),
        pytest.param("Well then!\n\n" + TEXT, SeamKind.ANNOUNCED, id="all again, behind words"),
        pytest.param(
            f"Continuing from where I left off:\n\n{ASKED}", SeamKind.ANNOUNCED, id="announced"
        ),
        pytest.param(
            f"Sure! Here is the rest of it:\n\n...{ASKED}", SeamKind.ANNOUNCED, id="and dots"
        ),
    ],
)
def test_what_is_proved_is_cut(said, kind, size):
    free = seam()
    assert joined(free, pieces(said + " far away.", size)) == " far away."
    assert free.kind is kind


def test_of_two_replies_the_part_that_they_share_is_a_preamble():
    first, second = "Nun gut, weiter. ran far away.", f"Nun gut, weiter. {ASKED} far away."
    free = seam()
    with pytest.raises(SeamError):
        joined(free, [first])
    assert free.reply == first
    again = seam(before=free.reply)
    assert joined(again, [second]) == " far away."
    assert again.kind is SeamKind.ANNOUNCED


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(" far away.", id="straight on"),
        pytest.param("ran far away.", id="the last word"),
        pytest.param("Twice. Then it ran far away.", id="a few words that were not asked for"),
        pytest.param(f"Well: {ASKED} far away.", id="asked for, behind any words"),
        pytest.param(TEXT[:60] + " and so on.", id="the beginning"),
        pytest.param("x" * 2000, id="a long text"),
    ],
)
def test_what_is_not_proved_is_not_cut(said):
    free = seam()
    assert outcome(free, [said]) is SeamProblem.UNPROVEN
    assert free.kind is None
    assert free.reply
    assert fold(said).strip().startswith(free.reply)
    free = seam(join_unproven=True)
    assert joined(free, [said]) == said
    assert free.kind is SeamKind.UNPROVEN


def test_a_whole_answer_is_the_mark_alone_or_two_empty_replies():
    free = seam()
    assert joined(free, [f"\n{MARK}"]) == ""
    assert free.kind is SeamKind.WHOLE
    assert outcome(seam(), []) is SeamProblem.EMPTY
    free = seam(empty_is_whole=True)
    assert joined(free, [" "]) == ""
    assert free.kind is SeamKind.WHOLE


@pytest.mark.parametrize("reason", ["refusal", "pause_turn", "stop_sequence", "max_tokens"])
def test_only_an_end_of_turn_may_be_an_empty_reply(reason):
    assert joined(seam(), [], reason) == ""


def test_no_proof_is_needed_where_nothing_was_delivered():
    free = seam("")
    assert joined(free, ["The fox ran."]) == "The fox ran."
    assert free.kind is None


def test_a_remark_is_no_continuation_and_another_block_makes_it_one():
    remark = "I'm sorry about the interruption."
    assert outcome(seam(join_unproven=True), [remark]) is SeamProblem.OFF_TOPIC
    free = seam(join_unproven=True)
    assert joined(free, [remark], None) == ""


@pytest.mark.parametrize("said", ["", " ", "\n\n"], ids=repr)
def test_white_space_before_another_block_is_no_problem(said):
    free = seam()
    assert joined(free, [said], None).strip() == ""
    assert free.kind is None


# Quotation marks, white space


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("opens", "closes"), [('"', '"'), ("\u201c", "\u201d"), ("**", "**"), ("`", "`"), ("(", ")")]
)
def test_the_marks_that_close_a_quotation_go_with_it(opens, closes, size):
    said = f"{opens}{ASKED}{closes} far away."
    assert joined(seam(), pieces(said, size)) == " far away."
    assert joined(seam(), pieces(f"{opens}{ASKED} far away.", size)) == " far away."


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_other_quotes_and_white_space_are_the_same_words(size):
    text = "It said:\n\n\"It's   the fox's wood, and nobody else's,"
    said = "It said: \u201cIt\u2019s the fox\u2019s wood, and nobody else\u2019s, too."
    assert joined(seam(text), pieces(said, size)) == " too."


@pytest.mark.parametrize("space", [" ", "\n", "\n\n"], ids=repr)
def test_white_space_at_the_end_is_not_delivered_twice(space):
    assert joined(seam(TEXT + space), [f"{ASKED}{space}far away."]) == "far away."
    assert joined(seam(TEXT + space), [f"{ASKED} far away."]) == "far away."


@pytest.mark.parametrize("size", [1, 100])
def test_indentation_after_a_delivered_line_break_is_kept(size):
    text = "Here it is:\n\ndef some(thing, and_another):\n"
    said = quote_ending(text).words + "\n    return thing"
    assert joined(seam(text), pieces(said, size)) == "    return thing"


# Text that repeats itself


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "rest"),
    [
        pytest.param("She laughed: ha ha ha ha ha ha ha", " ha ha ha!", id="laughter"),
        pytest.param("It was very, very, very, very, very", " very, very cold.", id="emphasis"),
        pytest.param("List:\n\n- one\n- one\n- one\n- one\n- one\n", "- one\n- one\n", id="items"),
        pytest.param("x = [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0,", " 0, 0, 0, 0, 0]]", id="zeros"),
        pytest.param("\u54c8" * 60, "\u54c8" * 10 + "\uff01", id="CJK laughter"),
        pytest.param("======== " * 9, "=== ======== ========", id="a line of a table"),
    ],
)
def test_as_told_is_exact(text, rest, size):
    said = quote_ending(text).words + text[len(text.rstrip()) :] + rest
    assert joined(seam(text), pieces(said, size)) == rest


# A long repetition


LONG = "".join(f"This is sentence number {number}. " for number in range(400)).strip()


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_a_long_repetition_is_compared_as_it_comes(size):
    free = seam(LONG)
    assert joined(free, pieces(LONG + " The end.", size)) == " The end."
    assert free.kind is SeamKind.RESTARTED


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_a_repetition_that_leaves_the_text_is_text_of_its_own(size):
    said = LONG[2000:5000] + "Now it goes another way."
    assert outcome(seam(LONG), pieces(said, size)) is SeamProblem.UNPROVEN
    free = seam(LONG, join_unproven=True)
    assert joined(free, pieces(said, size)) == said
    assert free.kind is SeamKind.UNPROVEN


def test_all_again_that_does_not_get_beyond_the_delivered_text_is_no_progress():
    free = seam(LONG, join_unproven=True)
    assert outcome(free, pieces(LONG[:5000], 50)) is SeamProblem.NO_PROGRESS


# Chunks


replies = st.sampled_from(
    [
        lambda text, words: words,
        lambda text, words: text,
        lambda text, words: f'"...{words}"',
        lambda text, words: f"```\n{words}",
        lambda text, words: f"Continuing from where I left off:\n\n{words}",
        lambda text, words: text[len(text) // 2 :],
        lambda text, words: "",
        lambda text, words: f"Weiter: {text}",
    ]
)
rests = st.sampled_from(
    ["", " and more.", "\n\n- so", f" and more.\n{MARK}", MARK, '" said it.', " and so on" * 90]
)


@given(texts.cut_texts(texts.ALL), replies, rests, st.booleans(), st.lists(st.integers(0, 1500)))
def test_the_outcome_does_not_depend_on_chunks(cut_text, reply, rest, joins, cuts):
    text = cut_text[0][: cut_text[1]]
    said = reply(text, quote_ending(text).words) + rest
    ends = sorted({0, len(said), *(min(cut, len(said)) for cut in cuts)})
    chunks = [said[ends[at] : ends[at + 1]] for at in range(len(ends) - 1)]
    whole, parts, letters = (seam(text, join_unproven=joins) for _ in range(3))
    assert outcome(whole, [said]) == outcome(parts, chunks) == outcome(letters, said)
    assert whole.kind is parts.kind is letters.kind


# Blocks


def test_the_seam_may_be_decided_in_a_later_block():
    free = seam()
    assert free.feed(ASKED[:10]) == ""
    assert free.end_block() == ""
    assert free.feed(ASKED[10:] + " far") == " far"
    assert free.joined
    assert not free.settled, "the mark may still come"
    assert free.end_block() == ""
    assert free.feed(" away") == " away"
    assert free.end("end_turn") == ""


def test_what_may_be_the_mark_is_released_where_the_block_ends():
    free = seam()
    assert free.feed(f"{ASKED} far [[AL") == " far"
    assert free.holding
    assert free.end_block() == " [[AL"
    assert not free.holding


@pytest.mark.parametrize("said", [f"{ASKED} far.\n{MARK}", MARK], ids=["after words", "alone"])
def test_the_mark_at_the_end_of_the_last_block_is_no_text(said):
    free = seam()
    out = free.feed(said) + free.end_block() + free.end("end_turn")
    assert MARK not in out


def test_without_a_mark_nothing_is_left_to_look_for():
    free = seam(mark=None)
    assert free.trigger == b""
    assert free.feed(f"{ASKED} far {MARK}") == f" far {MARK}"
    assert free.settled


# Bounds


@pytest.mark.parametrize("size", [1, 7, 50])
@pytest.mark.parametrize(
    "said",
    [
        pytest.param("Something else altogether. " * 100, id="other words"),
        pytest.param(f"{TEXT} And so on: {TEXT}", id="the same words, and more"),
        pytest.param("Sure, here is the rest of it:\n\n" + TEXT[::-1] * 9, id="a preamble"),
        pytest.param("x" * 3000, id="no words"),
        pytest.param("ha " * 1000, id="one word"),
        pytest.param(LONG, id="a long text"),
        pytest.param(" " * 9000 + "x", id="white space"),
        pytest.param("#" + " " * 9000, id="white space inside"),
    ],
)
@pytest.mark.parametrize("text", [TEXT, LONG], ids=["short", "long"])
def test_no_more_is_held_than_the_bound_and_a_delta(text, said, size):
    free, window = seam(text, join_unproven=True), len(quote_ending(text).words) + ROOM
    for chunk in pieces(said, size):
        free.feed(chunk)
        assert len(free._held) <= 4 * window + size + 2 * MARK_SPACE
        assert len(free._lead) <= window


def test_white_space_is_not_held_while_a_repetition_is_compared():
    free = seam(join_unproven=True)
    for chunk in pieces("x" + " " * 9000, 50):  # there is an "x" in the text
        free.feed(chunk)
        assert len(free._held) <= 4 * (len(ASKED) + ROOM) + 50 + 2 * MARK_SPACE


def folded_by(monkeypatch: pytest.MonkeyPatch, free: FreeSeam, said: str, size: int) -> int:
    """How many characters are folded while it reads."""
    count = 0

    def counting(text: str) -> str:
        nonlocal count
        count += len(text)
        return fold(text)

    monkeypatch.setattr("unbroken._core.seam.free.fold", counting)
    joined(free, pieces(said, size))
    return count


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(lambda text: text + " The end.", id="a repetition"),
        pytest.param(lambda text: quote_ending(text).words + text, id="a long rest"),
        pytest.param(lambda text: text[900:3000] + "x " * 500, id="a repetition that errs"),
    ],
)
def test_work_grows_linearly_with_the_text(monkeypatch, said):
    counts = []
    for number in (1000, 4000):
        text = "".join(f"This is sentence number {n}. " for n in range(number)).strip()
        free = seam(text, join_unproven=True)
        counts.append(folded_by(monkeypatch, free, said(text), 8) / len(text))
    assert counts[1] <= counts[0] * 1.1
