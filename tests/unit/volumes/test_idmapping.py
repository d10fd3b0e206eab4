"""Whose files they are: what the words mean, and which mean nothing."""

from __future__ import annotations

import itertools
import re

import pytest

from wharfie.volumes.idmapping import mappings
from wharfie.volumes.model import InvalidMount
from wharfie.volumes.mounts import from_mount, parse_bind
from wharfie.wire.config import BindOptions, Mount

LAST = (1 << 32) - 1


def seen(maps: list[dict[str, int]]) -> list[tuple[int, int, int]]:
    """On disk, as the kernel shows it, how many."""
    return [(item["containerID"], item["hostID"], item["size"]) for item in maps]


def shown(maps: list[dict[str, int]], disk: int) -> int | None:
    """What an id on disk looks like."""
    for start, visible, size in seen(maps):
        if start <= disk < start + size:
            return visible + disk - start
    return None


def test_a_user_of_the_host_is_root_inside() -> None:
    uids, gids = mappings("uid=1000", "", 0)
    assert [shown(uids, disk) for disk in (0, 1, 999, 1000, 1001, 70000)] == [None, 1, 999, 0, 1001, 70000]
    assert seen(gids) == [(0, 0, LAST)]


def test_the_container_s_own_user_counts_if_it_is_a_number() -> None:
    uids, gids = mappings("uid=1000,gid=100", "33:44", 0)
    assert (shown(uids, 1000), shown(uids, 33), shown(uids, 0)) == (33, None, 0)
    assert (shown(gids, 100), shown(gids, 44)) == (44, None)
    assert shown(mappings("uid=1000", "www-data", 0)[0], 1000) == 0
    assert shown(mappings("uid=1000@5", "33", 0)[0], 1000) == 5
    assert shown(mappings("uid=0", "", 0)[0], 0) == 0


def test_no_id_is_said_twice() -> None:
    for text in ("uid=1000", "uid=0@1000", "uid=1@0", "uid=0@1", "uid=7@7", f"uid={(1 << 31) - 1}"):
        for place in (0, 1):
            ranges = sorted((item[place], item[2]) for item in seen(mappings(text, "", 0)[0]))
            assert all(first + size <= second for (first, size), (second, _) in itertools.pairwise(ranges))
            assert sum(size for _, size in ranges) >= LAST - 2


def test_a_user_namespace_has_its_own_numbers() -> None:
    assert seen(mappings("idmap", "", 500000)[0]) == [(0, 500000, 65536)]
    uids = mappings("uid=1000", "", 500000)[0]
    assert (shown(uids, 1000), shown(uids, 5), shown(uids, 65535), shown(uids, 65536)) == (
        500000, 500005, 565535, None
    )  # fmt: skip


def test_ranges_of_ones_own() -> None:
    uids, gids = mappings("idmap=uids=0-1000-1#1-2000-10;gids=5-6-1", "", 0)
    assert seen(uids) == [(1000, 0, 1), (2000, 1, 10)]
    assert seen(gids) == [(6, 5, 1)]


@pytest.mark.parametrize(
    "text",
    ["uid=", "uid=x", "uid=-1", "uid=1@", "uid=1@x", f"uid={1 << 31}", "uid=1@2@3", "uid=\u0661", "idmap=",
     "idmap=uids", "idmap=uids=1-2", "idmap=uids=1-2-0", "idmap=uids=1-2-3;uids=1-2-3", "idmap,uid=5",
     "idmap=wids=1-2-3", "idmap=uids=" + "#".join(["1-2-3"] * 301)],
)  # fmt: skip
def test_mappings_that_cannot_be(text: str) -> None:
    with pytest.raises(InvalidMount, match="id mapping"):
        mappings(text, "", 0)


def test_a_bind_takes_them_in_both_forms() -> None:
    assert parse_bind("/a:/b:ro,uid=1000,gid=1000").idmap == "uid=1000,gid=1000"
    mount = Mount(type="bind", source="/", target="/x", bind_options=BindOptions(id_map="uid=7@8"))
    assert from_mount(mount).idmap == "uid=7@8"
    for wrong, reason in (
        ("name:/b:uid=5", "ids can be mapped in a bind mount only: uid=5"),
        ("/a:/b:uid=5,uid=6", "invalid mode: uid=5,uid=6"),
        ("/a:/b:uid=x", "invalid id mapping 'x': 'x' is no id"),
    ):
        with pytest.raises(InvalidMount, match=re.escape(reason)):
            parse_bind(wrong)
