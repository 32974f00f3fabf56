"""The one message: passed on byte for byte while all is well, put together where it is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.service import Service, read_message, request

from unbroken._core.framing.frames import FrameError, ServerSentEvents
from unbroken._core.ledger import Ledger
from unbroken._core.resume import PlanMode
from unbroken._core.seam import ExactSeam, Expected, FreeSeam
from unbroken._core.stream import held as held_module
from unbroken._core.stream.blocks import Handling, handling
from unbroken._core.stream.message import Message
from unbroken._core.stream.reading import Reading
from unbroken.testing import Answer, answers

if TYPE_CHECKING:
    from collections.abc import Collection

    from unbroken._core.stream.blocks import Block

SSE = ServerSentEvents()


def ev(name: str, **data: Any) -> bytes:
    """An event as the API writes it, which is not as we would: with spaces."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


PING = ev("ping")
STOP = ev("message_stop")


def message_start(number: int = 1, **usage: Any) -> bytes:
    message: dict[str, Any] = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 10, "output_tokens": 1, **usage},
    }
    return ev("message_start", message=message)


def begin(index: int, kind: str = "text", **fields: Any) -> bytes:
    empty: dict[str, dict[str, Any]] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
        "server_tool_use": {"input": {}},
        "mcp_tool_use": {"input": {}},
    }
    content = {"type": kind, **empty.get(kind, {}), **fields}
    return ev("content_block_start", index=index, content_block=content)


def delta(index: int, kind: str, **fields: Any) -> bytes:
    return ev("content_block_delta", index=index, delta={"type": kind, **fields})


def words(index: int, text: str) -> bytes:
    return delta(index, "text_delta", text=text)


def typed(index: int, json_text: str) -> bytes:
    return delta(index, "input_json_delta", partial_json=json_text)


def cite(index: int, number: int) -> bytes:
    return delta(index, "citations_delta", citation={"type": "page", "number": number})


def end(index: int) -> bytes:
    return ev("content_block_stop", index=index)


def message_delta(stop_reason: str | None = "end_turn", **usage: Any) -> bytes:
    change = {"stop_reason": stop_reason, "stop_sequence": None}
    return ev("message_delta", delta=change, usage={"output_tokens": 20, **usage})


def text_block(index: int, *pieces: str) -> list[bytes]:
    return [begin(index), *(words(index, piece) for piece in pieces), end(index)]


def thinking_block(index: int, thought: str = "Hm.") -> list[bytes]:
    return [
        begin(index, "thinking"),
        delta(index, "thinking_delta", thinking=thought),
        delta(index, "signature_delta", signature="sig"),
        end(index),
    ]


def tool_block(index: int, kind: str = "tool_use", json_text: str = '{"a":1}') -> list[bytes]:
    half = len(json_text) // 2
    return [
        begin(index, kind, id=f"id_{index}", name="look"),
        typed(index, json_text[:half]),
        typed(index, json_text[half:]),
        end(index),
    ]


def result_block(index: int, of: int, kind: str = "web_search_tool_result") -> list[bytes]:
    return [begin(index, kind, tool_use_id=f"id_{of}", content=[]), end(index)]


class Reader:
    """A message, and the attempt that is read into it."""

    def __init__(self, live: Collection[str] = ()) -> None:
        self.message = Message(ServerSentEvents())
        self.live = live
        self.ledger = Ledger()
        self.attempts = 0
        self.begin_attempt()

    def begin_attempt(
        self, seam: Any = None, mode: PlanMode = PlanMode.AGAIN, prompt_tokens: int = 0
    ) -> None:
        self.attempts += 1
        self.growth = self.message.growth
        self.ledger.begin_attempt(self.attempts, None if mode is PlanMode.AGAIN else prompt_tokens)
        self.reading = Reading(
            self.message, self.ledger, ServerSentEvents(), self.live, mode=mode, seam=seam
        )

    @property
    def blocks(self) -> list[Block]:
        return self.message.blocks

    @property
    def progressed(self) -> bool:
        """Whether the attempt gave the caller something new."""
        return self.message.growth > self.growth

    @property
    def is_whole(self) -> bool:
        return self.message.end is not None


def take(reader: Reader, frame: bytes) -> bytes:
    """As the machine reads: plain deltas in the fast lane, the rest parsed."""
    piece = reader.reading.plain_delta(frame)
    if piece is None:
        event = SSE.decode(frame)
        assert event is not None
        piece = reader.reading.take(event)
    return piece + reader.reading.finish() if reader.reading.stopped else piece


def read(reader: Reader, *frames: bytes) -> bytes:
    return b"".join(take(reader, frame) for frame in frames)


def events(out: bytes) -> list[dict[str, Any]]:
    return [event.data for f in ServerSentEvents().split(out) if (event := SSE.decode(f))]


def message(out: bytes) -> dict[str, Any]:
    """The message that the events make, if they are well formed."""
    beside = ("ping", "brand_new_event")
    return read_message([event for event in events(out) if event["type"] not in beside])


