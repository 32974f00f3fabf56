"""`unbroken journal`: what a journal holds, and how to remove it."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from unbroken._cli.problems import ProblemError
from unbroken.journal import JournalUnavailable, from_url

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from unbroken.journal import Entry, Journal

__all__ = ["add_parser"]

_SHOWN = 12
"""Characters of a key that are shown."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `unbroken`."""
    about = "list, show or remove the answers in a journal"
    parser = commands.add_parser("journal", help=about, description=f"{about.capitalize()}.")
    parser.add_argument(
        "--url", help="such as sqlite:///answers.db; the variable UNBROKEN_JOURNAL otherwise"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="list all answers").set_defaults(act=_list)
    show = actions.add_parser("show", help="show one answer: its state, and what it holds")
    show.add_argument("key", help="the beginning of its key")
    show.set_defaults(act=_show)
    forget = actions.add_parser("forget", help="remove one answer")
    forget.add_argument("key", help="the beginning of its key")
    forget.set_defaults(act=_forget)
    actions.add_parser("sweep", help="remove what was kept for its time").set_defaults(act=_sweep)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    url = options.url or os.environ.get("UNBROKEN_JOURNAL")
    if not url:
        raise ProblemError("name the journal: --url, or the variable UNBROKEN_JOURNAL")
    try:
        _check_exists(url)
        journal = from_url(url)
        try:
            options.act(journal, options)
        finally:
            journal.dispose()
    except (ImportError, JournalUnavailable, ValueError) as error:
        raise ProblemError(str(error)) from error
    return 0


def _check_exists(url: str) -> None:
    """A look at a journal shall not create one."""
    path = url.partition("?")[0].removeprefix("sqlite:///")
    if url.startswith("sqlite:///") and not os.path.exists(path):
        raise ProblemError(f"there is no journal {path}")


def _list(journal: Journal, options: argparse.Namespace) -> None:  # noqa: ARG001
    entries = journal.entries()
    rows = [_row(journal, entry) for entry in entries]
    print(_aligned([("key", "name", "state", "frames", "bytes", "seen", "owner"), *rows]))
    size = sum(entry.size for entry in entries)
    print(f"{len(entries)} answer(s), {size} bytes")


def _row(journal: Journal, entry: Entry) -> Sequence[str]:
    return (
        entry.key[:_SHOWN],
        _said(entry, "name"),
        journal.state(entry).value,
        str(entry.last),
        str(entry.size),
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.seen)),
        (entry.owner or "-")[:_SHOWN],
    )


def _said(entry: Entry, name: str) -> str:
    try:
        said = json.loads(entry.about)
    except ValueError:
        return "-"
    return str(said.get(name, "-")) if isinstance(said, dict) else "-"


def _show(journal: Journal, options: argparse.Namespace) -> None:
    entry = _found(journal, options.key)
    print(
        _aligned(
            [
                ("key", entry.key),
                ("name", _said(entry, "name")),
                ("request", _said(entry, "request")),
                ("state", journal.state(entry).value),
                ("frames", str(entry.last)),
                ("bytes", str(entry.size)),
                ("owner", entry.owner or "-"),
            ]
        )
    )
    after = 0
    while (page := journal.read(entry.key, after)).frames:
        print("\n" + b"".join(page.frames).decode("utf-8", "replace").strip())
        after = page.last


def _forget(journal: Journal, options: argparse.Namespace) -> None:
    entry = _found(journal, options.key)
    journal.forget(entry.key)
    print(f"removed {entry.key[:_SHOWN]}, {entry.size} bytes")


def _sweep(journal: Journal, options: argparse.Namespace) -> None:  # noqa: ARG001
    print(f"removed {journal.sweep()} answer(s)")


def _found(journal: Journal, beginning: str) -> Entry:
    found = [entry for entry in journal.entries() if entry.key.startswith(beginning)]
    if len(found) != 1:
        raise ProblemError(f"{len(found)} answers have a key that begins with {beginning!r}")
    return found[0]


def _aligned(rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
