r"""``json-file`` entries, read back in bulk and put into the form that clients get.

Our writer gives all lines of a chunk the same time, so neighbouring entries share everything behind their
text. Such a *run* is taken apart by lines, cut at the same places each::

    {"log":"one\n","stream":"stdout","time":"T"}⏎{"log":"two\n","stream":"stdout","time":"T"}⏎
    └──────┘   └────────────────────────────────┘└──────┘   └──────── the same again ────────┘

Whatever does not check (a text with other escapes than expected, an entry of another writer) is read entry by
entry; what is no entry at all (the torn last line after a power cut) is left out.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote_plus

import msgspec

from wharfie.wire import stdcopy

_OPEN = b'{"log":"'
_MIDDLE = b'","stream":"'
_NEWLINE = b"\\n"
_STREAMS = {"stdout": stdcopy.STDOUT, "stderr": stdcopy.STDERR}


class Entry(msgspec.Struct):
    """One line of the file."""

    log: str = ""
    stream: str = "stdout"
    time: str = ""
    attrs: dict[str, str] | None = None


_entry = msgspec.json.Decoder(Entry)
_string = msgspec.json.Decoder(str)


class Run:
    """Neighbouring entries of one stream and time; ``newline``: each text is a line (without its end)."""

    __slots__ = ("attrs", "joined", "newline", "stamp", "stream", "texts")

    def __init__(self, entry: Entry, texts: list[bytes], joined: bytes, *, newline: bool) -> None:
        """``joined``: the texts with newlines between."""
        self.stream = _STREAMS.get(entry.stream, stdcopy.STDOUT)
        self.stamp = entry.time
        self.attrs = entry.attrs
        self.texts = texts
        self.joined = joined
        self.newline = newline


def time_of(stamp: str) -> int:
    """RFC 3339 as nanoseconds since 1970; raises ValueError."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    if len(whole) != 19 or not stamp.endswith("Z"):
        return int(datetime.fromisoformat(stamp).timestamp() * 1_000_000) * 1000
    numbers = (whole[:4], whole[5:7], whole[8:10], whole[11:13], whole[14:16], whole[17:19])
    seconds = calendar.timegm(tuple(map(int, numbers)))
    return seconds * 1_000_000_000 + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


def time_of_line(line: bytes) -> int | None:
    """The time of one entry, None if it is none."""
    try:
        return time_of(_entry.decode(line).time)
    except ValueError:
        return None


def runs(block: bytes) -> Iterator[Run]:
    """The entries of ``block``, which begins and ends with whole ones."""
    at = 0
    while at < len(block):
        stop = block.find(b"\n", at) + 1 or len(block)
        middle = block.find(_MIDDLE, at, stop)
        found = None
        if middle > 0 and block.startswith(_OPEN, at):
            newline = block.endswith(_NEWLINE, at, middle)
            tail = block[middle - len(_NEWLINE) if newline else middle : stop]
            beyond = _extent(block, stop, tail)
            if beyond > stop:
                found = _bulk(block[at:beyond], tail, newline=newline)
                if found is not None:
                    stop = beyond
        if found is None:
            found = _single(block[at:stop])
        if found is not None:
            yield found
        at = stop


def _extent(block: bytes, at: int, tail: bytes) -> int:
    """Where the entries that end in ``tail`` end, if the next one at ``at`` is such."""
    stop = block.find(b"\n", at) + 1
    if not stop or not block.endswith(tail, at, stop):
        return at
    window = 4096
    while stop < len(block):
        last = block.rfind(tail, stop, stop + window)
        if last < 0:
            break
        reached = last + len(tail)
        found_late = reached > stop + window // 2
        stop = reached
        if not found_late:
            break
        window *= 4
    return stop


def _bulk(body: bytes, tail: bytes, *, newline: bool) -> Run | None:
    """Entries with the same tail; None if it does not check.

    To cut blindly and to compare what comes of it takes a third of the time that a search would take for
    something as long as what is between two texts.
    """
    begin, end = len(_OPEN), 1 - len(tail)
    texts = [line[begin:end] for line in body[:-1].split(b"\n")]
    if b"%b%b%b" % (_OPEN, (tail + _OPEN).join(texts), tail) != body:
        return None
    joined = b"\n".join(texts)
    try:
        entry = _entry.decode(_OPEN + tail)
        if b"\\" in joined:
            joined = _string.decode(b'"%b"' % joined.replace(b"\n", _NEWLINE)).encode()
            count = len(texts)
            texts = joined.split(b"\n")
            if len(texts) != count:
                return None
    except ValueError:
        return None
    return Run(entry, texts, joined, newline=newline)


def _single(line: bytes) -> Run | None:
    try:
        entry = _entry.decode(line)
        text = entry.log.encode()
    except ValueError:
        return None
    plain = text.removesuffix(b"\n")
    return Run(entry, [plain], plain, newline=len(plain) < len(text))


class _Heads(dict[int, bytes]):
    """Frame headers by payload length, made when first needed."""

    def __init__(self, stream: int) -> None:
        super().__init__()
        self._stream = stream

    def __missing__(self, length: int) -> bytes:
        head = stdcopy.header(self._stream, length)
        if len(self) < 4096:
            self[length] = head
        return head


class Renderer:
    """Runs as a client wants them: in frames (``multiplex``) or bare, with times, with details.

    A frame holds one line, for clients that iterate over frames; with ``blocks`` it holds the whole run.
    """

    def __init__(self, *, multiplex: bool, timestamps: bool, details: bool, blocks: bool = False) -> None:
        self._multiplex = multiplex
        self._blocks = blocks
        self._timestamps = timestamps
        self._details = details
        self._heads = {stream: _Heads(stream) for stream in _STREAMS.values()}

    def render(self, run: Run) -> bytes:
        """The bytes for the client."""
        end = b"\n" if run.newline else b""
        prefix = b""
        if self._timestamps:
            prefix = fixed_stamp(run.stamp).encode() + b" "
        if self._details:
            prefix += _attributes(run.attrs) + b" "
        if self._blocks or not self._multiplex:
            text = (prefix + (end + prefix).join(run.texts) if prefix or not end else run.joined) + end
            return stdcopy.header(run.stream, len(text)) + text if self._multiplex else text
        heads = self._heads[run.stream]
        extra = len(prefix) + len(end)
        if prefix:
            parts = [heads[len(text) + extra] + prefix + text for text in run.texts]
        else:
            parts = [heads[len(text) + extra] + text for text in run.texts]
        return end.join(parts) + end


def fixed_stamp(stamp: str) -> str:
    """A time with all nine digits of its fraction, as the API shows it."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}Z"


def _attributes(attrs: dict[str, str] | None) -> bytes:
    pairs = sorted((attrs or {}).items())
    return ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs).encode()
