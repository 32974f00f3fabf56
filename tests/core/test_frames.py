"""Any bytes, cut anywhere: whole frames or the one named error, and never half a frame."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from unbroken._core.framing import frames
from unbroken._core.framing.frames import FrameError, ServerSentEvents, from_json, to_json

if TYPE_CHECKING:
    from unbroken._core.framing.frames import Event

PING = b'event: ping\ndata: {"type":"ping"}\n\n'

# Half of the frame that comes next.
TRAILING = b'event: message_stop\ndata: {"type":"messa'


def split(*chunks: bytes) -> list[bytes]:
    framing = ServerSentEvents()
    return [frame for chunk in chunks for frame in framing.split(chunk)]


def one(data: bytes) -> bytes:
    """The one frame in the data, which is the same whole, byte by byte, and with more behind it."""
    (frame,) = split(data)
    framing = ServerSentEvents()
    for at in range(len(data) - 1):
        assert framing.split(data[at : at + 1]) == [], f"a frame out of its first {at + 1} bytes"
    assert framing.split(data[-1:]) == [frame]
    assert split(data + TRAILING) == [frame]
    assert split(data[:-1], data[-1:] + TRAILING, b'ge_stop"}\n\n')[0] == frame
    return frame


def decoded(data: bytes) -> Event:
    event = ServerSentEvents().decode(one(data))
    assert event is not None
    assert event.frame == data
    return event


# Splitting and decoding, three ways each


@pytest.mark.parametrize(
    ("data", "name", "payload"),
    [
        pytest.param(PING, "ping", {"type": "ping"}, id="an event of the API"),
        pytest.param(
            b'event: ping\r\ndata: {"type":"ping"}\r\r', "ping", {"type": "ping"}, id="CRLF and CR"
        ),
        pytest.param(b'event: ping\rdata: {"a":1}\r\r', "ping", {"a": 1}, id="CR"),
        pytest.param(b'event: ping\ndata: {"a":1}\r\r', "ping", {"a": 1}, id="mixed"),
        pytest.param(b'event:ping\ndata:{"a":1}\n\n', "ping", {"a": 1}, id="no spaces"),
        pytest.param(
            b'event: ping\ndata:  {"a":1}\n\n', "ping", {"a": 1}, id="two spaces, one is data"
        ),
        pytest.param(
            b'event: ping\ndata: {"a":\ndata: 1}\n\n', "ping", {"a": 1}, id="data on two lines"
        ),
        pytest.param(
            b'data: {"a":1}\nevent: ping\n\n', "ping", {"a": 1}, id="the name after the data"
        ),
        pytest.param(
            b'id: 7\nretry: 10\nevent: ping\ndata: {"a":1}\n\n', "ping", {"a": 1}, id="id and retry"
        ),
        pytest.param(
            b': hello\nevent: ping\n: there\ndata: {"a":1}\n\n', "ping", {"a": 1}, id="comments"
        ),
        pytest.param(
            b'odd: field\nevent: ping\ndata: {"a":1}\n\n', "ping", {"a": 1}, id="unknown field"
        ),
        pytest.param(b'event: ping\ndata\ndata: {"a":1}\n\n', "ping", {"a": 1}, id="no colon"),
        pytest.param(
            b'event: new\ndata: {"type":"old"}\n\n', "new", {"type": "old"}, id="the name wins"
        ),
        pytest.param(
            'event: ping\ndata: {"a":"åäö 日本 🙂"}\n\n'.encode(),
            "ping",
            {"a": "åäö 日本 🙂"},
            id="characters of many bytes",
        ),
        pytest.param(
            b'event: ping\ndata: {"a":"\\ud83d\\ude42\\n"}\n\n', "ping", {"a": "🙂\n"}, id="escapes"
        ),
        pytest.param(
            'event: ping\ndata: {"a":"\u2028\u2029\u0085"}\n\n'.encode(),
            "ping",
            {"a": "\u2028\u2029\u0085"},
            id="line ends that are none in SSE",
        ),
    ],
)
def test_a_frame_is_read(data, name, payload):
    event = decoded(data)
    assert (event.name, event.data) == (name, payload)


def test_crlf_frames_come_whole_whatever_the_cut():
    data = b'event: ping\r\ndata: {"a":1}\r\n\r\n'
    for at in range(len(data) + 1):
        assert b"".join(split(data[:at], data[at:], data)) == data * 2
        events = [ServerSentEvents().decode(frame) for frame in split(data[:at], data[at:], data)]
        payloads = [event.data for event in events if event is not None]
        assert payloads == [{"a": 1}, {"a": 1}]


@pytest.mark.parametrize("ends", list(itertools.product((b"\n", b"\r", b"\r\n"), repeat=3)))
def test_lines_may_end_in_any_mixture(ends):
    data = b"event: ping%bdata: {}%b%b" % ends
    if data.endswith((b"}\r\n", b"\n\r")):
        data += b"\n"  # CR and LF in a row are one line end
    for at in range(len(data) + 1):
        frames = split(data[:at], data[at:], data)
        assert (data * 2).rstrip().startswith(b"".join(frames).rstrip())
        events = [ServerSentEvents().decode(frame) for frame in frames]
        assert [event.name for event in events if event is not None] == ["ping", "ping"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b": a comment\n\n", id="comment"),
        pytest.param(b":\n\n", id="empty comment"),
        pytest.param(b"event: ping\n\n", id="event without data"),
        pytest.param(b"id: 7\n\n", id="id alone"),
        pytest.param(b"retry: 100\n\n", id="retry alone"),
        pytest.param(b"data:\n\n", id="empty data"),
        pytest.param(b"\n\n", id="blank lines"),
        pytest.param(b"event\ndata\n\n", id="fields without a colon"),
        pytest.param(b"data: [DONE]\n\n", id="what other services send at the end"),
        pytest.param(b'data: {"type":"message_stop"}\n\n', id="no event line"),
    ],
)
def test_a_frame_that_the_sdk_skips_is_no_event(data):
    assert ServerSentEvents().decode(one(data)) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"event: ping\ndata: {not json}\n\n", id="bad JSON"),
        pytest.param(b'event: ping\ndata: {"a":1\n\n', id="cut JSON"),
        pytest.param(b"event: ping\ndata: [1]\n\n", id="a list"),
        pytest.param(b'event: ping\ndata: "text"\n\n', id="a string"),
        pytest.param(b"event: ping\ndata: 1\n\n", id="a number"),
        pytest.param(b"event: ping\ndata: null\n\n", id="null"),
        pytest.param(b'event: ping\ndata: {"a":"\xc3"}\n\n', id="half a character"),
        pytest.param(b"<!DOCTYPE html>\n<html><body>502 Bad Gateway\n\n", id="HTML"),
        pytest.param(b"<a href='http://x'>\n\n", id="HTML with a colon"),
        pytest.param(b'{"type":"error"}\n\n', id="JSON alone"),
    ],
)
def test_what_is_no_event_of_the_api_is_the_one_named_error(data):
    with pytest.raises(FrameError):
        ServerSentEvents().decode(one(data))


def test_a_payload_nested_without_end_is_the_one_named_error():
    with pytest.raises(FrameError):
        ServerSentEvents().decode(b"event: ping\ndata: " + b"[" * 200_000 + b"\n\n")


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(PING[:-1], id="its blank line not whole"),
        pytest.param(PING[:-2], id="its line not ended"),
        pytest.param(b'event: ping\ndata: {"type":"ping"}\r', id="a CR that may be half a CRLF"),
        pytest.param(b'event: ping\ndata: {"type":"ping"}\r\n\r', id="three quarters of two CRLF"),
        pytest.param("data: 🙂".encode()[:-2], id="inside a character"),
    ],
)
def test_a_cut_frame_is_never_handed_out(cut):
    assert split(PING, cut) == [PING]
    assert split(PING + cut) == [PING]


@given(st.lists(st.text(), min_size=1), st.lists(st.integers(0, 400)))
def test_how_the_bytes_are_cut_does_not_matter(texts, cuts):
    whole = [ServerSentEvents().encode("a_name", {"text": text}) for text in texts] + [PING]
    data = b"".join(whole)
    ends = [0, *sorted({min(cut, len(data)) for cut in cuts}), len(data)]
    chunks = [data[begin:end] for begin, end in itertools.pairwise(ends)]
    assert split(*chunks) == whole


@given(st.binary(), st.integers(0, 50))
@example(b"\r\n\r\n\r\r\n\n", 3)
def test_any_bytes_are_frames_or_the_named_error(data, cut):
    """Nothing is lost and nothing else is raised, whole or in two pieces."""
    framing = ServerSentEvents()
    found = [*framing.split(data[:cut]), *framing.split(data[cut:])]
    assert data.startswith(b"".join(found))
    for frame in found:
        try:
            event = framing.decode(frame)
        except FrameError:
            continue
        assert event is None or isinstance(event.data, dict)


def test_a_frame_that_has_no_end_is_refused(monkeypatch):
    monkeypatch.setattr(frames, "MAX_FRAME", 100)
    framing = ServerSentEvents()
    assert framing.split(b"x" * 100) == []
    with pytest.raises(FrameError):
        framing.split(b"x")


def test_a_long_row_of_frames_is_no_frame_without_end(monkeypatch):
    monkeypatch.setattr(frames, "MAX_FRAME", 100)
    assert split(PING * 50) == [PING] * 50


def test_the_search_for_a_frames_end_never_begins_anew():
    """Byte by byte is linear: each byte is looked at a bounded number of times."""
    looked_at = 0

    class Counting:
        def search(self, rest: bytearray, begin: int) -> Any:
            nonlocal looked_at
            looked_at += len(rest) - begin
            return end.search(rest, begin)

    end, size = frames._END, 3000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "_END", Counting())
        framing = ServerSentEvents()
        for _ in range(size):
            framing.split(b"x")
    assert looked_at <= 4 * size


# Writing


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None)),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=3,
        ),
    )
)
@settings(max_examples=examples(50))
@example({"a": "\ud83d half"})
@example({"a": "line\nline\r\n\u2028"})
def test_what_is_written_is_read_the_same(data):
    frame = ServerSentEvents().encode("a_name", data)
    event = ServerSentEvents().decode(one(frame))
    assert event is not None
    assert (event.name, event.data) == ("a_name", data)


def test_json_is_written_as_the_api_writes_it():
    assert to_json({"a": "é🙂", "b": [1, None]}) == '{"a":"é🙂","b":[1,null]}'.encode()
    assert to_json("\ud83d é") == b'"\\ud83d \\u00e9"'


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("data", ["", "{", b"\xff", DEEP], ids=["nothing", "half", "bytes", "deep"])
def test_what_cannot_be_read_is_one_kind_of_error(data):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        from_json(data)
    assert raised.value.__cause__ is None


def test_a_frame_that_is_nested_too_deep_is_no_frame():
    with pytest.raises(FrameError):
        ServerSentEvents().decode(b'event: ping\ndata: {"type":%s}\n\n' % DEEP.encode())
