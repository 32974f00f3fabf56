"""What is a lost connection, and what is the caller's own error, through the SDK."""

from __future__ import annotations

import copy
import http.client
import pickle
from typing import Any

import anthropic
import anyio
import pytest
from tests.doors.both import LIBRARY, Both, Raising, both, is_async
from tests.doors.conftest import ANSWER
from tests.samples import AT_ONCE

import unbroken
from unbroken import FailureKind
from unbroken.testing import faults

__all__ = ["both", "is_async"]  # fixtures


class UnheardOfError(Exception):
    """Of a transport that nobody knows."""


LOST = {
    "EOFError": (EOFError(), FailureKind.DROPPED),
    "RuntimeError": (RuntimeError("closed"), FailureKind.DROPPED),
    "IncompleteRead": (http.client.IncompleteRead(b""), FailureKind.DROPPED),
    "ClosedResourceError": (anyio.ClosedResourceError(), FailureKind.DROPPED),
    "BrokenResourceError": (anyio.BrokenResourceError(), FailureKind.DROPPED),
    "EndOfStream": (anyio.EndOfStream(), FailureKind.DROPPED),
    "any other": (UnheardOfError(), FailureKind.DROPPED),
    "a file": (FileNotFoundError("/run/proxy.sock"), FailureKind.DROPPED),
    "a timeout": (TimeoutError(), FailureKind.STALLED),
    "ConnectError": (LIBRARY.ConnectError(""), FailureKind.UNREACHABLE),
    "a proxy": (LIBRARY.ProxyError("502 Bad Gateway"), FailureKind.UNREACHABLE),
}


@pytest.mark.parametrize(("error", "kind"), LOST.values(), ids=LOST)
def test_whatever_the_transport_raises_is_a_lost_connection(serve, both, error, kind):
    sending = Raising(error, error)
    message = both.call(serve(), send=sending)
    assert message.content[0].text == ANSWER
    assert sending.calls == 3
    if both.streams:
        attempts = unbroken.report(message.stream).attempts
        assert [attempt.failure and attempt.failure.kind for attempt in attempts] == [kind] * 2 + [
            None
        ]


@pytest.mark.parametrize("error", [UnheardOfError(), RuntimeError()], ids=repr)
def test_it_is_told_as_one(serve, both, error):
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        both.call(serve(), send=Raising(error, forever=True))
    assert raised.value.__cause__ is error
    assert not isinstance(raised.value, anthropic.APITimeoutError)


FATAL = {
    "a proxy that wants a password": LIBRARY.ProxyError("407 Proxy Authentication Required"),
    "a proxy that forbids it": LIBRARY.ProxyError("403 Forbidden"),
    "a URL": LIBRARY.UnsupportedProtocol("ftp"),
}


@pytest.mark.parametrize("error", FATAL.values(), ids=FATAL)
def test_what_will_not_change_fails_at_once_as_an_error_of_the_connection(serve, both, error):
    sending = Raising(error, forever=True)
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        both.call(serve(), unbroken.Policy(), send=sending)
    assert sending.calls == 1
    assert raised.value.__cause__ is error
    assert raised.value.report.failure is not None
    assert raised.value.report.failure.kind is FailureKind.REJECTED


def test_a_closed_client_fails_at_once(serve):
    client = anthropic.Anthropic(base_url=serve().url, api_key="test")
    wrapped = unbroken.wrap(client)
    client.close()
    with pytest.raises(unbroken.StreamInterrupted, match="the client is closed"):
        wrapped.messages.create(model="m", max_tokens=1, messages=[])


TIMEOUTS = [LIBRARY.ReadTimeout, LIBRARY.ConnectTimeout, LIBRARY.PoolTimeout, TimeoutError]


@pytest.mark.parametrize("cls", TIMEOUTS)
def test_what_timed_out_is_also_the_sdks_timeout(serve, both, cls):
    with pytest.raises(unbroken.StreamTimedOut) as raised:
        both.call(serve(), send=Raising(cls("slow"), forever=True))
    error = raised.value
    assert isinstance(error, unbroken.StreamInterrupted)
    assert isinstance(error, anthropic.APITimeoutError)
    assert isinstance(error.__cause__, cls)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is unbroken.StreamTimedOut
        assert str(again) == str(error)
        assert again.report == error.report


def test_a_stream_that_stalls_timed_out(serve, is_async):
    server = serve(faults=[faults.stall(after_chars=60)])
    policy = AT_ONCE.replace(idle_timeout=0.05, continuation="off")
    with pytest.raises(unbroken.StreamTimedOut) as raised:
        Both(is_async, True).call(server, policy)
    assert raised.value.report.partial is not None


@pytest.mark.parametrize("retries", [0, 3])
@pytest.mark.parametrize("cls", [FileNotFoundError, PermissionError, TimeoutError, KeyError])
def test_what_an_inner_middleware_raises_is_the_callers(serve, both, cls, retries):
    before, server = Raising(cls("/etc/key"), forever=True), serve()
    with pytest.raises(cls) as raised:
        both.call(
            server,
            inner=[both.middleware(before)],
            change=lambda client: client.with_options(max_retries=retries),
        )
    assert raised.value is before.errors[0]
    assert before.calls == 1
    assert server.requests == []
    assert both.clock.waits == []


def failing_status() -> anthropic.APIStatusError:
    sent = LIBRARY.Request("POST", "http://127.0.0.1/")
    response = LIBRARY.Response(529, request=sent)
    return anthropic.InternalServerError("overloaded", response=response, body=None)


RETRIED = {
    "RetryableError": lambda: anthropic.RetryableError("again"),
    "APIConnectionError": lambda: anthropic.APIConnectionError(
        request=LIBRARY.Request("POST", "http://127.0.0.1/")
    ),
    "APIStatusError": failing_status,
}


def caused(error: Exception) -> Exception:
    own = UnheardOfError("own")
    own.__cause__ = error
    return own


@pytest.mark.parametrize("wraps", [False, True], ids=["itself", "as a cause"])
@pytest.mark.parametrize("make", RETRIED.values(), ids=RETRIED)
def test_what_the_sdk_would_retry_is_retried(serve, both, make, wraps):
    error = caused(make()) if wraps else make()
    before = Raising(error, error)
    message = both.call(serve(), inner=[both.middleware(before)])
    assert message.content[0].text == ANSWER
    assert before.calls == 3


@pytest.mark.parametrize("retries", [0, 3])
@pytest.mark.parametrize("make", RETRIED.values(), ids=RETRIED)
def test_and_passes_as_it_is_when_given_up(serve, both, make, retries):
    before = Raising(caused(make()), forever=True)
    with pytest.raises(UnheardOfError) as raised:
        both.call(
            serve(),
            AT_ONCE.replace(max_attempts=3),
            inner=[both.middleware(before)],
            change=lambda client: client.with_options(max_retries=retries),
        )
    assert raised.value is before.errors[0]
    assert before.calls == 3


def test_a_status_error_of_an_inner_middleware_has_the_report(serve, both):
    error: Any = failing_status()
    with pytest.raises(anthropic.InternalServerError) as raised:
        both.call(serve(), inner=[both.middleware(Raising(error, forever=True))])
    assert raised.value is error
    assert len(unbroken.report(error).attempts) == AT_ONCE.max_fruitless
