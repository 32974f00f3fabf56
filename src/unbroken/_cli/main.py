"""The command `unbroken`: its arguments, and its exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from unbroken._cli.demo import demo

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Its arguments; those of the process by default.

    Returns:
        The exit status: 0 if the answer is whole, 1 if not, 130 after Ctrl-C.

    Raises:
        SystemExit: With status 2 for wrong arguments, 0 after `--help` and `--version`.
    """
    options = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        return demo(options)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Or the interpreter complains when it flushes what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unbroken", description="A Claude answer that reaches its end."
    )
    parser.add_argument("--version", action="version", version=version("unbroken"))
    commands = parser.add_subparsers(dest="command", required=True)
    about = "stream an answer that is lost four times, without a key or a network"
    demo = commands.add_parser("demo", help=about, description=f"{about[0].upper()}{about[1:]}.")
    demo.add_argument("--fast", action="store_true", help="shorten the waits, which are real")
    demo.add_argument("--seed", type=int, default=1, help="vary the faults and the model's ways")
    demo.add_argument("--no-color", action="store_true", help="plain text; NO_COLOR does the same")
    demo.add_argument("--trace", action="store_true", help="show the OpenTelemetry spans, too")
    return parser
