"""Things done to an image store by processes of their own, which a fault may end at any point.

``python -m tests.crash.storework`` obeys (:mod:`tests.crash.orders`). ``look COMMAND`` opens the store
as a new daemon would, checks it, does the command again, and prints as JSON what the check found and every
file that there is then.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.conformance.registry import registries
from tests.crash.orders import Order, serve
from wharfie.images import durability
from wharfie.images.distribution import Distribution
from wharfie.images.image import ContainerUse, ImageNotFound
from wharfie.images.store import ImageStore
from wharfie.state.db import Database
from wharfie.support import faults, tasks

EPOCH = 1_700_000_000
LAYERS = [
    registries.layer({"etc/motd": b"hello\n" * 100, "bin/sh": bytes(20_000)}),
    registries.layer({"etc/new": b"new", "etc/.wh.motd": b""}),
    registries.layer({"srv/third": b"3" * 3000}),
]


def archive() -> bytes:
    """Two images in Docker's layout that share a layer; the shared one came compressed."""
    files: dict[str, bytes] = {"one.tar": gzip.compress(LAYERS[0], mtime=0), "two.tar": LAYERS[1]}
    files["three.tar"] = LAYERS[2]
    entries = []
    for name, layers in (("one:1", ["one.tar", "two.tar"]), ("two:1", ["one.tar", "three.tar"])):
        diffs = [registries.digest(LAYERS[list(files).index(layer)]) for layer in layers]
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs}}
        files[f"{name[:3]}.json"] = json.dumps(config).encode()
        entries.append({"Config": f"{name[:3]}.json", "RepoTags": [name], "Layers": layers})
    files["manifest.json"] = json.dumps(entries).encode()
    return registries.layer(files)


def nobody(_: str) -> list[ContainerUse]:
    return []


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 4096):
        yield data[at : at + 4096]


class Work:
    """The commands, each as often as one likes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = ImageStore(str(root), Database(str(root / "state.db")))

    async def load(self, _: str) -> None:
        await self.store.load(pieces(archive()), progress=lambda _: None)

    async def pull(self, address: str) -> None:
        await Distribution(self.store).pull(f"{address}/power:1", progress=lambda _: None)

    async def import_image(self, _: str) -> None:
        await self.store.import_image(pieces(LAYERS[2]), ref="imported:1", epoch=EPOCH)

    async def commit(self, _: str) -> None:
        upper = self.root.parent / "upper"
        await self.store.commit(self.store.get("one:1"), str(upper), ref="made:1", epoch=EPOCH)

    async def squash(self, _: str) -> None:
        await self.store.squash("one:1", target="squashed:1", epoch=EPOCH)

    async def rmi(self, _: str) -> None:
        try:
            self.store.remove("two:1", in_use=nobody)
        except ImageNotFound:
            return  # it was gone when the power went

    async def prune(self, _: str) -> None:
        self.store.prune({"dangling": ["false"]}, nobody)

    async def repair(self, _: str) -> None:
        """One layer can be made again from its blob, the other takes its image along."""
        for layer in (LAYERS[0], LAYERS[2]):
            split = self.root / "layers" / registries.digest(layer)[7:] / "split"
            if split.exists():
                split.write_bytes(b"damaged")
        await self.store.check(repair=True, in_use=nobody)

    async def look(self, command: str) -> None:
        name, _, argument = command.partition(" ")
        found = await self.store.check(repair=False, in_use=nobody)
        problems = [f"{one.kind}: {one.what}" for one in found.problems]
        if name:
            await getattr(self, name)(argument)
        await settled()
        found_now = {"problems": problems, "files": self.files(), "names": self.names(), **self.more()}
        sys.stdout.write(json.dumps(found_now))

    def more(self) -> dict[str, object]:
        """What else there is to be told."""
        return {}

    def files(self) -> dict[str, int]:
        """Every file of the store but the database, with its size."""
        found = {}
        for directory, _, names in os.walk(self.root):
            for name in [*names, "."]:
                path = os.path.join(directory, name)
                if not name.startswith("state.db"):
                    key = os.path.relpath(path, self.root)
                    found[key] = os.lstat(path).st_size if name != "." else 0
        return found

    def names(self) -> list[str]:
        return sorted(name for image in self.store.images() for name in image.repo_tags)


async def settled() -> None:
    """Wait for what goes on in the background."""
    while len(asyncio.all_tasks()) > 1:
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})  # type: ignore[arg-type]


def main(kind: type[Work] = Work) -> None:
    """Do what is ordered, in a child for each order."""

    async def obey(order: Order) -> None:
        done = kind(Path(order["root"]))
        faults.arm(order["fault"])
        await getattr(done, order["command"])(order["argument"])
        await settled()
        await tasks.cancel_all()

    serve(obey)


if __name__ == "__main__":
    durability.PAUSE = 0  # each of these commands has one sync, for which its process waits
    main()
