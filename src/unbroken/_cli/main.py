"""The command `unbroken`: its arguments, and its exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from unbroken._cli import journal, policy, run, serve
from unbroken._cli.demo import demo
from unbroken._cli.doctor import command as doctor
from unbroken._cli.drill import command as drill
from unbroken._cli.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Its arguments; those of the process by default.

    Returns:
        The exit status: of the demo 0 if the answer is whole, 1 if not; 2 if the command cannot do
        its work; 130 after Ctrl-C.

    Raises:
        SystemExit: With status 2 for wrong arguments, 0 after `--help` and `--version`.
    """
    ours, arguments = run.split(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(ours)
    options.arguments = arguments
    try:
        # Errors of a program that is run are shown as python shows them.
        return run.run_program(options) if options.command == "run" else _show(options)
    except ProblemError as problem:
        print(f"unbroken: {problem}.", file=sys.stderr)
        return 2


def _show(options: argparse.Namespace) -> int:
    """Run a command that prints something."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        status: int = options.run(options)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Or the interpreter complains when it flushes what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unbroken", description="A Claude answer that reaches its end."
    )
    parser.add_argument("--version", action="version", version=version("unbroken"))
    commands = parser.add_subparsers(dest="command", required=True)
    about = "stream an answer that is lost four times, without a key or a network"
    parsed = commands.add_parser("demo", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parsed.add_argument("--fast", action="store_true", help="shorten the waits, which are real")
    parsed.add_argument("--seed", type=int, default=1, help="vary the faults and the model's ways")
    parsed.add_argument(
        "--no-color", action="store_true", help="plain text; NO_COLOR does the same"
    )
    parsed.add_argument("--trace", action="store_true", help="show the OpenTelemetry spans, too")
    parsed.set_defaults(run=demo)
    journal.add_parser(commands)
    doctor.add_parser(commands)
    drill.add_parser(commands)
    policy.add_parser(commands)
    run.add_parser(commands)
    serve.add_parser(commands)
    return parser