def said(out: bytes) -> str:
    deltas = [event["delta"] for event in events(out) if "delta" in event]
    return "".join(d.get("text", "") for d in deltas)


def begun(*frames: bytes, live: tuple[str, ...] = ()) -> tuple[Reader, bytes]:
    reader = Reader(live)
    return reader, read(reader, message_start(), *frames)


def resumed(
    *frames: bytes, seam: Any = None, continues: bool = True, second: bytes | None = None
) -> tuple[Reader, bytes]:
    """A message whose first attempt brought these frames, and whose second one has begun."""
    reader, out = begun(*frames)
    reader.begin_attempt(seam, PlanMode.USER_TURN if continues else PlanMode.AGAIN)
    return reader, out + read(reader, message_start(2) if second is None else second)


ENDING = (message_delta(), STOP)


# A healthy stream


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(text_block(0, "Hello ", "there"), id="text"),
        pytest.param([], id="nothing"),
        pytest.param(text_block(0), id="an empty text"),
        pytest.param(text_block(0, "a") + text_block(1) + text_block(2, "b"), id="three texts"),
        pytest.param(thinking_block(0) + text_block(1, "a"), id="thinking and text"),
        pytest.param(
            [begin(0, "redacted_thinking", data="x"), end(0), *text_block(1, "a")], id="redacted"
        ),
        pytest.param(thinking_block(0), id="thinking at the end"),
        pytest.param(tool_block(0), id="a tool"),
        pytest.param(tool_block(0, json_text=""), id="a tool without input"),
        pytest.param(text_block(0, "a") + tool_block(1) + tool_block(2), id="text and two tools"),
        pytest.param(tool_block(0, "server_tool_use") + result_block(1, 0), id="a server tool"),
        pytest.param(
            tool_block(0, "mcp_tool_use") + result_block(1, 0, "mcp_tool_result"), id="an MCP tool"
        ),
        pytest.param(
            tool_block(0, "server_tool_use")
            + tool_block(1, "server_tool_use")
            + result_block(2, 1)
            + result_block(3, 0)
            + text_block(4, "a"),
            id="two server tools at once",
        ),
        pytest.param(
            [
                begin(0, "compaction", content=None),
                delta(0, "compaction_delta", content="c"),
                end(0),
            ],
            id="compaction",
        ),
        pytest.param([begin(0, "container_upload", file_id="f"), end(0)], id="an upload"),
        pytest.param([begin(0, "brand_new"), delta(0, "new_delta", x=1), end(0)], id="unknown"),
        pytest.param([begin(0), words(0, "a"), cite(0, 1), words(0, "b"), end(0)], id="citations"),
        pytest.param([begin(0), cite(0, 1), words(0, "a"), end(0)], id="a citation first"),
        pytest.param([begin(0), words(0, "a"), delta(0, "new_delta", x=1), end(0)], id="a delta"),
    ],
)
def test_a_healthy_stream_passes_byte_for_byte(frames):
    frames = [message_start(), PING, *frames, ev("brand_new_event", x=1), *ENDING]
    reader = Reader()
    out = b"".join(take(reader, frame) for frame in frames)
    pings = {PING, ev("brand_new_event", x=1)}
    assert [f for f in ServerSentEvents().split(out) if f not in pings] == [
        f for f in frames if f not in pings
    ]
    assert sorted(ServerSentEvents().split(out)) == sorted(frames)
    assert reader.is_whole
    assert reader.message.so_far() == message(out)


blocks = st.one_of(
    st.text(max_size=60).map(answers.text),
    st.text(max_size=30).map(answers.thinking),
    st.text(max_size=30).map(answers.redacted_thinking),
    st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3).map(
        lambda given: answers.tool_use("look", given)
    ),
    st.text(max_size=9).map(lambda given: answers.server_tool("web_search", {"query": given})),
    st.text(max_size=9).map(lambda given: answers.mcp_tool("look", {"query": given})),
    st.text(max_size=20).map(lambda given: answers.cited_text(given, [{"type": "x", "n": 1}])),
)


@given(
    content=st.lists(blocks, max_size=5),
    stop=st.sampled_from(["end_turn", "max_tokens", "refusal", "pause_turn", "brand_new"]),
    delta_chars=st.sampled_from([None, 1, 7]),
    chunk=st.sampled_from([1, 10, 10_000]),
    ensure_ascii=st.booleans(),
)
def test_any_answer_passes_byte_for_byte(content, stop, delta_chars, chunk, ensure_ascii):
    service = Service(
        Answer(content, stop_reason=stop),
        chunk=chunk,
        delta_chars=delta_chars,
        ensure_ascii=ensure_ascii,
    )
    bodies = []
    respond = service.respond

    def recording(body: dict[str, Any]) -> tuple[int, bytes, Any]:
        status, whole, ended = respond(body)
        bodies.append(whole)
        return status, whole, ended

    service.respond = recording  # type: ignore[method-assign]
    run = service.run(request())
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'
    assert len(bodies) == 1
    assert run.out.replace(ping, b"") == bodies[0].replace(ping, b"")
    assert run.out.count(ping) == bodies[0].count(ping), "while a block is held, pings pass"
    assert run.machine.partial() == run.message()


