"""The failure table, through the SDK: what each failure gets, and what it costs in waiting."""

from __future__ import annotations

import anthropic
import pytest
from tests.doors.conftest import ANSWER, read, request

import unbroken
from unbroken import FailureKind, Policy, Rule
from unbroken.testing import faults

HTTP_ERRORS = {
    "429 waits 5, 10, 20 s, and 20 s after that": (
        [faults.status(429)] * 5,
        [(5, 6), (10, 12), (20, 24), (20, 24), (20, 24)],
    ),
    "429 ramp limit": ([faults.status(429, code="ramp_limit_exceeded")], [(5, 6)]),
    "429 with retry-after": ([faults.status(429, headers={"retry-after": "7"})], [(7, 7)]),
    "429 with a date": (
        [faults.status(429, headers={"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"})],
        [(30, 30)],
    ),
    "retry-after-ms wins": (
        [faults.status(500, headers={"retry-after-ms": "250", "retry-after": "9"})],
        [(0.25, 0.25)],
    ),
    "529 waits 30 to 60 s": ([faults.status(529)] * 2, [(30, 60), (30, 60)]),
    "408 reconnects at once, then slower": (
        [faults.status(408)] * 5,
        [(0, 0), (1, 1), (2, 2), (4, 4), (8, 8)],
    ),
    "500 backs off": (
        [faults.status(500)] * 6,
        [(1, 1.2), (2, 2.4), (4, 4.8), (8, 9.6), (16, 19.2), (27, 30)],
    ),
    "502": ([faults.status(502)], [(1, 1.2)]),
    "503": ([faults.status(503)], [(1, 1.2)]),
    "504": ([faults.status(504)], [(1, 1.2)]),
    "a proxy's page": ([faults.html()], [(0, 0)]),
    "no answer at all": ([faults.disconnect(), faults.disconnect()], [(0, 0), (1, 1)]),
    "reset before the answer": ([faults.reset_before()], [(0, 0)]),
    "each kind has its own row": (
        [faults.status(429), faults.status(500), faults.status(429)],
        [(5, 6), (1, 1.2), (5, 6)],
    ),
}


@pytest.mark.once
@pytest.mark.parametrize(("script", "waits"), HTTP_ERRORS.values(), ids=HTTP_ERRORS)
@pytest.mark.parametrize("streams", [True, False], ids=["stream", "plain"])
def test_a_retryable_failure_waits_as_long_as_its_row_says(
    serve, connect, clock, script, waits, streams
):
    server = serve(faults=script)
    client = connect(server, Policy(max_fruitless=10))
    if streams:
        text, _ = read(client)
    else:
        text = client.messages.create(**request()).content[0].text
    assert text == ANSWER
    assert len(server.requests) == len(script) + 1
    assert len(clock.waits) == len(waits)
    for waited, (least, most) in zip(clock.waits, waits, strict=True):
        assert least <= waited <= most


FATAL = {
    "400": (faults.status(400), anthropic.BadRequestError, FailureKind.REJECTED),
    "401": (faults.status(401), anthropic.AuthenticationError, FailureKind.REJECTED),
    "403": (faults.status(403), anthropic.PermissionDeniedError, FailureKind.REJECTED),
    "404": (faults.status(404), anthropic.NotFoundError, FailureKind.REJECTED),
    "409": (faults.status(409), anthropic.ConflictError, FailureKind.CONFLICT),
    "413": (faults.status(413), anthropic.APIStatusError, FailureKind.REJECTED),
    "422": (faults.status(422), anthropic.UnprocessableEntityError, FailureKind.REJECTED),
    "501": (faults.status(501), anthropic.InternalServerError, FailureKind.REJECTED),
    "402": (faults.status(402), anthropic.APIStatusError, FailureKind.SPEND_LIMITED),
    "spend limit": (
        faults.status(429, code="enforced_spend_limit_reached"),
        anthropic.RateLimitError,
        FailureKind.SPEND_LIMITED,
    ),
    "x-should-retry: false": (
        faults.status(500, headers={"x-should-retry": "false"}),
        anthropic.InternalServerError,
        FailureKind.SERVER_ERROR,
    ),
    "x-should-retry: true rescues nothing": (
        faults.status(400, headers={"x-should-retry": "true"}),
        anthropic.BadRequestError,
        FailureKind.REJECTED,
    ),
    "retry-after beyond max_retry_after": (
        faults.status(429, headers={"retry-after": "121"}),
        anthropic.RateLimitError,
        FailureKind.RATE_LIMITED,
    ),
}


@pytest.mark.parametrize(("fault", "error", "kind"), FATAL.values(), ids=FATAL)
@pytest.mark.parametrize("streams", [True, False], ids=["stream", "plain"])
def test_a_fatal_failure_raises_the_sdks_own_error_at_once(
    serve, connect, clock, fault, error, kind, streams
):
    server = serve(faults=[fault])
    client = connect(server)
    with pytest.raises(error) as raised:
        client.messages.create(**request(stream=streams))
    assert len(server.requests) == 1
    assert clock.waits == []
    report = unbroken.report(raised.value)
    assert [attempt.failure.kind for attempt in report.attempts] == [kind]
    assert report.reason is not None


