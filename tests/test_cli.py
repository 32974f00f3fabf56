"""The demo keeps its word: an answer that is lost four times arrives whole, and says how."""

from __future__ import annotations

import functools
import io
import re
import signal
import subprocess
import sys
import threading
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import pytest

import unbroken
from unbroken import telemetry
from unbroken._cli import demo as demo_module
from unbroken._cli import main as command
from unbroken.testing import FaultServer, faults

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ["rate_limited", "dropped", "overloaded", "dropped", "complete"]
SEEDS = range(12)
UNBROKEN = (sys.executable, "-m", "unbroken")


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that writes as fast as it can, and waits that take hundredths of a second."""
    monkeypatch.setattr(demo_module, "paced", lambda seed, pause: lambda: 64)
    monkeypatch.setattr(demo_module, "FAST", 0.001)


@pytest.fixture
def on_terminal(in_no_time: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the demo on a terminal, and returns what it shows."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def run(*args: str) -> str:
        with redirect_stdout(Terminal()) as out:
            assert command.main(["demo", "--fast", *args]) == 0
        return out.getvalue()

    return run


@pytest.fixture
def demo(in_no_time: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs the demo, and returns its exit status and what it printed."""

    def run(*args: str) -> tuple[int, str]:
        return command.main(["demo", "--fast", *args]), capsys.readouterr().out

    return run


def answer_in(out: str) -> str:
    """The answer without the lines between, put together again where it broke."""
    begin = out.index("⟲")
    shown = out[begin : out.index("\n#  asked for")]
    rows = iter(shown.split("\n"))
    lines: list[str] = []
    for row in rows:
        if not row.startswith("⟲"):
            lines.append(row)
        elif "resumed in" in row:
            broken = lines.pop()
            lines.append(broken + next(rows)[len(broken) :])
    return "\n".join(lines)


def rows_in(out: str) -> list[list[str]]:
    """The rows of the table, without its header."""
    table = out[out.index("\n#  asked for") :].partition("\n\n")[0]
    return [re.split(r"  +", row) for row in table.strip().splitlines()[1:]]


def without_times(out: str) -> str:
    return re.sub(r" *\d+(\.\d)? s\b", " # s", out)


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_the_answer_is_whole_whatever_the_seed(demo, seed):
    status, out = demo("--seed", str(seed))
    assert status == 0
    assert answer_in(out) == demo_module.ANSWER
    assert (
        f"byte for byte what was meant: {len(demo_module.ANSWER)} characters from 5 requests" in out
    )


def test_each_recovery_is_marked_on_a_line_of_its_own(demo):
    _, out = demo()
    marks = [line for line in out.splitlines() if "⟲" in line and "asking" not in line]
    assert len(marks) == 4
    assert re.fullmatch(r"⟲ rate_limited at first, answered after 0\.\d s", marks[0])
    assert re.fullmatch(r"⟲ dropped after \d+ characters, resumed in 0\.\d s", marks[1])


def test_the_table_has_a_row_an_attempt(demo):
    _, out = demo()
    rows = rows_in(out)
    assert [row[0] for row in rows] == list("12345")
    assert [row[1] for row in rows] == ["initial", "retry", *["continuation"] * 3]
    assert [row[2] for row in rows] == KINDS
    assert all(row[-1].startswith("req_") for row in rows)


def test_a_seed_gives_the_same_again_and_another_seed_does_not(demo):
    runs = [without_times(demo("--seed", seed)[1]) for seed in ("7", "7", "8")]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_seeds_vary_the_voice(monkeypatch, demo):
    used = set()

    def server(*args, voice, **options):
        used.add(voice)
        return FaultServer(*args, voice=voice, **options)

    monkeypatch.setattr(demo_module, "FaultServer", server)
    for seed in SEEDS:
        demo("--seed", str(seed))
    assert used == set(demo_module.VOICES)


