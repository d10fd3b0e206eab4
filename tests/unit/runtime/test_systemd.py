"""Names of slices and scopes, and D-Bus values."""

from __future__ import annotations

from typing import Any

import pytest

from wharfie.errors import InvalidArgument
from wharfie.linux.dbus import CALL, call_fields, encode, pack, read_message, split, unpack
from wharfie.runtime.cgroups.systemd import parse, path_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("system.slice", "wharfie-c1.scope")),
        ("user.slice:docker:abc", ("user.slice", "docker-abc.scope")),
        ("machine.slice:libpod:abc", ("machine.slice", "libpod-abc.scope")),
        (":p:n", ("system.slice", "p-n.scope")),
        ("system.slice::n", ("system.slice", "n.scope")),
        ("system.slice:x:own.slice", ("system.slice", "own.slice")),
    ],
)
def test_the_forms_of_a_path(text: str, expected: tuple[str, str]) -> None:
    assert parse(text, "c1") == expected


@pytest.mark.parametrize(
    "text", ["/a/b", "a:b", "a:b:c:d", "a:b:c", "s.slice:b:", "../x.slice:b:c", "s.slice:b:c/d"]
)
def test_what_is_no_such_path(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse(text, "c1")


def test_a_slice_lies_in_those_its_name_begins_with() -> None:
    assert path_of("system.slice", "a.scope") == "/system.slice/a.scope"
    assert path_of("a-b-c.slice", "u.scope") == "/a.slice/a-b.slice/a-b-c.slice/u.scope"
    assert path_of("-.slice", "u.scope") == "/u.scope"
    with pytest.raises(InvalidArgument):
        path_of("a--b.slice", "u.scope")


@pytest.mark.parametrize(
    ("signature", "value", "read"),
    [
        ("s", "häuser", "häuser"),
        ("t", 1 << 63, 1 << 63),
        ("b", True, True),
        ("au", [1, 2, 3], [1, 2, 3]),
        ("at", [], []),
        ("a(sv)", [("A", ("b", False)), ("Bc", ("t", 5))], [("A", False), ("Bc", 5)]),
        ("a(sa(sv))", [("x", [("y", ("s", "z"))])], [("x", [("y", "z")])]),
        ("(yut)", (1, 2, 3), (1, 2, 3)),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 5])
def test_values_come_back_as_they_were(signature: str, value: Any, read: Any, before: int) -> None:
    out = bytearray(before)
    pack(signature, value, out)
    assert unpack(signature, bytes(out), before) == (read, len(out))


def test_a_message_as_the_specification_lays_it_out() -> None:
    data = encode(
        CALL, 1, call_fields("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
    )
    assert data[:16].hex() == "6c010001" + "00000000" + "01000000" + "6d000000"
    assert data[16:45] == b"\x01\x01o\x00\x15\x00\x00\x00/org/freedesktop/DBus"[:29]
    assert len(data) % 8 == 0
    rest = memoryview(data)

    def read(size: int) -> bytes:
        nonlocal rest
        part, rest = bytes(rest[:size]), rest[size:]
        return part

    message = read_message(read)
    assert (message.kind, message.serial, message.member, message.body) == (CALL, 1, "Hello", [])
    assert not rest


def test_signatures_fall_into_complete_types() -> None:
    assert split("ssa(sv)a(sa(sv))") == ["s", "s", "a(sv)", "a(sa(sv))"]
    assert split("aau(ii)v") == ["aau", "(ii)", "v"]
