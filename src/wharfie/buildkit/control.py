"""``moby.buildkit.v1.Control``: builds, what they tell, workers, and what the build cache holds."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import wharfie
from wharfie.build.builder import Builder
from wharfie.buildkit.engine import Engine
from wharfie.buildkit.failures import failure
from wharfie.buildkit.grpc import Call, Handler
from wharfie.buildkit.jobs import Job, Jobs
from wharfie.buildkit.messages import common, control
from wharfie.buildkit.session import Sessions
from wharfie.buildkit.usage import Filter, message_of
from wharfie.buildkit.vertexes import Board
from wharfie.errors import NotSupported, WharfieError
from wharfie.images.platform import Platform
from wharfie.support.units import format_time

_GATEWAY = "org.mobyproject.buildkit.worker.moby.host-gateway-ip"
"""By this label clients find out what ``--add-host name:host-gateway`` stands for."""
_SNAPSHOTTER = "org.mobyproject.buildkit.worker.snapshotter"
"""Where there is this label, buildx lets caches go elsewhere, and images into archives."""
_SERVICE = "/moby.buildkit.v1.Control/"


class Control:
    """What is asked at ``/grpc`` by buildx itself."""

    def __init__(self, engine: Engine, sessions: Sessions, jobs: Jobs) -> None:
        self._engine = engine
        self._sessions = sessions
        self._jobs = jobs

    def handlers(self) -> dict[str, Handler]:
        """By path."""
        own = {
            "Solve": self.solve,
            "Status": self.status,
            "ListWorkers": self.list_workers,
            "Info": self.info,
            "DiskUsage": self.disk_usage,
            "Prune": self.prune,
        }
        return {_SERVICE + name: handler for name, handler in own.items()}

    async def solve(self, call: Call) -> None:
        """A build, from its name to its export."""
        request = await call.one(control.SolveRequest)
        board = await self._jobs.begin(request.ref)
        try:
            response = await self._solved(request, board)
        except WharfieError as error:
            raise failure(error) from error
        finally:
            await self._jobs.end(request.ref)
        await call.send(control.SolveResponse(response=response))

    async def _solved(self, request: Any, board: Board) -> dict[str, str]:
        session = await self._sessions.get(request.session)
        async with Job(self._engine, request, session, board) as job:
            if request.frontend:
                inputs = self._engine.results.inputs(request.frontend_inputs)
                found = await job.solve(request.frontend, request.frontend_attributes, inputs)
                job.returned.set_result(list(found.outcomes))
            elif request.definition.steps:
                raise NotSupported("raw LLB is not supported: this builder takes Dockerfiles")
            else:
                await self._jobs.goes_on(request.ref, job)
            return await job.export()

    async def status(self, call: Call) -> None:
        """What a build tells, until it is over."""
        request = await call.one(control.StatusRequest)
        board = await self._jobs.board(request.ref)
        now = format_time(time.time_ns())
        call.begin([("buildkit-current-timestamp", now)])
        async for message in board.watch():
            await call.send(message)

    async def list_workers(self, call: Call) -> None:
        """There is one: this daemon."""
        await call.one(common.Empty)
        await call.send(control.ListWorkersResponse(record=[self.worker()]))

    def worker(self) -> Any:
        """This daemon, as a worker."""
        host = Platform.of_host()
        platform = common.Platform(architecture=host.architecture, os=host.os, variant=host.variant)
        return control.Worker(
            id=hashlib.sha256(wharfie.__name__.encode()).hexdigest()[:25],
            labels={_GATEWAY: self._engine.gateway(), _SNAPSHOTTER: "overlayfs"},
            platforms=[platform],
            policies=_policies(self._engine.builder),
            version=_version(),
        )

    async def info(self, call: Call) -> None:
        """Which version this is."""
        await call.send(control.InfoResponse(version=_version()))

    async def disk_usage(self, call: Call) -> None:
        """``buildx du``."""
        request = await call.one(control.DiskUsageRequest)
        wanted = Filter(request.filter)
        records = await self._engine.builder.records()
        found = [message_of(one) for one in records if wanted.matches(one)]
        await call.send(control.DiskUsageResponse(record=found))

    async def prune(self, call: Call) -> None:
        """``buildx prune``: what is forgotten, one by one."""
        request = await call.one(control.PruneRequest)
        if request.min_free:
            raise NotSupported("prune --min-free-space is not supported")
        builder = self._engine.builder
        wanted = Filter(request.filter, request.keep_duration)
        known = {one.id: one for one in await builder.records()}
        keep = request.max_used or request.keep_bytes
        gone, freed = await builder.prune(wanted, all=request.all, keep=keep)
        self._engine.pruned(freed)
        call.begin()
        for one in gone:
            if one in known:
                await call.send(message_of(known[one]))


def _version() -> Any:
    return control.Version(package="wharfie", version=f"v{wharfie.__version__}", revision=wharfie.__version__)


def _policies(builder: Builder) -> list[Any]:
    return [control.CollectionPolicy(all=True, reserved=builder.cache.budget)]