def test_an_answer_that_is_given_up_is_exit_status_1(monkeypatch, demo):
    policy = unbroken.Policy
    monkeypatch.setattr(unbroken, "Policy", lambda **k: policy(max_attempts=3, **k))
    status, out = demo()
    assert status == 1
    assert "The answer is not whole" in out
    assert "APIStatusError" in out
    assert [row[2] for row in rows_in(out)] == KINDS[:3]
    assert demo_module.ANSWER.startswith(answer_in(out).rstrip("\n"))


def test_an_answer_that_is_never_begun_is_exit_status_1(monkeypatch, demo):
    monkeypatch.setattr(demo_module, "_faults", lambda chance: [faults.status(401)])
    status, out = demo()
    assert status == 1
    assert "0 characters arrived" in out
    assert "AuthenticationError" in out


def test_an_answer_that_is_another_one_is_exit_status_1(monkeypatch, demo):
    other = demo_module.ANSWER.replace("1858", "1859")
    monkeypatch.setattr(
        demo_module, "FaultServer", lambda _, **options: FaultServer(other, **options)
    )
    status, out = demo()
    assert status == 1
    assert f"the first {demo_module.ANSWER.index('1858') + 3} are as meant" in out


def test_no_escape_codes_where_there_is_no_terminal(demo):
    assert "\x1b" not in demo()[1]


def test_a_terminal_has_colors_and_a_countdown_in_one_line(on_terminal, monkeypatch):
    monkeypatch.setattr(demo_module, "FAST", 0.03)
    shown = on_terminal()
    assert "\x1b[32mThe answer is whole" in shown
    assert re.search(r"⟲ overloaded, asking again in \d s *\x1b\[0m\r\x1b\[2;36m⟲", shown)


@pytest.mark.parametrize("how", ["--no-color", "NO_COLOR", "TERM"])
def test_no_escape_codes_for_who_does_not_want_them(on_terminal, monkeypatch, how):
    if how.startswith("--"):
        assert "\x1b" not in on_terminal(how)
    else:
        monkeypatch.setenv(how, "dumb")
        assert "\x1b" not in on_terminal()


def test_an_output_that_cannot_say_it_all_does_not_stop_it(in_no_time):
    raw = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(raw, encoding="ascii")):
        assert command.main(["demo", "--fast"]) == 0
    assert b"? dropped after" in raw.getvalue()


def test_a_trace_is_configured_when_asked_for(monkeypatch, demo):
    configured = []
    monkeypatch.setattr(telemetry, "configure", lambda: configured.append(1), raising=False)
    demo()
    assert configured == []
    demo("--trace")
    assert configured == [1]


def test_nothing_is_left_behind(demo):
    before = threading.active_count()
    demo()
    assert threading.active_count() == before


def test_a_proxy_of_the_environment_is_left_alone(monkeypatch, demo):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert demo()[0] == 0


@pytest.mark.parametrize("args", [[], ["sing"], ["demo", "--seed", "many"]])
def test_wrong_arguments_are_exit_status_2(args, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(args)
    assert stopped.value.code == 2
    assert "usage: unbroken" in capsys.readouterr().err


def test_it_knows_its_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(["--version"])
    assert stopped.value.code == 0
    assert re.fullmatch(r"\d+\.\d+.*\n", capsys.readouterr().out)


def test_as_a_process_with_neither_key_nor_terminal():
    done = subprocess.run([*UNBROKEN, "demo", "--fast"], env={}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"byte for byte" in done.stdout


def test_ctrl_c_ends_a_wait_cleanly():
    with subprocess.Popen(
        [*UNBROKEN, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        # A shell's background job is born deaf to Ctrl-C, and so would be its children.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stdout is not None
        told = ""
        while not re.search(r"asking again in \d+ s", told):  # and now it waits
            assert process.poll() is None, told
            told += process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "Stopped.\n")


def test_a_reader_that_goes_away_ends_it():
    with subprocess.Popen(
        [*UNBROKEN, "demo", "--fast"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 1
