"""What takes the short way says the same as what is parsed, and all else does not take it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from unbroken._core.framing.frames import ServerSentEvents
from unbroken._core.stream.blocks import Block
from unbroken._core.stream.fast_lane import DeltaRun, FastLane, Track
from unbroken._core.stream.held import Held

SSE = ServerSentEvents()
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
KINDS = ("text", "thinking", "input_json")


def delta_frame(
    text: str, *, kind: str = "text", index: int = 0, ensure_ascii: bool = False
) -> bytes:
    field = {"input_json": "partial_json"}.get(kind, kind)
    data = {
        "type": "content_block_delta",
        "index": index,
        "delta": {"type": f"{kind}_delta", field: text},
    }
    return b"event: content_block_delta\ndata: %s\n\n" % json.dumps(
        data, ensure_ascii=ensure_ascii, separators=(",", ":")
    ).encode("utf-8", "surrogatepass")


def begun(frame: bytes) -> tuple[DeltaRun, Block] | None:
    """A run that begins with this frame, and its block; None if that is no plain delta."""
    delta = SSE.plain_delta(frame)
    if delta is None:
        return None
    block = Block({"type": "text", "text": ""})
    run = DeltaRun(delta, Track(block, 0, 0))
    return None if run.add(frame) is None else (run, block)


def parsed(frame: bytes) -> Any:
    data = json.loads(frame.split(b"data: ", 1)[1])
    event = SSE.decode(frame)
    assert event == ("content_block_delta", data, frame)
    return data


@given(
    # Surrogates, too: a service may escape half a character.
    text=st.text(st.characters(codec=None, exclude_categories=())),
    kind=st.sampled_from(KINDS),
    index=st.integers(0, 10**6),
    ensure_ascii=st.booleans(),
)
@example(text='"\\/\b\f\n\r\t\x00\x1f\x7f', kind="text", index=0, ensure_ascii=False)
@example(text="\ud83d", kind="text", index=0, ensure_ascii=True)
@example(text="\ud83d", kind="text", index=0, ensure_ascii=False)
@example(text="\u2028", kind="text", index=3, ensure_ascii=False)
def test_what_takes_the_short_way_is_what_json_says(text, kind, index, ensure_ascii):
    frame = delta_frame(text, kind=kind, index=index, ensure_ascii=ensure_ascii)
    run = begun(frame)
    half = any("\ud800" <= c <= "\udfff" for c in text)
    # UTF-8 does not allow halves, so the parser has to settle that; and nothing is no delta.
    if (half and not ensure_ascii) or not text:
        assert run is None
        return
    assert run is not None
    delta = SSE.plain_delta(frame)
    assert delta is not None
    event = parsed(frame)
    assert int(delta.block_index) == event["index"] == index
    assert run[1].deltas() == [event["delta"]]


@given(
    st.lists(st.text(st.characters(codec="utf-8")), min_size=1),
    st.lists(st.booleans(), min_size=1),
    st.lists(st.integers(0, 9), min_size=1),
)
def test_a_run_takes_what_differs_in_its_text_alone(texts, escaped, padding):
    run = begun(delta_frame("x"))
    assert run is not None
    for number, text in enumerate(texts):
        frame = delta_frame(text, ensure_ascii=escaped[number % len(escaped)])
        frame = frame.replace(b"}}\n", b"}%*s}\n" % (padding[number % len(padding)], b""))
        assert run[0].add(frame) == (frame if text else None)
    assert run[1].text() == "x" + "".join(texts)
    assert run[0].flush() == len("x" + "".join(texts))


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(PING, id="another event"),
        pytest.param(delta_frame("b", index=1), id="another block"),
        pytest.param(delta_frame("b", index=10), id="a block whose number begins the same"),
        pytest.param(delta_frame("b", kind="thinking"), id="another kind"),
        pytest.param(delta_frame("b").replace(b":", b": "), id="written otherwise"),
        pytest.param(delta_frame("b").replace(b"b", b"\xff"), id="no UTF-8"),
        pytest.param(delta_frame("b")[:-1], id="half a frame"),
        pytest.param(delta_frame("b") * 2, id="two frames"),
        pytest.param(delta_frame(""), id="nothing"),
    ],
)
def test_a_run_leaves_alone_what_is_anything_else(frame):
    run = begun(delta_frame("a"))
    assert run is not None
    assert run[0].add(frame) is None
    assert run[1].text() == "a"
    assert run[0].flush() == 1


def test_frames_of_a_run_wait_with_their_block():
    delta = SSE.plain_delta(delta_frame("a", kind="thinking"))
    assert delta is not None
    block = Block({"type": "thinking", "thinking": ""})
    held = Held(block, 0)
    run = DeltaRun(delta, Track(block, 0, 0, held))
    frames = [delta_frame(text, kind="thinking") for text in ("a", "b")]
    assert [run.add(frame) for frame in frames] == [b"", b""]
    assert held.frames == frames


@given(st.binary())
@settings(max_examples=examples(400))
@example(b"\xc3\x28")
@example(b"\xed\xa0\x80")
@example(b"\\u12")
@example(b"\\x41")
@example(b"\x00")
@example(b'","x":"')
@example(b'"}}\n\nevent: ')
def test_a_string_that_json_refuses_does_not_take_the_short_way(inside):
    frame = (
        b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"text_delta","text":"%s"}}\n\n'
    ) % inside
    run = begun(frame)
    if run is None:
        return
    assert parsed(frame) == {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": run[1].text()},
    }


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(
            b"event: content_block_delta\n"
            b'data: {"type": "content_block_delta", "index": 1, '
            b'"delta": {"type": "text_delta", "text": "a"}}\n\n',
            id="spaces after colons and commas",
        ),
        pytest.param(
            b"event: content_block_delta\n"
            b'data: {"type":"content_block_delta","index":1,'
            b'"delta":{"type":"text_delta","text":"a"}   }\n\n',
            id="the padding of the API",
        ),
    ],
)
def test_there_are_other_ways_to_write_the_same(frame):
    run = begun(frame)
    assert run is not None
    assert run[1].deltas() == [{"type": "text_delta", "text": "a"}]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(PING, id="another event"),
        pytest.param(delta_frame("a")[:-1], id="no blank line"),
        pytest.param(delta_frame("a").replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(b": hello\n" + delta_frame("a"), id="a comment before it"),
        pytest.param(delta_frame("a").replace(b"event: content_block_delta\n", b""), id="unnamed"),
        pytest.param(delta_frame("a").replace(b"event: content", b"event: discontent"), id="name"),
        pytest.param(delta_frame("a", kind="signature"), id="a signature"),
        pytest.param(delta_frame("a").replace(b'"text":', b'"thinking":'), id="the wrong field"),
        pytest.param(delta_frame("a").replace(b'"a"}', b'"a","b":1}'), id="one more field"),
        pytest.param(delta_frame("a").replace(b'"a"}', b'"a"},"b":1'), id="one more outside"),
        pytest.param(delta_frame("a").replace(b'"a"', b"null"), id="no string"),
        pytest.param(delta_frame("a").replace(b":0,", b":-1,"), id="a negative index"),
        pytest.param(delta_frame("a").replace(b":0,", b':"0",'), id="a textual index"),
        pytest.param(delta_frame("a") + PING, id="two frames"),
    ],
)
def test_all_else_is_left_to_the_parser(frame):
    assert begun(frame) is None


def test_what_is_written_takes_the_short_way_again():
    delta = {"type": "text_delta", "text": "é🙂"}
    data = {"type": "content_block_delta", "index": 2, "delta": delta}
    run = begun(SSE.encode("content_block_delta", data))
    assert run is not None
    assert run[1].deltas() == [delta]


# A lane with a trigger: what a seam must see is left to it


def lane_with(**track: Any) -> tuple[FastLane, Block]:
    """A lane for the deltas of a text block."""
    block = Block({"type": "text", "text": ""})
    lane = FastLane(SSE)
    lane.enter(Track(block, 0, track.pop("message_index", 0), **track))
    return lane, block


@given(
    text=st.text(st.characters(codec="utf-8"), min_size=1),
    end=st.sampled_from(["", " ", "\n", "\t", "\r", "\x85", "\xa0", "\u2003", "\u3000", "[", "x"]),
    ensure_ascii=st.booleans(),
)
@example(text="\\", end="n", ensure_ascii=False)
@example(text="\u1680", end="", ensure_ascii=True)
def test_what_may_be_a_mark_does_not_take_the_fast_lane(text, end, ensure_ascii):
    said = text + end
    lane, block = lane_with(trigger=b"[")
    out = lane.take(delta_frame(said, ensure_ascii=ensure_ascii))
    if "[" in said or said[-1].isspace():
        assert out is None
    assert block.text() == ("" if out is None else said)


@pytest.mark.parametrize("said", ["word", " word", " a, b.", "日本語", "“é”", "a\nb", "]"])
def test_what_cannot_be_a_mark_takes_the_fast_lane(said):
    lane, block = lane_with(trigger=b"[")
    frame = delta_frame(said)
    assert lane.take(frame) == frame
    assert block.text() == said


def test_the_lane_goes_on_after_a_delta_that_was_parsed():
    received = Block({"type": "text", "text": ""})
    lane, block = lane_with(trigger=b"[", received=received)
    assert lane.take(delta_frame("a")) is not None
    run = lane.run
    assert lane.take(delta_frame("[")) is None
    lane.flush()
    for each in (block, received):
        each.add({"type": "text_delta", "text": "["})
    lane.enter(Track(block, 0, 0, received=received, trigger=b"["))
    assert lane.take(delta_frame("b")) is not None
    assert lane.run is run
    lane.flush()
    assert block.text() == received.text() == "a[b"
    assert lane.chars == 2, "the parsed one is counted by who parsed it"


def test_the_lane_begins_anew_after_a_delta_of_another_type():
    lane, block = lane_with()
    lane.take(delta_frame("a"))
    lane.flush()
    block.add({"type": "citations_delta", "citation": {}})
    lane.take(delta_frame("b"))
    assert [delta["type"] for delta in block.deltas()] == [
        "text_delta", "citations_delta", "text_delta"
    ]  # fmt: skip
    assert block.text() == "ab"


def test_deltas_get_the_index_that_their_block_has_for_the_caller():
    lane, block = lane_with(message_index=12)
    for text in ("a", '"index":0,'):
        assert lane.take(delta_frame(text)) == delta_frame(text, index=12)
    assert block.text() == 'a"index":0,'


def test_a_lane_that_was_left_takes_nothing():
    lane, _ = lane_with()
    lane.take(delta_frame("a"))
    lane.leave()
    assert lane.take(delta_frame("b")) is None
    assert lane.run is None
    assert lane.chars == 1
