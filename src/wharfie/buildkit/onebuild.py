"""The build of one platform: our builder's work, shown as BuildKit shows it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from wharfie.build.bases import Bases
from wharfie.build.options import Options
from wharfie.build.progress import Reporter
from wharfie.buildkit import subrequests
from wharfie.buildkit.engine import Engine
from wharfie.buildkit.failures import failure
from wharfie.buildkit.fromsession import FromSession
from wharfie.buildkit.results import Outcome
from wharfie.buildkit.steps import Steps
from wharfie.buildkit.vertexes import Board, Vertex
from wharfie.errors import WharfieError
from wharfie.images.image import Image
from wharfie.images.platform import Platform
from wharfie.images.reference import parse

_ENDS = ("Pull complete", "Already exists", "Download complete")


async def ask(
    engine: Engine, supply: FromSession, options: Options, board: Board, request: str
) -> dict[str, bytes]:
    """A question about a Dockerfile; the answer's metadata. Raises RpcError."""
    source = b""
    bases = _Bases(engine, options, supply, board)
    reporter = Reporter(lambda _: None, events=True)
    try:
        async with engine.builder.opened(options, supply, bases.resolve, bases.registries, reporter) as work:
            kept = await work.begin()
            source = kept.dockerfile
            return subrequests.answer(request, work, work.read(kept))
    except WharfieError as error:
        raise failure(error, options.dockerfile, source) from error


async def build(
    engine: Engine, stack: AsyncExitStack, supply: FromSession, options: Options, board: Board, prefix: str
) -> Outcome:
    """What the build comes to; what it stands on stays until ``stack`` is left. Raises RpcError."""
    steps: Steps | None = None
    source = b""

    def send(message: dict[str, Any]) -> None:
        if steps is not None:
            steps.send(message)

    bases = _Bases(engine, options, supply, board)
    reporter = Reporter(send, events=True)
    try:
        opened = engine.builder.opened(options, supply, bases.resolve, bases.registries, reporter)
        work = await stack.enter_async_context(opened)
        kept = await work.begin()
        source = kept.dockerfile
        steps = Steps(board, supply.definition or board.vertex("[internal] load build definition"), prefix)
        solver = work.read(kept)
        steps.plan(solver)
        state = await work.solved(solver)
        document = await work.document(state, solver)
        work.warn(solver)
        return Outcome(solver.platform, state, document, work, solver)
    except WharfieError as error:
        raise failure(error, options.dockerfile, source) from error
    finally:
        if steps is not None:
            steps.close()


class _Bases:
    """Base images, each look-up as a vertex."""

    def __init__(self, engine: Engine, options: Options, supply: FromSession, board: Board) -> None:
        self._engine = engine
        self._options = options
        self._supply = supply
        self._board = board
        self.registries = self._bases(None)

    def _bases(self, vertex: Vertex | None) -> Bases:
        def tell(message: dict[str, Any]) -> None:
            if vertex is not None and message.get("id"):
                _layer(vertex, message)

        engine = self._engine
        return Bases(engine.store, engine.distribution, self._options, self._supply.credentials, tell)

    async def resolve(self, name: str, platform: Platform) -> Image:
        """An image by its name."""
        full = parse(name).with_default_tag().canonical
        vertex = self._board.vertex(f"[internal] load metadata for {full}").start()
        try:
            found = await self._bases(vertex).resolve(name, platform)
        except WharfieError as error:
            vertex.end(error.message)
            raise
        vertex.end()
        return found


def _layer(vertex: Vertex, message: dict[str, Any]) -> None:
    detail = message.get("progressDetail") or {}
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if current or message.get("status") in _ENDS:
        done = message.get("status") in _ENDS
        vertex.status(f"layer {message['id']}", current=current, total=total, done=done)
