"""What each attempt was billed, also where only the next one's input tells it."""

from __future__ import annotations

from typing import Any

from unbroken._core.ledger import Ledger
from unbroken._core.usage import Usage


def begun(ledger: Ledger, number: int, prompt_tokens: int | None, **usage: Any) -> None:
    ledger.begin_attempt(number, prompt_tokens)
    ledger.started({"usage": usage})


def test_the_next_input_tells_the_output_of_a_cut_attempt():
    ledger = Ledger()
    begun(ledger, 1, None, input_tokens=100, cache_read_input_tokens=20)
    assert ledger.estimate_cut_output() is None
    begun(ledger, 2, 15, input_tokens=10, cache_read_input_tokens=155)
    assert ledger.estimate_cut_output() == (1, Usage(100, None, 20, 30, estimated=True))
    begun(ledger, 4, 15, input_tokens=180)
    assert ledger.estimate_cut_output() == (2, Usage(10, None, 155, 15, estimated=True))


def test_an_attempt_that_told_its_output_is_left_alone():
    ledger = Ledger()
    begun(ledger, 1, None, input_tokens=100)
    ledger.estimate_cut_output()
    ledger.counted({"output_tokens": 7})
    begun(ledger, 2, 0, input_tokens=150)
    assert ledger.estimate_cut_output() is None


def test_the_same_request_again_tells_nothing():
    ledger = Ledger()
    begun(ledger, 1, None, input_tokens=100)
    ledger.estimate_cut_output()
    begun(ledger, 2, None, input_tokens=100)
    assert ledger.estimate_cut_output() is None


def test_a_second_start_of_the_same_attempt_tells_nothing():
    ledger = Ledger()
    begun(ledger, 1, None, input_tokens=100)
    ledger.estimate_cut_output()
    begun(ledger, 2, 5, input_tokens=130)
    assert ledger.estimate_cut_output() is not None
    ledger.started({"usage": {"input_tokens": 140}})
    assert ledger.estimate_cut_output() is None


def test_an_attempt_that_tells_no_input_tells_nothing():
    ledger = Ledger()
    begun(ledger, 1, None, input_tokens=100)
    ledger.estimate_cut_output()
    begun(ledger, 2, 5)
    assert ledger.estimate_cut_output() is None


def test_the_usage_of_the_message():
    ledger = Ledger()
    begun(ledger, 1, None, input_tokens=100)
    assert ledger.is_first
    assert ledger.of_message({"output_tokens": 3}) == {"output_tokens": 3}
    begun(ledger, 2, 10, input_tokens=140)
    ledger.counted({"output_tokens": 5})
    assert not ledger.is_first
    told = {"input_tokens": 140, "output_tokens": 5}
    assert ledger.of_message(told) == {"input_tokens": 100, "output_tokens": 35}
    assert ledger.unfinished(40) == 40