def test_empty_deltas_of_a_text_may_be_left_out():
    frames = [begin(0), words(0, ""), words(0, "a"), words(0, ""), end(0), *ENDING]
    _, out = begun(*frames)
    assert message(out) == message(message_start() + b"".join(frames))


# What each kind of block gets


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", Handling.TEXT),
        ("thinking", Handling.THINKING),
        ("redacted_thinking", Handling.THINKING),
        ("tool_use", Handling.CLIENT_TOOL),
        ("server_tool_use", Handling.SERVER_TOOL),
        ("mcp_tool_use", Handling.SERVER_TOOL),
        ("web_search_tool_result", Handling.WHOLE),
        ("web_fetch_tool_result", Handling.WHOLE),
        ("code_execution_tool_result", Handling.WHOLE),
        ("bash_code_execution_tool_result", Handling.WHOLE),
        ("text_editor_code_execution_tool_result", Handling.WHOLE),
        ("tool_search_tool_result", Handling.WHOLE),
        ("advisor_tool_result", Handling.WHOLE),
        ("mcp_tool_result", Handling.WHOLE),
        ("a_future_tool_result", Handling.WHOLE),
        ("mcp_tool_listing", Handling.WHOLE),
        ("container_upload", Handling.WHOLE),
        ("compaction", Handling.WHOLE),
        ("fallback", Handling.WHOLE),
        ("brand_new", Handling.UNKNOWN),
        ("None", Handling.UNKNOWN),
    ],
)
def test_each_type_of_block_has_its_handling(kind, expected):
    assert handling(kind) is expected


def test_text_is_delivered_as_it_comes():
    reader, _ = begun()
    assert take(reader, begin(0)) == b"", "not opened before it says something"
    assert take(reader, words(0, "a")) == begin(0) + words(0, "a")
    assert take(reader, words(0, "b")) == words(0, "b")
    assert reader.message.open is reader.blocks[0]
    assert take(reader, end(0)) == b"", "not closed before something follows"
    assert reader.message.open is reader.blocks[0]
    assert take(reader, begin(1)) == b""
    assert take(reader, words(1, "c")) == end(0) + begin(1) + words(1, "c")


def test_an_empty_text_is_delivered_when_it_ends():
    reader, _ = begun(begin(0))
    assert take(reader, end(0)) == begin(0)
    assert read(reader, *ENDING) == end(0) + message_delta() + STOP


def test_text_that_comes_with_the_start_of_its_block_is_delivered():
    reader, _ = begun()
    out = read(reader, begin(0, text="Hello "), words(0, "there"), end(0), *ENDING)
    assert said(out) == "Hello there"
    assert message(message_start() + out)["content"] == [{"type": "text", "text": "Hello there"}]


@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking"])
def test_thinking_is_delivered_when_the_next_block_begins(kind):
    thought = thinking_block(0) if kind == "thinking" else [begin(0, kind, data="x"), end(0)]
    reader, _ = begun()
    for frame in thought:
        assert take(reader, frame) == b""
    assert reader.blocks == []
    assert not reader.progressed
    assert take(reader, begin(1)) == b"".join(thought)
    assert reader.progressed


def test_thinking_is_delivered_when_the_message_ends():
    reader, _ = begun(*thinking_block(0))
    assert take(reader, message_delta()) == b"".join(thinking_block(0))


def test_a_tool_call_is_delivered_when_it_stops():
    reader, _ = begun()
    frames = tool_block(0)
    for frame in frames[:-1]:
        assert take(reader, frame) == b""
    assert take(reader, frames[-1]) == b"".join(frames)


def test_a_server_tool_call_is_delivered_with_its_result():
    reader, _ = begun()
    frames = tool_block(0, "server_tool_use") + result_block(1, 0)
    for frame in frames[:-1]:
        assert take(reader, frame) == b""
    assert take(reader, frames[-1]) == b"".join(frames)


def test_of_two_server_tool_calls_both_wait_for_both_results():
    frames = tool_block(0, "server_tool_use") + tool_block(1, "server_tool_use")
    reader, _ = begun(*frames, *result_block(2, 0))
    assert reader.blocks == []
    out = read(reader, *result_block(3, 1))
    assert out == b"".join(frames + result_block(2, 0) + result_block(3, 1))


def test_text_between_a_server_tool_call_and_its_result_waits_too():
    frames = tool_block(0, "server_tool_use") + text_block(1, "one moment")
    reader, _ = begun(*frames)
    assert reader.blocks == []
    out = read(reader, *result_block(2, 0))
    assert out == b"".join(frames + result_block(2, 0))


