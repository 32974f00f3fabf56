"""Whether somebody else's instrumentation suppresses spans around a call.

`logfire.instrument_anthropic()` makes a span for the call and suppresses all spans below it, to be
rid of those of the HTTP client. Its suppression is a value of the context, under one of two keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context, trace

if TYPE_CHECKING:
    from opentelemetry.context import Context

__all__ = ["hides_call", "without_suppression"]

_KEYS = (
    "suppress_instrumentation",
    getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
)


def hides_call(captured: Context) -> bool:
    """Whether spans are suppressed below a span, which then stands for the call."""
    suppressed = any(context.get_value(key, captured) for key in _KEYS)
    return suppressed and trace.get_current_span(captured).get_span_context().is_valid


def without_suppression(captured: Context) -> Context:
    """A context like this one, in which spans are made."""
    for key in _KEYS:
        captured = context.set_value(key, False, captured)
    return captured
