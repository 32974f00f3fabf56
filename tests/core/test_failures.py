"""Each failure is told by its code, then its type, then its status; one row a test."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unbroken._core.failures import (
    BY_STATUS,
    BY_TYPE,
    Failure,
    FailureKind,
    classify,
    error_in,
    retry_after,
)

NOW = 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT

K = FailureKind


def row(
    kind: FailureKind, status: int, error_type: str | None = None, error_code: str | None = None
) -> Any:
    named = "-".join(str(part) for part in (status, error_type, error_code) if part)
    return pytest.param(kind, status, error_type, error_code, id=f"{kind}: {named}")


@pytest.mark.parametrize(
    ("kind", "status", "error_type", "error_code"),
    [
        # The failure table, for HTTP errors as the API sends them.
        row(K.RATE_LIMITED, 429),
        row(K.RATE_LIMITED, 429, "rate_limit_error"),
        row(K.RATE_LIMITED, 429, "rate_limit_error", "ramp_limit_exceeded"),
        row(K.OVERLOADED, 529),
        row(K.OVERLOADED, 529, "overloaded_error"),
        row(K.OVERLOADED, 529, "overloaded_error", "compaction_unavailable"),
        row(K.OVERLOADED, 529, "api_error"),
        row(K.REQUEST_TIMEOUT, 408),
        row(K.REQUEST_TIMEOUT, 408, "invalid_request_error"),
        row(K.REQUEST_TIMEOUT, 408, "timeout_error"),
        row(K.SERVER_ERROR, 500),
        row(K.SERVER_ERROR, 500, "api_error"),
        row(K.SERVER_ERROR, 502),
        row(K.SERVER_ERROR, 503),
        row(K.SERVER_ERROR, 503, "api_error", "cmek_key_unreachable"),
        row(K.SERVER_ERROR, 504, "timeout_error"),
        row(K.SERVER_ERROR, 520),
        row(K.SERVER_ERROR, 599),
        row(K.CONFLICT, 409),
        row(K.CONFLICT, 409, "conflict_error"),
        row(K.CONFLICT, 409, "invalid_request_error"),
        row(K.SPEND_LIMITED, 402),
        row(K.SPEND_LIMITED, 402, "billing_error"),
        row(K.SPEND_LIMITED, 402, "billing_error", "linked_organization_billing_unavailable"),
        row(K.SPEND_LIMITED, 402, "billing_error", "linked_organization_spend_limit_reached"),
        row(K.SPEND_LIMITED, 429, "rate_limit_error", "enforced_spend_limit_reached"),
        row(K.SPEND_LIMITED, 429, "rate_limit_error", "contract_spend_limit_reached"),
        row(K.REJECTED, 400, "invalid_request_error"),
        row(K.REJECTED, 400, "invalid_request_error", "request_body_timeout"),
        row(K.REJECTED, 401, "authentication_error"),
        row(K.REJECTED, 403, "permission_error"),
        row(K.REJECTED, 404, "not_found_error"),
        row(K.REJECTED, 412),
        row(K.REJECTED, 413, "request_too_large"),
        row(K.REJECTED, 413),
        row(K.REJECTED, 418),
        row(K.REJECTED, 422, "invalid_request_error"),
        row(K.REJECTED, 431),
        row(K.REJECTED, 499),
        row(K.REJECTED, 501),
        row(K.REJECTED, 501, "api_error"),
    ],
)
def test_an_http_error_is_told(kind, status, error_type, error_code):
    assert classify(status, error_type, error_code) is kind


@pytest.mark.parametrize(
    ("kind", "status", "error_type", "error_code"),
    [
        row(K.RATE_LIMITED, 200, "rate_limit_error"),
        row(K.RATE_LIMITED, 200, "rate_limit_error", "ramp_limit_exceeded"),
        row(K.RATE_LIMITED, 200, "invalid_request_error", "ramp_limit_exceeded"),
        row(K.OVERLOADED, 200, "overloaded_error"),
        row(K.SERVER_ERROR, 200, "api_error"),
        row(K.SERVER_ERROR, 200, "timeout_error"),
        row(K.CONFLICT, 200, "conflict_error"),
        row(K.SPEND_LIMITED, 200, "billing_error"),
        row(K.SPEND_LIMITED, 200, "rate_limit_error", "enforced_spend_limit_reached"),
        row(K.REJECTED, 200, "invalid_request_error"),
        row(K.REJECTED, 200, "authentication_error"),
        row(K.REJECTED, 200, "permission_error"),
        row(K.REJECTED, 200, "not_found_error"),
        row(K.REJECTED, 200, "request_too_large"),
        row(K.REJECTED, 200, "memory_precondition_failed_error"),
        row(K.REJECTED, 200, "memory_path_conflict_error"),
        row(K.REJECTED, 200, "something_new_error"),
        row(K.REJECTED, 200),
    ],
)
def test_an_error_event_inside_a_stream_is_told_by_its_type(kind, status, error_type, error_code):
    assert classify(status, error_type, error_code) is kind


def test_the_code_outweighs_the_type_and_the_status():
    assert classify(529, "overloaded_error", "x_spend_limit_y") is K.SPEND_LIMITED
    assert classify(500, "api_error", "ramp_limit_exceeded") is K.RATE_LIMITED


def test_the_type_outweighs_an_ordinary_status():
    assert classify(500, "overloaded_error") is K.OVERLOADED
    assert classify(503, "rate_limit_error") is K.RATE_LIMITED
    assert classify(429, "overloaded_error") is K.OVERLOADED
    assert classify(500, "invalid_request_error") is K.REJECTED


def test_an_unknown_code_counts_for_nothing():
    assert classify(429, "rate_limit_error", "brand_new") is K.RATE_LIMITED
    assert classify(529, "overloaded_error", "brand_new") is K.OVERLOADED


def test_an_unknown_type_leaves_it_to_the_status():
    assert classify(500, "brand_new_error") is K.SERVER_ERROR
    assert classify(429, "brand_new_error") is K.RATE_LIMITED
    assert classify(400, "brand_new_error") is K.REJECTED


@pytest.mark.parametrize(
    "code", ["spend_limit", "spend_limit_reached", "own_spend_limit", "a_spend_limit_b"]
)
def test_every_spend_limit_code_is_told(code):
    assert classify(429, "rate_limit_error", code) is K.SPEND_LIMITED


@pytest.mark.parametrize("code", ["suspend_limit_reached", "spend_limits", "spend", "limit"])
def test_a_code_that_only_looks_like_a_spend_limit_is_none(code):
    assert classify(429, "rate_limit_error", code) is K.RATE_LIMITED


def test_every_status_from_400_gets_a_kind_that_answers_it():
    for status in range(400, 600):
        kind = classify(status)
        if status in BY_STATUS:
            assert kind is BY_STATUS[status]
        else:
            assert kind is (K.SERVER_ERROR if status >= 500 else K.REJECTED)
        assert kind not in (K.UNREACHABLE, K.DROPPED, K.STALLED)


def test_every_type_of_the_sdk_is_known():
    shared = pytest.importorskip("anthropic.types.shared.error_type")
    assert set(shared.ErrorType.__args__) <= set(BY_TYPE)


def test_a_kind_reads_as_a_word():
    assert str(K.RATE_LIMITED) == "rate_limited"
    assert [str(kind) for kind in K] == [kind.name.lower() for kind in K]


def test_a_failure_is_a_value():
    failure = Failure(K.DROPPED, "broken", status=200)
    assert failure == Failure(K.DROPPED, "broken", status=200)
    assert hash(failure) == hash(Failure(K.DROPPED, "broken", status=200))
    with pytest.raises(AttributeError):
        failure.kind = K.REJECTED  # type: ignore[misc]


# Error bodies

BODY = {
    "type": "error",
    "error": {
        "type": "rate_limit_error",
        "message": "Slow down",
        "details": {"error_code": "ramp_limit_exceeded"},
    },
    "request_id": "req_1",
}


@pytest.mark.parametrize(
    "body", [BODY, json.dumps(BODY), json.dumps(BODY).encode()], ids=["mapping", "str", "bytes"]
)
def test_an_error_body_is_read(body):
    assert error_in(body) == ("rate_limit_error", "ramp_limit_exceeded", "Slow down")


@pytest.mark.parametrize(
    ("body", "read"),
    [
        pytest.param(b"", (None, None, ""), id="empty"),
        pytest.param(b"<html>502</html>", (None, None, ""), id="html"),
        pytest.param(b"\xff\xfe\xfd", (None, None, ""), id="no utf-8"),
        pytest.param(b"[1]", (None, None, ""), id="a list"),
        pytest.param(b"null", (None, None, ""), id="null"),
        pytest.param({"error": "text"}, (None, None, ""), id="error is a text"),
        pytest.param({"message": "m"}, (None, None, ""), id="no error"),
        pytest.param({"error": {}}, (None, None, ""), id="empty error"),
        pytest.param({"error": {"type": 7, "message": None}}, (None, None, ""), id="wrong types"),
        pytest.param({"error": {"type": "t", "details": []}}, ("t", None, ""), id="odd details"),
        pytest.param(
            {"error": {"type": "t", "details": {"error_code": 9}}}, ("t", None, ""), id="odd code"
        ),
        pytest.param({"error": {"type": "t", "message": "m"}}, ("t", None, "m"), id="no details"),
    ],
)
def test_a_body_that_is_no_error_of_the_api_tells_nothing_and_raises_nothing(body, read):
    assert error_in(body) == read


# retry-after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"retry-after": "7"}, 7.0, id="whole seconds"),
        pytest.param({"retry-after": "1.5"}, 1.5, id="fraction"),
        pytest.param({"retry-after": "0"}, None, id="zero"),
        pytest.param({"retry-after": "-3"}, None, id="negative"),
        pytest.param({"retry-after": "inf"}, float("inf"), id="for ever"),
        pytest.param({"retry-after": "nan"}, None, id="nan"),
        pytest.param({"retry-after": ""}, None, id="empty"),
        pytest.param({"retry-after": "soon"}, None, id="no number"),
        pytest.param({"retry-after-ms": "250"}, 0.25, id="milliseconds"),
        pytest.param({"retry-after-ms": "250", "retry-after": "9"}, 0.25, id="ms first"),
        pytest.param({"retry-after-ms": "x", "retry-after": "9"}, 9.0, id="ms unreadable"),
        pytest.param({"retry-after-ms": "-1"}, None, id="negative ms"),
        pytest.param({"retry-after-ms": "0"}, None, id="zero ms"),
        pytest.param({"retry-after-ms": "0", "retry-after": "9"}, 9.0, id="zero ms, then seconds"),
        pytest.param({"retry-after": "Mon, 21 Sep 2026 14:13:50 GMT"}, 30.0, id="date"),
        pytest.param({"retry-after": "Mon, 21 Sep 2026 16:13:50 +0200"}, 30.0, id="date, zone"),
        pytest.param({"retry-after": "Mon, 21 Sep 2026 14:13:00 GMT"}, None, id="date gone by"),
    ],
)
def test_what_the_service_asks_to_wait_is_read(headers, seconds):
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize("year", ["10000", "9" * 30])
def test_a_date_that_no_calendar_has_tells_nothing_and_raises_nothing(year):
    assert retry_after({"retry-after": f"Mon, 21 Sep {year} 14:13:50 GMT"}, NOW) is None


def test_a_body_nested_without_end_tells_nothing_and_raises_nothing():
    assert error_in(b"[" * 200_000) == (None, None, "")
