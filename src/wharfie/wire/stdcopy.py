"""Docker's framing of several output streams on one connection (the "attach" format without a terminal).

::

    byte 0        1..3    4..7                 8...
    stream kind   zero    length, big endian   payload

Engine API, "Attach to a container", section "Stream format". Both ends use it: monitors and log readers make
frames, the command line takes them apart; nothing here costs more than ``_struct`` to import.
"""

from __future__ import annotations

from _struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN = 0
STDOUT = 1
STDERR = 2
SYSTEM_ERROR = 3
"""The engine's own message about a stream that failed."""

HEADER_SIZE = 8
PAYLOAD_LIMIT = 1 << 28
"""No peer sends a frame near this long; a longer length means that the stream is not framed at all."""

_HEADER = Struct(">BxxxL")


def header(stream: int, length: int) -> bytes:
    """The head of a frame of ``length`` bytes."""
    return _HEADER.pack(stream, length)


def frame(stream: int, payload: bytes) -> bytes:
    """One whole frame."""
    return _HEADER.pack(stream, len(payload)) + payload


class NotFramed(ValueError):
    """The bytes are no stdcopy frames."""


class Demultiplexer:
    """Takes a framed stream apart, fed in pieces of any size.

    Payloads are handed on as they arrive: a frame that spans two pieces comes out as two parts. Parts are
    views of what was fed, so they are to be used before the buffer they came from is used again.
    """

    __slots__ = ("_head", "_left", "_stream")

    def __init__(self) -> None:
        self._head = b""
        self._stream = STDOUT
        self._left = 0

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[tuple[int, memoryview]]:
        """The (stream, part of a payload) pairs in ``data``, in order; raises NotFramed."""
        view = memoryview(data)
        at = 0
        end = len(view)
        while at < end:
            if self._left:
                part = view[at : at + self._left]
                self._left -= len(part)
                at += len(part)
                yield self._stream, part
                continue
            if not self._head and end - at >= HEADER_SIZE:
                head = view[at : at + HEADER_SIZE]
                at += HEADER_SIZE
            else:
                missing = HEADER_SIZE - len(self._head)
                self._head += bytes(view[at : at + missing])
                at += missing
                if len(self._head) < HEADER_SIZE:
                    return
                head = memoryview(self._head)
                self._head = b""
            self._begin(head)

    def _begin(self, head: memoryview) -> None:
        stream, length = _HEADER.unpack(head)
        if stream > SYSTEM_ERROR or bytes(head[1:4]) != b"\0\0\0" or length > PAYLOAD_LIMIT:
            raise NotFramed(f"not a frame: {bytes(head).hex()}")
        self._stream = stream
        self._left = length

    @property
    def whole(self) -> bool:
        """Whether the stream may end here: no frame is open."""
        return not self._left and not self._head
