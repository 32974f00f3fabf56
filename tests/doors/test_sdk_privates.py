"""What `unbroken._doors` takes for granted of the SDK, fact by fact.

A test that fails here says which fact a new version of the SDK has changed.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from unbroken._doors import http, sdk_clients, sdk_facts
from unbroken.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken.testing import FaultServer

MESSAGES = [{"role": "user", "content": "Hi"}]


class Probe(anthropic.Middleware):
    """Keeps what a middleware is given, and lets a test send what it wants."""

    def __init__(self, handle: Callable[[Any, Any], Any] | None = None) -> None:
        self._handle = handle
        self.request: Any = None
        self.call_next: Any = None

    def handle(self, request: Any, call_next: Any) -> Any:
        self.request, self.call_next = request, call_next
        return self._handle(request, call_next) if self._handle else call_next(request)

    async def handle_async(self, request: Any, call_next: Any) -> Any:
        self.request, self.call_next = request, call_next
        return await call_next(request)


def client_for(server: FaultServer, probe: Probe, **options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=server.url, api_key="test", middleware=[probe], **{"max_retries": 0, **options}
    )


def ask(client: Any, **fields: Any) -> Any:
    asked = {"model": "claude-opus-5-5", "max_tokens": 99, "messages": MESSAGES, **fields}
    return client.messages.create(**asked)


def probed(server: FaultServer, handle: Any = None, **fields: Any) -> Probe:
    probe = Probe(handle)
    with client_for(server, probe) as client:
        ask(client, **fields)
    return probe


def test_the_client_is_in_the_closure_of_call_next(server):
    probe = Probe()
    with client_for(server, probe) as client:
        ask(client)
        assert sdk_facts.client_of(probe.call_next) is client


def test_the_async_client_is_in_the_closure_of_call_next(server):
    probe = Probe()

    async def run() -> None:
        async with anthropic.AsyncAnthropic(
            base_url=server.url, api_key="test", middleware=[probe]
        ) as client:
            await ask(client)
            assert sdk_facts.client_of(probe.call_next) is client

    asyncio.run(run())


def test_a_client_has_its_settings(server):
    with client_for(server, Probe(), timeout=7.0, max_retries=3) as client:
        assert client.timeout == 7.0
        assert client.max_retries == 3
        assert str(client.base_url).rstrip("/") == server.url


def test_a_client_makes_its_typed_errors(server):
    server.script(faults.status(529, code="compaction_unavailable"))
    found: list[Any] = []

    def handle(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        response.http_response.read()
        found.append(sdk_facts.status_error(sdk_facts.client_of(call_next), response.http_response))
        return response

    with client_for(server, Probe(handle)) as client, pytest.raises(anthropic.APIStatusError) as e:
        ask(client)
    assert type(found[0]) is type(e.value)
    assert str(found[0]) == str(e.value)
    assert found[0].body == e.value.body


def test_a_clients_middleware_is_told_and_replaced(server):
    probe = Probe()
    with client_for(server, Probe()) as client:
        assert client.middleware
        copy = client.with_options(middleware=[probe], max_retries=0)
        assert list(copy.middleware) == [probe]


def test_the_body_is_in_the_options(server):
    probe = probed(server, extra_body={"metadata": {"user_id": "x"}})
    assert hasattr(probe.request.options, "json_data")
    assert hasattr(probe.request.options, "extra_json")
    assert sdk_facts.body_of(probe.request) == server.requests[0].body


def test_what_is_put_into_the_options_is_sent(server):
    body = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": MESSAGES}

    timeout = anthropic.Timeout(11.0)

    def handle(request: Any, call_next: Any) -> Any:
        return call_next(sdk_facts.next_request(request, body, 3, timeout, {"x-one": "1"}))

    probe = probed(server, handle, extra_body={"max_tokens": 55})
    assert server.requests[0].body == body
    assert server.requests[0].headers["x-stainless-retry-count"] == "2"
    assert server.requests[0].headers["x-stainless-read-timeout"] == "11.0"
    assert server.requests[0].headers["x-one"] == "1"
    assert sdk_facts.body_of(probe.request)["max_tokens"] == 55
    assert probe.request.retries_taken == 0


def test_a_body_is_not_copied(server):
    body = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": MESSAGES}
    probe = probed(server)
    assert sdk_facts.next_request(probe.request, body, 1, None, {}).options.json_data is body


def test_call_next_may_be_called_again(server):
    def handle(request: Any, call_next: Any) -> Any:
        call_next(request).http_response.close()
        return call_next(request)

    probed(server, handle)
    assert len(server.requests) == 2


@pytest.mark.parametrize("through", ["messages", "beta.messages"])
def test_the_beta_api_is_told(server, through):
    probe = Probe()
    with client_for(server, probe) as client:
        messages = client.messages if through == "messages" else client.beta.messages
        messages.create(model="claude-opus-5-5", max_tokens=9, messages=MESSAGES)
    assert sdk_facts.is_message_call(probe.request)
    assert sdk_facts.is_beta(probe.request) is (through != "messages")


def test_headers_are_those_of_the_caller(server):
    probe = probed(server, extra_headers={"Anthropic-Beta": "a,b"})
    assert sdk_facts.headers_of(probe.request)["anthropic-beta"] == "a,b"


@pytest.mark.parametrize(
    ("of_client", "of_call", "expected"),
    [
        ({}, {}, (600, False)),
        ({"timeout": 5.0}, {}, (5.0, True)),
        ({}, {"timeout": 6.0}, (6.0, True)),
    ],
)
def test_timeouts_tell_who_set_them(server, of_client, of_call, expected):
    probe = Probe()
    with client_for(server, probe, **of_client) as client:
        ask(client, stream=True, **of_call).close()
        timeout, is_set = sdk_facts.timeout_of(probe.request, client)
        assert (timeout.read, is_set) == expected


def test_retries_are_counted(server):
    probe = Probe()
    with client_for(server, probe, max_retries=1) as client:
        ask(client)
        assert sdk_facts.retries_remain(probe.request, client)
    with client_for(server, probe) as client:
        ask(client)
        assert not sdk_facts.retries_remain(probe.request, client)


def test_a_response_can_be_replaced(server):
    def handle(request: Any, call_next: Any) -> Any:
        client = sdk_facts.client_of(call_next)
        http = call_next(request).http_response
        http.read()
        return sdk_facts.api_response(request, client, http, is_async=False)

    with client_for(server, Probe(handle)) as client:
        assert ask(client).content[0].text


def test_the_http_response_of_a_response_can_be_set(server):
    def handle(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        http = response.http_response
        response.http_response = type(http)(200, json={"id": "mine"}, request=http.request)
        return response

    with client_for(server, Probe(handle)) as client:
        assert ask(client).id == "mine"


def test_messages_are_constructed_unfinished():
    message = sdk_facts.message_of(
        {"id": "x", "content": [{"type": "text", "text": "y"}]}, beta=False
    )
    assert message.content[0].text == "y"


def test_copies_of_a_bedrock_client_take_a_profile():
    parameters = inspect.signature(anthropic.AnthropicBedrock.copy).parameters
    assert "aws_profile" in parameters or "_extra_kwargs" in parameters


def test_the_sdk_stands_on_a_library_that_has_what_is_used():
    library = http.library_of(anthropic.DefaultHttpxClient)
    others = {"ConnectionRefusedError", "gaierror", "H2Error", "TimeoutError", "OSError"}
    others |= {"ClientConnectorError", "APITimeoutError", "EOFError"}
    assert [name for name in http._KINDS if not hasattr(library, name)] == [
        name for name in http._KINDS if name in others
    ]
    for name in ("Response", "Request", "SyncByteStream", "AsyncByteStream", "StreamClosed"):
        assert hasattr(library, name)


def test_a_default_client_tells_its_timeouts_and_encodings():
    library = http.library_of(anthropic.DefaultHttpxClient)
    with library.Client(transport=library.MockTransport(None)) as client:
        assert client.timeout.as_dict() == {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}
        assert "gzip" in client.headers["accept-encoding"]
    assert anthropic.DEFAULT_TIMEOUT.read == 600


# What `install()` takes for granted of constructors


def client_classes() -> list[Any]:
    found = [getattr(anthropic, name) for name in dir(anthropic) if "Anthropic" in name]
    return [cls for cls in found if hasattr(cls, "with_options")]


@pytest.mark.parametrize("cls", client_classes(), ids=lambda cls: cls.__name__)
def test_every_client_has_the_base_of_its_kind(cls):
    is_async = cls.__name__.startswith("Async")
    assert issubclass(cls, sdk_clients.ASYNC_BASE) is is_async
    assert issubclass(cls, sdk_clients.SYNC_BASE) is not is_async


@pytest.mark.parametrize("base", [sdk_clients.SYNC_BASE, sdk_clients.ASYNC_BASE])
def test_a_base_takes_middleware_and_retries_by_keyword(base):
    assert "__init__" in vars(base)
    parameters = inspect.signature(base.__init__).parameters
    for name in ("middleware", "max_retries"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY, name


@pytest.mark.parametrize("cls", client_classes(), ids=lambda cls: cls.__name__)
def test_every_client_takes_middleware_and_retries(cls):
    assert {"middleware", "max_retries"} <= set(inspect.signature(cls.__init__).parameters)


@pytest.mark.parametrize("cls", [anthropic.Anthropic, anthropic.AsyncAnthropic])
def test_what_a_base_is_given_is_what_the_client_has(cls):
    seen: list[dict[str, Any]] = []
    probe = Probe()

    def change(client: Any, options: dict[str, Any]) -> None:
        seen.append(dict(options))
        options.update(middleware=[probe], max_retries=5)

    undo = sdk_clients.hook_constructors(change)
    try:
        client = cls(api_key="test", max_retries=1)
    finally:
        undo()
    assert seen[0]["max_retries"] == 1
    assert list(client.middleware) == [probe]
    assert client.max_retries == 5
    assert not list(cls(api_key="test").middleware)


def test_the_option_that_forbids_trace_headers_is_found(server):
    if "open_telemetry" not in inspect.signature(anthropic.Anthropic).parameters:
        pytest.skip("this SDK has no such option")
    for option, allowed in ({"propagation": False}, False), (None, True), (False, True):
        with client_for(server, Probe(), open_telemetry=option) as client:
            assert sdk_facts.takes_trace_headers(client) is allowed


@pytest.mark.parametrize("name", ["AnthropicBedrock", "AnthropicBedrockMantle", "AnthropicAWS"])
def test_clients_that_sign_their_headers_are_found(monkeypatch, name):
    cls = getattr(anthropic, name, None)
    if cls is None:
        pytest.skip("this SDK has no such client")
    for variable in ("ANTHROPIC_API_KEY", "ANTHROPIC_AWS_API_KEY", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(variable, raising=False)
    keys = {"aws_access_key": "a", "aws_secret_key": "b", "aws_region": "us-east-1"}
    more = {"workspace_id": "w"} if name == "AnthropicAWS" else {}
    with cls(**keys, **more) as client:
        assert not sdk_facts.takes_trace_headers(client)
    if "api_key" in inspect.signature(cls).parameters:
        with cls(api_key="key", aws_region="us-east-1", **more) as client:
            assert sdk_facts.takes_trace_headers(client)


def test_a_refused_token_can_be_discarded():
    cache = inspect.signature(anthropic.Anthropic.__init__).parameters.get("_token_cache")
    if cache is None:
        pytest.skip("this SDK has no providers of credentials")
    assert "_token_cache" in vars(anthropic.Anthropic(api_key="test"))


def test_strict_validation_is_an_attribute_and_an_argument():
    client = anthropic.Anthropic(api_key="test", _strict_response_validation=True)
    assert client._strict_response_validation


def test_with_streaming_response_is_told_by_a_header(server):
    probe = Probe()
    with client_for(server, probe) as client:
        ask(client)
        assert not sdk_facts.streams_body(probe.request)
        asked = {"model": "claude-opus-5-5", "max_tokens": 99, "messages": MESSAGES}
        with client.messages.with_streaming_response.create(**asked):
            assert sdk_facts.streams_body(probe.request)