@pytest.mark.parametrize("stop_reason", ["pause_turn", "end_turn", "tool_use", "max_tokens"])
def test_a_server_tool_call_without_a_result_is_delivered_when_the_message_ends(stop_reason):
    frames = tool_block(0, "server_tool_use")
    reader, _ = begun(*frames)
    assert take(reader, message_delta(stop_reason)) == b"".join(frames)


def test_a_result_is_delivered_when_it_is_whole():
    reader, _ = begun(*tool_block(0, "server_tool_use"))
    assert take(reader, result_block(1, 0)[0]) == b""
    assert reader.blocks == []


def test_an_unknown_block_is_delivered_as_it_comes():
    reader, _ = begun()
    for frame in (begin(0, "brand_new"), delta(0, "new_delta", x=1), end(0)):
        assert take(reader, frame) == frame


def test_an_unknown_block_behind_a_held_one_waits_with_it():
    frames = [*tool_block(0, "server_tool_use"), begin(1, "brand_new"), end(1)]
    reader, _ = begun(*frames)
    assert reader.blocks == []
    assert read(reader, *result_block(2, 0)) == b"".join(frames + result_block(2, 0))


def test_while_a_block_is_held_pings_and_unknown_events_pass():
    reader, _ = begun(begin(0, "thinking"))
    assert take(reader, PING) == PING
    assert take(reader, ev("brand_new_event", x=1)) == ev("brand_new_event", x=1)


@pytest.mark.parametrize(
    ("live", "frames"),
    [
        pytest.param(("thinking",), thinking_block(0), id="thinking"),
        pytest.param(("tool_use",), tool_block(0), id="tools"),
        pytest.param(("tool_use look",), tool_block(0), id="a tool by name"),
        pytest.param(("server_tool_use",), tool_block(0, "server_tool_use"), id="server tools"),
    ],
)
def test_a_live_block_is_delivered_as_it_comes(live, frames):
    reader, _ = begun(live=live)
    for frame in frames[:-1]:
        assert take(reader, frame) == frame
        assert reader.message.open is reader.blocks[0]
        assert reader.progressed
    assert take(reader, frames[-1]) == frames[-1]
    assert reader.message.open is None


@pytest.mark.parametrize("live", [("tool_use other",), ("thinking",), ("look",)])
def test_a_block_that_is_not_meant_is_not_live(live):
    reader, _ = begun(live=live)
    assert take(reader, begin(0, "tool_use", id="i", name="look")) == b""


# Held blocks that are long


@pytest.mark.parametrize("limit", [0, 300, 1000])
def test_a_held_block_that_is_long_is_written_anew(monkeypatch, limit):
    monkeypatch.setattr(held_module, "_MAX_KEPT", limit)
    pieces = [f'thought {number}, \u72d0 \\ " \n' for number in range(100)]
    thoughts = [delta(0, "thinking_delta", thinking=piece) for piece in pieces]
    signature = delta(0, "signature_delta", signature="sig")
    frames = [begin(0, "thinking"), *thoughts, signature, end(0), *text_block(1, "a"), *ENDING]
    reader, out = begun(*frames)
    assert message(out) == message(message_start() + b"".join(frames))
    assert len(events(out)) < len(frames) - 90, "deltas of a type are one"
    assert reader.message.so_far() == message(out)


def test_a_long_block_is_kept_once():
    reader, _ = begun(begin(0, "thinking"))
    for _ in range(3000):
        assert take(reader, delta(0, "thinking_delta", thinking="x" * 100)) == b""
    (held,) = reader.reading._held._queue
    assert held.frames == []
    assert sum(map(len, (held.block._buffers[0].text,))) == 300_000
    take(reader, end(0))
    out = take(reader, begin(1))
    (start, whole, stop) = events(out)
    assert start["type"] == "content_block_start"
    assert whole["delta"]["thinking"] == "x" * 300_000
    assert stop["type"] == "content_block_stop"


def test_frames_that_follow_a_long_block_are_kept_again(monkeypatch):
    monkeypatch.setattr(held_module, "_MAX_KEPT", 400)
    long = [
        begin(0, "server_tool_use", id="id_0", name="look"),
        *(typed(0, piece) for piece in ('{"a":"', "x" * 500, '"}')),
        end(0),
    ]
    reader, _ = begun(*long)
    out = read(reader, *result_block(1, 0))
    assert out.endswith(b"".join(result_block(1, 0)))
    assert json.loads(events(out)[1]["delta"]["partial_json"]) == {"a": "x" * 500}


# Tool calls that are no JSON


