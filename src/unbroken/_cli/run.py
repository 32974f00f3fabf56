"""`unbroken run`: a program whose clients of the SDK all recover, without a change to it."""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from typing import TYPE_CHECKING, Any

import unbroken
from unbroken._cli.problems import ProblemError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["add_parser", "run_program", "split"]

_SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")


def add_parser(commands: Any) -> None:
    """Add the command to those of `unbroken`."""
    parser = commands.add_parser(
        "run",
        help="run a Python program whose clients of the SDK all recover",
        usage="unbroken run [-h] (PROGRAM | -m MODULE) [ARGUMENT ...]",
        description="Run a Python program as python does, with the middleware in every client of "
        "the SDK that it makes, and that the Python processes make which it starts. UNBROKEN_* "
        "variables describe the policy.",
    )
    parser.add_argument("-m", dest="module", metavar="MODULE", help="run a module, as python -m")
    parser.add_argument("program", nargs="?", metavar="PROGRAM", help="run a file, as python does")
    parser.set_defaults(run=run_program)


def split(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Split a command line into what is ours, and the arguments of the program that is run."""
    if list(argv[:1]) != ["run"]:
        return argv, []
    ours = 3 if list(argv[1:2]) == ["-m"] else 2
    return argv[:ours], argv[ours:]


def run_program(options: argparse.Namespace) -> int:
    """Install the middleware, and run the program in this process.

    What the program raises is raised, `SystemExit` included.

    Raises:
        ProblemError: If there is no such program, or the environment describes no policy.
    """
    if (options.module is None) is (options.program is None):
        raise ProblemError("say what to run: unbroken run PROGRAM, or unbroken run -m MODULE")
    try:
        unbroken.install()
    except ValueError as error:
        raise ProblemError(str(error)) from error
    _install_in_new_processes()
    if options.module is not None:
        _run_module(options.module, options.arguments)
    else:
        _run_file(options.program, options.arguments)
    return 0


def _install_in_new_processes() -> None:
    """Have each Python that is started run `sitecustomize` of the folder `site`."""
    paths = [_SITE, os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def _run_module(name: str, arguments: Sequence[str]) -> None:
    _search_in(os.getcwd())
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise ProblemError(f"there is no module {name!r}")
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_file(path: str, arguments: Sequence[str]) -> None:
    if not os.path.exists(path):
        raise ProblemError(f"there is no file {path!r}")
    _search_in(os.path.dirname(os.path.abspath(path)))
    sys.argv = [path, *arguments]
    runpy.run_path(path, run_name="__main__")


def _search_in(directory: str) -> None:
    """Import from there first, where python would."""
    if not sys.flags.safe_path:
        sys.path[0] = directory
