"""Prints the demo: the answer as it comes, and what happens to it."""

from __future__ import annotations

import math
import os
import threading
import time
from typing import TYPE_CHECKING, TextIO

import unbroken

if TYPE_CHECKING:
    import anthropic

__all__ = ["Screen"]

# Text that was read just before a wait is printed just after it was announced.
_SETTLING = 0.2
_WIDTH = 76


class Screen:
    """Prints the answer, and between its lines what happened to it.

    Args:
        out: Where to.
        color: Whether colors are welcome, should `out` be a terminal that has them.
    """

    def __init__(self, out: TextIO, *, color: bool) -> None:
        terminal = out.isatty()
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._color = color and terminal and not plain
        self._out = out
        self._terminal = terminal
        self._text = ""
        self._column = 0
        self._aside = False  # whether the cursor is on a line that is not the answer's
        self._failures: list[str] = []
        self._countdown: threading.Thread | None = None
        self._waited = threading.Event()

    def close(self) -> None:
        """End the answer, wherever it is."""
        self._stop_countdown()
        if self._column or self._aside:
            self._print("\n")
        self._column, self._aside = 0, False

    def dim(self, line: str) -> None:
        """Print a line that is not the answer's."""
        self._print(self._styled("2", line) + "\n")

    def write(self, text: str) -> None:
        """Print some of the answer."""
        self._text += text
        self._column = len(self._text) - self._text.rfind("\n") - 1
        self._print(text)

    def notify(self, event: unbroken.RecoveryEvent) -> None:
        """Show what happens, and go on below the place where the text broke off."""
        match event:
            case unbroken.AttemptFailed():
                self._failures.append(event.failure.kind)
            case unbroken.Waiting() if event.seconds > _SETTLING:
                self._start_countdown(event.seconds)
            case unbroken.AttemptStarted():
                self._stop_countdown()
            case unbroken.Resumed():
                self._show_resumed(event)

    def _show_resumed(self, event: unbroken.Resumed) -> None:
        what = ", ".join(self._failures)
        kept = f"after {event.kept_chars} characters, resumed in"
        where = kept if event.kept_chars else "at first, answered after"
        self._put_aside(f"⟲ {what} {where} {event.outage:.1f} s")
        self._print("\n" + " " * self._column)
        self._aside = False
        self._failures.clear()

    def table(self, report: unbroken.RecoveryReport) -> None:
        """Print a row an attempt."""
        _, _, header, *rows = unbroken.telemetry.format_report(report).splitlines()
        self._print("\n" + self._styled("1", header) + "\n")
        for row in rows:
            self._print(row + "\n")

    def verdict(self, error: anthropic.APIError | None, requests: int, meant: str) -> int:
        """Say whether the answer is what was meant: the exit status."""
        if self._text.encode() == meant.encode():
            said = f"{len(meant)} characters from {requests} requests"
            whole = f"The answer is whole, byte for byte what was meant: {said}."
            self._print("\n" + self._styled("32", whole) + "\n")
            return 0
        alike = _alike(self._text, meant)
        wrong = f"The answer is not whole: {len(self._text)} characters arrived, "
        wrong += f"of which the first {alike} are as meant; {len(meant)} were meant."
        self._print("\n" + self._styled("31", wrong) + "\n")
        if error is not None:
            self._print(f"{type(error).__name__}: {error}\n")
        return 1

    def _start_countdown(self, seconds: float) -> None:
        self._waited.clear()
        ends = time.monotonic() + seconds
        self._countdown = threading.Thread(target=self._count_down, args=(ends,), daemon=True)
        self._countdown.start()

    def _stop_countdown(self) -> None:
        self._waited.set()
        if self._countdown is not None:
            self._countdown.join()
            self._countdown = None

    def _count_down(self, ends: float) -> None:
        pause = _SETTLING
        while not self._waited.wait(pause):
            left = math.ceil(ends - time.monotonic())
            self._put_aside(f"⟲ {self._failures[-1]}, asking again in {max(left, 0)} s")
            pause = 1.0 if self._terminal else max(left, 0) + 1

    def _put_aside(self, line: str) -> None:
        """Print a line without its end, in place of the last one where the terminal can."""
        begin = "\n" if self._column else ""
        if self._aside:
            begin = "\r" if self._terminal else "\n"
        self._print(begin + self._styled("2;36", line.ljust(_WIDTH if self._terminal else 0)))
        self._aside = True

    def _styled(self, style: str, line: str) -> str:
        return f"\x1b[{style}m{line}\x1b[0m" if self._color else line

    def _print(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _alike(one: str, other: str) -> int:
    """How many characters are the same in both, before the first that is not."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
