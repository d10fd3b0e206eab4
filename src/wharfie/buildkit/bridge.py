"""``moby.buildkit.v1.frontend.LLBBridge``: how buildx asks for the builds of one Solve, and for results.

Which Solve a call belongs to stands in its metadata.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wharfie.buildkit.control import Control
from wharfie.buildkit.engine import Engine
from wharfie.buildkit.grpc import Call, Handler, RpcError
from wharfie.buildkit.jobs import Job, Jobs
from wharfie.buildkit.messages import common, gateway
from wharfie.buildkit.results import Outcome, definition_of
from wharfie.errors import InvalidArgument, NotSupported

_SERVICE = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD = "buildkit-controlapi-buildid"
_FRONTEND = (
    "frontend.caps", "frontend.inputs", "gateway.evaluate", "gateway.solve.evaluate",
    "gateway.solve.metadata", "gateway.warnings", "importcaches", "proto.refarray",
    "reference.output", "return", "returnmap", "solve.base", "solve.inlinereturn",
)  # fmt: skip
_STEPS = (
    "constraints", "exec.cgroup", "exec.meta.base", "exec.meta.cgroup.parent", "exec.meta.network",
    "exec.meta.proxyenv", "exec.meta.security", "exec.meta.setsdefaultpath", "exec.meta.ulimit",
    "exec.mount.bind", "exec.mount.bind.readwrite-nooutput", "exec.mount.cache", "exec.mount.cache.sharing",
    "exec.mount.secret", "exec.mount.selector", "exec.mount.ssh", "exec.mount.tmpfs",
    "exec.mount.tmpfs.size", "exec.secretenv", "exporter.multiple", "exporter.sourcedateepoch", "file.base",
    "file.copy.includeexcludepatterns", "meta.description", "meta.exportcache", "meta.ignorecache",
    "platform", "source.git", "source.http", "source.http.checksum", "source.image",
    "source.image.resolvemode", "source.local", "source.local.excludepatterns", "source.local.followpaths",
    "source.local.includepatterns", "source.local.sessionid", "source.local.sharedkeyhint",
    "source.local.unique",
)  # fmt: skip


class Bridge:
    """The calls of a client whose build goes on."""

    def __init__(self, engine: Engine, jobs: Jobs, control: Control) -> None:
        self._engine = engine
        self._jobs = jobs
        self._control = control

    def handlers(self) -> dict[str, Handler]:
        """By path."""
        own = {
            "Ping": self.ping,
            "Solve": self.solve,
            "Return": self.finish,
            "Evaluate": self.evaluate,
            "Inputs": self.inputs,
            "Warn": self.warn,
        }
        return {_SERVICE + name: handler for name, handler in own.items()}

    async def _job(self, call: Call) -> Job:
        ref = call.metadata.get(_BUILD, [""])[0]
        if not ref:
            raise InvalidArgument(f"{_BUILD} is missing in the metadata")
        return await self._jobs.job(ref)

    async def ping(self, call: Call) -> None:
        """What we can do."""
        await self._job(call)
        await call.send(
            gateway.PongResponse(
                frontend=[gateway.Capability(id=name, enabled=True) for name in _FRONTEND],
                steps=[gateway.Capability(id=name, enabled=True) for name in _STEPS],
                workers=[self._control.worker()],
            )
        )

    async def solve(self, call: Call) -> None:
        """Build, by a frontend."""
        request = await call.one(gateway.BridgeSolveRequest)
        job = await self._job(call)
        if request.definition.steps:
            raise NotSupported("raw LLB is not supported: this builder takes Dockerfiles")
        if not request.frontend:
            await call.send(gateway.BridgeSolveResponse(result=gateway.Result(ref=gateway.Ref())))
            return
        inputs = self._engine.results.inputs(request.inputs)
        found = await job.solve(request.frontend, request.options, inputs)
        if found.metadata:
            result = gateway.Result(ref=gateway.Ref(), metadata=found.metadata)
        else:
            result = _result(found.outcomes)
        await call.send(gateway.BridgeSolveResponse(result=result))

    async def finish(self, call: Call) -> None:
        """The client has what it wants, or an error."""
        request = await call.one(gateway.ReturnRequest)
        job = await self._job(call)
        if not job.returned.done():
            if request.HasField("error") and request.error.code:
                job.returned.set_exception(RpcError.of(request.error))
            else:
                job.returned.set_result(_keys(request.result))
        await call.send(common.Empty())

    async def evaluate(self, call: Call) -> None:
        """Results are always worked out."""
        await self._job(call)
        await call.send(common.Empty())

    async def inputs(self, call: Call) -> None:
        """A client is no frontend that was given any."""
        await self._job(call)
        await call.send(gateway.InputsResponse())

    async def warn(self, call: Call) -> None:
        """A client's own warnings it shows itself."""
        await self._job(call)
        await call.send(common.Empty())


def _result(outcomes: dict[str, Outcome]) -> Any:
    entries = [
        {
            "ID": str(one.platform),
            "Platform": {
                "architecture": one.platform.architecture,
                "os": one.platform.os,
                **({"variant": one.platform.variant} if one.platform.variant else {}),
            },
        }
        for one in outcomes.values()
    ]
    found = gateway.Result(metadata={"refs.platforms": msgspec.json.encode({"Platforms": entries})})
    if len(outcomes) == 1:
        [(key, one)] = outcomes.items()
        found.ref.CopyFrom(gateway.Ref(id=key, definition=definition_of(key)))
        found.metadata["containerimage.config"] = one.document
        return found
    for key, one in outcomes.items():
        name = str(one.platform)
        found.refs.refs[name].CopyFrom(gateway.Ref(id=key, definition=definition_of(key)))
        found.metadata[f"containerimage.config/{name}"] = one.document
    return found


def _keys(result: Any) -> list[str]:
    """Ids in a result that a client returns."""
    if result.HasField("refs"):
        return [ref.id for ref in result.refs.refs.values() if ref.id]
    key = result.ref.id if result.HasField("ref") else result.old_ref
    return [key] if key else []
