from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.doors.platforms import ACCESS_KEY, SECRET_KEY, Drop, Platform, Seen
from tests.samples import AT_ONCE, STORY

import unbroken
from unbroken import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

botocore_auth = pytest.importorskip("botocore.auth")
botocore_awsrequest = pytest.importorskip("botocore.awsrequest")
botocore_credentials = pytest.importorskip("botocore.credentials")

MODELS = {
    "anthropic.claude-opus-4-6-v1": "user",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0": "assistant",
}
DROPS = {
    "reset": Drop("reset", after=9),
    "eof": Drop("eof", after=9),
    "half_frame": Drop("half_frame", after=9),
    "exception": Drop("exception", after=9),
    "throttled": Drop("exception", after=9, kind="throttlingException"),
    "before": Drop("exception", after=0, kind="internalServerException"),
    "status": Drop("status", kind="ThrottlingException"),
}


def client_of(server: Platform, cls: type[Any] = anthropic.AnthropicBedrock) -> Any:
    return cls(
        aws_access_key=ACCESS_KEY,
        aws_secret_key=SECRET_KEY,
        aws_region="us-east-1",
        base_url=server.url,
    )


def asked(model: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Tell me a story."}]
    return {"model": model, "max_tokens": 1000, "messages": messages, **fields}


def signature(seen: Seen, server: Platform) -> str:
    """The signature that this very request should have."""
    head = seen.head
    scheme = head.headers["authorization"]
    signed = scheme.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = botocore_awsrequest.AWSRequest(
        method=head.method,
        url=server.url + head.target,
        data=head.body,
        headers={name: head.headers[name] for name in signed},
    )
    request.context["timestamp"] = head.headers["x-amz-date"]
    credentials = botocore_credentials.Credentials(ACCESS_KEY, SECRET_KEY)
    auth = botocore_auth.SigV4Auth(credentials, "bedrock", "us-east-1")
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return str(auth.signature(text, request))


def read(client: Any, model: str) -> Any:
    with client.messages.stream(**asked(model)) as stream:
        return stream.get_final_message(), unbroken.report(stream)


def aread(client: Any, model: str) -> Any:
    async def main() -> Any:
        async with client, client.messages.stream(**asked(model)) as stream:
            return await stream.get_final_message(), unbroken.report(stream)

    return asyncio.run(main())


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("cls", "reader"),
    [(anthropic.AnthropicBedrock, read), (anthropic.AsyncAnthropicBedrock, aread)],
    ids=["sync", "async"],
)
def test_a_message_reaches_its_end(drop, model, cls, reader: Callable[..., Any]):
    with Platform("bedrock", STORY, [drop]) as server:
        client = unbroken.wrap(client_of(server, cls), AT_ONCE)
        message, report = reader(client, model)
        assert type(client) is cls
        if cls is anthropic.AnthropicBedrock:
            client.close()
    assert [block.text for block in message.content] == [STORY]
    assert message.stop_reason == "end_turn"
    assert report.recovered
    assert [seen.model for seen in server.seen] == [model] * 2
    if drop.after:
        assert server.seen[1].body["messages"][-1]["role"] == MODELS[model]
        assert report.attempts[0].request_id == "aws-1"


def test_each_request_is_signed_for_itself():
    with Platform("bedrock", STORY, [Drop("reset", after=9)]) as server:
        with unbroken.wrap(client_of(server), AT_ONCE) as client:
            read(client, "anthropic.claude-opus-4-6-v1")
        first, second = server.seen
        assert first.head.body != second.head.body
        for seen in server.seen:
            assert seen.head.headers["authorization"].endswith(signature(seen, server))


def test_many_drops():
    drops = [Drop("reset", after=20), Drop("exception", after=20), Drop("half_frame", after=20)]
    with (
        Platform("bedrock", STORY * 9, drops * 2) as server,
        unbroken.wrap(client_of(server), AT_ONCE) as client,
    ):
        message, report = read(client, "anthropic.claude-opus-4-6-v1")
    assert [block.text for block in message.content] == [STORY * 9]
    kinds = [attempt.failure.kind for attempt in report.attempts if attempt.failure]
    assert kinds == [FailureKind.DROPPED, FailureKind.SERVER_ERROR, FailureKind.DROPPED] * 2


def test_calls_that_are_not_streamed():
    with (
        Platform("bedrock", STORY, [Drop("status", kind="ThrottlingException")]) as server,
        unbroken.wrap(client_of(server), AT_ONCE) as client,
    ):
        message = client.messages.create(**asked("anthropic.claude-opus-4-6-v1"))
    assert message.content[0].text == STORY
    assert len(server.seen) == 2


def test_what_is_given_up_is_what_the_sdk_raises():
    policy = AT_ONCE.replace(continuation="off")
    drop = Drop("exception", after=9, kind="throttlingException")
    with (
        Platform("bedrock", STORY, [drop]) as server,
        client_of(server) as bare,
        pytest.raises(Exception, match="no") as expected,
    ):
        read(bare, "anthropic.claude-opus-4-6-v1")
    with (
        Platform("bedrock", STORY, [drop]) as server,
        unbroken.wrap(client_of(server), policy) as client,
        pytest.raises(Exception, match="no") as caught,
    ):
        read(client, "anthropic.claude-opus-4-6-v1")
    assert (type(caught.value), str(caught.value)) == (type(expected.value), str(expected.value))


def test_a_drop_that_cannot_be_mended():
    policy = AT_ONCE.replace(continuation="off")
    with (
        Platform("bedrock", STORY, [Drop("half_frame", after=9)]) as server,
        unbroken.wrap(client_of(server), policy) as client,
        pytest.raises(unbroken.StreamInterrupted) as caught,
    ):
        read(client, "anthropic.claude-opus-4-6-v1")
    partial = caught.value.report.partial
    assert partial is not None
    assert STORY.startswith(partial.content[0].text)


def test_the_profile_is_kept(tmp_path, monkeypatch):
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[work]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    with Platform("bedrock", STORY, [Drop("reset", after=9)]) as server:
        client = anthropic.AnthropicBedrock(
            aws_profile="work", aws_region="us-east-1", base_url=server.url
        )
        with unbroken.wrap(client, AT_ONCE) as wrapped:
            assert wrapped.aws_profile == "work"
            message, _ = read(wrapped, "anthropic.claude-opus-4-6-v1")
    assert [block.text for block in message.content] == [STORY]
