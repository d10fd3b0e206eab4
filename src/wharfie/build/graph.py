"""Which stages a build needs, and that they can be built at all: unused ones never are.

::

    FROM stage           needs it
    COPY --from=stage    needs it
    RUN --mount=from=    needs it
"""

from __future__ import annotations

from bisect import bisect_left

from wharfie.build import instructions as ins
from wharfie.build.errors import DockerfileError
from wharfie.build.variables import Globals, expand


class Graph:
    """The stages of a file, by what they need."""

    def __init__(self, file: ins.Dockerfile, given: Globals, contexts: dict[str, str]) -> None:
        self.file = file
        self.bases: list[str] = []
        self._contexts = contexts
        self._named: dict[str, list[int]] = {}
        for stage in file.stages:
            self._named.setdefault(stage.name, []).append(stage.index)
            line = stage.head.line
            base = expand(stage.head.base, given.values(), file.escape, line.first)
            if not base:
                raise DockerfileError(f"base name ({stage.head.base}) should not be blank", line.first)
            self.bases.append(base)

    def earlier(self, name: str, before: int) -> ins.Stage | None:
        """The stage that a name or number means in stage number ``before``."""
        if name.lower() in self._contexts:
            return None
        numbered = self._numbered(name)
        if numbered is not None:
            return numbered
        named = self._named.get(name.lower(), []) if name else []
        at = bisect_left(named, before)
        return self.file.stages[named[at - 1]] if at else None

    def _numbered(self, name: str) -> ins.Stage | None:
        """The stage of a number."""
        stages = self.file.stages
        known = name.isdecimal() and len(name) <= len(str(len(stages))) and int(name) < len(stages)
        return stages[int(name)] if known else None

    def base_stage(self, stage: ins.Stage) -> ins.Stage | None:
        """The stage that a stage begins from; None: an image."""
        name = self.bases[stage.index]
        if name.isdecimal():
            return None
        return self.earlier(name, stage.index)

    def needs(self, stage: ins.Stage) -> list[ins.Stage]:
        """What a stage needs directly; raises DockerfileError for itself or a later stage."""
        found = []
        base = self.base_stage(stage)
        if base is not None:
            found.append(base)
        for item in stage.steps:
            for name in origins(item):
                other = self.earlier(name, stage.index)
                if other is None:
                    self._refuse_later(name, stage, item)
                elif other.index == stage.index:
                    raise _circular(stage, item)
                elif other.index > stage.index:
                    raise DockerfileError(
                        f"invalid from flag value {name}: stage index {name} is not before this one",
                        item.line.first,
                        item.line.last,
                    )
                else:
                    found.append(other)
        return found

    def _refuse_later(self, name: str, stage: ins.Stage, item: ins.Instruction) -> None:
        if name.isdecimal():
            raise DockerfileError(
                f"invalid from flag value {name}: invalid stage index", item.line.first, item.line.last
            )
        if stage.name and name.lower() == stage.name:
            raise _circular(stage, item)

    def target(self, name: str) -> ins.Stage:
        """The stage to build; raises DockerfileError."""
        if not name:
            return self.file.stages[-1]
        found = self.file.stage(name)
        if found is not None:
            return found
        found = self._numbered(name)
        if found is not None:
            return found
        raise DockerfileError(f"target stage {name!r} could not be found".replace("'", '"'))

    def wanted(self, target: ins.Stage) -> list[ins.Stage]:
        """The target and all that it needs, in the order of the file."""
        found: dict[int, ins.Stage] = {}
        waiting = [target]
        while waiting:
            stage = waiting.pop()
            if stage.index not in found:
                found[stage.index] = stage
                waiting += self.needs(stage)
        return [found[index] for index in sorted(found)]


def origins(item: ins.Instruction) -> list[str]:
    """Names of stages or images that an instruction takes files from."""
    if isinstance(item, ins.Copy) and item.origin:
        return [item.origin]
    if isinstance(item, ins.Run):
        return [mount.origin for mount in item.mounts if mount.origin]
    return []


def _circular(stage: ins.Stage, item: ins.Instruction) -> DockerfileError:
    name = stage.head.name or str(stage.index)
    return DockerfileError(f"circular dependency detected on stage: {name}", item.line.first, item.line.last)
