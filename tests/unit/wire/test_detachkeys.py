"""Detach keys are found wherever the input is cut, and nothing else is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wharfie.wire.detachkeys import DetachKeys

KEYS = b"\x10\x11"
PIECES = st.lists(
    st.lists(st.sampled_from([b"\x10", b"\x11", b"a", b"b"]), max_size=4).map(b"".join), max_size=8
)


@given(PIECES, st.sampled_from([KEYS, b"\x10\x10\x11", b"aab", b"a"]))
def test_found_as_in_the_whole(pieces: list[bytes], keys: bytes) -> None:
    whole = b"".join(pieces)
    finder = DetachKeys(keys)
    got = b""
    found = False
    for piece in pieces:
        plain, found = finder.feed(piece)
        got += plain
        if found:
            break
    if keys in whole:
        assert found
        assert got == whole[: whole.index(keys)]
    else:
        assert not found
        assert got + finder.end() == whole


def test_without_keys_everything_passes() -> None:
    assert DetachKeys(b"").feed(KEYS) == (KEYS, False)
