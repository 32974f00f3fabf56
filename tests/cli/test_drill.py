"""`unbroken drill` reproduces what is known of the voices of a `FaultServer`."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.gateways.proxy import Proxy
from tests.samples import NEWEST, PREFILLS

from unbroken._cli import main as cli
from unbroken._cli.demo import ANSWER
from unbroken._cli.drill.answers import places
from unbroken._cli.prices import load_prices
from unbroken.testing import FaultServer, count_tokens, faults, voices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLEAN = {"lost": 0, "doubled": 0, "untold": 0}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-SECRET")
    monkeypatch.setenv("UNBROKEN_TIME_SCALE", "0")
    monkeypatch.setattr(logging.getLogger("unbroken"), "disabled", True)


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer(ANSWER) as server:
        yield server


@pytest.fixture
def drill(
    api: FaultServer, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> Callable[..., Any]:
    """Drills against the server, and returns the exit status and the statistics."""
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Tell me of the cable.")

    def run(*args: str, model: str = NEWEST) -> tuple[int, dict[str, Any]]:
        common = ["--base-url", api.url, "--prompt-file", str(prompt), "--yes", "--json"]
        models = () if "--compare" in args else ("--model", model)
        status = cli.main(["drill", *models, *common, *args])
        shown = capsys.readouterr()
        assert "SECRET" not in shown.out + shown.err
        document = json.loads(shown.out)
        return status, document["models"][0] if len(document["models"]) == 1 else document

    return run


@pytest.mark.parametrize(
    ("voice", "seam"),
    [
        (voices.follows_anchor, "asked"),
        (voices.repeats_words(12), "restarted"),
        (voices.restarts_paragraph, "restarted"),
        (voices.says_it_all_again, "restarted"),
        (voices.preamble(then=voices.follows_anchor), "announced"),
    ],
)
def test_voices_that_go_on(drill, api, voice, seam):
    api.voice = voice
    status, found = drill("-n", "4", "--seed", "3")
    assert status == 0
    assert (found["answers"], found["complete"], found["cuts"]) == (4, 4, 4)
    assert found["seams"][seam] == sum(found["seams"].values()) == 4
    assert found["verdicts"] == {**CLEAN, "clean": 4}
    assert found["requests"] == 9
    assert [request.kind for request in api.message_requests].count("user_turn") == 4


def test_a_model_that_takes_prefill(drill, api):
    status, found = drill("-n", "4", model=PREFILLS)
    assert status == 0
    assert found["seams"]["exact"] == 4
    assert found["verdicts"] == {**CLEAN, "clean": 4}


def test_a_way_of_continuing_that_was_chosen(drill, api):
    api.voice = voices.follows_anchor
    _, found = drill("-n", "3", "--continuation", "user_turn", model=PREFILLS)
    assert found["seams"]["asked"] == 3


def test_text_that_is_doubled(drill, api):
    # What was delivered before, in words that are no proof.
    api.voice = lambda cue: cue.remaining[:20].swapcase() + cue.remaining[20:]
    status, found = drill("-n", "2")
    assert found["seams"]["unproven"] == found["verdicts"]["doubled"] == 2
    assert status == 1
    assert found["doubled_chars"] > 0
    assert len(found["interruptions"]) == 1


def test_text_that_is_lost(drill, api):
    api.voice = lambda cue: cue.answer[min(len(cue.answer), cue.said + 120) :]
    status, found = drill("-n", "2")
    assert status == 1
    assert found["verdicts"]["lost"] == found["seams"]["unproven"] == 2
    assert found["lost_chars"] > 0


def test_a_model_that_evades(drill, api):
    api.voice = voices.evades()
    status, found = drill("-n", "2")
    assert status == 1
    assert (found["complete"], found["seams"]["asked"]) == (0, 0)
    assert list(found["problems"].values()) == [2]
    assert sum(found["interruptions"].values()) >= 4
    [reason] = found["interruptions"]
    assert "about the request" in reason


def test_several_cuts_in_each_answer(drill, api):
    api.voice = voices.follows_anchor
    status, found = drill("-n", "2", "--cuts", "4")
    assert (status, found["cuts"], found["complete"]) == (0, 8, 2)
    assert found["verdicts"]["clean"] == sum(found["seams"].values()) > 4


def test_tokens_and_money_are_those_of_all_requests(drill, api):
    api.voice = voices.follows_anchor
    _, found = drill("-n", "2")
    asked = sum(count_tokens(request.body) for request in api.message_requests)
    assert found["input_tokens"] == asked
    price = load_prices().of(NEWEST)
    assert price is not None
    dollars = (asked * price.input + found["output_tokens"] * price.output) / 1e6
    assert found["dollars"] == pytest.approx(dollars)


def test_models_are_compared(drill, api):
    api.voice = voices.follows_anchor
    status, document = drill("--compare", f"{NEWEST},{PREFILLS}", "-n", "2")
    assert status == 0
    assert [one["model"] for one in document["models"]] == [NEWEST, PREFILLS]
    assert [one["seams"]["asked"] for one in document["models"]] == [2, 0]
    assert document["prices"] == load_prices().date


def test_text_is_shown_if_asked_for(drill, api):
    _, found = drill("-n", "2")
    assert "before" not in found["joints"][0]
    _, found = drill("-n", "2", "--show")
    assert found["joints"][0]["before"] + found["joints"][0]["after"]


def test_people_get_a_table_and_the_worst_joints(api, capsys):
    api.voice = voices.follows_anchor
    args = ["--model", NEWEST, "--base-url", api.url, "-n", "2", "--yes", "--show"]
    assert cli.main(["drill", *args]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"6 requests to {NEWEST}. At the most ")
    assert "answers complete     2 of 2" in out
    assert "seam asked           2 (100%)" in out
    assert out.count(" ⟲ ") == 2
    prompts = [request.body["messages"][0]["content"] for request in api.message_requests]
    assert ANSWER.strip() in prompts[0]  # where no prompt is given, one is to copy a text
    assert prompts[0] != prompts[1]


def test_a_seed_cuts_at_the_same_places():
    assert places("1:1", 1000, 3) == places("1:1", 1000, 3)
    assert places("1:1", 1000, 3) != places("2:1", 1000, 3)
    assert places("1:1", 1, 3) == [1, 2, 3]
    for number in range(50):
        found = places(f"x{number}", 40, 5)
        assert found == sorted(set(found))
        assert 1 <= found[0] <= found[-1] < 40


def test_it_goes_through_the_proxy_of_the_environment(drill, monkeypatch):
    with Proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        status, _ = drill("-n", "1", model=PREFILLS)
    assert status == 0
    assert len(proxy.targets) == 3


# Consent


def run(*args: str) -> int:
    return cli.main(["drill", "--model", NEWEST, *args])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("said", "status"), [("y\n", 0), ("n\n", 2), ("", 2)])
def test_nothing_is_asked_before_somebody_agrees(api, monkeypatch, capsys, said, status):
    api.voice = voices.follows_anchor
    monkeypatch.setattr(sys, "stdin", Terminal(said))
    assert run("--base-url", api.url, "-n", "1") == status
    assert bool(api.requests) is (status == 0)
    assert "Go on? [y/N]" in capsys.readouterr().out


def test_where_nobody_can_agree_it_must_be_said(api, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run("--base-url", api.url) == 2
    assert "say --yes" in capsys.readouterr().err
    assert api.requests == []


def test_an_api_that_does_not_answer_is_a_sentence(api, capsys):
    api.script(faults.status(401))
    assert run("--base-url", api.url, "--yes") == 2
    said = capsys.readouterr().err
    assert f"{NEWEST} does not answer" in said
    assert "try unbroken doctor" in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-n", "0"], "n must be at least 1"),
        (["--cuts", "0"], "cuts must be at least 1"),
        (["--max-tokens", "1"], "max-tokens must be at least 64"),
        (["--prompt-file", "/none"], "/none cannot be read"),
        (["--base-url", "api.example"], "the base URL must be like"),
        (["--prices", "/none"], "the prices in /none cannot be read"),
    ],
)
def test_wrong_arguments_are_a_sentence(capsys, args, words):
    assert run("--yes", *args) == 2
    assert words in capsys.readouterr().err


def test_no_key_is_a_sentence(api, capsys, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    assert run("--base-url", api.url, "--yes") == 2
    assert "there is no key" in capsys.readouterr().err


# Prices


@pytest.mark.parametrize(
    ("model", "output"),
    [
        ("claude-opus-5-5", 20),
        ("claude-opus-5", 25),
        ("claude-opus-5-20260724", 25),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 5),
        ("claude-sonnet-4-6", 15),
        ("gpt-9", None),
    ],
)
def test_the_price_of_a_model_is_found_by_its_id(model, output):
    price = load_prices().of(model)
    assert (price and price.output) == output


def test_prices_of_ones_own(tmp_path, capsys, api):
    mine = tmp_path / "prices.toml"
    mine.write_text(
        'date = "2030-01-01"\n[models]\n'
        "claude-opus-5-5 = { input = 1e6, output = 0, cache_write = 0, cache_read = 0 }\n"
    )
    api.voice = voices.follows_anchor
    assert run("--base-url", api.url, "-n", "1", "--yes", "--json", "--prices", str(mine)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["prices"] == "2030-01-01"
    assert document["models"][0]["dollars"] == document["models"][0]["input_tokens"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "date = ",
        'date = "x"\n[models]\nm = 1',
        'date = "x"\n[models]\nm = { input = 1 }',
        'date = "x"\n[models]\nm = { input = -1, output = 1, cache_write = 1, cache_read = 1 }',
    ],
)
def test_what_is_no_table_of_prices_is_a_sentence(tmp_path, capsys, text):
    path = tmp_path / "prices.toml"
    path.write_text(text)
    assert run("--yes", "--prices", str(path)) == 2
    assert f"{path} is no table of prices" in capsys.readouterr().err
