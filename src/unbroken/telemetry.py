"""Spans, metrics and log lines of each call, and `configure()` for those who have no tracing yet.

Only the OpenTelemetry API is used here; where no SDK is configured, all of this does nothing.
Prompts, answers, tool inputs, keys and header values are in none of it; of the headers, only the
request id is.

### Spans

| span | kind | parent | made for |
|---|---|---|---|
| `messages.attempt` | CLIENT | the call's span | each request; linked to the one before it |
| `chat {model}` | CLIENT | the span that was current | a Messages call, where the SDK makes no span |

The SDK, from 1.14 on, makes a span of each call itself; then that one is the parent. A call that
was saved in the end is no ERROR; the attempts that failed are.

### Attributes of `messages.attempt`

| attribute | what it says |
|---|---|
| `http.request.method` | the HTTP method |
| `http.request.resend_count` | how many requests came before; absent on the first (also set on the SDK's span) |
| `http.response.status_code` | the HTTP status, if there was a response |
| `server.address` | the host |
| `server.port` | the port |
| `error.type` | of a failure: the HTTP status, the type of an error event, or the failure kind |
| `unbroken.attempt.number` | the attempt's number in the call, from 1 |
| `unbroken.attempt.kind` | `initial`, `retry` or `continuation` |
| `unbroken.attempt.outcome` | `complete`, `failed`, `interrupted` or `cancelled` |
| `unbroken.attempt.input_tokens` | input tokens billed, cache reads and writes included |
| `unbroken.attempt.output_tokens` | output tokens billed, if the attempt came so far as to tell |
| `unbroken.failure.kind` | the kind of failure, such as `overloaded` or `dropped` |
| `unbroken.model` | the model that the request names |
| `unbroken.received_chars` | characters of content that a stream brought; absent where it was cancelled |
| `unbroken.seam` | what proved where its text joins the text before it: `exact`, `asked`, `restarted`, `announced`, `unproven`, `whole`; absent if there was no text to join |
| `unbroken.request_id` | the id that the service gave to the request |
| `unbroken.wait_s` | seconds waited before the attempt |

### Attributes of `chat {model}`

| attribute | what it says |
|---|---|
| `gen_ai.operation.name` | `chat` |
| `gen_ai.provider.name` | `anthropic` |
| `gen_ai.request.model` | the model that the request names |
| `gen_ai.response.model` | the model that the message names |
| `gen_ai.response.id` | the id of the message |
| `gen_ai.response.finish_reasons` | why the model stopped |
| `gen_ai.response.time_to_first_chunk` | seconds to the first event of a stream, waits included |
| `gen_ai.usage.input_tokens` | input tokens of the one message, cache reads and writes included |
| `gen_ai.usage.cache_read.input_tokens` | of these, read from the cache |
| `gen_ai.usage.cache_creation.input_tokens` | of these, written to the cache |
| `gen_ai.usage.output_tokens` | output tokens of the one message |
| `server.address` | the host |
| `server.port` | the port |
| `error.type` | of a call that was given up, as above |
| `unbroken.failure.kind` | of a call that was given up |

### Metrics

All have `gen_ai.request.model`, and those of Messages calls `gen_ai.operation.name` and
`gen_ai.provider.name`, beside the attributes named here.

| metric | instrument | unit | by | counts |
|---|---|---|---|---|
| `unbroken.attempts` | counter | `{attempt}` | `unbroken.attempt.kind`, `unbroken.attempt.outcome`, `unbroken.failure.kind`, `error.type` | requests that ended |
| `unbroken.recoveries` | counter | `{recovery}` | `unbroken.failure.kind`, `unbroken.recovery.outcome` | outages, by the failure they began with; `saved`, `failed` or `cancelled` |
| `unbroken.calls` | counter | `{call}` | `unbroken.call.outcome` | calls: `complete`, `saved`, `failed` or `cancelled` |
| `unbroken.wait` | histogram | `s` | `unbroken.failure.kind` | waits between a failure and the next attempt |
| `unbroken.outage` | histogram | `s` | `unbroken.failure.kind` | time without anything new, where a recovery ended it |
| `unbroken.seams` | counter | `{seam}` | `unbroken.attempt.kind`, `unbroken.seam` | joints between the text of an attempt and the text before it |
| `unbroken.kept_chars` | counter | `{character}` | `unbroken.attempt.kind` | characters that the answer had already, at each resumption |
| `unbroken.output_rate` | histogram | `{token}/s` | `unbroken.attempt.kind` | output tokens a second, of attempts that came to their end |
| `gen_ai.client.operation.time_to_first_chunk` | histogram | `s` | `unbroken.attempt.kind` | time from the call's beginning, failures and waits included, by the attempt that brought the first event |

### Events

What `on_event` is called with. Each has `model` and `attempt`, the attempt as far as it has come.

| event | fields | when |
|---|---|---|
| `AttemptStarted` | | a request is about to be sent |
| `AttemptFailed` | `failure` | an attempt failed, or its answer broke off |
| `Waiting` | `seconds` | the next attempt comes after this wait, or at once |
| `Resumed` | `kept_chars`, `outage` | the caller gets something new again |
| `Completed` | `attempts`, `seconds`, `message_id`, `served_by`, `stop_reason`, `usage` | the call came to its end |
| `GaveUp` | `reason`, `failure`, `last_failure`, `attempts`, `seconds` | the call failed |
| `Cancelled` | `attempts`, `seconds` | the caller closed the stream, or cancelled the task |

### Log records

Logger `unbroken`: a WARNING for each failure, an INFO for each call that was saved. Their fields
are attributes of the record too (`extra=`), under these names:

| field | in | what it says |
|---|---|---|
| `unbroken.model` | both | the model that the request names |
| `unbroken.request_id` | both | the id that the service gave to the attempt's request |
| `unbroken.sdk.version` | both | the version of `anthropic` |
| `unbroken.attempt.number` | WARNING | the attempt's number in the call, from 1 |
| `unbroken.attempt.kind` | WARNING | `initial`, `retry` or `continuation` |
| `unbroken.failure.kind` | WARNING | the kind of failure |
| `http.response.status_code` | WARNING | the HTTP status, if there was a response |
| `error.type` | WARNING | as on the span |
| `unbroken.error.type` | WARNING | `error.type` of the API's error |
| `unbroken.error.code` | WARNING | `error.details.error_code` of the API's error |
| `unbroken.wait_s` | WARNING | seconds until the next attempt, if there is one |
| `unbroken.given_up` | WARNING | why there is none |
| `unbroken.call.outcome` | INFO | `saved` |
| `unbroken.call.attempts` | INFO | how many requests it took |
| `unbroken.call.seconds` | INFO | how long the call took |
| `unbroken.kept_chars` | INFO | characters that the caller had at the last resumption |
"""  # noqa: E501  # a row of a table is one line

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken._telemetry.calls import CallTelemetry, Telemetry

