"""Spans, metrics and log records of each call, and `configure()` for applications without tracing.

Only the OpenTelemetry API is used here; without a configured SDK it does nothing. Telemetry
contains no prompts, responses, tool inputs or keys, and no header value but the request id.

### Spans

| span | kind | parent | created for |
|---|---|---|---|
| `messages.attempt` | CLIENT | the call's span | each request, and what a journal holds; linked to the one before it |
| `chat {model}` | CLIENT | the current span | a Messages call, if the SDK creates no span |

From 1.14 on, the SDK creates a span for each call itself, on every platform; that span is then the
parent. Where an instrumentation suppresses the spans below its own, as `logfire.instrument_anthropic()`
does, its span stands for the call: the attempts are its children. Failed attempts have status ERROR; a
recovered call does not. The scope is `unbroken`, with the version of the package.

Each request tells its attempt as `traceparent` where the SDK creates no span; otherwise the SDK sends
that of its own. A header that the caller set stays. Clients of the SDK with
`open_telemetry={"propagation": False}` send none of ours, nor do those that sign their headers
(`AnthropicBedrock`, `AnthropicBedrockMantle` and `AnthropicAWS` without an API key).

### Attributes of `messages.attempt`

| attribute | value |
|---|---|
| `http.request.method` | the HTTP method |
| `http.request.resend_count` | the number of earlier requests; absent on the first (also set on the SDK's span) |
| `http.response.status_code` | the HTTP status, if there was a response |
| `server.address` | the host |
| `server.port` | the port |
| `error.type` | on failure: the HTTP status, the type of an error event, or the failure kind |
| `unbroken.call.id` | the id of the call (also set on the SDK's span) |
| `unbroken.attempt.number` | the attempt's number in the call, from 1; 0 for a replay |
| `unbroken.attempt.kind` | `initial`, `retry`, `continuation`, `extension` or `replay` |
| `unbroken.attempt.outcome` | `complete`, `failed`, `interrupted` or `cancelled` |
| `unbroken.attempt.input_tokens` | input tokens billed, cache reads and writes included |
| `unbroken.attempt.output_tokens` | output tokens billed, if known |
| `unbroken.failure.kind` | the kind of failure, such as `overloaded` or `dropped` |
| `unbroken.model` | the model in the request |
| `unbroken.received_chars` | characters of content received by a stream; absent if it was cancelled |
| `unbroken.delivered_chars` | characters of these that the caller got; absent if it was cancelled |
| `unbroken.seam` | what proved the seam with the text before it: `exact`, `asked`, `restarted`, `announced`, `unproven`, `whole`; absent without text to join |
| `unbroken.request_id` | the API's id of the request |
| `unbroken.wait_s` | seconds waited before the attempt |

With fallbacks, an attempt also has `unbroken.target`, the target that was asked, and
`gen_ai.request.model`, the model that it was asked for. So have the WARNING records of attempts.

### Attributes of `chat {model}`

| attribute | value |
|---|---|
| `gen_ai.operation.name` | `chat` |
| `gen_ai.provider.name` | `anthropic`, `aws.bedrock` or `gcp.vertex_ai`, as the SDK names it |
| `gen_ai.request.model` | the model in the request |
| `gen_ai.response.model` | the model in the message |
| `gen_ai.response.id` | the id of the message |
| `gen_ai.response.finish_reasons` | why the model stopped |
| `gen_ai.response.time_to_first_chunk` | seconds to the first event of a stream, waits included |
| `gen_ai.usage.input_tokens` | input tokens of the message, cache reads and writes included |
| `gen_ai.usage.cache_read.input_tokens` | of these, tokens read from the cache |
| `gen_ai.usage.cache_creation.input_tokens` | of these, tokens written to the cache |
| `gen_ai.usage.output_tokens` | output tokens of the message |
| `server.address` | the host |
| `server.port` | the port |
| `unbroken.call.id` | the id of the call |
| `error.type` | if the call gave up: as above |
| `unbroken.failure.kind` | if the call gave up: as above |

### Metrics

All metrics have `gen_ai.request.model`. With fallbacks, those that have `unbroken.attempt.kind` also have
`unbroken.target`, and the model is the one that the target was asked for. Those of Messages calls also
have `gen_ai.operation.name` and `gen_ai.provider.name`. The column "by" lists the other attributes.

| metric | instrument | unit | by | measures |
|---|---|---|---|---|
| `unbroken.attempts` | counter | `{attempt}` | `unbroken.attempt.kind`, `unbroken.attempt.outcome`, `unbroken.failure.kind`, `error.type` | requests that ended |
| `unbroken.recoveries` | counter | `{recovery}` | `unbroken.failure.kind`, `unbroken.recovery.outcome` | outages, by the failure that began them; `saved`, `failed` or `cancelled` |
| `unbroken.calls` | counter | `{call}` | `unbroken.call.outcome` | calls: `complete`, `saved`, `failed` or `cancelled` |
| `unbroken.wait` | histogram | `s` | `unbroken.failure.kind` | waits between a failure and the next attempt |
| `unbroken.outage` | histogram | `s` | `unbroken.failure.kind` | time without new content, if a recovery ended it |
| `unbroken.seams` | counter | `{seam}` | `unbroken.attempt.kind`, `unbroken.seam` | seams between the text of an attempt and the text before it |
| `unbroken.kept_chars` | counter | `{character}` | `unbroken.attempt.kind` | characters already delivered, at each resumption |
| `unbroken.replays` | counter | `{replay}` | `unbroken.replay.whole` | calls that got what a journal holds of their answer, and whether that was all |
| `unbroken.journal.failures` | counter | `{failure}` | | calls that go on without their journal |
| `unbroken.output_rate` | histogram | `{token}/s` | `unbroken.attempt.kind` | output tokens per second, of complete attempts |
| `unbroken.tokens` | counter | `{token}` | `unbroken.attempt.kind`, `unbroken.tokens.type`, `unbroken.tokens.use` | tokens billed, counted when the call ends: `input` (not cached), `cache_read`, `cache_creation` or `output`; `answer`, or `overhead`: input billed again, and output that the caller did not get. The output of a cut attempt is an estimate |
| `gen_ai.client.token.usage` | histogram | `{token}` | `gen_ai.token.type` | tokens of the message, as on the call's span; the SDK records no metrics |
| `gen_ai.client.operation.time_to_first_chunk` | histogram | `s` | `unbroken.attempt.kind` | time from the start of the call to its first event, failures and waits included, by the attempt that received it |

### Events

The arguments of `on_event`. Each has `call_id`, `model` and `attempt`, the attempt as known at the time.

| event | fields | when |
|---|---|---|
| `AttemptStarted` | | a request is about to be sent |
| `AttemptFailed` | `failure` | an attempt failed, or its stream broke off |
| `Extended` | | the model ended the answer with `max_tokens` or `pause_turn`, and more is asked for |
| `Waiting` | `seconds` | the next attempt follows after this wait, or at once |
| `Resumed` | `kept_chars`, `outage` | the caller gets new content again |
| `Replayed` | `chars`, `whole` | the caller got what a journal holds of the answer |
| `Completed` | `attempts`, `seconds`, `message_id`, `served_by`, `stop_reason`, `usage` | the call is complete |
| `GaveUp` | `reason`, `failure`, `last_failure`, `attempts`, `seconds` | the call failed |
| `Cancelled` | `attempts`, `seconds` | the caller closed the stream, or cancelled the task |

### Log records

The logger is `unbroken`. It writes a WARNING for each failure that another attempt follows, an INFO for
each recovered call, and an ERROR for each call that was given up. Each line begins with the call's id.
The fields are also attributes of the record (`extra=`):

| field | level | value |
|---|---|---|
| `unbroken.call.id` | all | the id of the call |
| `unbroken.model` | all | the model in the request |
| `unbroken.request_id` | all | the API's id of the attempt's request |
| `unbroken.sdk.version` | all | the version of `anthropic` |
| `unbroken.attempt.number` | WARNING, ERROR | the attempt's number in the call, from 1; 0 for a replay |
| `unbroken.attempt.kind` | WARNING, ERROR | as on the span |
| `unbroken.failure.kind` | WARNING, ERROR | the kind of failure |
| `http.response.status_code` | WARNING, ERROR | the HTTP status, if there was a response |
| `error.type` | WARNING, ERROR | as on the span |
| `unbroken.error.type` | WARNING, ERROR | `error.type` of the API's error |
| `unbroken.error.code` | WARNING, ERROR | `error.details.error_code` of the API's error |
| `unbroken.wait_s` | WARNING | seconds until the next attempt, if there is one |
| `unbroken.given_up` | ERROR | why there is no next attempt |
| `unbroken.call.outcome` | INFO, ERROR | `saved` or `failed` |
| `unbroken.call.attempts` | INFO, ERROR | the number of requests |
| `unbroken.call.seconds` | INFO, ERROR | the duration of the call |
| `unbroken.kept_chars` | INFO | characters already delivered at the last resumption |
"""  # noqa: E501  # a row of a table is one line

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken._doors.report_table import as_text
from unbroken._telemetry.calls import CallTelemetry, Telemetry

