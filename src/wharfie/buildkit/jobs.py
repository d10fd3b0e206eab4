"""Builds of clients: what is asked for, in the order in which a client may ask.

::

    Control.Solve(ref) ────────────── waits ──────────────▶ exports, answers
      LLBBridge.Solve(ref) ─▶ builds ─▶ a result                ▲
      LLBBridge.Return(ref, result) ────────────────────────────┘
    Control.Status(ref) ─▶ vertexes, until the build is over
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from wharfie.build.stagestate import StageState
from wharfie.buildkit import clientstore, frontend, onebuild, subrequests
from wharfie.buildkit.engine import Engine
from wharfie.buildkit.exporting import Target, exporters
from wharfie.buildkit.failures import failure
from wharfie.buildkit.fromsession import FromSession
from wharfie.buildkit.results import Outcome
from wharfie.buildkit.session import Session
from wharfie.buildkit.steps import CANCELED
from wharfie.buildkit.vertexes import Board
from wharfie.errors import InvalidArgument, NotFound, NotSupported, WharfieError

_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Solved:
    """What a frontend came to: results by id, or an answer's metadata."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)


class Job:
    """One build; to be left with ``async with``."""

    def __init__(self, engine: Engine, request: Any, session: Session, board: Board) -> None:
        """Raises InvalidArgument, NotSupported."""
        if request.policy.rules:
            raise NotSupported("source policies are not supported")
        self._engine = engine
        self._session = session
        self._board = board
        self._entitlements = list(request.entitlements)
        self._imports = [frontend.import_of(one.type, one.attributes) for one in request.cache.imports]
        exports = [frontend.export_of(one.type, one.attributes) for one in request.cache.exports]
        self._exports = [one for one in exports if one.kind != "local"]
        self._to_client = [one for one in exports if one.kind == "local"]
        self._exporters = exporters(request)
        self._stack = AsyncExitStack()
        self._solving: set[asyncio.Task[Any]] = set()
        self._outcomes: dict[str, Outcome] = {}
        self.returned: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        """Ids of the results that the client wants, or the error that it has made of them."""

    async def __aenter__(self) -> Job:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._solving:
            task.cancel()
        await asyncio.gather(*self._solving, return_exceptions=True)
        await self._stack.aclose()
        self.returned.cancel()

    async def solve(self, kind: str, given: Mapping[str, str], inputs: Mapping[str, StageState]) -> Solved:
        """Build, or answer a question. Raises RpcError."""
        task = asyncio.current_task()
        assert task is not None
        self._solving.add(task)
        try:
            imports = [*self._imports, *(one for one in frontend.imported(given) if one not in self._imports)]
            return await self._built(frontend.read(kind, given, imports), inputs)
        except WharfieError as error:
            raise failure(error) from error
        finally:
            self._solving.discard(task)

    async def _built(self, wanted: frontend.Wanted, inputs: Mapping[str, StageState]) -> Solved:
        builder = self._engine.builder
        place = self._stack.enter_context(builder.place())
        supply = FromSession(self._session, wanted, inputs, self._board, builder.contexts, place)
        self._stack.callback(supply.close)
        if wanted.request:
            subrequests.check(wanted.request)
            options = wanted.for_platform(wanted.platforms[0] if wanted.platforms else "")
            metadata = await onebuild.ask(self._engine, supply, options, self._board, wanted.request)
            return Solved(metadata=metadata)
        several = len(wanted.platforms) > 1
        found: dict[str, Outcome] = {}
        for platform in wanted.platforms or [""]:
            options = replace(wanted.for_platform(platform), allow=self._entitlements, cache_to=self._exports)
            outcome = await onebuild.build(
                self._engine, self._stack, supply, options, self._board, platform if several else ""
            )
            found[self._engine.results.add(outcome.state)] = outcome
        self._outcomes |= found
        return Solved(found)

    async def export(self) -> dict[str, str]:
        """What the client returned goes where it wants it; what it is told. Raises RpcError, …"""
        keys = await self.returned
        if not set(keys) <= set(self._outcomes):
            raise NotFound("the client returns a result that is none of this build")
        outcomes = [one for key, one in self._outcomes.items() if key in keys]
        response: dict[str, str] = {}
        for number, exporter in enumerate(self._exporters if outcomes else []):
            vertex = self._board.vertex(exporter.title).start()
            try:
                target = Target(self._engine, self._session, vertex, number)
                response |= await exporter.export(target, outcomes)
            except BaseException as error:
                vertex.end(str(error) or CANCELED)
                raise
            vertex.end()
        for outcome in outcomes:
            await self._export_caches(outcome)
        for spec in self._to_client if outcomes else []:
            place = self._stack.enter_context(self._engine.builder.place())
            response["cache.manifest"] = await clientstore.export(
                self._session, self._board, outcomes[0], spec, place
            )
        return response

    async def _export_caches(self, outcome: Outcome) -> None:
        if not any(one.kind == "registry" for one in self._exports):
            return
        vertex = self._board.vertex("exporting cache to registry").start()
        try:
            await outcome.work.export_caches(outcome.solver)
        except BaseException as error:
            vertex.end(str(error) or CANCELED)
            raise
        vertex.end()


class Jobs:
    """All that go on, by the names that clients gave them."""

    def __init__(self) -> None:
        self._boards: dict[str, Board] = {}
        self._jobs: dict[str, Job] = {}
        self._changed = asyncio.Condition()

    async def begin(self, ref: str) -> Board:
        """A build of this name; its board is there before it is. Raises InvalidArgument."""
        if not ref:
            raise InvalidArgument("a build needs a ref")
        if ref in self._boards:
            raise InvalidArgument(f"job ID {ref} exists")
        found = self._boards[ref] = Board(ref)
        async with self._changed:
            self._changed.notify_all()
        return found

    async def goes_on(self, ref: str, job: Job) -> None:
        """It can be asked for more."""
        self._jobs[ref] = job
        async with self._changed:
            self._changed.notify_all()

    async def end(self, ref: str) -> None:
        """It is over."""
        self._jobs.pop(ref, None)
        board = self._boards.pop(ref, None)
        if board is not None:
            board.close()
        async with self._changed:
            self._changed.notify_all()

    async def board(self, ref: str) -> Board:
        """A build's, which may be about to begin; raises NotFound."""
        await self._until(lambda: ref in self._boards)
        if ref not in self._boards:
            raise NotFound(f"no such job {ref}")
        return self._boards[ref]

    async def job(self, ref: str) -> Job:
        """A build, which may be about to begin; raises NotFound."""
        await self._until(lambda: ref in self._jobs)
        if ref not in self._jobs:
            raise NotFound(f"no such job {ref}")
        return self._jobs[ref]

    async def _until(self, there: Any) -> None:
        try:
            async with asyncio.timeout(_PATIENCE), self._changed:
                await self._changed.wait_for(there)
        except TimeoutError:
            return
