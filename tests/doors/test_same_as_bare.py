"""A wrapped client against a bare one, in all that a caller can see.

A client with a middleware that does nothing is the control: where the SDK itself does otherwise
with a middleware, a test says so.
"""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.doors.conftest import request
from tests.samples import AT_ONCE, STORY

import unbroken
from unbroken._doors.http import sdk_library
from unbroken.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unbroken.testing import FaultServer

    Look = Callable[[Any], Any]

LIBRARY = sdk_library()
MESSAGES = "/v1/messages"


class Through(anthropic.Middleware):
    """Does nothing."""

    def handle(self, request: Any, call_next: Any) -> Any:
        return call_next(request)

    async def handle_async(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


def library_response(response: Any) -> dict[str, Any]:
    """All that a response of the HTTP library tells, but times and ids."""
    told: dict[str, Any] = {
        "type": isinstance(response, LIBRARY.Response),
        "repr": repr(response),
        "raw headers": [
            (name.lower(), value)
            for name, value in response.headers.raw
            if name.lower() not in (b"date", b"request-id")
        ],
    }
    names = (
        "status_code reason_phrase http_version encoding charset_encoding default_encoding "
        "is_closed is_stream_consumed is_success is_error "
        "has_redirect_location history next_request links"
    )
    told |= {name: getattr(response, name) for name in names.split()}
    is_gzip = response.headers.get("content-encoding") == "gzip"  # of ids that differ
    count = response.num_bytes_downloaded
    told["num_bytes_downloaded"] = count > 0 if is_gzip else count
    told["url"] = response.url.path
    told["cookies"] = dict(response.cookies)
    told["request"] = (response.request.method, response.request.url.path)
    # The SDK sends one more header if there is a middleware.
    told["sent"] = sorted({*response.request.headers} - {"x-stainless-raw-response"})
    told["elapsed"] = outcome(lambda: response.elapsed.total_seconds() > 0)
    told["extensions"] = sorted(set(response.extensions) - {"unbroken", "network_stream"})
    return told


def outcome(look: Callable[[], Any]) -> Any:
    """What a look returns, or which exception it raises."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001  # it is compared
        return error_seen(error)


def error_seen(error: BaseException) -> dict[str, Any]:
    seen: dict[str, Any] = {
        "class": type(error).__name__,
        "bases": [cls.__name__ for cls in type(error).__mro__],
        "str": normal(str(error)),
        "cause": type(error.__cause__).__name__,
    }
    for name in ("message", "status_code", "body", "type"):
        if hasattr(error, name):
            seen[name] = normal(repr(getattr(error, name)))
    response = getattr(error, "response", None)
    if response is not None:
        seen["response"] = library_response(response)
        seen["content"] = outcome(lambda: normal(response.text))
    return seen


def normal(text: str) -> str:
    return re.sub(r"(req|msg)_\w+", r"\1_", re.sub(r"127.0.0.1:\d+", "host", text))


def reading(read: Callable[[Any], Any]) -> Look:
    """The body of `with_streaming_response`, read in one way."""

    def look(client: Any) -> Any:
        with client.messages.with_streaming_response.create(**request()) as response:
            before = library_response(response.http_response)
            found = [outcome(lambda: read(response)), outcome(lambda: read(response))]
            after = library_response(response.http_response)
        return before, normal(repr(found)), after

    return look


def streaming(read: Callable[[Any], Any]) -> Look:
    """The same of a stream."""

    def look(client: Any) -> Any:
        opened = client.messages.with_streaming_response.create(**request(stream=True))
        with opened as response:
            before = library_response(response.http_response)
            found = outcome(lambda: read(response))
            after = library_response(response.http_response)
        return before, normal(repr(found)), after, library_response(response.http_response)

    return look


def unzipped(response: Any, raw: Any) -> str:
    """The raw bytes of a body, decompressed by another response with its headers."""
    headers = response.headers
    return str(LIBRARY.Response(200, headers=headers, content=b"".join(raw)).text)


def frames(content: bytes) -> str:
    """The frames of a stream but for pings, whose place may differ, and for how text is cut."""
    data = [line for line in content.decode().split("\n") if line.startswith("data: ")]
    return normal("".join(re.findall(r'"text": ?"(.*?)"', "".join(data))))


def raw(client: Any) -> Any:
    response = client.messages.with_raw_response.create(**request())
    return (
        type(response).__name__,
        normal(repr(response)),
        response.retries_taken,
        library_response(response.http_response),
        normal(repr(response.parse())),
        outcome(lambda: normal(repr(response.read()))),
        response.http_request.method,
    )


def raw_stream(client: Any) -> Any:
    response = client.messages.with_raw_response.create(**request(stream=True))
    events = [event.type for event in response.parse() if event.type != "ping"]
    return type(response).__name__, set(events), library_response(response.http_response)


def parsed(client: Any) -> Any:
    message = client.messages.create(**request())
    fields = sorted(vars(message)) + sorted(message.__pydantic_private__ or ())
    return type(message), normal(message.to_json()), bool(message._request_id), fields


def pickled(response: Any) -> Any:
    again = pickle.loads(pickle.dumps(response))
    return (
        type(again),
        sorted(name for name in vars(again) if name[0] != "_"),
        again.status_code,
        again.is_closed,
        again.num_bytes_downloaded > 0,
        outcome(lambda: frames(again.content) or normal(again.text)),
    )


def pickle_plain(client: Any) -> Any:
    return pickled(client.messages.with_raw_response.create(**request()).http_response)


def pickle_stream(client: Any) -> Any:
    stream = client.messages.create(**request(stream=True))
    unread = pickled(stream.response)
    stream.response.read()
    return unread, pickled(stream.response), pickled(copy.copy(stream.response))


def http_response(client: Any) -> Any:
    found = client.post(MESSAGES, body=request(), cast_to=LIBRARY.Response)
    return library_response(found), normal(found.text)


def http_stream(client: Any) -> Any:
    found = client.post(
        MESSAGES,
        body=request(stream=True),
        cast_to=LIBRARY.Response,
        stream=True,
        stream_cls=anthropic.Stream[Any],
    )
    return type(found).__name__, {event.get("type") for event in map(dict, found)} - {"ping"}


def counted(client: Any) -> Any:
    asked = request()
    del asked["max_tokens"]
    return normal(repr(client.messages.count_tokens(**asked)))


def stream_by_body(client: Any) -> Any:
    found: Any = client.messages.create(**request(), extra_body={"stream": True})
    return type(found), frames(found.encode())


def plain_by_body(client: Any) -> Any:
    found = client.messages.create(**request(stream=True), extra_body={"stream": False})
    return type(found).__name__, list(found)


def absolute(client: Any) -> Any:
    url = f"{str(client.base_url).rstrip('/')}{MESSAGES}"
    return normal(client.post(url, body=request(), cast_to=LIBRARY.Response).text)


def copies(client: Any) -> Any:
    changed = client.with_options(timeout=7, default_headers={"x-mine": "1"}, api_key="other")
    return (
        type(changed),
        changed.timeout,
        changed.api_key,
        dict(changed.default_headers).keys(),
        changed._client is client._client,
        normal(changed.messages.create(**request()).to_json()),
        type(client.copy()),
    )


LOOKS: dict[str, Look] = {
    "raw": raw,
    "raw stream": raw_stream,
    "parsed": parsed,
    "pickle": pickle_plain,
    "pickle of a stream": pickle_stream,
    "cast_to": http_response,
    "cast_to of a stream": http_stream,
    "count_tokens": counted,
    "stream by extra_body": stream_by_body,
    "no stream by extra_body": plain_by_body,
    "an absolute URL": absolute,
    "copies": copies,
    "reading raw": reading(lambda r: unzipped(r, r.http_response.iter_raw())),
    "reading raw in pieces": reading(lambda r: unzipped(r, r.http_response.iter_raw(7))),
    "reading bytes": reading(lambda r: b"".join(r.iter_bytes())),
    "reading pieces": reading(lambda r: [len(piece) for piece in r.iter_bytes(10)][:5]),
    "reading text": reading(lambda r: "".join(r.iter_text())),
    "reading lines": reading(lambda r: list(r.iter_lines())),
    "reading all": reading(lambda r: r.read()),
    "reading json": reading(lambda r: r.json()),
    "reading a message": reading(lambda r: r.parse()),
    "not reading": reading(lambda r: None),
    "closing": reading(lambda r: r.close()),
    "a raw stream": streaming(lambda r: frames(unzipped(r, r.http_response.iter_raw()).encode())),
    "a stream's bytes": streaming(lambda r: frames(b"".join(r.iter_bytes()))),
    "a stream's pieces": streaming(lambda r: frames(b"".join(r.iter_bytes(7)))),
    "a stream's text": streaming(lambda r: frames("".join(r.iter_text()).encode())),
    "a stream at once": streaming(lambda r: frames(r.read())),
    "a stream not read": streaming(lambda r: None),
}


def clients(server: FaultServer) -> Iterator[anthropic.Anthropic]:
    """Bare, with a middleware that does nothing, and wrapped."""
    with anthropic.Anthropic(base_url=server.url, api_key="test", max_retries=0) as bare:
        yield bare
        yield bare.with_options(middleware=[Through()])
        yield unbroken.wrap(bare, AT_ONCE)


def leaves(found: Any, path: str = "") -> dict[str, Any]:
    """What was found, by its place."""
    if isinstance(found, dict):
        parts: Any = found.items()
    elif isinstance(found, list | tuple):
        parts = enumerate(found)
    else:
        return {path: found}
    return {k: v for name, part in parts for k, v in leaves(part, f"{path}/{name}").items()}


def differences(first: Any, second: Any) -> dict[str, Any]:
    ours, theirs = leaves(first), leaves(second)
    return {
        path: (ours.get(path), theirs.get(path))
        for path in sorted({*ours, *theirs})
        if ours.get(path) != theirs.get(path)
    }


def compare(server: FaultServer, look: Look) -> None:
    bare, control, wrapped = (outcome(lambda c=c: look(c)) for c in clients(server))  # type: ignore[misc]
    assert differences(control, bare) == {}
    assert differences(wrapped, bare) == {}


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_an_answer_looks_the_same(serve, look, gzip):
    compare(serve(STORY, gzip=gzip), look)


# Errors


def failing(fields: dict[str, Any], how: str = "create") -> Look:
    def look(client: Any) -> Any:
        if how == "cast_to":
            return client.post(MESSAGES, body=request(**fields), cast_to=LIBRARY.Response)
        return getattr(client.messages, how)(**request(**fields))

    return look


ERRORS: dict[str, Look] = {
    "plain": failing({}),
    "stream": failing({"stream": True}),
    "cast_to": failing({}, "cast_to"),
    "raw": lambda client: client.messages.with_raw_response.create(**request()),
    "stream helper": lambda client: client.messages.stream(**request()).__enter__(),
    "streaming": lambda c: c.messages.with_streaming_response.create(**request()).__enter__(),
}


@pytest.mark.parametrize("status", [400, 404, 529])
@pytest.mark.parametrize("look", ERRORS.values(), ids=ERRORS)
def test_an_error_looks_the_same(serve, look, status):
    server = serve(STORY, faults=[faults.status(status)] * 20)
    bare, control, wrapped = (outcome(lambda c=c: look(c)) for c in clients(server))  # type: ignore[misc]
    found = differences(wrapped, bare)
    # What broke the answer first is the cause of the error that gave it up.
    assert found == ({"/cause": ("OverloadedError", "NoneType")} if status == 529 else {})
    # With a middleware, the SDK returns an error as a response of the class that was asked for.
    assert isinstance(control, dict) is (look is not ERRORS["cast_to"])


def test_an_error_of_a_response_class_is_retried(serve, connect):
    server = serve(STORY, faults=[faults.status(529), faults.close(after_bytes=99)])
    found = connect(server).post(MESSAGES, body=request(), cast_to=LIBRARY.Response)
    assert found.json()["content"][0]["text"] == STORY
    assert unbroken.report(found).recovered
    assert len(server.requests) == 3


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_a_response_read_raw_is_whole(serve, connect, gzip):
    cut = faults.reset(after_chars=20)
    server = serve(STORY, faults=[cut, faults.status(529), cut], gzip=gzip)
    opened = connect(server).messages.with_streaming_response.create(**request(stream=True))
    with opened as response:
        content = unzipped(response, response.http_response.iter_raw())
    assert frames(content.encode()) == STORY
    assert len(server.requests) == 4
    plain = faults.close(after_bytes=99)
    server.script(plain, faults.status(529))
    with connect(server).messages.with_streaming_response.create(**request()) as response:
        assert STORY in unzipped(response, response.http_response.iter_raw())
    assert len(server.requests) == 7


def test_an_absolute_url_that_refuses_raises_what_happened(serve, connect):
    client = connect(serve(), AT_ONCE)
    url = "http://127.0.0.1:1/v1/messages"
    with pytest.raises(unbroken.StreamInterrupted) as caught:
        client.post(url, body=request(), cast_to=LIBRARY.Response)
    assert str(caught.value.request.url) == url
    assert type(caught.value.__cause__).__name__ == "ConnectError"


def test_an_interrupted_get_says_so():
    bare = anthropic.Anthropic(base_url="http://127.0.0.1:1", api_key="test")
    with bare, pytest.raises(unbroken.StreamInterrupted) as caught:
        unbroken.wrap(bare, AT_ONCE).models.list()
    assert caught.value.request.method == "GET"


def test_headers_that_are_not_ascii_are_kept():
    def answer(asked: Any) -> Any:
        headers = [(b"content-type", b"text/event-stream"), (b"x-name", "é".encode("latin-1"))]
        return LIBRARY.Response(200, headers=headers, content=b"")

    with LIBRARY.Client(transport=LIBRARY.MockTransport(answer)) as http:
        client = anthropic.Anthropic(api_key="test", http_client=http)
        stream = unbroken.wrap(client).messages.create(**request(stream=True))
        assert stream.response.headers["x-name"] == "é"
        stream.close()


# Clients


class Tenant(anthropic.Anthropic):
    """Its constructor takes nothing that the SDK's takes."""

    def __init__(self, tenant: str, url: str) -> None:
        super().__init__(api_key=f"key-of-{tenant}", base_url=url)
        self.tenant = tenant

    @property
    def default_headers(self) -> Any:
        return {**super().default_headers, "x-tenant": self.tenant}


class Fixed(anthropic.AsyncAnthropic):
    """Its constructor takes what the SDK's takes, and passes nothing on."""

    def __init__(self, **options: Any) -> None:
        super().__init__(api_key="fixed", base_url=options.get("base_url"))


def test_a_subclass_with_a_constructor_of_its_own(serve):
    server = serve(STORY, faults=[faults.reset(after_chars=20)])
    with Tenant("acme", server.url) as client:
        assert client.messages is client.messages  # kept by the client, and no part of a copy
        wrapped = unbroken.wrap(client, AT_ONCE)
        assert type(wrapped) is Tenant
        assert (wrapped.tenant, wrapped.max_retries, client.max_retries) == ("acme", 0, 2)
        with wrapped.messages.stream(**request()) as stream:
            assert stream.get_final_text() == STORY
            assert unbroken.report(stream).recovered
        assert not client.middleware
    assert [seen.headers["x-tenant"] for seen in server.requests] == ["acme"] * 2


def test_an_async_subclass_that_passes_nothing_on(serve):
    server = serve(STORY, faults=[faults.reset(after_chars=20)])

    async def run() -> str:
        async with Fixed(base_url=server.url) as client:
            wrapped = unbroken.wrap(client, AT_ONCE)
            async with wrapped.messages.stream(**request()) as stream:
                return await stream.get_final_text()

    assert asyncio.run(run()) == STORY
    assert len(server.requests) == 2


def test_a_class_is_no_client():
    with pytest.raises(TypeError, match=r"not a class: wrap\(Anthropic\(\)\)"):
        unbroken.wrap(anthropic.Anthropic)


def test_strict_validation_is_kept():
    with anthropic.Anthropic(api_key="test", _strict_response_validation=True) as client:
        assert unbroken.wrap(client)._strict_response_validation


def test_a_token_that_was_refused_is_renewed_once(serve):
    if not hasattr(anthropic, "AccessToken"):
        pytest.skip("this SDK has no providers of credentials")
    renewed = []

    def provider(*, force_refresh: bool = False) -> Any:
        renewed.append(force_refresh)
        return anthropic.AccessToken(token=f"token-{len(renewed)}", expires_at=None)

    refused = faults.status(401)
    server = serve(STORY, faults=[refused, faults.reset(after_chars=20), None, refused, refused])
    with anthropic.Anthropic(credentials=provider, base_url=server.url) as client:
        wrapped = unbroken.wrap(client, AT_ONCE)
        with wrapped.messages.stream(**request()) as stream:
            assert stream.get_final_text() == STORY
        with pytest.raises(anthropic.AuthenticationError):
            wrapped.messages.create(**request())
    assert len(renewed) == 3
    assert len(server.requests) == 5
