"""D-Bus over a Unix socket, as much as talking to systemd needs (D-Bus specification, "Message Protocol").

Values go with their signature: ``("s", "text")``, ``("u", 7)``, ``("a(sv)", [("Delegate", ("b", True))])``; a
variant is such a pair itself.
"""

from __future__ import annotations

import _socket
import posix as os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_FORMATS = {"y": "<B", "b": "<I", "u": "<I", "i": "<i", "t": "<Q", "x": "<q"}
_ALIGNMENT = {"y": 1, "g": 1, "v": 1, "b": 4, "u": 4, "i": 4, "s": 4, "o": 4, "a": 4, "t": 8, "x": 8, "(": 8}
_LONGEST = 1 << 20
_PATIENCE = 30.0


class BusError(OSError):
    """The other side answered with an error."""


def split(signature: str) -> list[str]:
    """The complete types that a signature is made of."""
    found, start, at = [], 0, 0
    while at < len(signature):
        if signature[at] == "a":
            at += 1
            continue
        depth = 0
        while True:
            depth += {"(": 1, ")": -1}.get(signature[at], 0)
            at += 1
            if not depth:
                break
        found.append(signature[start:at])
        start = at
    return found


def pack(signature: str, value: Any, out: bytearray) -> None:
    """Append a value of one complete type."""
    kind = signature[0]
    out += bytes(-len(out) % _ALIGNMENT[kind])
    if kind in _FORMATS:
        out += struct.pack(_FORMATS[kind], int(value))
    elif kind in "so":
        data = value.encode()
        out += struct.pack("<I", len(data)) + data + b"\0"
    elif kind == "g":
        out += bytes((len(value),)) + value.encode() + b"\0"
    elif kind == "v":
        pack("g", value[0], out)
        pack(value[0], value[1], out)
    elif kind == "(":
        for part, item in zip(split(signature[1:-1]), value, strict=True):
            pack(part, item, out)
    else:
        place = len(out)
        out += bytes(4)
        # the padding before the first element does not count
        out += bytes(-len(out) % _ALIGNMENT[signature[1]])
        start = len(out)
        for item in value:
            pack(signature[1:], item, out)
        struct.pack_into("<I", out, place, len(out) - start)


def unpack(signature: str, data: bytes, at: int) -> tuple[Any, int]:
    """(a value of one complete type, where it ends); raises ValueError, struct.error."""
    kind = signature[0]
    at += -at % _ALIGNMENT[kind]
    if kind in _FORMATS:
        (value,) = struct.unpack_from(_FORMATS[kind], data, at)
        return (bool(value) if kind == "b" else value), at + struct.calcsize(_FORMATS[kind])
    if kind in "sog":
        length, at = (data[at], at + 1) if kind == "g" else (struct.unpack_from("<I", data, at)[0], at + 4)
        return data[at : at + length].decode(), at + length + 1
    if kind == "v":
        inner, at = unpack("g", data, at)
        return unpack(inner, data, at)
    found = []
    if kind == "(":
        for part in split(signature[1:-1]):
            value, at = unpack(part, data, at)
            found.append(value)
        return tuple(found), at
    (length,) = struct.unpack_from("<I", data, at)
    at += 4
    at += -at % _ALIGNMENT[signature[1]]
    end = at + length
    while at < end:
        value, at = unpack(signature[1:], data, at)
        found.append(value)
    return found, at


class Message:
    """One message: ``fields`` are the header's, by number."""

    __slots__ = ("body", "fields", "kind", "serial")

    def __init__(self, kind: int, serial: int, fields: dict[int, Any], body: list[Any]) -> None:
        self.kind = kind
        self.serial = serial
        self.fields = fields
        self.body = body

    @property
    def member(self) -> str:
        """The method or signal."""
        return str(self.fields.get(_MEMBER, ""))


def encode(kind: int, serial: int, fields: dict[int, tuple[str, Any]], *values: tuple[str, Any]) -> bytes:
    """A message."""
    body = bytearray()
    for signature, value in values:
        pack(signature, value, body)
    if values:
        fields = {**fields, _SIGNATURE: ("g", "".join(signature for signature, _ in values))}
    head = bytearray(struct.pack("<BBBBII", ord("l"), kind, 0, 1, len(body), serial))
    pack("a(yv)", list(fields.items()), head)
    head += bytes(-len(head) % 8)
    return bytes(head + body)


def call_fields(destination: str, path: str, interface: str, member: str) -> dict[int, tuple[str, Any]]:
    """The header of a method call."""
    return {
        _PATH: ("o", path),
        _INTERFACE: ("s", interface),
        _MEMBER: ("s", member),
        _DESTINATION: ("s", destination),
    }


def read_message(read: Any) -> Message:
    """The next message by ``read(size)``, which raises OSError at the end of the stream."""
    head = read(16)
    if head[:1] != b"l":
        raise BusError(71, "a D-Bus message is big-endian")
    kind, body_length, serial, fields_length = head[1], *struct.unpack_from("<III", head, 4)
    if body_length + fields_length > _LONGEST:
        raise BusError(71, "a D-Bus message is too long")
    rest = fields_length + -fields_length % 8
    header = head + read(rest)
    found, _ = unpack("a(yv)", header, 12)
    fields = dict(found)
    body = read(body_length) if body_length else b""
    values, at = [], 0
    for part in split(fields.get(_SIGNATURE, "")):
        value, at = unpack(part, body, at)
        values.append(value)
    return Message(kind, serial, fields, values)


class Bus:
    """A connection to a message bus."""

    __slots__ = ("_serial", "_signals", "_socket")

    def __init__(self, path: str) -> None:
        """Connect and introduce ourselves; raises OSError."""
        self._serial = 0
        self._signals: list[Message] = []
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            self._socket.settimeout(_PATIENCE)
            self._socket.connect(path)
            self._authenticate()
            self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
        except BaseException:
            self._socket.close()
            raise

    def _authenticate(self) -> None:
        # SASL EXTERNAL: the kernel says who we are, the text repeats it
        identity = str(os.geteuid()).encode().hex()
        self._socket.sendall(f"\0AUTH EXTERNAL {identity}\r\n".encode())
        line = b""
        while not line.endswith(b"\r\n"):
            line += self._read(1)
        if not line.startswith(b"OK "):
            raise BusError(13, "the message bus does not know us")
        self._socket.sendall(b"BEGIN\r\n")

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise BusError(104, "the message bus closed the connection")
            data += part
        return data

    def call(
        self, destination: str, path: str, interface: str, member: str, *values: tuple[str, Any]
    ) -> list[Any]:
        """Call a method and wait for its answer; raises BusError."""
        self._serial += 1
        serial = self._serial
        fields = call_fields(destination, path, interface, member)
        self._socket.sendall(encode(CALL, serial, fields, *values))
        while True:
            message = read_message(self._read)
            if message.fields.get(_REPLY_SERIAL) == serial:
                if message.kind == ERROR:
                    said = message.body[0] if message.body else message.fields.get(_ERROR_NAME)
                    raise BusError(71, str(said))
                return message.body
            if message.kind == SIGNAL:
                self._signals.append(message)

    def signal(self) -> Message:
        """The next signal; raises BusError when none comes."""
        while not self._signals:
            message = read_message(self._read)
            if message.kind == SIGNAL:
                self._signals.append(message)
        return self._signals.pop(0)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