@pytest.mark.parametrize("bad", ['{"a":', "[1]", '"a"', "null", "{'a':1}", '{"a":1}}'], ids=repr)
class TestToolInputThatIsNoObject:
    def test_is_held_until_the_message_tells_why(self, bad):
        reader, _ = begun(*tool_block(0, json_text=bad))
        assert reader.blocks == []

    @pytest.mark.parametrize(
        "stop_reason", ["max_tokens", "model_context_window_exceeded", "refusal"]
    )
    def test_is_delivered_as_it_came_where_the_message_was_cut_short(self, bad, stop_reason):
        frames = [*tool_block(0, json_text=bad), message_delta(stop_reason), STOP]
        reader, out = begun(*frames)
        assert out == message_start() + b"".join(frames)
        assert reader.is_whole

    @pytest.mark.parametrize("stop_reason", ["tool_use", "end_turn", "pause_turn", "brand_new"])
    def test_is_a_broken_stream_otherwise(self, bad, stop_reason):
        reader, _ = begun(*tool_block(0, json_text=bad))
        with pytest.raises(FrameError):
            take(reader, message_delta(stop_reason))
        assert reader.blocks == []
        assert not reader.is_whole

    def test_holds_what_follows_it(self, bad):
        reader, _ = begun(*tool_block(0, json_text=bad), *tool_block(1))
        assert reader.blocks == []


# The end


@pytest.mark.parametrize(
    "stop_reason",
    [
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
        "compaction",
        "brand_new",
    ],
)
def test_whatever_the_stop_reason_the_end_comes_in_one_piece(stop_reason):
    reader, _ = begun(*text_block(0, "a"))
    assert take(reader, message_delta(stop_reason)) == b""
    assert reader.reading.ended
    assert not reader.is_whole
    assert take(reader, STOP) == end(0) + message_delta(stop_reason) + STOP
    assert reader.is_whole
    so_far = reader.message.so_far()
    assert so_far is not None
    assert so_far["stop_reason"] == stop_reason


def test_a_missing_message_stop_is_supplied():
    reader, _ = begun(*text_block(0, "a"), message_delta())
    assert reader.reading.finish() == end(0) + message_delta() + SSE.encode(
        "message_stop", {"type": "message_stop"}
    )
    assert reader.is_whole


def test_several_message_deltas_come_as_one():
    first = ev("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 5, "x": 1})
    second = ev(
        "message_delta",
        delta={"stop_reason": "end_turn", "stop_sequence": None},
        usage={"output_tokens": 9},
        context_management={"a": 1},
    )
    third = ev("message_delta", delta={"container": {"id": "c"}}, usage={"output_tokens": 10})
    reader, out = begun(*text_block(0, "a"), first, second, third, STOP)
    last = events(out)[-2]
    assert last["delta"] == {
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "container": {"id": "c"},
    }
    assert last["usage"] == {"output_tokens": 10, "x": 1}
    assert last["context_management"] == {"a": 1}
    assert [event["type"] for event in events(out)].count("message_delta") == 1
    assert reader.message.so_far() == message(out)


def test_a_message_delta_without_usage_is_one():
    bare = ev("message_delta", delta={"stop_reason": "end_turn"})
    reader, out = begun(bare, STOP)
    assert out == message_start() + bare + STOP
    assert reader.is_whole


def test_a_message_may_be_ended_for_a_reason_of_ours():
    reader, out = begun(*text_block(0, "a"), *tool_block(1))
    out += reader.reading.finish_as("tool_use")
    whole = message(out)
    assert whole["stop_reason"] == "tool_use"
    assert [b["type"] for b in whole["content"]] == ["text", "tool_use"]
    assert whole["usage"]["output_tokens"] > 0
    assert reader.message.so_far() == whole


# What makes no sense


@pytest.mark.parametrize(
    ("before", "frame"),
    [
        pytest.param((), begin(0), id="a block before the message"),
        pytest.param((message_start(), begin(0)), begin(1), id="a block inside a block"),
        pytest.param((message_start(),), words(0, "a"), id="a delta without a block"),
        pytest.param((message_start(),), end(0), id="a stop without a block"),
        pytest.param((message_start(), begin(0)), words(1, "a"), id="a delta of another block"),
        pytest.param((message_start(), begin(0)), end(1), id="a stop of another block"),
        pytest.param(
            (message_start(), *text_block(0, "a")), words(0, "b"), id="a delta behind the stop"
        ),
        pytest.param(
            (message_start(), *thinking_block(0)),
            delta(0, "thinking_delta", thinking="b"),
            id="a plain delta behind the stop",
        ),
        pytest.param((message_start(),), STOP, id="a stop without a reason"),
        pytest.param((), STOP, id="a stop without a message"),
        pytest.param((message_start(), message_delta(None)), STOP, id="a reason that is none"),
        pytest.param((), ev("message_start"), id="no message"),
        pytest.param((), ev("message_start", message=[]), id="a message that is a list"),
        pytest.param((message_start(),), ev("content_block_start", index=0), id="no block"),
        pytest.param(
            (message_start(),),
            ev("content_block_start", index="0", content_block={}),
            id="an index that is a text",
        ),
        pytest.param(
            (message_start(), begin(0)), ev("content_block_delta", index=0), id="no delta"
        ),
        pytest.param(
            (message_start(), begin(0)),
            ev("content_block_delta", index=0, delta="a"),
            id="a delta that is a text",
        ),
        pytest.param((message_start(), begin(0)), ev("content_block_stop"), id="no index"),
        pytest.param((message_start(),), ev("message_delta"), id="an end without a delta"),
    ],
)
def test_an_event_that_makes_no_sense_is_the_one_named_error(before, frame):
    reader = Reader()
    read(reader, *before)
    with pytest.raises(FrameError):
        take(reader, frame)


def test_an_end_without_a_message_is_the_one_named_error():
    reader = Reader()
    with pytest.raises(FrameError):
        read(reader, message_delta(), STOP)


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(delta(0, "text_delta", text=None), id="null for a text"),
        pytest.param(delta(0, "text_delta"), id="no text"),
        pytest.param(delta(0, "text_delta", text="b", extra=1), id="one more field"),
        pytest.param(ev("content_block_delta", index=0, delta={}), id="no type"),
    ],
)
def test_an_odd_delta_does_no_harm(odd):
    reader, out = begun(begin(0), words(0, "a"), odd, words(0, "c"), end(0), *ENDING)
    assert said(out).replace("b", "") == "ac"
    assert reader.is_whole


