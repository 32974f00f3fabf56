"""`unbroken run` runs a program as python does, and its clients recover."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from unbroken._cli import main as cli
from unbroken._cli.run import split
from unbroken.testing import faults

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.testing import FaultServer

ASKS = """
import sys
import anthropic

client = anthropic.Anthropic(api_key="test")
with client.messages.stream(
    model="claude-opus-5-5", max_tokens=99, messages=[{"role": "user", "content": "Hi"}]
) as stream:
    print(stream.get_final_text())
print(__name__, sys.argv)
"""


def run(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "unbroken", "run", *args],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


@pytest.fixture
def scripted(fault_server: FaultServer) -> dict[str, str]:
    """An environment in which clients talk to a server that fails twice."""
    fault_server.answer = "A story that is told to its end."
    fault_server.script(faults.status(529), faults.reset(after_chars=9))
    return {"ANTHROPIC_BASE_URL": fault_server.url, "UNBROKEN_TIME_SCALE": "0"}


def test_a_program_recovers(tmp_path, scripted, fault_server):
    tmp_path.joinpath("asks.py").write_text(ASKS)
    done = run("asks.py", "--fast", "-m", "x", cwd=tmp_path, **scripted)
    assert done.stderr == ""
    said, knows = done.stdout.splitlines()
    assert said == fault_server.answer
    assert knows == "__main__ ['asks.py', '--fast', '-m', 'x']"
    assert len(fault_server.requests) == 3


STARTERS = {
    "subprocess": "import subprocess, sys; subprocess.run([sys.executable, 'asks.py'], check=True)",
    "multiprocessing": """
import multiprocessing, runpy

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=runpy.run_path, args=["asks.py"])
    child.start()
    child.join()
""",
}


@pytest.mark.parametrize("program", STARTERS.values(), ids=STARTERS)
def test_a_process_that_it_starts_recovers(tmp_path, scripted, fault_server, program):
    tmp_path.joinpath("asks.py").write_text(ASKS)
    tmp_path.joinpath("starts.py").write_text(program)
    done = run("starts.py", cwd=tmp_path, **scripted)
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == fault_server.answer
    assert len(fault_server.requests) == 3


def test_a_process_without_the_sdk_is_left_alone(tmp_path):
    """What the user's own `sitecustomize` does is done."""
    tmp_path.joinpath("sitecustomize.py").write_text("import builtins; builtins.was_run = True")
    code = "import sys; print('unbroken' in sys.modules, was_run, sys.modules['sitecustomize'])"
    tmp_path.joinpath("starts.py").write_text(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    )
    done = run("starts.py", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.stderr == ""
    assert done.stdout.startswith("False True")
    assert str(tmp_path) in done.stdout


@pytest.mark.parametrize("file", ["asks.py", "asks/__main__.py"])
def test_a_module_recovers(tmp_path, scripted, fault_server, file):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(ASKS)
    done = run("-m", "asks", "--version", "now", cwd=tmp_path, **scripted)
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == fault_server.answer
    assert done.stdout.endswith(f"__main__ ['{path}', '--version', 'now']\n")


@pytest.mark.parametrize("how", ["file", "directory", "module"])
def test_imports_are_found_where_python_finds_them(tmp_path, how):
    inner = tmp_path / "inner"
    inner.mkdir()
    name = "__main__.py" if how == "directory" else "program.py"
    inner.joinpath(name).write_text("import beside; print(beside.__name__)")
    inner.joinpath("beside.py").write_text("")
    what = {"file": ["inner/program.py"], "directory": ["inner"], "module": ["-m", "program"]}
    done = run(*what[how], cwd=inner if how == "module" else tmp_path)
    assert (done.stdout, done.stderr) == ("beside\n", "")


@pytest.mark.parametrize(
    ("program", "status", "words"),
    [
        ("raise SystemExit(7)", 7, ""),
        ("import sys; sys.exit('no')", 1, "no\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("def f(: pass", 1, "SyntaxError"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt"),
        ("", 0, ""),
    ],
)
def test_a_program_ends_as_it_ends(tmp_path, program, status, words):
    tmp_path.joinpath("program.py").write_text(program)
    done = run("program.py", cwd=tmp_path)
    assert done.returncode in (status, status - 256, -2 if status == 130 else status)
    assert words in done.stderr
    assert "unbroken:" not in done.stderr


def test_a_program_that_pickles_itself_works(tmp_path):
    tmp_path.joinpath("program.py").write_text(
        "import pickle\n"
        "class Thing: pass\n"
        "print(type(pickle.loads(pickle.dumps(Thing()))) is Thing)\n"
    )
    assert run("program.py", cwd=tmp_path).stdout == "True\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "say what to run"),
        (["nothing.py"], "there is no file 'nothing.py'"),
        (["-m", "no_such_module"], "there is no module 'no_such_module'"),
        (["-m", "no_such_package.module"], "there is no module 'no_such_package.module'"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(tmp_path, args, words):
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"unbroken: {words}")
    assert done.stderr.count("\n") == 1


def test_a_wrong_variable_is_said_in_a_sentence(tmp_path):
    tmp_path.joinpath("program.py").write_text("print('never')")
    done = run("program.py", cwd=tmp_path, UNBROKEN_DEADLINE="soon")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("unbroken: UNBROKEN_DEADLINE: must be a number or none")


@pytest.mark.parametrize(
    ("argv", "ours"),
    [
        (["run", "a.py", "-h"], 2),
        (["run", "-m", "a", "-h"], 3),
        (["run", "-ma", "-h"], 2),
        (["run", "-h"], 2),
        (["run"], 1),
        (["demo", "--seed", "3"], 3),
        ([], 0),
    ],
)
def test_what_follows_the_program_is_its_own(argv, ours):
    assert split(argv) == (argv[:ours], argv[ours:])


def test_its_help_says_how(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "--help"])
    assert stopped.value.code == 0
    shown: Any = capsys.readouterr().out
    assert "unbroken run [-h] (PROGRAM | -m MODULE) [ARGUMENT ...]" in shown
