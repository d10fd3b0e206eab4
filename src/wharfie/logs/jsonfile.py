r"""Docker's ``json-file`` log, written: whole chunks at once, with rotation.

One entry is one line of the file::

    {"log":"text\n","stream":"stdout","attrs":{"k":"v"},"time":"2024-01-02T03:04:05.678Z"}

- A line of output becomes one entry when its newline arrives; what is left at the end of the stream becomes
  an entry without ``\n``.
- A line of 16 KiB and more is cut into partial entries of 16,384 bytes without ``\n``, all with the time of
  the first; its last piece has the ``\n``.
- Quotes, backslashes, control characters, ``<>&`` and U+2028/9 are escaped as Docker (Go's JSON) does it,
  each byte that is not UTF-8 becomes ``\ufffd``.

The encoder never looks at single lines as long as it need not: escapes and line ends of a whole chunk are
replaced by a few ``bytes`` operations (100 to 700 MB/s; line by line it would be 4 to 20). All entries of one
chunk carry the time of its arrival.
"""

from __future__ import annotations

import fcntl
import posix as os
import time

from wharfie.support import json, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PARTIAL = 16 * 1024
"""Docker's copier reads into a buffer of this size; a line that fills it is cut."""

DEFAULT_MAX_SIZE = 100 * 1000 * 1000
DEFAULT_MAX_FILE = 5

_SUFFIXES = ("", ".gz")
_RUN = 64
_OPEN = b'{"log":"'
_PLAIN = bytes(byte for byte in range(128) if (byte >= 32 and byte not in b'"\\<>&') or byte == 10)
_HIGH = bytes(range(128, 256))
_ESCAPES = {byte: b"\\u%04x" % byte for byte in (*range(32), *b"<>&")}
_ESCAPES.update({0x22: b'\\"', 0x5C: b"\\\\", 0x0D: b"\\r"})


def timestamp(time_ns: int) -> str:
    """A time as Go's RFC3339Nano writes it: UTC, the fraction without trailing zeros."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    text = "%04d-%02d-%02dT%02d:%02d:%02d" % (year, month, day, hour, minute, second)  # noqa: UP031
    if fraction:
        text += (".%09d" % fraction).rstrip("0")  # noqa: UP031
    return text + "Z"


def escape(text: bytes) -> bytes:
    """``text`` as the inside of a JSON string, but for its newlines, which are left alone."""
    special = text.translate(None, _PLAIN)
    if not special:
        return text
    low = special.translate(None, _HIGH)
    if 0x5C in low:
        # before all others, which put backslashes in
        text = text.replace(b"\\", b"\\\\")
        low = low.replace(b"\\", b"")
    while low:
        byte, escaped = low[:1], _ESCAPES[low[0]]
        if byte not in escaped and byte * _RUN in text:
            # many of the same (binary data is full of NUL): one at a time they take five times as long
            text = text.replace(byte * _RUN, escaped * _RUN)
        text = text.replace(byte, escaped)
        low = low.replace(byte, b"")
    if len(special) != len(special.translate(None, _HIGH)):
        text = _escape_high(text)
    return text


def _escape_high(text: bytes) -> bytes:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        text = _replace_invalid(text)
    if b"\xe2\x80" in text:
        text = text.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return text


def _replace_invalid(text: bytes) -> bytes:
    # One mark for each wrong byte, as Go does it: "replace" would put one for a whole truncated sequence when
    # decoding, and a handler written in Python costs a microsecond a byte. So the wrong bytes become
    # surrogates, those become "?" by the encoder, and the real "?" hide in NUL, which is escaped by now.
    hidden = text.replace(b"?", b"\0").decode("utf-8", "surrogateescape")
    marked = hidden.encode("utf-8", "replace")
    return marked.replace(b"?", b"\\ufffd").replace(b"\0", b"?")


class Encoder:
    """Turns one stream's chunks into log entries; keeps what has no newline yet."""

    __slots__ = ("_carry", "_cut_since", "_middle")

    def __init__(self, stream: str, attrs: Mapping[str, str] | None = None) -> None:
        middle = f'","stream":"{stream}",'
        if attrs:
            middle += f'"attrs":{json.dumps(dict(attrs))},'
        self._middle = (middle + '"time":"').encode("ascii")
        self._carry = b""
        self._cut_since: int | None = None

    def encode(self, data: bytes | memoryview, now_ns: int) -> bytes:
        """The entries that ``data`` completes, as bytes for the file."""
        text = b"".join((self._carry, data)) if self._carry else bytes(data)
        entries: list[bytes] = []
        at = 0
        while True:
            if self._cut_since is None:
                end = _end_of_short_lines(text, at)
                if end > at:
                    entries.append(self._lines(text[at:end], now_ns))
                    at = end
            newline = text.find(b"\n", at, at + PARTIAL)
            if newline >= 0:
                assert self._cut_since is not None
                entries.append(self._lines(text[at : newline + 1], self._cut_since))
                self._cut_since = None
                at = newline + 1
            elif len(text) - at >= PARTIAL:
                if self._cut_since is None:
                    self._cut_since = now_ns
                entries.append(self._piece(text[at : at + PARTIAL], self._cut_since))
                at += PARTIAL
            else:
                break
        self._carry = text[at:]
        return entries[0] if len(entries) == 1 else b"".join(entries)

    def finish(self, now_ns: int) -> bytes:
        """The entry for what is left when the stream ends."""
        rest = self._carry
        since = self._cut_since
        self._carry = b""
        self._cut_since = None
        return self._piece(rest, now_ns if since is None else since) if rest else b""

    def _lines(self, text: bytes, time_ns: int) -> bytes:
        close = b'%b%b"}\n' % (self._middle, timestamp(time_ns).encode("ascii"))
        between = b"\\n" + close + _OPEN
        body = escape(text).replace(b"\n", between)
        # the last newline opened an entry that nothing follows
        return b"".join((_OPEN, memoryview(body)[: -len(_OPEN)]))

    def _piece(self, text: bytes, time_ns: int) -> bytes:
        return b'%b%b%b%b"}\n' % (_OPEN, escape(text), self._middle, timestamp(time_ns).encode("ascii"))


