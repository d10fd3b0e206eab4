"""Entries are exactly Docker's, whatever the output and however it is cut into chunks."""

from __future__ import annotations

import json
import os
import posix
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfie.logs.jsonfile import PARTIAL, Encoder, JsonFile, escape, timestamp

T1 = 1_700_000_000_123_456_000
T2 = T1 + 5
OUTPUT = st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
TEXT_OUTPUT = st.text(st.characters(exclude_categories=["Cs"])).map(str.encode)


def entries(encoded: bytes) -> list[dict[str, str]]:
    assert encoded == b"" or encoded.endswith(b"\n")
    return [json.loads(line) for line in encoded.split(b"\n")[:-1]]


def encode(chunks: list[bytes], **options: dict[str, str]) -> list[dict[str, str]]:
    encoder = Encoder("stdout", **options)
    encoded = b"".join(encoder.encode(chunk, T1) for chunk in chunks)
    return entries(encoded + encoder.finish(T2))


def go_decoded(output: bytes) -> str:
    """What Go's decoder makes of bytes: U+FFFD for each one that is not UTF-8."""
    text = output.decode("utf-8", "surrogateescape")
    return "".join("\ufffd" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)


@given(st.lists(OUTPUT))
def test_the_log_says_what_was_put_out(chunks: list[bytes]) -> None:
    logged = encode(chunks)
    assert "".join(entry["log"] for entry in logged) == go_decoded(b"".join(chunks))
    for entry in logged[:-1]:
        assert entry["log"].endswith("\n")
        assert entry["log"].count("\n") == 1


@given(st.lists(TEXT_OUTPUT))
def test_text_comes_back_unchanged(chunks: list[bytes]) -> None:
    assert "".join(entry["log"] for entry in encode(chunks)).encode() == b"".join(chunks)


@given(st.lists(st.sampled_from([b"x", b"\n", b"y" * 1000, b"z" * 9000, b"\xff", b'"\n']), max_size=40))
def test_chunks_do_not_matter(pieces: list[bytes]) -> None:
    assert [e["log"] for e in encode(pieces)] == [e["log"] for e in encode([b"".join(pieces)])]


@given(TEXT_OUTPUT)
def test_escapes_are_json(text: bytes) -> None:
    assert json.loads(b'"' + escape(text).replace(b"\n", b"\\n") + b'"') == text.decode()


def test_an_entry_is_byte_for_byte_what_docker_writes() -> None:
    encoder = Encoder("stderr")
    assert (
        encoder.encode(b'a\tb "c" \\ <&>\r\x1b[0m \xe2\x80\xa8\xff\n', T1)
        == b'{"log":"a\\u0009b \\"c\\" \\\\ \\u003c\\u0026\\u003e\\r\\u001b[0m \\u2028\\ufffd\\n",'
        b'"stream":"stderr","time":"2023-11-14T22:13:20.123456Z"}\n'
    )


def test_attrs_come_before_the_time() -> None:
    encoder = Encoder("stdout", {"tag": 'a"b'})
    assert encoder.encode(b"x\n", 0) == (
        b'{"log":"x\\n","stream":"stdout","attrs":{"tag":"a\\"b"},"time":"1970-01-01T00:00:00Z"}\n'
    )


@pytest.mark.parametrize("length", [PARTIAL - 1, PARTIAL, PARTIAL + 1, 2 * PARTIAL, 40_000])
def test_long_lines_are_cut_into_partial_entries(length: int) -> None:
    logged = encode([b"before\n" + b"x" * length + b"\nafter\n"])
    expected = []
    rest = "x" * length
    while len(rest) >= PARTIAL:
        expected.append(rest[:PARTIAL])
        rest = rest[PARTIAL:]
    assert [entry["log"] for entry in logged] == ["before\n", *expected, rest + "\n", "after\n"]


def test_partial_entries_share_the_time_of_the_first() -> None:
    encoder = Encoder("stdout")
    encoded = encoder.encode(b"x" * PARTIAL, T1) + encoder.encode(b"y\nz\n", T2)
    assert [entry["time"] for entry in entries(encoded)] == [timestamp(T1), timestamp(T1), timestamp(T2)]


def test_output_without_a_newline_waits_for_the_end() -> None:
    encoder = Encoder("stdout")
    assert encoder.encode(b"prompt> ", T1) == b""
    assert [entry["log"] for entry in entries(encoder.finish(T2))] == ["prompt> "]
    assert encoder.finish(T2) == b""


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000_000))
def test_times_are_rfc3339_without_trailing_zeros(time_ns: int) -> None:
    text = timestamp(time_ns)
    assert text.endswith("Z")
    assert not text.removesuffix("Z").endswith("0") or "." not in text
    whole, _, fraction = text.removesuffix("Z").partition(".")
    assert int(fraction.ljust(9, "0")) == time_ns % 1_000_000_000
    assert len(whole) == len("2024-01-02T03:04:05")


def files(path: Path) -> list[bytes]:
    """Contents, oldest first."""
    found = sorted(path.parent.glob(path.name + ".*"), key=lambda p: -int(p.suffix[1:]))
    return [p.read_bytes() for p in [*found, path]]


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_rotation_keeps_whole_entries_in_order(tmp_path: Path, chunk: int) -> None:
    path = tmp_path / "x-json.log"
    log = JsonFile(str(path), max_size=1000, max_file=4)
    lines = [b"line %d\n" % number for number in range(150)]
    for at in range(0, len(lines), chunk):
        log.write("stdout", b"".join(lines[at : at + chunk]), T1)
    log.close()
    parts = files(path)
    assert len(parts) == 4
    entry = len(parts[0].split(b"\n")[0]) + 1
    assert all(1000 <= len(part) < 1000 + entry + 2 for part in parts[:-1])
    logged = [e["log"].encode() for part in parts for e in entries(part)]
    assert logged == lines[-len(logged) :]


def test_without_older_files_the_log_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = JsonFile(str(path), max_size=300, max_file=1)
    for number in range(20):
        log.write("stdout", b"%d\n" % number, T1)
    log.close()
    assert files(path) == [path.read_bytes()]
    assert entries(path.read_bytes())[-1]["log"] == "19\n"


def test_a_log_is_continued_by_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for text in (b"one\n", b"two\n"):
        log = JsonFile(str(path))
        log.write("stderr", text, T1)
        log.close()
    assert [e["log"] for e in entries(path.read_bytes())] == ["one\n", "two\n"]


def test_a_write_that_fails_leaves_whole_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    log = JsonFile(str(path))
    log.write("stdout", b"kept\n", T1)
    real = os.write
    room = [40]

    def full(fd: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = real(fd, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(posix, "write", full)
    log.write("stdout", b"lost " * 20 + b"\n", T1)
    monkeypatch.undo()
    assert log.lost > 0
    log.write("stdout", b"later\n", T1)
    log.close()
    assert [e["log"] for e in entries(path.read_bytes())] == ["kept\n", "later\n"]
