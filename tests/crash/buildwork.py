"""Builds by processes of their own, which a fault may end at any point; commands run in no container here."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.conformance.registry import registries
from tests.crash import storework
from wharfie.build.builder import Builder
from wharfie.build.cachespec import CacheSpec
from wharfie.build.options import Options
from wharfie.build.running import Output, Step
from wharfie.build.selecting import Selection
from wharfie.build.supply import Posted
from wharfie.errors import WharfieError
from wharfie.images.image import Image
from wharfie.images.platform import Platform
from wharfie.images.reference import Reference
from wharfie.images.registry.repository import Repository
from wharfie.images.registry.upload import Upload
from wharfie.support import faults

DOCKERFILE = b"""FROM scratch AS maker
COPY f dir /src/
RUN ["make", "one"]
WORKDIR /w/x
RUN --mount=type=cache,target=/cache ["make", "two"]
ENV made=1
FROM scratch
COPY --from=maker /one /two /result/
LABEL last=1
"""
STEPS = 7
CONTEXT = {"Dockerfile": DOCKERFILE, "f": b"content", "dir/a": b"a" * 3000, "dir/b": b"b"}


class Runner:
    """Writes a file of the name it is told into the step's layer, and one into each cache mount."""

    async def run(self, step: Step, output: Output) -> int:
        """As if it were a command."""
        Path(step.upper, step.words[1]).write_text(step.words[1])
        for bind in step.binds:
            Path(bind.source, step.words[1]).write_text("kept")
        output(b"done\n")
        return 0


class Nowhere:
    """No registry."""

    @asynccontextmanager
    async def repository(self, name: Reference) -> AsyncIterator[Repository]:
        """Not asked for."""
        raise AssertionError(name)
        yield

    @asynccontextmanager
    async def upload(self, name: Reference) -> AsyncIterator[Upload]:
        """Not asked for."""
        raise AssertionError(name)
        yield


async def resolve(name: str, platform: Platform) -> Image:
    raise AssertionError(name)


class Work(storework.Work):
    """Builds, and what is done to the cache."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        # when the disk is synced is a matter of time, and of test_power
        self.store.durability.settle = lambda: None  # type: ignore[method-assign]
        self.builder = Builder(self.store, Runner(), str(root), str(root))
        self.known = len(self.builder.cache.entries())
        self.cached = 0

    async def build(self, _: str, **more: Any) -> None:
        """The same image each time."""
        messages: list[dict[str, Any]] = []
        options = Options(tags=["built:1"], epoch=storework.EPOCH, **more)
        stream = storework.pieces(registries.layer(CONTEXT))
        supply = Posted(options, stream, self.builder.contexts)
        await self.builder.build(options, supply, resolve, Nowhere(), messages.append)
        self.cached = sum("Using cache" in message.get("stream", "") for message in messages)

    async def squashed(self, argument: str) -> None:
        await self.build(argument, squash=True)

    async def stubborn(self, argument: str) -> None:
        """What goes wrong the first time works the second time, in the same daemon."""
        try:
            await self.build(argument)
        except (WharfieError, OSError):
            faults.arm("")
            await self.build(argument)

    async def export(self, _: str) -> None:
        spec = CacheSpec("local", key="key", whole=True)
        await self.build("", cache_to=[spec])
        place = self.root.parent / f"{self.root.name}.cache"
        with open(f"{place}.tar", "wb") as file:
            async for piece in self.builder.exports.take("key"):
                file.write(piece)

    async def exchanged(self, _: str) -> None:
        """Steps come out of the cache that an export left."""
        key = await self.builder.upload(storework.pieces((self.root.parent / "exported").read_bytes()))
        await self.build("", cache_from=[CacheSpec("local", key=key)])
        assert self.cached == STEPS, self.cached

    async def forget(self, _: str) -> None:
        await self.builder.prune(Selection({}), all=True, keep=0)

    async def put_mount(self, _: str) -> None:
        await self.builder.put_mount("/cache", storework.pieces(registries.layer({"new": b"new"})))

    def more(self) -> dict[str, object]:
        rows = {row.directory for row in self.builder.mounts.rows()}
        strays = [name for name in os.listdir(self.builder.mounts.root) if name not in rows]
        return {"known": self.known, "cached": self.cached, "strays": strays}


if __name__ == "__main__":
    storework.main(Work)