if TYPE_CHECKING:
    from typing import TextIO

    from unbroken._telemetry.configure import Configuration

__all__ = ["CallTelemetry", "Telemetry", "configure"]


def configure(*, console: TextIO | None = None) -> Configuration:
    """Set up tracing and metrics in an application that has none; the second time, do nothing.

    With the standard `OTEL_EXPORTER_OTLP_ENDPOINT` set, spans and metrics go there by OTLP over
    HTTP, which takes `pip install opentelemetry-exporter-otlp-proto-http`. Otherwise the attempts
    of each call are written to the console as a tree. `OTEL_TRACES_EXPORTER` and
    `OTEL_METRICS_EXPORTER` (`otlp`, `console`, `none`), `OTEL_SDK_DISABLED`, `OTEL_SERVICE_NAME`
    and the other variables of the OpenTelemetry SDK count. A provider that the application has set
    is left alone.

    Args:
        console: Where the tree is written; standard error if it is None.

    Returns:
        What was set up; call its `flush()` or `shutdown()` before the process is killed.

    Raises:
        ImportError: If OTLP is asked for, and the exporter's package is not installed.
        ValueError: If the environment names an exporter or a protocol that is none of these.
    """
    # The SDK takes a while to import, and only this needs it.
    from unbroken._telemetry.configure import set_up  # noqa: PLC0415

    return set_up(console)