def _end_of_short_lines(text: bytes, at: int) -> int:
    """Where the run of lines under 16 KiB that begins at ``at`` ends."""
    while True:
        newline = text.rfind(b"\n", at, at + PARTIAL)
        if newline < 0:
            return at
        at = newline + 1


def open_file(path: str) -> int:
    """Open a log to write at its end."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def lock_names(path: str, how: int = 0) -> int:
    """Be the only one to rename parts of the log at ``path``, until the descriptor is closed.

    flock(2): it ends with who has it. Raises OSError; BlockingIOError where ``how`` is LOCK_NB.
    """
    fd = os.open(paths.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | how)
    except BaseException:
        os.close(fd)
        raise
    return fd


class JsonFile:
    """The log file of one container: ``path``, and older parts of it as ``path.1`` (newest) and so on.

    A new part begins before the first entry that would start at ``max_size`` bytes or later (0: never). A
    write that fails (a full disk) leaves the file with whole entries only, and the container goes on.
    Older parts may have been compressed meanwhile (``path.1.gz``), by the daemon.
    """

    __slots__ = ("_encoders", "_fd", "_max_file", "_max_size", "_path", "_size", "lost")

    def __init__(
        self,
        path: str,
        *,
        max_size: int = 0,
        max_file: int = 1,
        attrs: Mapping[str, str] | None = None,
        fd: int | None = None,
    ) -> None:
        """``fd``: the file, if ``open_file`` opened it already."""
        self._fd = open_file(path) if fd is None else fd
        self.lost = 0
        """Bytes of the log that could not be written."""
        self._encoders = {"stdout": Encoder("stdout"), "stderr": Encoder("stderr")}
        self.begin(path, max_size, max_file, attrs)

    def begin(self, path: str, max_size: int, max_file: int, attrs: Mapping[str, str] | None) -> None:
        """Go on as the log at ``path``, which the same descriptor leads to now; nothing was written yet."""
        self._path = path
        self._max_size = max_size
        self._max_file = max_file
        self._size = os.fstat(self._fd).st_size
        if attrs:
            self._encoders = {stream: Encoder(stream, attrs) for stream in self._encoders}

    def write(self, stream: str, data: bytes | memoryview, now_ns: int) -> None:
        """Log a chunk of output of ``stream`` ("stdout" or "stderr")."""
        self._put(self._encoders[stream].encode(data, now_ns))

    def finish(self, stream: str, now_ns: int) -> None:
        """Log what ``stream`` had left without a newline at its end."""
        self._put(self._encoders[stream].finish(now_ns))

    def close(self) -> None:
        """Close the file; ``finish`` both streams before."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _put(self, entries: bytes) -> None:
        at = 0
        while at < len(entries):
            if self._max_size and self._size >= self._max_size:
                self._rotate()
            end = len(entries)
            if self._max_size and self._size < self._max_size < self._size + end - at:
                end = entries.find(b"\n", at + self._max_size - self._size - 1) + 1
            self._write(memoryview(entries)[at:end])
            at = end

    def _write(self, data: memoryview) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            self.lost += len(data)
            if written:
                os.ftruncate(self._fd, self._size)
            return
        self._size += len(data)

    def _rotate(self) -> None:
        if self._max_file < 2:
            os.ftruncate(self._fd, 0)
            self._size = 0
            return
        try:
            lock = lock_names(self._path, fcntl.LOCK_NB)
            try:
                self._rename()
            finally:
                os.close(lock)
        except BlockingIOError:
            # a compressed part takes its place just now: the next chunk will do
            return
        except OSError:
            # a log that grows beyond its size is better than none
            self._max_size += self._max_size
            return
        fresh = open_file(self._path)
        os.close(self._fd)
        self._fd = fresh
        self._size = os.fstat(fresh).st_size

    def _rename(self) -> None:
        oldest = self._max_file - 1
        for suffix in _SUFFIXES:
            try:
                os.unlink(f"{self._path}.{oldest}{suffix}")
            except FileNotFoundError:
                continue
        for number in range(oldest, 1, -1):
            for suffix in _SUFFIXES:
                try:
                    os.rename(f"{self._path}.{number - 1}{suffix}", f"{self._path}.{number}{suffix}")
                except FileNotFoundError:
                    continue
        os.rename(self._path, f"{self._path}.1")
