"""Builds between the routes and the builder: base images by name, secrets that wait for their build."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from wharfie.api.backends import Filters, Progress
from wharfie.build.bases import Bases, among
from wharfie.build.builder import Builder
from wharfie.build.options import Options
from wharfie.build.selecting import Selection
from wharfie.build.supply import Posted
from wharfie.engine.events import EventBus
from wharfie.errors import InvalidArgument
from wharfie.images import saving
from wharfie.images.distribution import Distribution
from wharfie.images.reference import parse
from wharfie.images.store import ImageStore
from wharfie.support.ids import random_hex
from wharfie.support.units import format_time
from wharfie.wire.build import BuildInputs, BuildPrune, CacheRecord
from wharfie.wire.registries import Descriptor

if TYPE_CHECKING:
    from wharfie.buildkit.serving import BuildKit

_WAITING = 64


class BuildService:
    """The backend of the build routes."""

    def __init__(
        self,
        builder: Builder,
        store: ImageStore,
        distribution: Distribution,
        events: EventBus,
        gateway: Callable[[], str],
    ) -> None:
        """``gateway``: the address that ``host-gateway`` stands for."""
        self._gateway = gateway
        self._builder = builder
        self._store = store
        self._distribution = distribution
        self._events = events
        self._inputs: dict[str, BuildInputs] = {}
        self._served: BuildKit | None = None

    async def build(self, options: Options, context: AsyncIterator[bytes] | None, progress: Progress) -> None:
        """``docker build``."""
        if options.inputs:
            options = self._with_inputs(options)
        tell: Progress = (lambda _: None) if options.quiet or options.events else progress
        bases = Bases(self._store, self._distribution, options, among(options.auths), tell)
        supply = Posted(options, context, self._builder.contexts)
        identifier = await self._builder.build(options, supply, bases.resolve, bases, progress)
        for tag in options.tags if identifier else ():
            name = parse(tag).with_default_tag().familiar
            self._tagged(identifier, name)

    def _with_inputs(self, options: Options) -> Options:
        found = self._inputs.pop(options.inputs, None)
        if found is None:
            raise InvalidArgument("the secrets of the build were not sent, or were used by another one")
        try:
            secrets = {name: b64decode(value, validate=True) for name, value in (found.secrets or {}).items()}
        except (binascii.Error, ValueError):
            raise InvalidArgument("a secret is not valid base64") from None
        return replace(options, secrets=secrets, ssh=dict(found.ssh or {}))

    async def upload(self, stream: AsyncIterator[bytes]) -> str:
        """A further context."""
        return await self._builder.upload(stream)

    async def serve_grpc(self, fd: int, prefix: bytes) -> None:
        """``POST /grpc``."""
        await self._buildkit().serve(fd, prefix)

    async def serve_session(
        self, fd: int, prefix: bytes, key: str, shared_key: str, methods: Sequence[str]
    ) -> None:
        """``POST /session``."""
        await self._buildkit().serve_session(fd, prefix, key, shared_key, methods)

    def _buildkit(self) -> BuildKit:
        """Made when the first client comes: gRPC is much to load."""
        if self._served is None:
            from wharfie.buildkit.engine import Engine
            from wharfie.buildkit.serving import BuildKit

            self._served = BuildKit(
                Engine(
                    store=self._store,
                    builder=self._builder,
                    distribution=self._distribution,
                    tagged=self._tagged,
                    pruned=self._pruned,
                    gateway=self._gateway,
                )
            )
        return self._served

    def _tagged(self, identifier: str, name: str) -> None:
        self._events.emit("image", "tag", identifier, {"name": name})

    def _pruned(self, freed: int) -> None:
        self._events.emit("builder", "prune", "", {"reclaimed": str(freed)})

    def knows_context(self, key: str) -> bool:
        """Whether it is kept."""
        return self._builder.contexts.knows(key)

    def tree(self, ref: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The files of an image."""
        return self._builder.tree(ref)

    def exported_cache(self, key: str) -> AsyncIterator[bytes]:
        """``--cache-to type=local``."""
        return self._builder.exports.take(key)

    def mount_archive(self, name: str) -> AsyncIterator[bytes]:
        """``builder export``."""
        return self._builder.mount_archive(name)

    async def put_mount(self, name: str, stream: AsyncIterator[bytes]) -> None:
        """``builder import``."""
        await self._builder.put_mount(name, stream)

    async def descriptor(self, ref: str) -> Descriptor:
        """The manifest of an image that was built."""
        image = self._store.get(ref)
        saved = saving.Saved(image, self._store.catalog.layers(image.id))
        with self._store.keeping():
            body, kind = await asyncio.to_thread(saving.manifest_of, self._store, saved)
        return Descriptor(
            media_type=kind,
            digest="sha256:" + hashlib.sha256(body).hexdigest(),
            size=len(body),
            annotations={
                "config.digest": image.id,
                "org.opencontainers.image.created": format_time(image.created_unix * 10**9),
            },
        )

    def keep_inputs(self, body: BuildInputs) -> str:
        """In memory only, for one build."""
        while len(self._inputs) >= _WAITING:
            del self._inputs[next(iter(self._inputs))]
        key = random_hex(32)
        self._inputs[key] = body
        return key

    async def prune(self, *, all: bool, keep: int, filters: Filters) -> BuildPrune:
        """``docker builder prune``."""
        gone, freed = await self._builder.prune(Selection(filters), all=all, keep=keep)
        self._pruned(freed)
        return BuildPrune(caches_deleted=gone or None, space_reclaimed=freed)

    async def usage(self, filters: Filters) -> list[CacheRecord]:
        """``docker builder du``."""
        wanted = Selection(filters)
        return [
            CacheRecord(
                id=one.id,
                type=one.type,
                description=one.description,
                in_use=one.in_use,
                shared=one.shared,
                size=one.size,
                created_at=format_time(one.created),
                last_used_at=format_time(one.used),
                usage_count=one.uses,
            )
            for one in await self._builder.records()
            if wanted.matches(one)
        ]
