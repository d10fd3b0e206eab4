"""What the cache keeps and forgets, without a build: budgets, filters; and which machine runs what."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from wharfie.build import cachemounts, mountarchives, runstep
from wharfie.build.builder import Builder
from wharfie.build.running import Output, Step
from wharfie.build.selecting import MOUNT, REGULAR, Record, Selection
from wharfie.errors import InvalidArgument
from wharfie.images.store import ImageStore
from wharfie.state.db import Database

MIB = 1 << 20


class NoRunner:
    """Nothing is run here."""

    async def run(self, step: Step, output: Output) -> int:
        """Not called."""
        raise AssertionError(step)


@pytest.fixture
async def builder(tmp_path: Path) -> Builder:
    store = ImageStore(str(tmp_path), Database(":memory:"))
    return Builder(store, NoRunner(), str(tmp_path), str(tmp_path), budget=3 * MIB)


def add_mount(builder: Builder, name: str, size: int, used: int) -> Path:
    directory = Path(builder.mounts.root, name)
    directory.mkdir()
    (directory / "f").write_bytes(bytes(size))
    builder.mounts.db.execute("INSERT INTO build_mounts VALUES (?, ?, 1, ?, 1)", (f"/{name}", name, used))
    return directory


async def test_cache_mounts_count_to_the_budget_and_the_least_recently_used_go(builder: Builder) -> None:
    old, middle = add_mount(builder, "old", 2 * MIB, 1), add_mount(builder, "middle", 2 * MIB, 2)
    new = add_mount(builder, "new", MIB, 3)
    await builder.keep_to_budget()
    assert (old.exists(), middle.exists(), new.exists()) == (False, True, True)
    await builder.keep_to_budget()
    assert middle.exists()


async def test_a_cache_mount_that_is_being_read_is_not_taken_away(builder: Builder) -> None:
    old = add_mount(builder, "old", 4 * MIB, 1)
    pieces = mountarchives.export(builder.mounts, "/old")
    await anext(pieces)
    await builder.keep_to_budget()
    assert old.exists()
    await pieces.aclose()
    await builder.keep_to_budget()
    assert not old.exists()


async def test_a_cache_mount_that_goes_while_others_are_measured_is_no_error(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_mount(builder, "known", 1, 1)
    await builder.mounts.measured()
    add_mount(builder, "new", 2, 2)
    begun, going_on = threading.Event(), threading.Event()

    def held(path: str) -> int:
        begun.set()
        assert going_on.wait(60)
        return 2

    monkeypatch.setattr(cachemounts, "tree_size", held)
    measuring = asyncio.ensure_future(builder.mounts.measured())  # noqa: TID251
    await asyncio.to_thread(begun.wait, 60)
    builder.mounts._sizes.clear()
    going_on.set()
    assert [one.size for one in await measuring] == [1, 2]


async def test_a_cache_mount_is_measured_again_when_it_was_used(builder: Builder) -> None:
    directory = add_mount(builder, "one", 10, 1)
    assert [one.size for one in await builder.mounts.measured()] == [10]
    (directory / "more").write_bytes(bytes(5))
    builder.mounts.db.execute("UPDATE build_mounts SET used = 2")
    assert [one.size for one in await builder.mounts.measured()] == [15]


async def test_a_prune_that_keeps_some_counts_cache_mounts_too(builder: Builder) -> None:
    add_mount(builder, "old", 2 * MIB, 1)
    add_mount(builder, "new", MIB, 2)
    gone, freed = await builder.prune(Selection({}), all=True, keep=2 * MIB)
    assert (gone, freed) == (["old"], 2 * MIB)


STEP = Record("abc", REGULAR, "RUN x", 1, 0, 5, 1, shared=True)
CACHE = Record("def", MOUNT, "cached mount /c", 1, 0, 5, 1, in_use=True)


@pytest.mark.parametrize(
    ("filters", "meant"),
    [
        ({}, [STEP, CACHE]),
        ({"id": ["ab"]}, [STEP]),
        ({"type": ["exec.cachemount"]}, [CACHE]),
        ({"type": ["regular", "exec.cachemount"]}, [STEP, CACHE]),
        ({"description": ["RUN x"]}, [STEP]),
        ({"inuse": ["true"]}, [CACHE]),
        ({"inuse": ["false"]}, [STEP]),
        ({"shared": [""]}, [STEP]),
        ({"private": []}, [CACHE]),
        ({"mutable": ["1"]}, [CACHE]),
        ({"immutable": ["1"], "shared": ["0"]}, []),
        ({"parent": ["abc"]}, []),
        ({"until": ["1h"]}, [STEP, CACHE]),
    ],
)
def test_filters_choose_records(filters: dict[str, list[str]], meant: list[Record]) -> None:
    selection = Selection(filters)
    assert [one for one in (STEP, CACHE) if selection.matches(one)] == meant


@pytest.mark.parametrize("filters", [{"x": ["1"]}, {"until": ["soon"]}, {"inuse": ["perhaps"]}])
def test_a_filter_that_is_none_is_refused(filters: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid filter '"):
        Selection(filters)


def test_an_emulator_counts_only_while_it_is_enabled(tmp_path: Path) -> None:
    (tmp_path / "qemu-aarch64").write_text("enabled\ninterpreter /usr/bin/qemu-aarch64\n")
    (tmp_path / "qemu-s390x").write_text("disabled\n")
    (tmp_path / "riscv64").write_text("enabled\n")
    there = str(tmp_path)
    assert runstep.emulated("arm64", there)
    assert runstep.emulated("riscv64", there)
    assert not runstep.emulated("s390x", there)
    assert not runstep.emulated("ppc64le", there)
    assert not runstep.emulated("arm64", os.path.join(there, "none"))
