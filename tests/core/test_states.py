"""Every pair of a phase and an input: as the table says, or one clear error."""

from __future__ import annotations

import itertools

import pytest

from unbroken._core.states import TRANSITIONS, Input, Phase, after

PAIRS = list(itertools.product(Phase, Input))
OVER = (Phase.COMPLETE, Phase.LOST, Phase.CLOSED)


@pytest.mark.parametrize(("phase", "happened"), PAIRS, ids=lambda part: part.name.lower())
def test_a_pair_leads_on_or_is_one_clear_error(phase, happened):
    expected = TRANSITIONS[phase].get(happened)
    if expected is not None:
        assert after(phase, happened) is expected
        return
    with pytest.raises(RuntimeError) as error:
        after(phase, happened)
    assert phase.value in str(error.value)
    assert happened.value in str(error.value)
    assert error.value.__suppress_context__


def test_the_table_has_every_phase():
    assert set(TRANSITIONS) == set(Phase)


@pytest.mark.parametrize("phase", Phase)
def test_closing_is_allowed_at_any_time(phase):
    assert after(phase, Input.CLOSE) in OVER


@pytest.mark.parametrize("phase", OVER)
def test_what_is_over_stays_as_it_is(phase):
    assert set(TRANSITIONS[phase]) - {Input.DEPOSED} == {Input.CLOSE}
    assert after(phase, Input.CLOSE) is phase


def test_every_phase_can_be_reached_and_every_call_can_end():
    reached, new = {Phase.ASKING}, [Phase.ASKING]
    while new:
        found = set(TRANSITIONS[new.pop()].values()) - reached
        reached |= found
        new += found
    assert reached == set(Phase)
    for phase in set(Phase) - set(OVER):
        assert set(OVER) & set(TRANSITIONS[phase].values())


def test_every_input_can_happen():
    assert {happened for row in TRANSITIONS.values() for happened in row} == set(Input)


def leading_to(target) -> set[Phase]:
    """The phases from which a call comes to another one, unless it was deposed."""
    steps = [(phase, *step) for phase, row in TRANSITIONS.items() for step in row.items()]
    return {one for one, happened, to in steps if to is target and happened is not Input.DEPOSED}


def test_a_wait_is_between_any_two_requests_but_for_an_extension():
    assert leading_to(Phase.ASKING) == {Phase.WAITING, Phase.READING}
    assert leading_to(Phase.WAITING) == {Phase.CHARGING}
    assert leading_to(Phase.CHARGING) == {Phase.ASKING, Phase.READING}