def test_a_number_where_a_text_belongs_does_no_harm_to_a_held_block():
    odd = delta(0, "thinking_delta", thinking=None)
    frames = [begin(0, "thinking"), odd, end(0), *text_block(1, "a"), *ENDING]
    _, out = begun(*frames)
    assert out == message_start() + b"".join(frames)


# A continuation


def test_an_open_text_goes_on_growing():
    reader, out = resumed(begin(0), words(0, "The fox "), seam=ExactSeam("fox "))
    out += read(reader, *text_block(0, "fox ", "ran"), *ENDING)
    assert message(out)["content"] == [{"type": "text", "text": "The fox ran"}]
    assert len(reader.blocks) == 1
    assert message(out)["id"] == "msg_1"


def test_a_text_whose_end_is_not_delivered_goes_on_growing():
    reader, out = resumed(*text_block(0, "The fox "), seam=ExactSeam("fox "))
    out += read(reader, *text_block(0, "fox ", "ran"), *ENDING)
    assert message(out)["content"] == [{"type": "text", "text": "The fox ran"}]


def test_a_cited_text_that_ended_gets_no_other_text():
    first = [begin(0), words(0, "The fox "), cite(0, 1), end(0)]
    reader, out = resumed(*first, seam=ExactSeam("fox "))
    out += read(reader, *text_block(0, "fox ", "ran"), *ENDING)
    assert [b["text"] for b in message(out)["content"]] == ["The fox ", "ran"]
    assert "citations" not in message(out)["content"][1]


def test_a_cited_text_that_was_cut_goes_on_growing():
    first = [begin(0), words(0, "The fox "), cite(0, 1)]
    reader, out = resumed(*first, seam=ExactSeam("fox "))
    out += read(reader, begin(0), words(0, "fox ran"), cite(0, 2), end(0), *ENDING)
    (block,) = message(out)["content"]
    assert block["text"] == "The fox ran"
    assert [c["number"] for c in block["citations"]] == [1, 2]


def test_citations_wait_until_it_is_clear_which_block_they_are_of():
    reader, _ = resumed(begin(0), words(0, "The fox ran"), seam=ExactSeam("fox ran"))
    assert read(reader, begin(0), words(0, "fox "), cite(0, 1)) == b""
    out = take(reader, words(0, "ran and"))
    assert [e["delta"]["type"] for e in events(out)] == ["citations_delta", "text_delta"]


def test_citations_of_text_that_the_caller_has_are_not_delivered_again():
    reader, out = resumed(begin(0), words(0, "The fox ran"), cite(0, 1), seam=ExactSeam("fox ran"))
    out += read(reader, begin(0), words(0, "fox "), cite(0, 1), end(0))
    out += read(reader, *text_block(1, "ran", " off"), *ENDING)
    (block,) = message(out)["content"]
    assert block["text"] == "The fox ran off"
    assert [c["number"] for c in block["citations"]] == [1]


def test_a_second_text_gets_a_block_of_its_own():
    reader, out = resumed(begin(0), words(0, "One. "), seam=ExactSeam("One. "))
    out += read(reader, *text_block(0, "One. ", "Two."), *text_block(1, "Three."), *ENDING)
    assert [b["text"] for b in message(out)["content"]] == ["One. Two.", "Three."]


def test_indices_stay_contiguous():
    reader, out = resumed(
        *text_block(0, "a"), *tool_block(1, "server_tool_use"), *result_block(2, 1)
    )
    out += read(reader, *text_block(0, "b"), *tool_block(1), *ENDING)
    content = message(out)["content"]  # which asserts the indices
    assert [b["type"] for b in content] == [
        "text",
        "server_tool_use",
        "web_search_tool_result",
        "text",
        "tool_use",
    ]


