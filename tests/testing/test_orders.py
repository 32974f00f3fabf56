"""A test that orders nonsense fails at once, rather than serve no fault and pass."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from tests.samples import HEADERS
from tests.testing.helpers import body

from unbroken.testing import Answer, FaultServer, answers, faults, voices

WRONG_FAULTS = {
    "a word": ("reset", "not 'reset'; did you mean faults.reset(...)?"),
    "a function": (
        faults.reset_before,
        "not the function reset_before; did you mean faults.reset_before(...)?",
    ),
    "a class": (faults.Break, "not the type Break"),
    "a status": (429, "not 429"),
    "a word that is none": ("explode", "not 'explode'"),
    "an answer": (answers.text("Hi"), "not Block("),
    "a list": ([faults.reset()], "not [Break("),
}


@pytest.mark.parametrize(("wrong", "words"), WRONG_FAULTS.values(), ids=WRONG_FAULTS)
@pytest.mark.parametrize("how", ["script", "faults"])
def test_what_is_no_fault_raises_at_once(fault_server, wrong, words, how):
    order = fault_server.script if how == "script" else lambda *given: FaultServer(faults=given)
    expected = (
        "fault 2 must be a fault, such as faults.reset(after_chars=9), or None for no fault, "
    )
    with pytest.raises(TypeError, match=re.escape(expected + words)):
        order(faults.status(500), wrong)


@pytest.mark.parametrize("wrong", ["reset", faults.reset(), faults.reset, None, 500])
def test_what_is_no_list_of_faults_raises_at_once(wrong):
    with pytest.raises(TypeError, match="faults must be a list of faults, not"):
        FaultServer(faults=wrong)


def test_a_wrong_script_changes_nothing(fault_server):
    with pytest.raises(TypeError):
        fault_server.script(faults.status(500), "reset")
    with httpx.Client(base_url=fault_server.url, headers=HEADERS) as http:
        assert http.post("/v1/messages", json=body()).status_code == 200


def test_a_generator_is_checked_when_it_is_its_turn():
    script: list[Any] = [faults.status(500), "reset"]
    server = FaultServer(faults=(one for one in script)).start()
    with httpx.Client(base_url=server.url, headers=HEADERS) as http:
        statuses = [http.post("/v1/messages", json=body()).status_code for _ in range(3)]
    assert statuses == [500, 200, 200]
    assert len(server.errors) == 1
    with pytest.raises(TypeError, match="fault 2 must be a fault"):
        server.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("path", "error"),
    [("messages", ValueError), ("/v1/messages?beta=true", ValueError), (3, TypeError)],
)
def test_a_path_that_no_request_has_raises_at_once(fault_server, path, error):
    with pytest.raises(error, match="path must"):
        fault_server.script(faults.reset(), path=path)


WRONG_ANSWERS = {
    "None": (None, "not None"),
    "bytes": (b"Hi", "not b'Hi'"),
    "a block": (answers.text("Hi"), "not Block("),
    "blocks": ([answers.text("Hi")], "not [Block("),
    "a message": ({"content": "Hi"}, "not {'content': 'Hi'}"),
    "a function": (answers.text, "not the function text; did you mean answers.text(...)?"),
    "the class": (Answer, "not the type Answer"),
    "a fault": (faults.reset(), "not Break("),
    "a fault's function": (faults.reset, "not the function reset"),
}


@pytest.mark.parametrize(("wrong", "words"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_what_is_no_answer_raises_at_once(fault_server, wrong, words):
    expected = "answer must be a text, an Answer, or a function from a request to one of these, "
    with pytest.raises(TypeError, match=re.escape(expected + words)):
        FaultServer(wrong)
    with pytest.raises(TypeError, match=re.escape(expected + words)):
        fault_server.answer = wrong
    assert isinstance(fault_server.answer, str)


@pytest.mark.parametrize("wrong", [5, {"type": "text", "text": "Hi"}, [5], [None], [["Hi"]]])
def test_what_is_no_part_of_an_answer_raises_at_once(wrong):
    with pytest.raises(TypeError, match="an answer is made of texts and blocks, not of"):
        Answer(wrong)


def test_a_text_that_is_none_raises_at_once():
    with pytest.raises(TypeError, match="the text of a block must be a str, not 5"):
        answers.text(5)


@pytest.mark.parametrize("wrong", ["exact", None, 5])
def test_what_is_no_voice_raises_at_once(fault_server, wrong):
    with pytest.raises(TypeError, match="voice must be a function from a Continuation to a text"):
        FaultServer(voice=wrong)
    with pytest.raises(TypeError, match="voice must be"):
        fault_server.voice = wrong
    assert fault_server.voice is voices.exact


@pytest.mark.parametrize("wrong", ["429", 0, 1000, 4.29, None])
def test_a_status_that_is_none_raises_at_once(wrong):
    with pytest.raises(ValueError, match="status must be an HTTP status, from 100 to 599"):
        faults.status(wrong)


@pytest.mark.parametrize("wrong", ["1", -1, float("nan")])
def test_seconds_that_are_none_raise_at_once(wrong):
    with pytest.raises(ValueError, match="seconds must be a number of at least 0"):
        faults.slow(wrong)
    with pytest.raises(ValueError, match="seconds must be a number of at least 0"):
        faults.stall(seconds=wrong)
    with pytest.raises(ValueError, match="ping_interval must be a number of at least 0"):
        faults.stall(ping_interval=wrong)
