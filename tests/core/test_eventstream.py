from __future__ import annotations

import base64
import importlib
import importlib.util
import json
import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.aws_frames import chunk, exception, frame

from unbroken._core.framing.eventstream import EventStream
from unbroken._core.framing.frames import MAX_FRAME, Event, FrameError, to_json

DELTA = {
    "type": "content_block_delta",
    "index": 0,
    "delta": {"type": "text_delta", "text": "Hé, 😀"},
}
BREAKS = {
    "prelude": lambda frame: bytes([frame[0] ^ 1]) + frame[1:],
    "headers": lambda frame: frame[:14] + b"\xff" + frame[15:],
    "payload": lambda frame: frame[:-9] + b"\xff" + frame[-8:],
    "checksum": lambda frame: frame[:-1] + bytes([frame[-1] ^ 1]),
}


def decode(data: bytes) -> Event:
    event = EventStream().decode(data)
    assert event is not None
    return event


def test_a_chunk_is_an_event():
    raw = chunk(DELTA, p="abcdefghij")
    assert decode(raw) == Event("content_block_delta", DELTA, raw)
    assert EventStream().plain_delta(raw) is None


@given(st.lists(st.dictionaries(st.text(), st.text()), max_size=6), st.lists(st.integers(1, 400)))
def test_what_is_encoded_is_decoded_however_it_is_cut(payloads, sizes):
    stream = EventStream()
    frames = [stream.encode("x", {"type": "x", **data, "n": n}) for n, data in enumerate(payloads)]
    found: list[bytes] = []
    rest = b"".join(frames)
    for size in sizes:
        found += stream.split(rest[:size])
        rest = rest[size:]
    found += stream.split(rest)
    assert found == frames
    assert [decode(one).data["n"] for one in found] == list(range(len(payloads)))


@pytest.mark.parametrize("size", [1, 2, 7, 13, 10_000])
def test_half_a_frame_is_never_handed_out(size):
    stream = EventStream()
    whole, cut = chunk(DELTA), chunk(DELTA)[:-1]
    data = whole + cut
    found = [one for at in range(0, len(data), size) for one in stream.split(data[at : at + size])]
    assert found == [whole]


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_broken_frames(broken):
    stream = EventStream()
    good, bad = chunk(DELTA), broken(chunk(DELTA))
    found = stream.split(good + bad)
    assert found[0] == good
    with pytest.raises(FrameError):
        stream.decode(found[1])


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html></html>",
        b"event: ping\ndata: {}\n\n",
        struct.pack(">III", MAX_FRAME + 1, 0, zlib.crc32(struct.pack(">II", MAX_FRAME + 1, 0))),
        struct.pack(">III", 20, 5, zlib.crc32(struct.pack(">II", 20, 5))),
    ],
)
def test_what_is_no_frame_is_refused(data):
    stream = EventStream()
    (found,) = stream.split(data)
    with pytest.raises(FrameError):
        stream.decode(found)


@pytest.mark.parametrize(
    "raw",
    [
        frame({}, b"{}"),
        frame({":message-type": "request"}, b"{}"),
        frame({":message-type": "event", ":event-type": "chunk"}, b"{}"),
        frame({":message-type": "event", ":event-type": "chunk"}, b"no"),
        frame({":message-type": "event", ":event-type": "chunk"}, b"[]"),
        frame({":message-type": "event", ":event-type": "chunk"}, b'{"bytes": 3}'),
        frame({":message-type": "event", ":event-type": "chunk"}, b'{"bytes": "!"}'),
        chunk("no object"),
        frame({":message-type": "event", ":event-type": "chunk"}, b"[" * 100_000),
        frame(b"\x05:mess\x07\x00\xff", b"{}"),
        frame(b"\x01a\x0a", b"{}"),
        frame(b"\x01\xff\x00", b"{}"),
    ],
)
def test_frames_without_an_event_of_the_api_are_refused(raw):
    with pytest.raises(FrameError):
        EventStream().decode(raw)


def test_other_events_carry_nothing():
    assert EventStream().decode(frame({":message-type": "event", ":event-type": "x"}, b"")) is None
    assert EventStream().decode(chunk({"completion": "legacy"})) is None


def test_headers_of_every_type_are_passed_over():
    values = b"\x01a\x00\x01b\x01\x01c\x02x\x01d\x03xx\x01e\x04xxxx\x01f\x05xxxxxxxx"
    values += b"\x01g\x06\x00\x03xxx\x01h\x08xxxxxxxx\x01i\x09xxxxxxxxxxxxxxxx"
    kind = b"\x0d:message-type\x07\x00\x05event\x0b:event-type\x07\x00\x05other"
    assert EventStream().decode(frame(values + kind, b"")) is None


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        ("throttlingException", "rate_limit_error"),
        ("ThrottlingException", "rate_limit_error"),
        ("internalServerException", "api_error"),
        ("serviceUnavailableException", "api_error"),
        ("modelStreamErrorException", "api_error"),
        ("modelTimeoutException", "timeout_error"),
        ("validationException", "invalid_request_error"),
        ("newException", "newException"),
    ],
)
def test_exceptions_are_error_events(kind, type_):
    raw = exception(kind)
    error = {"type": type_, "message": "no"}
    assert decode(raw) == Event("error", {"type": "error", "error": error}, raw)


def test_errors_without_a_payload():
    raw = frame({":message-type": "error", ":error-code": "X", ":error-message": "broke"}, b"")
    assert decode(raw).data["error"] == {"type": "X", "message": "broke"}


def test_an_error_is_encoded_as_an_exception():
    error = {"type": "error", "error": {"type": "api_error", "message": "no"}}
    assert decode(EventStream().encode("error", error)).data == error


@pytest.mark.skipif(importlib.util.find_spec("botocore") is None, reason="needs botocore")
def test_botocore_reads_what_is_encoded():
    buffer = importlib.import_module("botocore.eventstream").EventStreamBuffer()

    buffer.add_data(EventStream().encode("content_block_delta", DELTA))
    buffer.add_data(EventStream().encode("error", {"error": {"type": "X", "message": "no"}}))
    event, error = buffer
    assert json.loads(base64.b64decode(json.loads(event.payload)["bytes"])) == DELTA
    assert event.headers[":event-type"] == "chunk"
    assert error.to_response_dict()["status_code"] == 400
    assert error.headers[":exception-type"] == "X"


def test_a_large_frame_in_small_pieces_takes_linear_time():
    def seconds(size: int) -> float:
        stream, raw = EventStream(), EventStream().encode("x", {"type": "x", "y": "z" * size})
        began = time.process_time()
        for at in range(0, len(raw), 1024):
            stream.split(raw[at : at + 1024])
        return time.process_time() - began

    seconds(1000)
    assert seconds(4_000_000) < 40 * seconds(400_000) + 0.1


def test_many_frames_in_one_piece_take_linear_time():
    raw = EventStream().encode("x", {"type": "x"}) * 20_000
    began = time.process_time()
    assert len(EventStream().split(raw)) == 20_000
    assert time.process_time() - began < 2


def test_json_is_written_as_the_api_does():
    raw = EventStream().encode("content_block_delta", DELTA)
    assert base64.b64encode(to_json(DELTA)) in raw