def test_indices_of_the_service_need_not_be_contiguous():
    reader, out = begun(*text_block(0, "a"), *tool_block(4), *text_block(9, "b"), *ENDING)
    assert [b["type"] for b in message(out)["content"]] == ["text", "tool_use", "text"]
    assert reader.message.so_far() == message(out)


def test_thinking_born_in_a_continuation_is_not_delivered_but_received():
    reader, out = resumed(begin(0), words(0, "The fox "), seam=ExactSeam("fox "))
    out += read(reader, *thinking_block(0, "Go on."), *text_block(1, "fox ", "ran"), *ENDING)
    assert [b["type"] for b in message(out)["content"]] == ["text"]
    assert [b.type for b in reader.reading.received()] == ["thinking", "text"]
    assert reader.reading.received()[0].content() == {
        "type": "thinking",
        "thinking": "Go on.",
        "signature": "sig",
    }
    assert reader.reading.received()[1].text() == "fox ran"
    assert reader.reading.received_chars() == len("Go on.fox ran")


def test_thinking_of_the_same_request_again_is_not_delivered_twice():
    reader, out = resumed(*thinking_block(0), begin(1), continues=False)
    assert [b.type for b in reader.blocks] == ["thinking"]
    out += read(reader, *thinking_block(0, "Otherwise."), *text_block(1, "a"), *ENDING)
    assert [b["type"] for b in message(out)["content"]] == ["thinking", "text"]
    assert message(out)["content"][0]["thinking"] == "Hm."


def test_thinking_of_the_same_request_again_is_delivered_where_none_was():
    reader, out = resumed(begin(0, "thinking"), continues=False)
    out += read(reader, *thinking_block(0), *text_block(1, "a"), *ENDING)
    assert [b["type"] for b in message(out)["content"]] == ["thinking", "text"]


def test_what_was_held_at_the_drop_is_gone():
    reader, out = resumed(*text_block(0, "a"), *tool_block(1)[:-1])
    assert [b.type for b in reader.blocks] == ["text"]
    out += read(reader, *tool_block(0, json_text='{"b":2}'), *ENDING)
    content = message(out)["content"]
    assert [b["type"] for b in content] == ["text", "tool_use"]
    assert content[1]["input"] == {"b": 2}


def test_an_empty_text_of_a_continuation_is_not_delivered():
    reader, out = resumed(
        *text_block(0, "a"), *tool_block(1, "server_tool_use"), *result_block(2, 1)
    )
    out += read(reader, *text_block(0), *text_block(1, "b"), *ENDING)
    assert [b.get("text") for b in message(out)["content"]] == ["a", None, None, "b"]


def test_a_seam_is_decided_when_another_kind_of_block_begins():
    seam = FreeSeam(Expected("The fox", asked="The fox", join_unproven=True))
    reader, out = resumed(*text_block(0, "The fox"), seam=seam)
    out += read(reader, *text_block(0, " ran"))
    assert said(out) == "The fox"
    out += read(reader, *tool_block(1), *ENDING)
    assert [b.get("text") for b in message(out)["content"]] == ["The fox ran", None]


def test_a_seam_is_decided_when_the_message_ends():
    seam = FreeSeam(Expected("The fox", asked="The fox", join_unproven=True))
    reader, out = resumed(*text_block(0, "The fox"), seam=seam)
    out += read(reader, *text_block(0, " ran"), *ENDING)
    assert message(out)["content"] == [{"type": "text", "text": "The fox ran"}]


def test_a_seam_goes_on_over_several_texts():
    reader, out = resumed(*text_block(0, "One. Two."), seam=ExactSeam("One. Two."))
    out += read(reader, *text_block(0, "One. "), *text_block(1, "Two. Three."), *ENDING)
    assert message(out)["content"] == [{"type": "text", "text": "One. Two. Three."}]


def test_the_usage_is_that_of_the_one_message():
    """The first attempt's input, and all output: here 30 tokens were cut, and 20 came after."""
    reader = Reader()
    out = read(reader, message_start(1, input_tokens=100), begin(0), words(0, "The fox "))
    reader.begin_attempt(ExactSeam("fox "), PlanMode.USER_TURN, prompt_tokens=15)
    out += read(reader, message_start(2, input_tokens=145), *text_block(0, "fox ran"))
    out += read(reader, message_delta(input_tokens=145, output_tokens=20), STOP)
    assert message(out)["usage"] == {"input_tokens": 100, "output_tokens": 50}
    assert reader.message.so_far() == message(out)


def test_the_usage_of_the_same_request_again_is_that_of_the_last():
    reader = Reader()
    out = read(reader, message_start(1, input_tokens=100), begin(0, "thinking"))
    reader.begin_attempt()
    out += read(reader, message_start(2, input_tokens=100), *text_block(0, "a"), *ENDING)
    assert message(out)["usage"] == {"input_tokens": 100, "output_tokens": 20}


