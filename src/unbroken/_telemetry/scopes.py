"""The instrumentation scopes of spans: ours, and those of the SDK."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from opentelemetry.trace import SpanKind

from unbroken._telemetry import names

__all__ = ["VERSION", "is_call_of_sdk", "is_of_sdk", "is_ours"]


def _version() -> str:
    try:
        return metadata.version("unbroken")
    except metadata.PackageNotFoundError:  # a source tree on the path
        return ""


# Found when this is imported: it reads files, which would block an event loop.
VERSION = _version()
"""The version of this package; empty where it is not installed."""


def is_ours(span: Any) -> bool:
    """Whether this package made a span."""
    return _scope(span) == names.SCOPE


def is_of_sdk(span: Any) -> bool:
    """Whether the SDK (1.14 and later) made a span, on whatever platform."""
    return f"{_scope(span)}.".startswith(f"{names.SDK_SCOPE}.")


def is_call_of_sdk(span: Any) -> bool:
    """Whether it is the SDK's span of a call; those of its tool runner have another kind."""
    return is_of_sdk(span) and bool(span.is_recording()) and span.kind is SpanKind.CLIENT


def _scope(span: Any) -> str:
    scope = getattr(span, "instrumentation_scope", None)
    return getattr(scope, "name", "")
