"""The files of a container: copies in and out, its difference from the image, and images made of it."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from wharfie.api.answers import Answer, Stream, empty_answer, json_answer
from wharfie.api.backends import Files
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.api.streaming import send_all
from wharfie.errors import InvalidArgument
from wharfie.wire.base import encode
from wharfie.wire.config import Config
from wharfie.wire.images import IdResponse

TAR = "application/x-tar"


def routes(files: Files) -> list[Route]:
    """Docker's paths for archives, changes and commit."""

    async def stat(call: Call) -> Answer:
        found = await files.stat(call.argument, _path(call))
        answer = empty_answer(200)
        answer.headers.update(_stat_header(found))
        return answer

    async def get(call: Call) -> Stream:
        async with files.archive(call.argument, _path(call)) as (found, pieces):
            answer = Stream(call.request, TAR, headers=_stat_header(found))
            return await send_all(call, pieces, answer)

    async def put(call: Call) -> Answer:
        await files.extract(
            call.argument,
            _path(call),
            call.upload(),
            no_overwrite_dir_non_dir=call.flag("noOverwriteDirNonDir"),
            copy_uid_gid=call.flag("copyUIDGID"),
        )
        return empty_answer(200)

    async def export(call: Call) -> Stream:
        async with files.export(call.argument) as pieces:
            return await send_all(call, pieces, Stream(call.request, "application/octet-stream"))

    async def changes(call: Call) -> Answer:
        return json_answer(await files.changes(call.argument) or None)

    async def commit(call: Call) -> Answer:
        if not call.has("container"):
            raise InvalidArgument("no container is named to commit")
        config = await call.read(Config) if call.request.body_exists else None
        repository, tag = call.text("repo"), call.text("tag")
        made = await files.commit(
            call.text("container"),
            reference=f"{repository}:{tag}" if tag and repository else repository,
            author=call.text("author"),
            message=call.text("comment"),
            changes=call.texts("changes"),
            config=config,
            pause=call.flag("pause", True),
            squash=call.flag("squash"),
            epoch=call.number("epoch"),
        )
        return json_answer(IdResponse(id=made), 201)

    return [
        ("HEAD", "/containers/{}/archive", stat),
        ("GET", "/containers/{}/archive", get),
        ("PUT", "/containers/{}/archive", put),
        ("GET", "/containers/{}/export", export),
        ("GET", "/containers/{}/changes", changes),
        ("POST", "/commit", commit),
    ]


def _path(call: Call) -> str:
    path = call.text("path")
    if not path:
        raise InvalidArgument("missing parameter in the query: path")
    return path


def _stat_header(found: dict[str, Any]) -> dict[str, str]:
    return {"X-Docker-Container-Path-Stat": b64encode(encode(found)).decode("ascii")}