@pytest.mark.parametrize(
    ("error_type", "kind", "least", "most"),
    [
        ("overloaded_error", FailureKind.OVERLOADED, 30, 60),
        ("rate_limit_error", FailureKind.RATE_LIMITED, 5, 6),
        ("api_error", FailureKind.SERVER_ERROR, 1, 1.2),
        ("timeout_error", FailureKind.SERVER_ERROR, 1, 1.2),
    ],
)
def test_an_error_event_counts_by_its_type(serve, connect, clock, error_type, kind, least, most):
    server = serve(faults=[faults.error_event(error_type, after_chars=30)])
    text, stream = read(connect(server))
    assert text == ANSWER
    assert unbroken.report(stream).attempts[0].failure.kind == kind
    assert len(clock.waits) == 1
    assert least <= clock.waits[0] <= most


@pytest.mark.parametrize(
    "error_type", ["invalid_request_error", "authentication_error", "permission_error", "new_error"]
)
def test_a_fatal_error_event_is_raised_by_the_sdk_itself(serve, connect, error_type):
    server = serve(faults=[faults.error_event(error_type, after_chars=30)])
    client = connect(server)
    with pytest.raises(anthropic.APIStatusError) as raised:
        read(client)
    assert len(server.requests) == 1
    report = unbroken.report(raised.value)
    assert report.partial.content[0].text == ANSWER[:30]
    assert report.attempts[0].failure.error_type == error_type


def test_any_tenacity_wait_fits_into_a_rule(serve, connect, clock):
    import tenacity

    wait = tenacity.wait_fixed(3) + tenacity.wait_incrementing(start=1, increment=10)
    policy = Policy(rules={FailureKind.OVERLOADED: Rule(wait=wait)})
    server = serve(faults=[faults.status(529)] * 2)
    assert read(connect(server, policy))[0] == ANSWER
    assert clock.waits == [4, 14]


def test_a_rule_can_make_a_conflict_retryable(serve, connect):
    policy = Policy(rules={FailureKind.CONFLICT: Rule()})
    server = serve(faults=[faults.status(409)])
    assert read(connect(server, policy))[0] == ANSWER
    assert len(server.requests) == 2


def test_time_scale_shrinks_every_wait(serve, connect, clock):
    server = serve(faults=[faults.status(529), faults.status(429, headers={"retry-after": "8"})])
    assert read(connect(server, Policy(time_scale=0.5)))[0] == ANSWER
    assert 15 <= clock.waits[0] <= 30
    assert clock.waits[1] == 4


@pytest.mark.parametrize("max_retries", [0, 5])
def test_max_attempts_holds_whatever_the_sdks_own_retries_are(serve, connect, max_retries):
    server = serve(faults=[faults.status(500)] * 99)
    client = connect(server, Policy(max_attempts=3, max_fruitless=9))
    with pytest.raises(anthropic.InternalServerError):
        client.with_options(max_retries=max_retries).messages.create(**request())
    assert len(server.requests) == 3


@pytest.mark.parametrize("max_retries", [0, 5])
def test_a_broken_connection_is_not_retried_by_the_sdk_either(serve, connect, max_retries):
    server = serve(faults=[faults.reset_before()] * 99)
    client = connect(server, Policy(max_attempts=3, max_fruitless=9))
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        client.with_options(max_retries=max_retries).messages.create(**request(stream=True))
    assert len(server.requests) == 3
    assert len(raised.value.report.attempts) == 3


def test_other_endpoints_get_retries_too(serve, connect):
    server = serve()
    server.script(faults.status(529), path="/v1/messages/count_tokens")
    counted = connect(server).messages.count_tokens(
        model="claude-opus-5-5", messages=[{"role": "user", "content": "Hi"}]
    )
    assert counted.input_tokens > 0
    assert len(server.requests) == 2


def test_a_budget_is_shared_by_the_calls_of_a_client(serve, connect):
    server = serve(faults=[faults.status(500), None, faults.status(500)])
    client = connect(server, Policy(budget=unbroken.RetryBudget(1, per_success=0, per_second=0)))
    read(client)
    with pytest.raises(anthropic.InternalServerError) as raised:
        read(client)
    assert "RetryBudget" in unbroken.report(raised.value).explanation


def test_override_changes_the_policy_of_the_calls_inside(serve, connect):
    server = serve(faults=[faults.status(500)] * 9)
    client = connect(server)
    with unbroken.override(Policy(max_attempts=1)), pytest.raises(anthropic.InternalServerError):
        client.messages.create(**request())
    assert len(server.requests) == 1


def test_a_call_ends_before_a_wait_that_would_pass_the_outage_limit(serve, connect, clock):
    server = serve(faults=[faults.status(529)] * 9)
    client = connect(server, Policy(max_outage=100, max_fruitless=9))
    with pytest.raises(anthropic.APIStatusError):
        read(client)
    assert sum(clock.waits) <= 100


def test_a_call_ends_before_a_wait_that_would_pass_the_deadline(serve, connect, clock):
    server = serve(faults=[faults.status(529)] * 9)
    client = connect(server, Policy(deadline=20))
    with pytest.raises(anthropic.APIStatusError) as raised:
        read(client)
    assert clock.waits == []
    assert "deadline" in unbroken.report(raised.value).explanation
