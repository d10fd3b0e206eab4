"""Registries: pull, push, search, login, and what a name stands for there."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode

import msgspec

from wharfie.api.answers import Answer, Stream, json_answer
from wharfie.api.backends import Progress, Registries
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.api.routes.store import platform as platform_of
from wharfie.api.streaming import send_progress
from wharfie.errors import InvalidArgument
from wharfie.wire.images import AuthConfig


def registry_auth(call: Call) -> AuthConfig | None:
    """The header ``X-Registry-Auth``: URL-safe base64 of JSON; None when it is absent or says nothing.

    Raises:
        InvalidArgument: it is malformed.
    """
    header = call.request.headers.get("X-Registry-Auth", "")
    if not header:
        return None
    try:
        text = urlsafe_b64decode(header + "=" * (-len(header) % 4))
        found = msgspec.json.decode(text, type=AuthConfig) if text.strip() else AuthConfig()
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"invalid X-Registry-Auth header: {error}") from None
    return completed(found)


def completed(given: AuthConfig) -> AuthConfig | None:
    """With name and password taken out of ``auth``, if they come so; None when it says nothing."""
    if given.auth and not given.username:
        try:
            name, _, password = urlsafe_b64decode(given.auth + "==").decode().partition(":")
        except (binascii.Error, ValueError) as error:
            raise InvalidArgument(f"invalid X-Registry-Auth header: {error}") from None
        given = msgspec.structs.replace(given, username=name, password=password.rstrip("\0"))
    says = given.username or given.password or given.identitytoken or given.registrytoken
    return given if says else None


def reference_of(name: str, tag: str) -> str:
    """Name and tag, or digest, put together."""
    if not tag:
        return name
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"


async def pull(registries: Registries, call: Call) -> Answer | Stream:
    """``POST /images/create`` with ``fromImage``: without a tag anywhere, all of them."""
    name, tag = call.text("fromImage"), call.text("tag")
    auth, platform = registry_auth(call), call.text("platform")
    every = not tag and "@" not in name and ":" not in name.rpartition("/")[2]

    async def work(progress: Progress) -> None:
        if every:
            await registries.pull_all(name, platform=platform, auth=auth, progress=progress)
        else:
            await registries.pull(reference_of(name, tag), platform=platform, auth=auth, progress=progress)

    return await send_progress(call, work)


def routes(registries: Registries) -> list[Route]:
    """Docker's paths."""

    async def push(call: Call) -> Answer | Stream:
        auth, tag = registry_auth(call), call.text("tag")
        reference = reference_of(call.argument, tag)
        every = not tag and ":" not in call.argument.rpartition("/")[2]

        async def work(progress: Progress) -> None:
            await registries.push(
                reference, all_tags=every, platform=platform_of(call), auth=auth, progress=progress
            )

        return await send_progress(call, work)

    async def search(call: Call) -> Answer:
        return json_answer(
            await registries.search(
                call.text("term"),
                limit=call.number("limit"),
                filters=call.filters(),
                auth=registry_auth(call),
            )
        )

    async def login(call: Call) -> Answer:
        try:
            given = msgspec.json.decode(await call.body(), type=AuthConfig)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidArgument(f"invalid JSON: {error}") from None
        return json_answer(await registries.login(completed(given) or given))

    async def distribution(call: Call) -> Answer:
        return json_answer(await registries.describe(call.argument, registry_auth(call)))

    return [
        ("POST", "/auth", login),
        ("GET", "/images/search", search),
        ("POST", "/images/{}/push", push),
        ("GET", "/distribution/{}/json", distribution),
    ]
