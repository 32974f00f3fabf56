"""Time decides: by default, every outage that is shorter than `max_outage` ends with the answer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.core.outage import LATENCY, TEXT, TROUBLES, Line, Trouble, begin_of

from unbroken._core.actions import READ, AskBudget, GiveUp, Send
from unbroken._core.bounds import Reason
from unbroken._core.budget import RetryBudget
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.policy import Policy
from unbroken._core.states import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT = Policy()
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
MIXED = {
    "resets, then refused": ("drop", "refused"),
    "502 and 503": ("502", "503, retry-after 2"),
    "429 and resets": ("429, retry-after 1", "drop"),
    "408, 429, 502 and resets": ("408", "429", "502", "drop"),
}
SEEDS = range(5)
CUTS = {"at the beginning": None, "after a drop": 100}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("lasts", [8, 20, 60, 200])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_by_default_an_outage_ends_with_the_whole_answer(trouble, lasts, cut):
    for seed in SEEDS:
        random.seed(seed)
        line = Line(trouble, lasts, cut=cut)
        line.go()
        assert line.phase is Phase.COMPLETE, line.machine.call.reason
        assert line.text() == TEXT
        begun_well = 0 if cut is None else 1
        assert line.requests <= trouble.most_requests(lasts) + begun_well
        assert line.requests <= DEFAULT.max_attempts


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("lasts", [8, 20, 60, 200])
@pytest.mark.parametrize("names", MIXED.values(), ids=MIXED)
def test_an_outage_of_several_kinds_ends_with_the_whole_answer(names, lasts, cut):
    for seed in SEEDS:
        random.seed(seed)
        line = Line([TROUBLES[name] for name in names], lasts, cut=cut)
        line.go()
        assert line.phase is Phase.COMPLETE, line.machine.call.reason
        assert line.text() == TEXT


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_an_outage_without_end_is_given_up_for_its_length(trouble, cut):
    for seed in SEEDS:
        random.seed(seed)
        line = Line(trouble, 1e9, cut=cut)
        line.go()
        assert line.phase is Phase.LOST
        assert line.machine.call.reason is Reason.MAX_OUTAGE
        unnoticed = line.idle if cut is None and trouble.is_silent else 0
        assert line.now - line.began <= unnoticed + DEFAULT.max_outage + 2 * LATENCY


@pytest.mark.parametrize("patience", [20, 60])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_giving_up_after_so_long_means_so_long_where_every_attempt_hangs(trouble, patience):
    line = Line(trouble, 1e9, Policy(max_outage=patience), cut=100)
    line.go()
    assert line.machine.call.reason in (Reason.MAX_OUTAGE, Reason.MAX_RETRY_AFTER)
    assert line.now - line.began <= patience + 2 * LATENCY


def test_a_stream_that_only_pings_is_resumed():
    line = Line(TROUBLES["drop"], 0)
    assert isinstance(line.machine.action, Send)
    line.sent = line.machine.action.plan
    line.machine.begin(line.now)
    line.read(begin_of(line.answer(), TEXT[100:120]))
    while line.phase is Phase.READING:
        line.now += 15
        line.out += line.machine.receive(PING, line.now)
    assert line.now - line.began == DEFAULT.progress_timeout
    line.go()
    assert line.phase is Phase.COMPLETE
    assert line.text() == TEXT


# A thousand callers


def crowd(size: int, trouble: Trouble, lasts: float, policy: Policy, **how: Any) -> list[Line]:
    return [Line(trouble, lasts, policy, **how) for _ in range(size)]


def run(lines: Iterable[Line]) -> None:
    """Carry all calls out at the same time."""
    under_way = list(lines)
    while under_way:
        for line in under_way:
            line.step()
        under_way = [one for one in under_way if not one.is_over]


def test_a_thousand_streams_reset_at_once_are_all_whole():
    policy = Policy(budget=RetryBudget())
    lines = crowd(1000, TROUBLES["drop"], 0, policy, cut=100)
    run(lines)
    assert {line.phase for line in lines} == {Phase.COMPLETE}
    assert {line.text() for line in lines} == {TEXT}
    assert sum(line.requests for line in lines) == 2000


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_thousand_callers_outlast_an_outage_in_which_nobody_is_reached(cut):
    budget = RetryBudget()
    lines = crowd(1000, TROUBLES["refused"], 20, Policy(budget=budget), cut=cut)
    run(lines)
    assert {line.phase for line in lines} == {Phase.COMPLETE}
    assert budget.level == budget.capacity


@pytest.mark.parametrize("name", ["529", "502", "drop"])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_thousand_callers_in_an_outage_send_no_more_than_the_budget_allows(name, cut):
    budget = RetryBudget()
    lines = crowd(1000, TROUBLES[name], 1e9, Policy(budget=budget), cut=cut)
    run(lines)
    assert {line.phase for line in lines} == {Phase.LOST}
    assert Reason.BUDGET in {line.machine.call.reason for line in lines}
    free = 1000 if cut is None else 2000
    put_back = budget.per_second * (max(line.now for line in lines) - lines[0].began)
    assert sum(line.requests for line in lines) <= free + budget.capacity + put_back


def pinging(line: Line, until: float) -> None:
    """The open stream brings a ping each 15 seconds, up to a time."""
    while line.now < until and line.machine.action is READ:
        line.now += 15
        line.out += line.machine.receive(PING, line.now)


def opened() -> Line:
    """A call whose stream is open."""
    line = Line(TROUBLES["drop"], 0)
    assert isinstance(line.machine.action, Send)
    line.sent = line.machine.action.plan
    line.machine.begin(line.now)
    line.read(begin_of(line.answer(), "content_block_start"))
    return line


def test_an_attempt_that_only_pings_ends_with_the_outage():
    line = opened()
    line.lose(Failure(FailureKind.DROPPED, "x"))
    if isinstance(line.machine.action, AskBudget):
        line.machine.charged(granted=True, now=line.now)
    line.machine.waited(line.now)
    failed_at = line.now
    line.machine.begin(line.now)
    line.now += 100
    line.read(begin_of(line.answer(), "content_block_start"))
    pinging(line, line.now + 400)
    assert isinstance(line.machine.action, GiveUp)
    assert line.machine.action.lost.reason is Reason.MAX_OUTAGE
    assert 300 <= line.now - failed_at <= 315
