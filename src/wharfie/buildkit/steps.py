"""The steps of Dockerfiles as vertexes: names and numbers as BuildKit gives them.

``[build 2/5] RUN make``: the stage, where there are several or it has a name; the number among the stage's
instructions that make something (``FROM`` an image, ``RUN``, ``COPY``, ``ADD``, ``WORKDIR``).
"""

from __future__ import annotations

from typing import Any

from wharfie.build import instructions as ins
from wharfie.build.solver import Solver
from wharfie.buildkit.failures import told
from wharfie.buildkit.messages import common
from wharfie.buildkit.vertexes import Board, Vertex
from wharfie.errors import WharfieError
from wharfie.images.reference import parse

_SHOWN = (ins.Run, ins.Copy, ins.Workdir)
_WARNING = "[Warning] "
CANCELED = "context canceled"


class Steps:
    """What one build of one platform reports, told to a board."""

    def __init__(self, board: Board, definition: Vertex, prefix: str = "") -> None:
        """``definition``: the vertex that findings belong to; ``prefix``: the platform, where it matters."""
        self._board = board
        self._definition = definition
        self._prefix = prefix
        self._known: dict[str, Vertex] = {}
        self._stages: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._source: Any = None
        self._over = False

    def plan(self, solver: Solver) -> None:
        """All steps that there will be, unless a base image brings some."""
        single = len(solver.file.stages) == 1
        number = 1
        for stage in solver.wanted:
            name = stage.head.name or ("" if single else f"stage-{stage.index}")
            base = solver.graph.bases[stage.index]
            from_image = solver.graph.base_stage(stage) is None and base.lower() != "scratch"
            total = from_image + sum(isinstance(item, _SHOWN) for item in stage.steps)
            at = 0
            before: Vertex | None = None
            if from_image:
                at, before = (
                    1,
                    self._declare(f"{stage.index}.{number}", name, (1, total), f"FROM {_full(base)}"),
                )
            for place, item in enumerate(stage.steps, number + 1):
                if isinstance(item, _SHOWN):
                    at += 1
                    text = item.line.text.replace("\n", " ")
                    inputs = [before] if before else []
                    before = self._declare(f"{stage.index}.{place}", name, (at, total), text, inputs)
            number += 1 + len(stage.steps)

    def _declare(
        self, key: str, stage: str, numbers: tuple[int, int], text: str, inputs: list[Vertex] | None = None
    ) -> Vertex:
        at, total = numbers
        count = f"{at:>{len(str(total))}}/{total}"
        words = [word for word in (self._prefix, stage, count) if word]
        found = self._board.vertex(f"[{' '.join(words)}] {text}", inputs or [])
        self._known[key] = found.announce()
        self._stages[key] = " ".join(words[:-1])
        return found

    def send(self, message: dict[str, Any]) -> None:
        """What the builder's reporter says."""
        event = message.get("wharfie")
        if event is None:
            return
        if "step" in event:
            self._step(event["step"], event)
        elif "source" in event:
            data = "\n".join(event["source"]).encode("utf-8", "replace")
            self._source = common.SourceInfo(filename=event["name"], data=data)
        elif "finding" in event:
            self._warn(event["finding"])
        elif "warning" in event and not (self._over and not event["warning"].startswith(_WARNING)):
            # what went well after the build has a vertex of its own
            self._definition.warn(event["warning"].strip().removeprefix(_WARNING))

    def _step(self, key: str, event: dict[str, Any]) -> None:
        vertex = self._known.get(key)
        if "text" in event:
            if vertex is not None and not vertex.begun:
                vertex.start()
                self._texts[key] = event["text"]
            elif vertex is not None or event["text"].split(" ", 1)[0] in ("RUN", "COPY", "ADD", "WORKDIR"):
                # a trigger of the base image
                stage = self._stages.get(key) or " ".join(filter(None, (self._prefix, event["stage"])))
                self._known[key] = self._board.vertex(f"[{stage or 'ONBUILD'}] {event['text']}").start()
        elif vertex is None:
            return
        elif "output" in event:
            vertex.log(event["output"].encode("utf-8", "replace"))
        elif "cached" in event:
            vertex.cached()
        elif "failed" in event:
            vertex.end(event.get("process") or event["failed"])
        elif "done" in event:
            vertex.end()

    def _warn(self, finding: dict[str, Any]) -> None:
        first, last = finding["first"], finding["last"]
        short = f"{finding['rule']}: {finding['message']}" + (f" (line {first})" if first else "")
        place = {"info": self._source} if self._source is not None else {}
        self._definition.warn(short, url=finding["url"], ranges=ranges(first, last), **place)

    def close(self) -> None:
        """The build is over, one way or the other."""
        self._over = True
        for vertex in self._known.values():
            if vertex.begun and not vertex.over:
                vertex.end(CANCELED)


def ranges(first: int, last: int) -> list[Any]:
    """Lines as messages."""
    return [
        common.Range(start=common.Position(line=line), end=common.Position(line=line))
        for line in told(first, last)
    ]


def _full(base: str) -> str:
    try:
        return parse(base).with_default_tag().canonical
    except WharfieError:
        return base
