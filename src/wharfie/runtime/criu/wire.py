"""The few messages of CRIU's service, in the format of protocol buffers.

A message is a dictionary; its table names each field's number and form. What a table does not name is left
out when it is read, as the format wants it, so a newer CRIU may say more.
"""

from __future__ import annotations

from wharfie.errors import InternalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Table = dict[str, tuple[int, Any]]

NUMBER, TEXT = "number", "text"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MASK = (1 << 64) - 1

_PAIR: Table = {"key": (1, TEXT), "val": (2, TEXT)}
_FEATURES: Table = {"mem_track": (1, NUMBER), "lazy_pages": (2, NUMBER)}

OPTIONS: Table = {
    "images_dir_fd": (1, NUMBER),
    "pid": (2, NUMBER),
    "leave_running": (3, NUMBER),
    "ext_unix_sk": (4, NUMBER),
    "tcp_established": (5, NUMBER),
    "evasive_devices": (6, NUMBER),
    "shell_job": (7, NUMBER),
    "file_locks": (8, NUMBER),
    "log_level": (9, NUMBER),
    "log_file": (10, TEXT),
    "ps": (11, {"address": (1, TEXT), "port": (2, NUMBER)}),
    "notify_scripts": (12, NUMBER),
    "root": (13, TEXT),
    "parent_img": (14, TEXT),
    "track_mem": (15, NUMBER),
    "auto_dedup": (16, NUMBER),
    "work_dir_fd": (17, NUMBER),
    "ext_mnt": (23, _PAIR),
    "manage_cgroups": (24, NUMBER),
    "cg_root": (25, {"ctrl": (1, TEXT), "path": (2, TEXT)}),
    "rst_sibling": (26, NUMBER),
    "inherit_fd": (27, {"key": (1, TEXT), "fd": (2, NUMBER)}),
    "manage_cgroups_mode": (34, NUMBER),
    "external": (37, TEXT),
    "empty_ns": (38, NUMBER),
    "join_ns": (39, {"ns": (1, TEXT), "ns_file": (2, TEXT)}),
    "freeze_cgroup": (44, TEXT),
    "tcp_skip_in_flight": (46, NUMBER),
    "lazy_pages": (48, NUMBER),
    "orphan_pts_master": (50, NUMBER),
    "config_file": (51, TEXT),
    "lsm_profile": (53, TEXT),
    "lsm_mount_context": (63, TEXT),
}
REQUEST: Table = {
    "type": (1, NUMBER),
    "opts": (2, OPTIONS),
    "notify_success": (3, NUMBER),
    "features": (5, _FEATURES),
}
RESPONSE: Table = {
    "type": (1, NUMBER),
    "success": (2, NUMBER),
    "restore": (4, {"pid": (1, NUMBER)}),
    "notify": (5, {"script": (1, TEXT), "pid": (2, NUMBER)}),
    "cr_errno": (7, NUMBER),
    "features": (8, _FEATURES),
    "cr_errmsg": (9, TEXT),
    "version": (10, {"major": (1, NUMBER), "minor": (2, NUMBER), "sublevel": (4, NUMBER)}),
}


def encode(message: dict[str, Any], table: Table) -> bytes:
    """The bytes of a message; a list is a field that repeats, None one that is not there."""
    parts = []
    for name, value in message.items():
        number, form = table[name]
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                parts.append(_field(number, form, item))
    return b"".join(parts)


def _field(number: int, form: Any, value: Any) -> bytes:
    if form == NUMBER:
        return _varint(number << 3 | _VARINT) + _varint(int(value) & _MASK)
    data = value.encode("utf-8", "surrogateescape") if form == TEXT else encode(value, form)
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def decode(data: bytes, table: Table) -> dict[str, Any]:
    """The message in ``data``; raises InternalError where it is none."""
    known = {number: (name, form) for name, (number, form) in table.items()}
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        name, form = known.get(number, ("", None))
        if not name:
            continue
        if isinstance(value, int) != (form == NUMBER):
            raise InternalError(f"criu answered a {name} of another form than it has")
        if isinstance(value, int):
            # int32 travels as 64 bits, a negative one too
            found[name] = value - (1 << 64) if value >> 63 else value
        else:
            found[name] = value.decode("utf-8", "replace") if form == TEXT else decode(value, form)
    return found


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0
    while place < len(data):
        key, place = _read_varint(data, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _read_varint(data, place)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, place = _read_varint(data, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise InternalError("criu's answer is no message")
        if place + size > len(data):
            raise InternalError("criu's answer ends in the middle of a field")
        if kind == _BYTES:
            yield key >> 3, data[place : place + size]
        place += size


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 64:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return value & _MASK, place
        shift += 7
    raise InternalError("criu's answer ends in the middle of a number")
