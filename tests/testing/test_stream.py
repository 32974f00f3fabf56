"""A healthy response is what the API would send."""

from __future__ import annotations

import random

import anthropic
import httpx
import pytest
from tests.samples import HEADERS
from tests.testing.helpers import body, deltas, events, user

from unbroken.testing import Answer, FaultServer, answers, count_tokens

TEXT = "Grüße aus Köln \u2014 na\u00efve caf\u00e9 \U0001f680. " * 3


@pytest.mark.parametrize("split", [None, 1, 7, 5000, lambda: 3])
@pytest.mark.parametrize("delta_chars", [None, 1, 50])
def test_stream_equals_answer(serve, split, delta_chars):
    raw, error = serve(TEXT, split=split, delta_chars=delta_chars).broken()
    assert error is None
    assert deltas(raw) == TEXT


def test_random_split_is_the_callers(serve):
    rng = random.Random(1)
    raw, _ = serve(TEXT, split=lambda: rng.randint(1, 30)).broken()
    assert deltas(raw) == TEXT


def test_a_frame_is_one_chunk(serve):
    api = serve("one two three")
    with api.http.stream("POST", "/v1/messages", json=body(stream=True)) as response:
        raw = b"".join(response.iter_raw())
    assert raw.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


def test_events_are_those_of_the_api(serve):
    raw, _ = serve("Hello there", delta_chars=6).broken()
    found = events(raw)
    assert [e["type"] for e in found] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    start = found[0]["message"]
    assert start["content"] == []
    assert start["stop_reason"] is None
    assert start["usage"]["output_tokens"] == 1
    assert found[1]["content_block"] == {"type": "text", "text": ""}
    assert found[-2]["delta"]["stop_reason"] == "end_turn"
    assert found[-2]["usage"]["output_tokens"] == count_tokens("Hello there")


def test_headers(serve):
    api = serve("Hi")
    first, second = api.post(stream=True), api.post()
    assert first.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert first.headers["transfer-encoding"] == "chunked"
    assert second.headers["content-type"] == "application/json"
    assert first.headers["request-id"].startswith("req_")
    assert first.headers["request-id"] != second.headers["request-id"]
    assert first.headers["anthropic-organization-id"]
    assert [r.id for r in api.server.requests] == [r.headers["request-id"] for r in (first, second)]


def test_pings(serve):
    raw, _ = serve("abcdef", delta_chars=1, ping_every=2).broken()
    kinds = [e["type"] for e in events(raw)]
    assert kinds.count("ping") > 4
    assert kinds[-1] == "message_stop"


def test_json_can_be_ascii(serve):
    raw, _ = serve("\u00e9\U0001f680", ensure_ascii=True).broken()
    assert raw.isascii()
    assert deltas(raw) == "\u00e9\U0001f680"


@pytest.mark.parametrize("stream", [True, False])
def test_gzip_for_clients_that_accept_it(serve, stream):
    api = serve(TEXT, gzip=True, split=11)
    zipped = api.post(stream=stream)
    plain = api.http.post(
        "/v1/messages", json=body(stream=stream), headers={"accept-encoding": "identity"}
    )
    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    if stream:
        assert deltas(zipped.content) == deltas(plain.content) == TEXT
    else:
        assert zipped.json()["content"] == plain.json()["content"]


EVERY_BLOCK = Answer(
    [
        answers.thinking("Let me think about it."),
        answers.redacted_thinking("opaque"),
        "First, a search.",
        answers.server_tool("web_search", {"query": "Köln"}, content=[]),
        answers.cited_text("As found.", [{"type": "char_location", "cited_text": "found"}]),
        answers.mcp_tool("echo", {"a": [1, 2]}, content=[{"type": "text", "text": "ok"}]),
        answers.fallback("claude-a", "claude-b", "cyber"),
        answers.compaction("All that was said."),
        answers.tool_use("weather", {"city": "Oslo", "days": 3}),
        answers.tool_use("now", {}),
    ]
)


def test_every_block_streams_into_what_it_is(serve):
    api = serve(EVERY_BLOCK)
    client = anthropic.Anthropic(base_url=api.server.url, api_key="test", max_retries=0)
    with client, client.beta.messages.stream(**body()) as stream:
        streamed = stream.get_final_message()
    whole = api.message()
    assert streamed.stop_reason == whole["stop_reason"] == "tool_use"
    streamed_content = [b.to_dict() for b in streamed.content]
    assert [b["type"] for b in streamed_content] == [b.type for b in EVERY_BLOCK.blocks]
    for got, want in zip(streamed_content, whole["content"], strict=True):
        volatile = ("id", "tool_use_id", "signature", "encrypted_content", "citations")
        assert {k: v for k, v in got.items() if k not in volatile and v is not None} == {
            k: v for k, v in want.items() if k not in volatile
        }
    assert streamed.usage.server_tool_use is not None
    assert streamed.usage.server_tool_use.web_search_requests == 1


def test_ids_and_signatures_are_new_in_each_generation(serve):
    api = serve(EVERY_BLOCK)
    first, second = api.message(), api.message()
    assert first["id"] != second["id"]
    for a, b in zip(first["content"], second["content"], strict=True):
        for field in ("id", "signature", "tool_use_id"):
            assert field not in a or a[field] != b[field]
    assert first["content"][3]["id"] == first["content"][4]["tool_use_id"]


def test_signature_comes_right_before_the_end_of_thinking(serve):
    raw, _ = serve(Answer([answers.thinking("Hm."), "Yes."])).broken()
    kinds = [e.get("delta", {}).get("type", e["type"]) for e in events(raw)]
    stop = kinds.index("content_block_stop")
    assert kinds[stop - 1] == "signature_delta"


