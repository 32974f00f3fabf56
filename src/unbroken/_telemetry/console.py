"""Writes each call as a tree of its attempts, for people at a console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from unbroken._telemetry import names
from unbroken._telemetry.scopes import is_of_sdk, is_ours

if TYPE_CHECKING:
    from typing import TextIO

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

__all__ = ["ConsoleTree"]


class ConsoleTree(SpanProcessor):
    """Collects the attempts of each call, and writes them when the call's span ends.

    Args:
        out: Where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._calls: dict[int, list[ReadableSpan]] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        """Remember a call."""
        if _is_shown(span) and span.name != names.ATTEMPT_SPAN and span.context is not None:
            self._calls[span.context.span_id] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Put an attempt to its call, or write a call."""
        if not _is_shown(span) or span.context is None:
            return
        if span.name != names.ATTEMPT_SPAN:
            self._write(span, self._calls.pop(span.context.span_id, []))
            return
        siblings = None if span.parent is None else self._calls.get(span.parent.span_id)
        if siblings is None:
            self._write(span, [span])
        else:
            siblings.append(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
        """Return True: nothing is kept back. Before 1.43, the inherited one returns None."""
        return True

    def _write(self, call: ReadableSpan, attempts: list[ReadableSpan]) -> None:
        if not attempts:
            return
        *others, last = attempts
        rows = [f"├─ {_row(one)}" for one in others] + [f"└─ {_row(last)}"]
        print(_title(call, attempts), *rows, sep="\n", file=self._out, flush=True)


def _is_shown(span: ReadableSpan) -> bool:
    return is_ours(span) or is_of_sdk(span)


def _title(call: ReadableSpan, attempts: list[ReadableSpan]) -> str:
    model = _of(attempts[-1], names.MODEL)
    name = call.name if not model or model in call.name else f"{call.name} {model}"
    outcome = _of(attempts[-1], names.ATTEMPT_OUTCOME)
    if outcome == "complete" and len(attempts) > 1:
        outcome = "saved"
    return f"{name}  {outcome}  {_seconds(call):.2f} s"


def _row(attempt: ReadableSpan) -> str:
    wait, chars = _of(attempt, names.WAIT_S), _of(attempt, names.RECEIVED_CHARS)
    status = _of(attempt, names.STATUS_CODE)
    words = [
        f"{_of(attempt, names.ATTEMPT_NUMBER)} {_of(attempt, names.ATTEMPT_KIND):<12}",
        f"{_of(attempt, names.ATTEMPT_OUTCOME):<11}",
        f"{_of(attempt, names.FAILURE_KIND):<13}",
        f"{status and f'HTTP {status}':<8}",
        f"{_seconds(attempt):.2f} s",
        f"{float(wait):.1f} s waited" if wait and float(wait) else "",
        f"{chars} chars" if chars else "",
        _of(attempt, names.REQUEST_ID),
    ]
    return "  ".join(word for word in words if word).rstrip()


def _of(span: ReadableSpan, name: str) -> str:
    value = (span.attributes or {}).get(name)
    return "" if value is None else str(value)


def _seconds(span: ReadableSpan) -> float:
    return ((span.end_time or 0) - (span.start_time or 0)) / 1e9
