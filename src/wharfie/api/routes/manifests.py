"""Manifests in registries: what Docker's command line does by itself, and ours has done by the daemon."""

from __future__ import annotations

from wharfie.api.answers import Answer, json_answer
from wharfie.api.backends import Registries
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.api.routes.registries import registry_auth
from wharfie.wire.registries import ManifestPush


def routes(registries: Registries) -> list[Route]:
    """Below ``/wharfie``."""

    async def manifest(call: Call) -> Answer:
        return json_answer(
            await registries.manifest(
                call.text("name"),
                children=call.flag("children"),
                insecure=call.flag("insecure"),
                auth=registry_auth(call),
            )
        )

    async def push_manifest(call: Call) -> Answer:
        body = await call.read(ManifestPush)
        digest = await registries.push_manifest(
            call.text("name"), body, insecure=call.flag("insecure"), auth=registry_auth(call)
        )
        return json_answer({"Digest": digest})

    async def referrers(call: Call) -> Answer:
        found = await registries.referrers(call.text("name"), call.text("artifactType"), registry_auth(call))
        return json_answer(found)

    return [
        ("GET", "/wharfie/manifests", manifest),
        ("POST", "/wharfie/manifests", push_manifest),
        ("GET", "/wharfie/referrers", referrers),
    ]
