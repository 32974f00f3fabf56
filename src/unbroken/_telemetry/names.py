"""Every name that telemetry uses, in one table: the conventions' where they have one, else ours.

The GenAI names are in development, and moved to a repository of their own; `tests/telemetry` holds
the names that are not `unbroken.*` against the `opentelemetry-semantic-conventions` package.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "unbroken"
SDK_SCOPE: Final = "com.anthropic.sdk.python"
"""The scope of the SDK; those of its platforms have the name of the platform after it."""
ATTEMPT_SPAN: Final = "messages.attempt"

# Attributes of spans and metrics that the conventions name.

ERROR_TYPE: Final = "error.type"
REQUEST_METHOD: Final = "http.request.method"
RESEND_COUNT: Final = "http.request.resend_count"
STATUS_CODE: Final = "http.response.status_code"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
USAGE_TYPE: Final = "gen_ai.token.type"
TIME_TO_FIRST_CHUNK_ATTRIBUTE: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"

# Attributes of spans, metrics and log records that are ours.

CALL_ID: Final = "unbroken.call.id"
ATTEMPT_NUMBER: Final = "unbroken.attempt.number"
ATTEMPT_KIND: Final = "unbroken.attempt.kind"
ATTEMPT_OUTCOME: Final = "unbroken.attempt.outcome"
ATTEMPT_INPUT_TOKENS: Final = "unbroken.attempt.input_tokens"
ATTEMPT_OUTPUT_TOKENS: Final = "unbroken.attempt.output_tokens"
FAILURE_KIND: Final = "unbroken.failure.kind"
WAIT_S: Final = "unbroken.wait_s"
RECEIVED_CHARS: Final = "unbroken.received_chars"
DELIVERED_CHARS: Final = "unbroken.delivered_chars"
SEAM: Final = "unbroken.seam"
REQUEST_ID: Final = "unbroken.request_id"
MODEL: Final = "unbroken.model"
TARGET: Final = "unbroken.target"
REPLAY_WHOLE: Final = "unbroken.replay.whole"
CALL_OUTCOME: Final = "unbroken.call.outcome"
RECOVERY_OUTCOME: Final = "unbroken.recovery.outcome"
TOKENS_TYPE: Final = "unbroken.tokens.type"
TOKENS_USE: Final = "unbroken.tokens.use"

# Fields of log records alone.

API_ERROR_TYPE: Final = "unbroken.error.type"
ERROR_CODE: Final = "unbroken.error.code"
GIVEN_UP: Final = "unbroken.given_up"
CALL_ATTEMPTS: Final = "unbroken.call.attempts"
CALL_SECONDS: Final = "unbroken.call.seconds"
SDK_VERSION: Final = "unbroken.sdk.version"

# Metrics. KEPT_CHARS is also a field of log records.

ATTEMPTS: Final = "unbroken.attempts"
RECOVERIES: Final = "unbroken.recoveries"
CALLS: Final = "unbroken.calls"
WAIT: Final = "unbroken.wait"
OUTAGE: Final = "unbroken.outage"
KEPT_CHARS: Final = "unbroken.kept_chars"
SEAMS: Final = "unbroken.seams"
REPLAYS: Final = "unbroken.replays"
JOURNAL_FAILURES: Final = "unbroken.journal.failures"
TOKENS: Final = "unbroken.tokens"
OUTPUT_RATE: Final = "unbroken.output_rate"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
USAGE: Final = "gen_ai.client.token.usage"
