"""`unbroken journal` shows what a journal holds, and removes it."""

from __future__ import annotations

import json

import pytest

from unbroken._cli import main as command
from unbroken.journal import SqliteJournal


@pytest.fixture
def url(tmp_path):
    journal = SqliteJournal(tmp_path / "answers.db")
    for key, name in (("aaa1", "invoice-42"), ("bbb2", "invoice-43")):
        journal.claim(key, f"owner-{key}", about=json.dumps({"name": name, "request": "r1"}))
        journal.append(key, f"owner-{key}", 1, [b"event: ping\ndata: {}\n\n"] * 3)
    journal.close("bbb2", "owner-bbb2")
    journal.dispose()
    return f"sqlite:///{tmp_path / 'answers.db'}"


def run(capsys, *arguments: str) -> str:
    assert command.main(["journal", *arguments]) == 0
    out: str = capsys.readouterr().out
    return out


def test_answers_are_listed_with_their_names_states_and_sizes(capsys, url, monkeypatch):
    monkeypatch.setenv("UNBROKEN_JOURNAL", url)
    out = run(capsys, "list")
    rows = {line.split()[0]: line.split() for line in out.splitlines()}
    assert rows["aaa1"][1:5] == ["invoice-42", "alive", "3", "66"]
    assert rows["bbb2"][1:5] == ["invoice-43", "closed", "3", "66"]
    assert "2 answer(s), 132 bytes" in out


def test_one_answer_is_shown_with_its_frames(capsys, url):
    out = run(capsys, "--url", url, "show", "bbb")
    assert "invoice-43" in out
    assert out.count("event: ping") == 3


def test_an_answer_is_removed(capsys, url):
    assert "removed aaa1" in run(capsys, "--url", url, "forget", "aaa")
    assert "aaa1" not in run(capsys, "--url", url, "list")


def test_what_was_kept_for_its_time_is_removed(capsys, url):
    assert "removed 0" in run(capsys, "--url", url, "sweep")
    assert "2 answer(s)" in run(capsys, "--url", url, "list")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("list",), "name the journal"),
        (("--url", "sqlite:///nowhere.db", "list"), "there is no journal nowhere.db"),
        (("--url", "mysql://x", "list"), "the URL of a journal"),
    ],
)
def test_what_stands_in_the_way_is_said(capsys, monkeypatch, arguments, says):
    monkeypatch.delenv("UNBROKEN_JOURNAL", raising=False)
    assert command.main(["journal", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_key_that_is_not_there_is_said(capsys, url):
    assert command.main(["journal", "--url", url, "show", "zzz"]) == 2
    assert "0 answers" in capsys.readouterr().err
