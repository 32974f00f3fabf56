"""A report as people read it: a line, a table of the attempts, the same in HTML."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from unbroken._core.attempts import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken._core.attempts import Attempt
    from unbroken._doors.report import RecoveryReport

__all__ = ["as_html", "as_text", "in_short"]

_HEADER = ("#", "asked for", "ended", "waited", "took", "chars", "input", "output", "request id")
_NUMBERS = {"#", "waited", "took", "chars", "input", "output"}


def in_short(report: RecoveryReport) -> str:
    """What became of the call, and of each attempt."""
    ends = ", ".join(_ended(attempt) for attempt in report.attempts)
    count = len(report.attempts)
    attempts = f"{count} attempt{'' if count == 1 else 's'}"
    return f"call {report.call_id}: {_status(report)}, {attempts} ({ends})"


def as_text(report: RecoveryReport) -> str:
    """What became of the call, and a row for each attempt."""
    rows = [_HEADER, *map(_row, report.attempts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_title(report), ""]
    for row in rows:
        cells = [
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(_HEADER, row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_html(report: RecoveryReport) -> str:
    """The same as HTML."""
    head = _tagged("tr", (_tagged("th", [html.escape(name)]) for name in _HEADER))
    rows = (
        _tagged("tr", (_tagged("td", [html.escape(cell)]) for cell in _row(attempt)))
        for attempt in report.attempts
    )
    return _tagged("p", [html.escape(_title(report))]) + _tagged("table", [head, *rows])


def _tagged(tag: str, inside: Iterable[str]) -> str:
    return f"<{tag}>{''.join(inside)}</{tag}>"


def _title(report: RecoveryReport) -> str:
    why = f": {report.explanation}" if report.explanation else ""
    return f"call {report.call_id}: {_status(report)}{why}"


def _status(report: RecoveryReport) -> str:
    if report.reason is not None:
        return "given up"
    outcome = report.attempts[-1].outcome if report.attempts else None
    if outcome is Outcome.CANCELLED:
        return "cancelled"
    if outcome is Outcome.COMPLETE or getattr(report.partial, "stop_reason", None) is not None:
        return "saved" if report.attempts[0].outcome is not Outcome.COMPLETE else "complete"
    return "under way"


def _row(attempt: Attempt) -> tuple[str, ...]:
    usage = attempt.usage
    output = None if usage is None else usage.output_tokens
    about = "~" if usage is not None and usage.estimated else ""
    return (
        str(attempt.number),
        attempt.kind,
        _ended(attempt),
        f"{attempt.waited:.1f} s" if attempt.number > 1 else "",
        "" if attempt.seconds is None else f"{attempt.seconds:.1f} s",
        str(attempt.received_chars),
        str((usage and usage.input_total()) or ""),
        "" if output is None else f"{about}{output}",
        attempt.request_id or "",
    )


def _ended(attempt: Attempt) -> str:
    if attempt.failure is not None:
        return str(attempt.failure.kind)
    return "under way" if attempt.outcome is None else str(attempt.outcome)
