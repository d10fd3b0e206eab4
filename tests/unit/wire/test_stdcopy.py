"""stdcopy frames survive any way of being cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfie.wire.stdcopy import STDERR, STDOUT, Demultiplexer, NotFramed, frame

FRAMES = st.lists(st.tuples(st.sampled_from([0, 1, 2, 3]), st.binary(max_size=40)), max_size=12)


def collect(pieces: list[bytes]) -> tuple[dict[int, bytes], bool]:
    demultiplexer = Demultiplexer()
    streams: dict[int, bytes] = {}
    for piece in pieces:
        for stream, part in demultiplexer.feed(piece):
            streams[stream] = streams.get(stream, b"") + bytes(part)
    return streams, demultiplexer.whole


@given(FRAMES, st.lists(st.integers(min_value=1, max_value=20), min_size=1))
def test_streams_come_out_as_they_went_in(frames: list[tuple[int, bytes]], sizes: list[int]) -> None:
    wire = b"".join(frame(stream, payload) for stream, payload in frames)
    pieces = []
    at = 0
    while at < len(wire):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(wire[at : at + size])
        at += size
    streams, whole = collect(pieces)
    expected: dict[int, bytes] = {}
    for stream, payload in frames:
        if payload:
            expected[stream] = expected.get(stream, b"") + payload
    assert streams == expected
    assert whole


def test_order_between_streams_is_kept() -> None:
    wire = frame(STDOUT, b"a") + frame(STDERR, b"b") + frame(STDOUT, b"c")
    parts = [(stream, bytes(part)) for stream, part in Demultiplexer().feed(wire)]
    assert parts == [(STDOUT, b"a"), (STDERR, b"b"), (STDOUT, b"c")]


def test_a_header_is_eight_bytes_with_the_length_big_endian() -> None:
    assert frame(STDERR, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"


@pytest.mark.parametrize("wire", [b"hello, world\n", b"\x01\0\0\0\xff\xff\xff\xff", b"\x09\0\0\0\0\0\0\x01x"])
def test_what_is_not_framed_is_refused(wire: bytes) -> None:
    with pytest.raises(NotFramed):
        list(Demultiplexer().feed(wire))


def test_an_open_frame_is_no_whole_stream() -> None:
    assert not collect([frame(STDOUT, b"abc")[:-1]])[1]
    assert not collect([frame(STDOUT, b"abc")[:5]])[1]
