"""One container: everything that can be done with it."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import partial
from typing import IO, Any, cast

from wharfie.client.api import quote
from wharfie.client.extract import Extractor
from wharfie.client.library import trees
from wharfie.client.library.binding import Bound, T, operation, stream
from wharfie.client.library.creation import environment as variables
from wharfie.client.library.creation import words
from wharfie.client.library.engine import Engine, Exchange, Source
from wharfie.client.library.session import Output, Result, Session, Splitter, collected
from wharfie.errors import NotFound
from wharfie.wire.containers import (
    Change,
    ContainerInspect,
    ContainerSummary,
    TopResponse,
    UpdateResponse,
    WaitResponse,
)
from wharfie.wire.execs import ExecInspect
from wharfie.wire.images import IdResponse

Stats = dict[str, Any]


class Container(Bound[T]):
    """A container, whether it is still there or not; two of the same id are equal."""

    def __init__(self, engine: Engine, id: str, name: str = "", seen: ContainerSummary | None = None) -> None:
        super().__init__(engine)
        self.id = id
        self.name = name
        """As far as it is known: what it was asked or listed under."""
        self.summary = seen
        """What the list said, if it comes from one."""
        self._path = f"/containers/{quote(id)}"
        self._tty: bool | None = None

    def __repr__(self) -> str:
        return f"<Container {self.name or self.id[:12]}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @operation
    async def inspect(self, *, size: bool = False) -> ContainerInspect:
        """Everything about it."""
        return await self._inspect(size=size)

    @operation
    async def start(self) -> bool:
        """Start it; False where it runs already."""
        return await self._start()

    @operation
    async def stop(
        self,
        *,
        timeout: int | None = None,
        signal: str | None = None,
    ) -> bool:
        """Ask its process to end, and make it after ``timeout`` seconds; False where it does not run."""
        return await self._do("stop", _given(t=timeout, signal=signal), patient=True) != 304

    @operation
    async def restart(
        self,
        *,
        timeout: int | None = None,
        signal: str | None = None,
    ) -> None:
        """Stop it and start it."""
        await self._do("restart", _given(t=timeout, signal=signal), patient=True)

    @operation
    async def kill(self, signal: str = "KILL") -> None:
        """Send its process a signal."""
        await self._do("kill", {"signal": signal})

    @operation
    async def pause(self) -> None:
        """Hold all of its processes."""
        await self._do("pause")

    @operation
    async def unpause(self) -> None:
        """Let them go on."""
        await self._do("unpause")

    @operation
    async def rename(self, name: str) -> None:
        """Give it another name."""
        await self._do("rename", {"name": name})
        self.name = name

    @operation
    async def update(self, /, **limits: Any) -> list[str]:
        """Change limits and restart policy, under the API's names (``Memory=…``); the warnings."""
        answer = await self._engine.call("POST", f"{self._path}/update", UpdateResponse, body=limits)
        return answer.warnings or []

    @operation
    async def remove(self, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it; ``force`` ends it first, ``volumes`` takes its anonymous ones along."""
        await self._remove(force=force, volumes=volumes)

    @operation
    async def wait(self, condition: str = "not-running") -> int:
        """Wait until it has ended, or for ``"next-exit"`` or ``"removed"``; the exit code."""
        answer = await self._engine.call(
            "POST", f"{self._path}/wait", WaitResponse, {"condition": condition}, patient=True
        )
        return answer.status_code

    @stream
    async def logs(
        self,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | str | None = None,
        until: float | str | None = None,
        timestamps: bool = False,
        stdout: bool = True,
        stderr: bool = True,
    ) -> AsyncGenerator[Output, None]:
        """What it has printed, and with ``follow`` what it goes on to print."""
        query = _given(
            stdout=stdout, stderr=stderr, follow=follow, timestamps=timestamps, tail=tail, since=since,
            until=until,
        )  # fmt: skip
        splitter = Splitter(framed=not await self._has_tty())
        source = self._engine.parts("GET", f"{self._path}/logs", query)
        try:
            async for part in source:
                for piece in splitter.feed(part):
                    yield piece
        finally:
            await source.aclose()

    @stream
    async def stats(self) -> AsyncGenerator[Stats, None]:
        """What it uses, about once a second, in the API's own words."""
        kind = cast(type[Stats], dict)
        source = self._engine.lines("GET", f"{self._path}/stats", kind, {"stream": 1})
        try:
            async for sample in source:
                yield sample
        finally:
            await source.aclose()

    @operation
    async def sample(self) -> Stats:
        """What it uses now, once."""
        query = {"stream": 0, "one-shot": 1}
        return await self._engine.call("GET", f"{self._path}/stats", cast(type[Stats], dict), query)

    @operation
    async def top(self, ps_args: str = "-ef") -> TopResponse:
        """Its processes."""
        return await self._engine.call("GET", f"{self._path}/top", TopResponse, {"ps_args": ps_args})

    @operation
    async def changes(self) -> list[Change]:
        """What its files differ in from the image's."""
        return await self._engine.call("GET", f"{self._path}/changes", list[Change])

    @operation
    async def resize(self, rows: int, columns: int) -> None:
        """Change the size of its terminal."""
        await self._resize(rows, columns)

    @operation
    async def exec(
        self,
        command: str | Sequence[str],
        *,
        input: bytes | None = None,
        user: str = "",
        workdir: str = "",
        environment: Mapping[str, str] | Iterable[str] = (),
        privileged: bool = False,
        tty: bool = False,
    ) -> Result:
        """Run a command in it, to its end."""
        body = {
            "Cmd": words(command), "User": user, "WorkingDir": workdir, "Env": variables(environment),
            "Privileged": privileged, "Tty": tty, "AttachStdin": input is not None,
        }  # fmt: skip
        identifier, exchange = await self._exec(body)
        try:
            out, err = await collected(self._engine, exchange, Splitter(framed=not tty), input)
        finally:
            exchange.channel.close()
        ended = await self._engine.call("GET", f"/exec/{identifier}/json", ExecInspect)
        return Result(ended.exit_code or 0, out, err)

    @operation
    async def open(
        self,
        command: str | Sequence[str],
        *,
        tty: bool = False,
        size: tuple[int, int] | None = None,
        user: str = "",
        workdir: str = "",
        environment: Mapping[str, str] | Iterable[str] = (),
        privileged: bool = False,
    ) -> Session[T]:
        """Run a command in it, to talk to; ``size``: rows and columns of its terminal."""
        body = {
            "Cmd": words(command), "User": user, "WorkingDir": workdir, "Env": variables(environment),
            "Privileged": privileged, "Tty": tty, "AttachStdin": True,
            "ConsoleSize": list(size) if size else None,
        }  # fmt: skip
        identifier, exchange = await self._exec(body)

        async def resize(rows: int, columns: int) -> None:
            await self._engine.do("POST", f"/exec/{identifier}/resize", {"h": rows, "w": columns})

        return Session(self._engine, exchange, framed=not tty, resize=resize)

    @operation
    async def attach(
        self, *, stdin: bool = True, stdout: bool = True, stderr: bool = True, logs: bool = False
    ) -> Session[T]:
        """Its own streams, to talk to; ``logs`` sends what was printed before, too."""
        return await self._attach(stdin=stdin, stdout=stdout, stderr=stderr, logs=logs)

    @stream
    async def export(self) -> AsyncGenerator[bytes, None]:
        """All of its files as a tar archive, in parts."""
        source = self._engine.parts("GET", f"{self._path}/export")
        try:
            async for part in source:
                yield part
        finally:
            await source.aclose()

    @stream
    async def get_archive(self, path: str) -> AsyncGenerator[bytes, None]:
        """A file or directory as a tar archive, in parts."""
        source = self._engine.parts("GET", f"{self._path}/archive", {"path": path})
        try:
            async for part in source:
                yield part
        finally:
            await source.aclose()

    @operation
    async def put_archive(self, path: str, archive: Source) -> None:
        """Extract a tar archive in one of its directories."""
        await self._put(path, archive)

    @operation
    async def read_file(self, path: str) -> bytes:
        """What is in a file."""
        with tarfile.open(fileobj=io.BytesIO(await self._archive(path))) as archive:
            for entry in archive:
                opened = archive.extractfile(entry) if entry.isfile() else None
                if opened is not None:
                    return opened.read()
        raise NotFound(f"{path} is no file")

    @operation
    async def write_file(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Make a file, or have other contents in it; its directory has to be there."""
        directory, _, name = path.rpartition("/")
        await self._put(directory or "/", trees.one_file(name, data, mode))

    @operation
    async def copy_in(self, source: str | os.PathLike[str], directory: str) -> None:
        """Copy a file or directory of this machine into a directory of the container."""
        await self._put(directory, trees.tree(os.fspath(source)))

    @operation
    async def copy_out(self, path: str, directory: str | os.PathLike[str]) -> None:
        """Copy a file or directory of the container into a directory of this machine."""
        with tempfile.TemporaryFile() as data:
            source = self._engine.parts("GET", f"{self._path}/archive", {"path": path})
            try:
                async for part in source:
                    await self._engine.transport.apart(partial(data.write, part))
            finally:
                await source.aclose()
            data.seek(0)
            await self._engine.transport.apart(lambda: _extract(data, os.fspath(directory)))

    @operation
    async def commit(
        self,
        repository: str = "",
        tag: str = "",
        *,
        message: str = "",
        author: str = "",
        changes: Sequence[str] = (),
        pause: bool = True,
    ) -> str:
        """Make an image of its files; the image's id."""
        query = {
            "container": self.id, "repo": repository, "tag": tag, "comment": message, "author": author,
            "changes": list(changes), "pause": 1 if pause else 0,
        }  # fmt: skip
        return (await self._engine.call("POST", "/commit", IdResponse, query, patient=True)).id

    async def _do(self, verb: str, query: dict[str, Any] | None = None, *, patient: bool = False) -> int:
        return await self._engine.do("POST", f"{self._path}/{verb}", query, patient=patient)

    async def _start(self) -> bool:
        return await self._do("start", patient=True) != 304

    async def _inspect(self, *, size: bool = False) -> ContainerInspect:
        return await self._engine.call("GET", f"{self._path}/json", ContainerInspect, {"size": size})

    async def _remove(self, *, force: bool = False, volumes: bool = False) -> None:
        query = {"force": force, "v": volumes}
        await self._engine.do("DELETE", self._path, query, patient=True)

    async def _has_tty(self) -> bool:
        if self._tty is None:
            self._tty = (await self._inspect()).config.tty
        return self._tty

    async def _resize(self, rows: int, columns: int) -> None:
        await self._do("resize", {"h": rows, "w": columns})

    async def _attach(self, *, stdin: bool, stdout: bool, stderr: bool, logs: bool) -> Session[T]:
        framed = not await self._has_tty()
        query = {"stream": 1, "stdin": stdin, "stdout": stdout, "stderr": stderr, "logs": logs}
        exchange = await self._engine.hijack(f"{self._path}/attach", query)
        return Session(self._engine, exchange, framed=framed, resize=self._resize)

    async def _exec(self, body: dict[str, Any]) -> tuple[str, Exchange]:
        whole = {**body, "AttachStdout": True, "AttachStderr": True}
        made = await self._engine.call("POST", f"{self._path}/exec", IdResponse, body=whole)
        start = {"Tty": body["Tty"], "ConsoleSize": body.get("ConsoleSize")}
        return made.id, await self._engine.hijack(f"/exec/{made.id}/start", {}, start)

    async def _archive(self, path: str) -> bytes:
        source = self._engine.parts("GET", f"{self._path}/archive", {"path": path})
        return b"".join([part async for part in source])

    async def _put(self, path: str, archive: Source) -> None:
        await self._engine.do("PUT", f"{self._path}/archive", {"path": path}, data=archive, patient=True)


def _given(**values: Any) -> dict[str, Any]:
    """What is not None, with yes and no as the API writes them and zeros kept."""
    return {
        name: str(int(value)) if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }


def _extract(data: IO[bytes], directory: str) -> None:
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        Extractor(root, [], owners=False, whole=True).run(data)
    finally:
        os.close(root)
