"""Prompts, answers, tool inputs, keys and header values are in nothing that telemetry leaves."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.telemetry.recording import ASK, SDK_TRACES, of

import unbroken
from unbroken import Policy
from unbroken.testing import faults
from unbroken.testing.answers import Answer, text, thinking, tool_use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.telemetry.recording import Recording

MARKS = {
    "prompt": "MARKED-PROMPT",
    "system": "MARKED-SYSTEM",
    "tool": "MARKED-DESCRIPTION",
    "key": "MARKED-KEY",
    "header": "MARKED-HEADER",
    "answer": "MARKED-ANSWER",
    "thought": "MARKED-THOUGHT",
    "input": "MARKED-INPUT",
    "message": "MARKED-MESSAGE",
}
SAID = Answer(
    [
        thinking(f"I think of the {MARKS['thought']} at length."),
        text(f"It begins with the {MARKS['answer']} and goes on for a while, to its end."),
        tool_use("look", {"at": MARKS["input"]}),
    ]
)
MESSAGE = f"no, {MARKS['message']}"
HEADERS = {"retry-after": "0", "x-anything": MARKS["header"]}
FAULTS = {
    "overloaded": faults.status(529, message=MESSAGE, headers=HEADERS),
    "rate limited": faults.status(429, message=MESSAGE, headers=HEADERS),
    "spend limited": faults.status(429, code="org_spend_limit_reached", message=MESSAGE),
    "server error": faults.status(500, message=MESSAGE, headers=HEADERS),
    "timed out": faults.status(408, body=MESSAGE),
    "conflict": faults.status(409, type="conflict_error", message=MESSAGE),
    "rejected": faults.status(400, message=MESSAGE),
    "html": faults.html(),
    "html error": faults.html(502),
    "disconnect": faults.disconnect(),
    "reset before": faults.reset_before(),
    "reset": faults.reset(after_chars=60),
    "reset in thinking": faults.reset(after_chars=20),
    "reset in tool input": faults.reset(after_chars=115),
    "eof": faults.eof(after_chars=60),
    "close": faults.close(after_bytes=300),
    "half frame": faults.half_frame(after_chars=60),
    "garbage": faults.garbage(
        b'event: content_block_delta\ndata: {"%s\n\n' % MARKS["answer"].encode(), after_chars=60
    ),
    "garbage lines": faults.garbage(b"%s\n\n" % MARKS["answer"].encode(), after_chars=60),
    "garbage event": faults.garbage(
        b'event: content_block_start\ndata: {"type":"content_block_start","x":"%s"}\n\n'
        % MARKS["answer"].encode(),
        after_chars=60,
    ),
    "error event": faults.error_event(message=MESSAGE, after_chars=60),
    "rejecting event": faults.error_event("invalid_request_error", MESSAGE, after_chars=60),
    "stall": faults.stall(after_chars=60, pings=True),
}
ASKED = {
    **ASK,
    "max_tokens": 4000,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "messages": [{"role": "user", "content": f"Tell me of the {MARKS['prompt']}."}],
    "system": f"Mind the {MARKS['system']}.",
    "tools": [
        {
            "name": "look",
            "description": f"Looks at the {MARKS['tool']}.",
            "input_schema": {"type": "object"},
        }
    ],
    "extra_headers": {"x-mine": MARKS["header"]},
}
# Saved, and lost: in the second, the same fault comes until the call is given up.
POLICIES = {
    "saved": Policy(time_scale=0, progress_timeout=0.1),
    "lost": Policy(time_scale=0, progress_timeout=0.1, max_attempts=1),
}


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_nothing_is_told_that_is_not_ours_to_tell(
    recording, server, caplog, fault, policy, streamed
):
    if not streamed and isinstance(fault, type(FAULTS["stall"])):
        pytest.skip("a plain answer has no pings")
    caplog.set_level(logging.DEBUG, "unbroken")
    server.answer = SAID
    server.script(fault)
    client = recording.client(server, sdk=SDK_TRACES, policy=policy, api_key=MARKS["key"])
    error = outcome(client, streamed=streamed)
    told = "\n".join([*spans_and_metrics(recording), *log(caplog), *map(repr, recording.events)])
    assert of(recording.attempts[0], "error.type")
    assert found_in(told) == set()
    if error is not None:
        assert found_in(said_by(error)) <= own_words_of_the_sdk(error)


def outcome(client: Any, *, streamed: bool) -> Any:
    try:
        if streamed:
            with client.messages.stream(**ASKED) as opened:
                opened.get_final_message()
        else:
            client.messages.create(**ASKED)
    except anthropic.APIError as error:
        return error
    return None


def spans_and_metrics(recording: Recording) -> Iterator[str]:
    yield from (span.to_json() for span in recording.spans)
    yield from (metric.to_json() for metric in recording.metrics().values())


def log(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    for record in caplog.records:
        if record.name == "unbroken":
            yield record.getMessage()
            yield repr(vars(record))


def said_by(error: Any) -> str:
    versions = [error]
    if isinstance(error, unbroken.StreamInterrupted):
        versions += [copy.copy(error), pickle.loads(pickle.dumps(error))]
    causes = [cause for version in versions for cause in chain(version)]
    return "\n".join(f"{cause!s} {cause!r}" for cause in causes)


def chain(error: Any) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def own_words_of_the_sdk(error: Any) -> set[str]:
    """The SDK's own errors say what the API said, with or without this library."""
    ours = isinstance(error, unbroken.StreamInterrupted)
    return set() if ours else {"message"}


def found_in(told: str) -> set[str]:
    return {name for name, mark in MARKS.items() if mark in told}


def test_the_marks_are_seen_where_they_are(recording, server):
    server.answer = SAID
    server.script(faults.reset(after_chars=115))
    client = recording.client(server, policy=POLICIES["lost"], api_key=MARKS["key"])
    error = outcome(client, streamed=True)
    assert "answer" in found_in(str(error.report.partial))
    assert {"prompt", "system", "tool", "header"} <= found_in(str(server.requests[0]))
