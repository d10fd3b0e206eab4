"""Volumes that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.peers.wrong_networks import Requests, _quoted

NAMES = ("a", "a b", "../x", "a/b", ".a", "-a", "a:b", "x" * 256, "a\n", "é", "_a")
OPTIONS: dict[str, dict[str, str]] = {
    "a type alone": {"type": "tmpfs"},
    "a device alone": {"device": "tmpfs"},
    "options alone": {"o": "bind"},
    "a bind without its device": {"type": "none", "o": "bind"},
    "an option that nobody knows": {"nosuch": "1"},
    "one of them that nobody knows": {"type": "tmpfs", "device": "tmpfs", "other": "1"},
    "the type empty": {"type": "", "device": "tmpfs"},
    "the device empty": {"type": "tmpfs", "device": ""},
    "a size of no number": {"size": "x"},
    "a size below nothing": {"size": "-1"},
}
BODIES: dict[str, Any] = {
    "no such driver": {"Name": "bad", "Driver": "nosuch"},
    "half a body": '{"Name"',
    "a number for a name": {"Name": 5},
    "a list of options": {"Name": "bad", "DriverOpts": ["x"]},
}
LISTS = (
    '{"nosuch":["x"]}', '{"dangling":["maybe"]}', '{"dangling":["1","0"]}', "{", "[]",
    '{"driver":["nosuch"]}',
)  # fmt: skip
PLAIN: dict[str, tuple[str, str, Any]] = {
    "remove what is not there": ("DELETE", "/volumes/nosuch", None),
    "remove what is not there, by force": ("DELETE", "/volumes/nosuch?force=1", None),
    "remove what is in use": ("DELETE", "/volumes/used", None),
    "remove what is in use, by force": ("DELETE", "/volumes/used?force=true", None),
    "remove, by force or not": ("DELETE", "/volumes/used?force=maybe", None),
    "inspect what is not there": ("GET", "/volumes/nosuch", None),
    "update one of this machine": ("PUT", "/volumes/free?version=1", {"Spec": {}}),
    "prune by no such filter": ("POST", '/volumes/prune?filters={"nosuch":["x"]}', None),
    "prune all or not": ("POST", '/volumes/prune?filters={"all":["maybe"],"label":["nosuch"]}', None),
    "make what is there": ("POST", "/volumes/create", {"Name": "free", "Labels": {"c": "d"}}),
    "make what is there with other options": (
        "POST", "/volumes/create", {"Name": "free", "DriverOpts": {"type": "tmpfs", "device": "tmpfs"}},
    ),
    "make what is there with another driver": (
        "POST", "/volumes/create", {"Name": "free", "Driver": "nosuch"},
    ),
}  # fmt: skip


def table() -> Iterator[tuple[str, Requests]]:
    for text in NAMES:
        yield f"volume: the name {text[:9]!r}", [("POST", "/volumes/create", {"Name": text})]
    for name, options in OPTIONS.items():
        body = {"Name": "bad", "DriverOpts": options}
        yield f"volume: {name}", [("POST", "/volumes/create", body)]
    for name, body in BODIES.items():
        yield f"volume: {name}", [("POST", "/volumes/create", body)]
    for text in LISTS:
        yield f"volumes by {text}", [("GET", f"/volumes?filters={_quoted(text)}", None)]
    for name, (method, path, body) in PLAIN.items():
        head, mark, query = path.partition("filters=")
        yield f"volume: {name}", [(method, head + mark + _quoted(query), body)]
