"""The headers that tell the API, or a proxy on the way, in which trace an attempt is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context, trace

from unbroken._telemetry.log import logger

if TYPE_CHECKING:
    from opentelemetry.context import Context

__all__ = ["outgoing", "trace_headers"]

# The import loads the propagators that the environment names, which may not be there. It reads
# files, so that it must not wait for the first request, which may be made in an event loop.
try:
    from opentelemetry.propagate import inject as _inject
except Exception:  # noqa: BLE001
    logger.debug("there is no propagator, so no trace context goes out", exc_info=True)

    def _inject(carrier: Any, context: Any = None) -> None:  # type: ignore[misc]
        """Add nothing."""


_OUTGOING = context.create_key("unbroken-outgoing")


def outgoing(sending: Context) -> Context:
    """The context of a request that carries the current span, which is the attempt's."""
    return context.set_value(_OUTGOING, True, sending)


def trace_headers() -> dict[str, str]:
    """The headers for the request that is sent in the current context, names in lower case.

    Nothing but the span is in them: the application's baggage stays here.
    """
    if not context.get_value(_OUTGOING):
        return {}
    carrier: dict[str, str] = {}
    try:
        _inject(carrier, trace.set_span_in_context(trace.get_current_span(), context.Context()))
    except Exception:  # noqa: BLE001  # no request may fail for its telemetry
        logger.debug("no trace context goes out", exc_info=True)
        return {}
    return {name.lower(): value for name, value in carrier.items()}
