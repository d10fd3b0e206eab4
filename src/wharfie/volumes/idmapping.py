"""Whose files those in a bind mount are, inside and outside (mount_setattr(2), "ID-mapped mounts").

::

    uid=U[@C], gid=G[@C]   the host's U is the container's C: its --user, if that is a number, or 0
    idmap                  ids are the same on both sides although the container has a user namespace
    idmap=uids=C-H-N#…;gids=C-H-N#…   N ids from C on inside are those from H on outside, and no others

With ``uid=1000`` a container's root writes files that belong to user 1000 of the host, and user 1000's are
its own. The host's C (root, mostly) has no place inside then: its files are nobody's there, and nothing the
container does can belong to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from wharfie.volumes.model import InvalidMount

Range = tuple[int, int, int]
"""First id in the container, first id on the host, how many."""
_ALL = (1 << 32) - 1
_HIGHEST = (1 << 31) - 1
_NAMESPACE = 65536
_MOST = 300


def words_of(mode: str) -> list[str]:
    """Those words of a ``-v``'s mode that speak of ids."""
    return [word for word in mode.split(",") if is_word(word)]


def is_word(word: str) -> bool:
    """Whether it is one of the words above."""
    return word == "idmap" or word.startswith(("uid=", "gid=", "idmap="))


def check(text: str) -> None:
    """Raises InvalidMount for words, joined by commas, that are no mapping."""
    mappings(text, "", 0)


def mappings(text: str, user: str, base: int) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    """A mount's ``uidMappings`` and ``gidMappings`` of the runtime specification; raises InvalidMount.

    ``user`` is the container's ``--user``; ``base`` the host's id of id 0 in its user namespace, 0 without
    one.
    """
    words = text.split(",")
    explicit = next((word for word in words if word.startswith("idmap")), "")
    if explicit and len(words) > 1:
        raise InvalidMount(f"invalid id mapping '{text}': idmap goes with neither uid nor gid")
    if explicit:
        uids, gids = _explicit(explicit)
    else:
        own = user.partition(":")
        values = dict(word.split("=", 1) for word in words)
        uids = _one(values.get("uid"), own[0])
        gids = _one(values.get("gid"), own[2])
    return _runtime(uids, base), _runtime(gids, base)


def _number(text: str, whole: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _HIGHEST:
        raise InvalidMount(f"invalid id mapping '{whole}': '{text}' is no id")
    return int(text)


def _one(value: str | None, own: str) -> list[Range]:
    if value is None:
        return [(0, 0, _ALL)]
    host, at, inside = value.partition("@")
    outer = _number(host, value)
    inner = _number(inside, value) if at else int(own) if own.isdigit() else 0
    low, high = sorted((outer, inner))
    same = [(0, 0, low), (low + 1, low + 1, high - low - 1), (high + 1, high + 1, _ALL - high - 1)]
    return [(inner, outer, 1), *(part for part in same if part[2] > 0)]


def _explicit(word: str) -> tuple[list[Range], list[Range]]:
    given = word.partition("=")[2]
    if word != "idmap" and not given:
        raise InvalidMount(f"invalid id mapping '{word}'")
    found: dict[str, list[Range]] = {}
    for part in given.split(";") if given else ():
        name, _, ranges = part.partition("=")
        if name not in ("uids", "gids") or name in found:
            raise InvalidMount(f"invalid id mapping '{word}': it says uids=C-H-N and gids=C-H-N once each")
        found[name] = [_range(text, word) for text in ranges.split("#")]
    everything = [(0, 0, _ALL)]
    return found.get("uids", everything), found.get("gids", everything)


def _range(text: str, whole: str) -> Range:
    numbers = text.split("-")
    if len(numbers) != 3:
        raise InvalidMount(f"invalid id mapping '{whole}': '{text}' is not of the form C-H-N")
    inside, host, size = (_number(number, whole) for number in numbers)
    if not size:
        raise InvalidMount(f"invalid id mapping '{whole}': '{text}' maps nothing")
    return inside, host, size


def _runtime(ranges: Sequence[Range], base: int) -> list[dict[str, int]]:
    """As the runtime wants them: "container" is the id on disk, "host" the one the kernel shows."""
    found = []
    if len(ranges) > _MOST:
        raise InvalidMount(f"an id mapping has at most {_MOST} ranges")
    for inside, host, size in ranges:
        if base:
            size = min(size, _NAMESPACE - inside)
        if size > 0:
            found.append({"containerID": host, "hostID": base + inside, "size": size})
    if not found:
        raise InvalidMount(f"the id mapping has no id that a user namespace of {_NAMESPACE} ids has")
    return found
