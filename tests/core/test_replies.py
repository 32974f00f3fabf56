"""What follows a reply that could not be joined, and what the next request knows of it."""

from __future__ import annotations

from typing import Any

import pytest

from unbroken._core.bounds import Reason
from unbroken._core.policy import Continuation
from unbroken._core.replies import NO_REPLIES, Next, Replies, after_problem
from unbroken._core.seam import Expected, FreeSeam, SeamError, SeamProblem


def follows(
    problem: SeamProblem, replies: Replies = NO_REPLIES, *, is_json: bool = False, **settings: Any
) -> Next | Reason:
    return after_problem(problem, replies, Continuation(**settings), is_json=is_json)


@pytest.mark.parametrize(
    ("problem", "settings", "next_"),
    [
        (SeamProblem.UNPROVEN, {}, Next.REFORMULATE),
        (SeamProblem.UNPROVEN, {"unproven": "give_up"}, Reason.UNPROVEN),
        (SeamProblem.EMPTY, {}, Next.REFORMULATE),
        (SeamProblem.EMPTY, {"unproven": "give_up"}, Next.REFORMULATE),
        (SeamProblem.OFF_TOPIC, {}, Next.BACK_OFF),
        (SeamProblem.NO_PROGRESS, {}, Next.BACK_OFF),
        (SeamProblem.DIVERGED, {}, Next.REFORMULATE),
        (SeamProblem.DIVERGED, {"is_json": True}, Next.BACK_OFF),
        (SeamProblem.DIVERGED, {"mode": "restart"}, Reason.DIVERGED),
    ],
)
def test_what_follows_a_problem(problem, settings, next_):
    assert follows(problem, **settings) is next_


def test_remarks_are_given_up_after_three():
    assert follows(SeamProblem.OFF_TOPIC, Replies(off_topic=2)) is Next.BACK_OFF
    assert follows(SeamProblem.OFF_TOPIC, Replies(off_topic=3)) is Reason.OFF_TOPIC


def test_replies_are_counted():
    seam = FreeSeam(Expected("Once there was a fox who jumped over", asked="jumped over"))
    seam.feed("Well then!")
    with pytest.raises(SeamError):
        seam.end("end_turn")
    replies = NO_REPLIES.add(SeamProblem.UNPROVEN, seam)
    assert replies == Replies(unproven=1, before="Well then!")
    assert replies.add(SeamProblem.EMPTY, seam).empty == 1
    remark = replies.add(SeamProblem.OFF_TOPIC, seam)
    assert (remark.off_topic, remark.unproven, remark.count) == (1, 1, 2)
    assert NO_REPLIES.add(SeamProblem.DIVERGED, seam).diverged
    assert NO_REPLIES.add(SeamProblem.NO_PROGRESS, seam).diverged
