"""An engine outside a swarm, and one without plugins: the statuses and words that Docker has for them."""

from __future__ import annotations

import json

import pytest

from tests.unit.api.fakes import Api
from wharfie.api.routes.swarm import LIVE_RESTORE, NO_MANAGER, NO_SWARM


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/swarm", b""),
        ("GET", "/swarm/unlockkey", b""),
        ("POST", "/swarm/unlock", b'{"UnlockKey": "k"}'),
        ("POST", "/swarm/update?version=1", b"{}"),
        *[("GET", f"/{nouns}", b"") for nouns in ("nodes", "services", "tasks", "secrets", "configs")],
        *[("GET", f"/{nouns}/x", b"") for nouns in ("nodes", "services", "tasks", "secrets", "configs")],
        *[("DELETE", f"/{nouns}/x", b"") for nouns in ("nodes", "services", "secrets", "configs")],
        *[("POST", f"/{nouns}/create", b"{}") for nouns in ("services", "secrets", "configs")],
        *[
            ("POST", f"/{nouns}/x/update?version=3", b"{}")
            for nouns in ("nodes", "services", "secrets", "configs")
        ],
        ("GET", "/services/x/logs?stdout=1", b""),
        ("GET", "/tasks/x/logs?stderr=1", b""),
    ],
)
async def test_it_is_no_manager_of_a_swarm(api: Api, method: str, path: str, body: bytes) -> None:
    status, _, answer = await api.ask(method, "/v1.51" + path, body)
    assert (status, json.loads(answer)) == (503, {"message": NO_MANAGER})


async def test_a_swarm_is_neither_left_nor_begun(api: Api) -> None:
    status, _, answer = await api.ask("POST", "/swarm/leave")
    assert (status, json.loads(answer)["message"]) == (503, NO_SWARM)
    for path in ("/swarm/init", "/swarm/join"):
        status, _, answer = await api.ask("POST", path, b"{}")
        assert (status, json.loads(answer)["message"]) == (500, LIVE_RESTORE)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/swarm/init", b"{"),
        ("POST", "/swarm/update?version=x", b"{}"),
        ("POST", "/services/create", b"[]"),
        ("POST", "/secrets/x/update", b"{}"),
        ("GET", "/nodes?filters=x", b""),
        ("GET", "/services/x/logs", b""),
    ],
)
async def test_a_malformed_request_is_the_client_s_fault_before_that(
    api: Api, method: str, path: str, body: bytes
) -> None:
    assert (await api.ask(method, path, body))[0] == 400


async def test_there_are_no_plugins_and_none_can_be_installed(api: Api) -> None:
    status, _, answer = await api.ask("GET", "/plugins?filters=" + '{"enabled":["true"]}')
    assert (status, answer) == (200, b"[]")
    for filters in ('{"enabled":["perhaps"]}', '{"colour":["red"]}'):
        assert (await api.ask("GET", "/plugins?filters=" + filters))[0] == 400
    for method, verb in (("GET", "/json"), ("DELETE", ""), ("POST", "/enable"), ("POST", "/set")):
        status, _, answer = await api.ask(method, f"/plugins/vieux/sshfs{verb}")
        assert (status, json.loads(answer)["message"]) == (404, 'plugin "vieux/sshfs" not found')
    for method, path in (("GET", "/plugins/privileges?remote=x"), ("POST", "/plugins/pull?remote=x")):
        status, _, answer = await api.ask(method, path)
        assert (status, json.loads(answer)["message"]) == (501, "plugins are not supported by wharfie")