def test_two_drops_are_spliced_like_one():
    reader, out = resumed(begin(0), words(0, "One "), seam=ExactSeam(""))
    out += read(reader, begin(0), words(0, "two "))
    reader.begin_attempt(ExactSeam("two "), PlanMode.PREFILL)
    out += read(reader, message_start(3), *text_block(0, "two three"), *ENDING)
    assert message(out)["content"] == [{"type": "text", "text": "One two three"}]
    assert message(out)["id"] == "msg_1"


# The fast lane of a continuation


class Slow(Reader):
    """Parses every event."""

    def begin_attempt(self, *args: Any, **kwargs: Any) -> None:
        super().begin_attempt(*args, **kwargs)
        self.reading.plain_delta = lambda frame: None  # type: ignore[method-assign]


@given(
    deltas=st.lists(
        st.sampled_from(
            [" ran", "off", " [", "[[DO", "NE]]", "[[DONE]]", "\n", " ", "é", "x\n", "."]
        ),
        max_size=12,
    ),
    number=st.sampled_from([0, 1]),
    mode=st.sampled_from([PlanMode.PREFILL, PlanMode.USER_TURN]),
    citing=st.booleans(),
)
def test_the_fast_lane_of_a_continuation_says_the_same(deltas, number, mode, citing):
    outs = []
    for reader in (Reader(), Slow()):
        read(reader, message_start(), *text_block(0, "One."), begin(1, "brand_new"), end(1))
        read(reader, *([] if number else [begin(2, "brand_new"), end(2)]))
        seam = FreeSeam(Expected("One.", asked="One.", mark="[[DONE]]"))
        assert seam.feed("One.x") == "x"
        reader.begin_attempt(seam, mode)
        out = read(reader, message_start(2), begin(1), words(1, "The fox"))
        out += read(reader, *(words(1, text) for text in deltas))
        out += read(reader, *([cite(1, 1)] if citing else []), words(1, " end"), end(1), *ENDING)
        received = [block.text() for block in reader.reading.received()]
        outs.append(
            (events(out), received, reader.reading.received_chars(), reader.message.so_far())
        )
    assert outs[0] == outs[1]


@pytest.mark.parametrize("mode", [PlanMode.PREFILL, PlanMode.USER_TURN])
def test_a_continuation_enters_the_fast_lane_when_its_seam_is_settled(mode):
    mark = "[[DONE]]" if mode is PlanMode.USER_TURN else None
    reader, _ = begun(begin(0), words(0, "The fox ran off"))
    reader.begin_attempt(FreeSeam(Expected("The fox ran off", asked="ran off", mark=mark)), mode)
    read(reader, message_start(2), begin(0))
    assert reader.reading.plain_delta(words(0, " ran off")) is None
    take(reader, words(0, " ran off"))
    take(reader, words(0, " again"))
    frame = words(0, " and again")
    assert reader.reading.plain_delta(frame) == frame
    assert (reader.reading.plain_delta(words(0, " [x]")) is None) is bool(mark)


# What it tells


def test_what_the_attempt_brought_is_counted_in_characters():
    thought, tool = thinking_block(0, "Hm \u72d0"), tool_block(2)
    reader, _ = begun(*thought, *text_block(1, 'a"\n', "\U0001f642"), *tool, PING, *ENDING)
    assert reader.reading.received_chars() == len('Hm \u72d0a"\n\U0001f642{"a":1}')


def test_the_message_so_far_is_what_the_caller_was_given():
    reader = Reader()
    assert reader.message.so_far() is None
    read(reader, message_start(), *thinking_block(0), begin(1), words(1, "a"), end(1))
    read(reader, *tool_block(2)[:-1])
    so_far = reader.message.so_far()
    assert so_far is not None
    assert [b["type"] for b in so_far["content"]] == ["thinking", "text"]
    assert so_far["stop_reason"] is None
    assert so_far["id"] == "msg_1"


@pytest.mark.parametrize(
    ("frames", "progressed"),
    [
        pytest.param((PING,), False, id="a ping"),
        pytest.param((begin(0),), False, id="the start of a text"),
        pytest.param((begin(0), words(0, "")), False, id="an empty delta"),
        pytest.param((begin(0), words(0, "a")), True, id="text"),
        pytest.param(thinking_block(0), False, id="held thinking"),
        pytest.param(tool_block(0)[:-1], False, id="half a tool call"),
        pytest.param(tool_block(0), True, id="a tool call"),
        pytest.param((begin(0, "brand_new"),), True, id="an unknown block"),
    ],
)
def test_only_content_that_reached_the_caller_is_progress(frames, progressed):
    reader, _ = begun(*frames)
    assert reader.progressed is progressed


def test_text_that_the_caller_has_is_no_progress():
    reader, _ = resumed(begin(0), words(0, "The fox "), seam=ExactSeam("fox "))
    reader.growth = reader.message.growth
    read(reader, begin(0), words(0, "fox "))
    assert not reader.progressed
    take(reader, words(0, "ran"))
    assert reader.progressed
