"""What is overdue, and when to look again."""

from __future__ import annotations

import math

import pytest

from unbroken._core.watch import Overdue, Watch


@pytest.mark.parametrize(
    ("deadline", "progress_timeout", "now", "expected"),
    [
        (None, None, 1e9, None),
        (None, 10.0, 9.9, None),
        (None, 10.0, 10.0, Overdue.STREAM),
        (20.0, None, 19.9, None),
        (20.0, None, 20.0, Overdue.CALL),
        (20.0, 10.0, 15.0, Overdue.STREAM),
        (20.0, 10.0, 25.0, Overdue.CALL),
    ],
)
def test_what_is_overdue(deadline, progress_timeout, now, expected):
    watch = Watch(deadline, progress_timeout)
    watch.begin(0.0)
    assert watch.overdue(now) is expected


@pytest.mark.parametrize(
    ("now", "outage_ends", "expected"),
    [
        (14.9, 15.0, None),
        (15.0, 15.0, Overdue.OUTAGE),
        (15.0, None, None),
        (20.0, 15.0, Overdue.OUTAGE),
        (30.0, 15.0, Overdue.CALL),
    ],
)
def test_an_outage_bounds_an_attempt(now, outage_ends, expected):
    watch = Watch(30.0, 20.0)
    watch.begin(0.0)
    assert watch.overdue(now, outage_ends) is expected


def test_a_read_ends_with_the_first_bound():
    assert Watch(30.0, 10.0).ends(None) == 30.0
    assert Watch(30.0, 10.0).ends(20.0) == 20.0
    assert Watch(None, 10.0).ends(None) == math.inf


def test_it_tells_when_to_look_again():
    watch = Watch(100.0, 10.0)
    watch.begin(1.0)
    assert watch.alarm <= 1.0, "look at once"
    assert watch.overdue(1.0) is None
    assert watch.alarm == 11.0
    watch.last_event = 95.0
    assert watch.overdue(96.0) is None
    assert watch.alarm == 100.0


def test_another_stream_begins_anew():
    watch = Watch(None, 10.0)
    watch.begin(0.0)
    watch.begin(50.0)
    assert watch.overdue(59.0) is None
    assert watch.overdue(60.0) is Overdue.STREAM
