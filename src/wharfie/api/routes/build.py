"""``build``: the classic protocol, with what is ours beside it.

Docker's parameters and stream. Ours: ``events=1`` (what happens as structured messages instead of text),
``check``, ``nocachefilter``, ``contexts`` (JSON: name to source), ``imports`` and ``exports`` (JSON: the
attributes of ``--cache-from`` and ``--cache-to``), ``allow`` and ``epoch``; and the header
``X-Wharfie-Build``: the key of secrets and agents that were sent to ``/wharfie/build/inputs`` before, so that
a secret is in no address and no log.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec

from wharfie.api.answers import JSON, Answer, Stream, json_answer
from wharfie.api.backends import Builds
from wharfie.api.call import Call
from wharfie.api.errors import error_answer, message_of
from wharfie.api.hijack import Connection
from wharfie.api.router import Route
from wharfie.api.streaming import send_all
from wharfie.build import cachespec
from wharfie.build.cachespec import CacheSpec
from wharfie.build.options import Options
from wharfie.build.running import Limits
from wharfie.errors import InvalidArgument, NotSupported
from wharfie.images.image import RegistryAuth
from wharfie.support.ids import is_hex
from wharfie.wire.build import BuildInputs, UploadResponse
from wharfie.wire.config import Ulimit
from wharfie.wire.images import AuthConfig

_ATTRIBUTES = list[dict[str, str]]
_ARCHIVES = ("application/x-tar", "application/tar", "application/octet-stream", "")


def routes(builds: Builds) -> list[Route]:
    """Docker's paths below ``/build``, and our own for what a build is to be given beside its context."""

    async def build(call: Call) -> Answer | Stream:
        request = read(call)
        context = None if request.remote or request.context_kept else call.upload()
        return await _stream(call, builds, request, context)

    async def prune(call: Call) -> Answer:
        filters = call.filters()
        keep = call.number("keep-storage") or call.number("reserved-space") or 0
        return json_answer(await builds.prune(all=call.flag("all"), keep=keep, filters=filters))

    async def cancel(call: Call) -> Answer:
        raise NotSupported("a build is given up by closing its connection: it has no id to be cancelled by")

    async def upload(call: Call) -> Answer:
        return json_answer(UploadResponse(key=await builds.upload(call.upload())), 201)

    async def known(call: Call) -> Answer:
        return json_answer({"Known": builds.knows_context(call.text("key"))})

    async def inputs(call: Call) -> Answer:
        return json_answer(UploadResponse(key=builds.keep_inputs(await call.read(BuildInputs))), 201)

    async def tree(call: Call) -> Stream:
        async with builds.tree(call.argument) as pieces:
            return await _archive(call, pieces)

    async def descriptor(call: Call) -> Answer:
        return json_answer(await builds.descriptor(call.argument))

    async def cache(call: Call) -> Stream:
        return await _archive(call, builds.exported_cache(call.text("key")))

    async def mount(call: Call) -> Stream:
        return await _archive(call, builds.mount_archive(call.text("id")))

    async def put_mount(call: Call) -> Answer:
        await builds.put_mount(call.text("id"), call.upload())
        return Answer(200)

    async def usage(call: Call) -> Answer:
        return json_answer(await builds.usage(call.filters()))

    return [
        ("POST", "/build", build),
        ("POST", "/build/prune", prune),
        ("POST", "/build/cancel", cancel),
        ("POST", "/wharfie/build/context", upload),
        ("GET", "/wharfie/build/context", known),
        ("POST", "/wharfie/build/inputs", inputs),
        ("GET", "/wharfie/build/cache", usage),
        ("GET", "/wharfie/build/cache/archive", cache),
        ("GET", "/wharfie/build/mount", mount),
        ("PUT", "/wharfie/build/mount", put_mount),
        ("GET", "/images/{}/rootfs", tree),
        ("GET", "/images/{}/descriptor", descriptor),
    ]


async def _archive(call: Call, pieces: AsyncIterator[bytes]) -> Stream:
    return await send_all(call, pieces, Stream(call.request, "application/x-tar"))