if TYPE_CHECKING:
    from typing import TextIO

    from unbroken._doors.report import RecoveryReport
    from unbroken._telemetry.configure import Configuration

__all__ = ["CallTelemetry", "Telemetry", "configure", "format_report"]


def configure(*, console: TextIO | None = None) -> Configuration:
    """Set up tracing and metrics in an application without them. A second call does nothing.

    If the standard `OTEL_EXPORTER_OTLP_ENDPOINT` is set, spans and metrics are sent there by OTLP
    over HTTP; this needs `pip install opentelemetry-exporter-otlp-proto-http`. Otherwise the
    attempts of each call are written to the console as a tree. `OTEL_TRACES_EXPORTER` and
    `OTEL_METRICS_EXPORTER` (`otlp`, `console`, `none`), `OTEL_SDK_DISABLED`, `OTEL_SERVICE_NAME`
    and the other variables of the OpenTelemetry SDK apply. A provider that the application has set
    is kept.

    Args:
        console: Where the tree is written; standard error if None.

    Returns:
        What was set up. Call its `flush()` or `shutdown()` before the process ends.

    Raises:
        ImportError: If OTLP is selected and the exporter's package is not installed.
        ValueError: If the environment names another exporter or protocol.
    """
    # The SDK takes a while to import, and only this needs it.
    from unbroken._telemetry.configure import set_up  # noqa: PLC0415

    return set_up(console)


def format_report(report: RecoveryReport) -> str:
    """Return what became of a call in one line, and a table of its attempts, as plain text.

    It holds nothing of the prompt or the answer. Token counts with a `~` are estimates.

    Args:
        report: The report, as `unbroken.report()` returns it.
    """
    return as_text(report)
