"""``FROM`` the name of a further context that is a directory: its files are the base, as one layer."""

from __future__ import annotations

import asyncio
import time

from wharfie.build import content
from wharfie.build.cache import digest
from wharfie.build.content import Excluded, Found
from wharfie.build.copier import Copier, Manner
from wharfie.build.copystep import layer_of
from wharfie.build.shop import Shop
from wharfie.build.stagestate import StageState
from wharfie.images.pipe import to_its_end
from wharfie.images.platform import Platform

NO_STAGE = -1
_WHOLE = [Found("", True)]


async def state_of(shop: Shop, name: str, directory: str, platform: Platform) -> StageState:
    """The beginning of a stage; its layer comes from the cache where the files are known."""
    state = StageState.scratch(platform)
    shown = f"local source for {name}"
    with shop.origin(directory) as root:
        found = await to_its_end("look at a base", lambda: content.digest(root, _WHOLE, Excluded([])))
        key = digest("local", found, shop.options.epoch)
        async with shop.locks.get(key) or shop.locks.setdefault(key, asyncio.Lock()):
            entry = await shop.known(key, NO_STAGE, fresh=shop.options.no_cache)
            if entry is not None:
                state.step(shown, entry.layer, entry.created)
                return state

            def work(target: int) -> None:
                Copier(target, Manner(latest=shop.latest)).put(root, _WHOLE, "/", Excluded([]), into=True)

            layer = await layer_of(shop, [], work)
            created = time.time_ns() if shop.latest is None else shop.latest
            shop.cache.add(key, "local", shown, layer, created)
            state.step(shown, layer, created)
    return state
