"""A joint is judged by the text around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken._cli.demo import ANSWER
from unbroken._cli.drill.joints import Verdict, judge_joint

PLACES = st.integers(60, len(ANSWER) - 100)


@given(at=PLACES)
def test_text_that_is_as_it_was_is_clean(at):
    joint = judge_joint(ANSWER, ANSWER, at, "asked")
    assert (joint.verdict, joint.chars) == (Verdict.CLEAN, 0)
    assert joint.before + joint.after == ANSWER[max(0, at - 60) : at + 60]


@given(at=PLACES, chars=st.integers(1, 60))
def test_text_that_comes_twice_is_doubled(at, chars):
    text = ANSWER[:at] + ANSWER[at - chars :]
    joint = judge_joint(ANSWER, text, at, "unproven")
    assert (joint.verdict, joint.chars) == (Verdict.DOUBLED, chars)


@given(at=PLACES, chars=st.integers(1, 60))
def test_text_that_does_not_come_is_lost(at, chars):
    text = ANSWER[:at] + ANSWER[at + chars :]
    joint = judge_joint(ANSWER, text, at, "unproven")
    assert (joint.verdict, joint.chars) == (Verdict.LOST, chars)


@pytest.mark.parametrize(
    ("text", "at", "verdict"),
    [
        ("An answer in words of its own, of its own.", 20, (Verdict.UNTOLD, 0)),
        (
            "It says this much twice. It says this much twice. And on.",
            25,
            (Verdict.DOUBLED, 25),
        ),
        ("ha ha ha ha", 3, (Verdict.UNTOLD, 0)),
    ],
)
def test_an_answer_that_has_another_wording_is_judged_by_itself(text, at, verdict):
    joint = judge_joint(ANSWER, text, at, "asked")
    assert (joint.verdict, joint.chars) == verdict


def test_the_end_of_an_answer_is_judged_too():
    at = len(ANSWER) - 7
    assert judge_joint(ANSWER, ANSWER, at, "asked").verdict is Verdict.CLEAN
    assert judge_joint(ANSWER, ANSWER[:at] + ANSWER[-3:], at, "asked").chars == 4
    assert judge_joint(ANSWER, ANSWER[:at], at, "whole").verdict is Verdict.LOST