def read(call: Call) -> Options:
    """All parameters; raises InvalidArgument, NotSupported."""
    if call.text("version") == "2" or call.has("session"):
        raise NotSupported(
            "BuildKit's session is not supported: build with DOCKER_BUILDKIT=0, or with wharfie"
        )
    if call.has("outputs") and call.text("outputs") not in ("[]", "null"):
        raise NotSupported(
            "outputs of BuildKit are not supported over the API: take the image with save or export"
        )
    return Options(
        dockerfile=call.text("dockerfile") or "Dockerfile",
        tags=[tag for tag in call.texts("t") if tag],
        arguments=_json(call, "buildargs", dict[str, str | None]) or {},
        labels=_json(call, "labels", dict[str, str]) or {},
        target=call.text("target"),
        platform=call.text("platform"),
        no_cache=call.flag("nocache"),
        no_cache_for=call.texts("nocachefilter"),
        pull=call.flag("pull"),
        quiet=call.flag("q"),
        squash=call.flag("squash"),
        network=call.text("networkmode"),
        hosts=_hosts(call),
        cache_from=_imports(call),
        cache_to=[cachespec.exported(one) for one in _json(call, "exports", _ATTRIBUTES) or []],
        contexts=_json(call, "contexts", dict[str, str]) or {},
        allow=call.texts("allow"),
        epoch=call.number("epoch"),
        events=call.flag("events"),
        check=call.flag("check"),
        remote=call.text("remote"),
        context_key=_key(call.text("contextkey")),
        context_kept=call.flag("contextkept"),
        inputs=call.request.headers.get("X-Wharfie-Build", ""),
        auths=registry_config(call.request.headers.get("X-Registry-Config", "")),
        limits=_limits(call),
    )


def _imports(call: Call) -> list[CacheSpec]:
    """``cachefrom``: names of images, as in Docker's API; ``imports``: all that ``--cache-from`` says."""
    named = _json(call, "cachefrom", list[str]) or []
    given = _json(call, "imports", _ATTRIBUTES) or []
    return [*(CacheSpec("image", name) for name in named), *(cachespec.imported(one) for one in given)]


def _key(text: str) -> str:
    if text and not (len(text) == 64 and is_hex(text)):
        raise InvalidArgument("contextkey is not the fingerprint of a context")
    return text


def _limits(call: Call) -> Limits:
    return Limits(
        memory=call.number("memory") or 0,
        memory_swap=call.number("memswap") or 0,
        cpu_shares=call.number("cpushares") or 0,
        cpu_period=call.number("cpuperiod") or 0,
        cpu_quota=call.number("cpuquota") or 0,
        cpuset_cpus=call.text("cpusetcpus"),
        cpuset_mems=call.text("cpusetmems"),
        shm_size=call.number("shmsize") or 0,
        ulimits=[(one.name, one.soft, one.hard) for one in _json(call, "ulimits", list[Ulimit]) or []],
        cgroup_parent=call.text("cgroupparent"),
        security_opt=call.texts("securityopt"),
    )


def _json(call: Call, name: str, kind: Any) -> Any:
    text = call.text(name)
    if not text or text == "null":
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"error reading {name}: {error}") from None


def _hosts(call: Call) -> list[str]:
    texts = call.texts("extrahosts")
    if len(texts) == 1 and texts[0].startswith("["):
        return list(_json(call, "extrahosts", list[str]) or [])
    return [part for text in texts for part in text.split(",") if part]


def registry_config(header: str) -> dict[str, RegistryAuth]:
    """The header ``X-Registry-Config``: credentials by registry; raises InvalidArgument."""
    if not header:
        return {}
    try:
        text = urlsafe_b64decode(header + "=" * (-len(header) % 4))
        found = msgspec.json.decode(text, type=dict[str, AuthConfig]) if text.strip() else {}
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"invalid X-Registry-Config header: {error}") from None
    return {name: _auth(one) for name, one in found.items()}


def _auth(one: AuthConfig) -> RegistryAuth:
    return RegistryAuth(
        username=one.username,
        password=one.password,
        identity_token=one.identitytoken,
        registry_token=one.registrytoken,
    )


async def _stream(
    call: Call, builds: Builds, request: Options, context: AsyncIterator[bytes] | None
) -> Answer | Stream:
    media = call.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if context is not None and media not in _ARCHIVES and not media.startswith("application/x-"):
        raise InvalidArgument(f"Content-Type {media} is not supported: a context is a tar archive")
    stream = Stream(call.request, JSON)
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    cast(Connection, call.request.protocol).cancel_when_lost()
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(_guarded(builds, request, context, queue), name="build")
        worker.add_done_callback(lambda _: queue.put_nowait(None))
        going = True
        while going:
            messages = [await queue.get()]
            while not queue.empty():
                messages.append(queue.get_nowait())
            going = messages[-1] is not None
            lines = [msgspec.json.encode(message) + b"\r\n" for message in messages if message is not None]
            if lines:
                await stream.write(b"".join(lines))
    error = worker.result()
    if error is None:
        return stream
    if not stream.started:
        return error_answer(error)
    message = message_of(error)
    detail: dict[str, Any] = {"message": message}
    if getattr(error, "code", 0):
        detail["code"] = error.code  # type: ignore[attr-defined]
    await stream.write_json({"errorDetail": detail, "error": message})
    return stream


async def _guarded(
    builds: Builds,
    request: Options,
    context: AsyncIterator[bytes] | None,
    queue: asyncio.Queue[dict[str, Any] | None],
) -> Exception | None:
    try:
        await builds.build(request, context, queue.put_nowait)
    except Exception as error:
        return error
    return None