def test_thinking_can_be_omitted(serve):
    api = serve(Answer([answers.thinking("Secret."), "Yes."]))
    thinking = {"type": "adaptive", "display": "omitted"}
    raw, _ = api.broken(thinking=thinking)
    first = next(e["delta"] for e in events(raw) if e["type"] == "content_block_delta")
    assert first == {"type": "thinking_delta", "thinking": ""}
    assert b"Secret" not in raw


def test_unknown_blocks_and_deltas(serve):
    strange = answers.block(
        {"type": "hologram", "shape": "cube"}, [{"type": "spin_delta", "turns": 2}]
    )
    raw, _ = serve(Answer([strange, "after"])).broken()
    found = events(raw)
    assert found[1]["content_block"] == {"type": "hologram", "shape": "cube"}
    assert found[3]["delta"] == {"type": "spin_delta", "turns": 2}


def test_max_tokens_cuts_the_answer(serve):
    message = serve("x" * 100).message(max_tokens=10)
    assert message["stop_reason"] == "max_tokens"
    assert message["content"][0]["text"] == "x" * 40
    assert message["usage"]["output_tokens"] == 10


def test_max_tokens_drops_a_tool_call_that_does_not_fit(serve):
    answer = Answer(["1234", answers.tool_use("weather", {"city": "Oslo" * 50})])
    message = serve(answer).message(max_tokens=5)
    assert [b["type"] for b in message["content"]] == ["text"]
    assert message["stop_reason"] == "max_tokens"


def test_stop_sequences_end_the_answer(serve):
    message = serve("one two three").message(stop_sequences=["three", " two"])
    assert message["content"][0]["text"] == "one"
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", " two")


def test_refusal(serve):
    details = {"type": "refusal", "category": "cyber", "explanation": None}
    raw, _ = serve(Answer("I", stop_reason="refusal", stop_details=details)).broken()
    delta = events(raw)[-2]["delta"]
    assert (delta["stop_reason"], delta["stop_details"]) == ("refusal", details)


def test_usage_is_additive(serve):
    api = serve("Once upon a time")
    first = api.message(user("Tell me"), system="Be brief.", tools=[{"name": "t"}])
    more = api.message(
        user("Tell me"),
        {"role": "assistant", "content": "Once upon"},
        user("Please go on."),
        system="Be brief.",
        tools=[{"name": "t"}],
    )
    added = more["usage"]["input_tokens"] - first["usage"]["input_tokens"]
    assert added == count_tokens("Once upon") + count_tokens("Please go on.")


def test_count_tokens_is_the_usage(serve):
    api = serve("Once")
    content = body(user("Hello " * 9), system="S" * 41)
    counted = api.http.post("/v1/messages/count_tokens", json=content).json()
    usage = api.message(*content["messages"], system=content["system"])["usage"]
    assert (
        counted
        == {"input_tokens": usage["input_tokens"]}
        == {"input_tokens": count_tokens(content)}
    )


def test_cached_prefixes_are_read(serve):
    api = serve("Once upon a time")
    question = user("word " * 50)
    mark = {"type": "ephemeral"}
    first = api.message(question, cache_control=mark)["usage"]
    again = api.message(
        question, {"role": "assistant", "content": "Once"}, user("Go on"), cache_control=mark
    )["usage"]
    total = count_tokens(question)
    assert (first["cache_creation_input_tokens"], first["cache_read_input_tokens"]) == (total, 0)
    assert again["cache_read_input_tokens"] == total
    assert again["cache_creation_input_tokens"] == count_tokens("Once") + count_tokens("Go on")
    changed = api.message(question, cache_control=mark, thinking={"type": "disabled"})["usage"]
    assert changed["cache_read_input_tokens"] == 0


def test_marks_on_blocks_are_breakpoints(serve):
    api = serve("Once")
    system = [{"type": "text", "text": "s" * 40, "cache_control": {"type": "ephemeral"}}]
    assert api.message(system=system)["usage"]["cache_creation_input_tokens"] == 10
    usage = api.message(user("Other"), system=system)["usage"]
    assert (usage["cache_read_input_tokens"], usage["input_tokens"]) == (10, 2)


def test_an_answer_can_follow_the_request(serve):
    def answer(request):
        last = request["messages"][-1]["content"]
        return f"You said {last}." if isinstance(last, str) else Answer(["Thanks."])

    api = serve(answer)
    assert api.text(user("Hi")) == "You said Hi."
    assert api.text(user([{"type": "text", "text": "x"}])) == "Thanks."


def test_an_answer_that_raises_is_a_500_and_is_not_lost():
    def answer(_request):
        raise LookupError("no such answer")

    server = FaultServer(answer).__enter__()
    with httpx.Client(base_url=server.url, headers=HEADERS) as http:
        response = http.post("/v1/messages", json=body())
    assert response.status_code == 500
    assert "no such answer" in response.json()["error"]["message"]
    with pytest.raises(LookupError, match="no such answer"):
        server.__exit__(None, None, None)


def test_models_and_unknown_paths(serve):
    api = serve()
    assert api.http.get("/v1/models").json()["data"][0]["type"] == "model"
    missing = api.http.get("/v1/nothing")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("blocks", ["text", answers.text("text"), ["te", answers.text("xt")]])
def test_answers_are_made_of_strings_and_blocks(blocks):
    answer = Answer(blocks)
    assert answer.text == "text"
    assert answer.stop_reason == "end_turn"
