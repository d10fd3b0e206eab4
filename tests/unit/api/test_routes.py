"""Every route: what it asks of the engine, and the JSON and status it answers with."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.api.fakes import ID, Api, parse
from wharfie import errors
from wharfie.api.errors import STATUS
from wharfie.wire.checkpoints import CreateCheckpoint

SIMPLE: list[tuple[str, str, int, tuple[Any, ...]]] = [
    ("POST", "/containers/x/start", 204, ("start", "x")),
    ("POST", "/containers/x/start?checkpoint=c&checkpoint-dir=/d", 204, ("start", "x", "c", "/d")),
    ("POST", "/containers/running/start", 304, ("start", "running")),
    ("POST", "/containers/missing/start", 404, ("start", "missing")),
    ("POST", "/containers/x/stop?t=3&signal=INT", 204, ("stop", "x", 3, "INT")),
    ("POST", "/containers/x/stop", 204, ("stop", "x", None, "")),
    ("POST", "/containers/x/restart?t=-1", 204, ("restart", "x", -1, "")),
    ("POST", "/containers/x/kill?signal=HUP", 204, ("kill", "x", "HUP")),
    ("POST", "/containers/x/pause", 204, ("pause", "x")),
    ("POST", "/containers/x/unpause", 204, ("unpause", "x")),
    ("POST", "/containers/x/rename?name=y", 204, ("rename", "x", "y")),
    ("POST", "/containers/x/rename?name=taken", 409, ("rename", "x", "taken")),
    ("DELETE", "/containers/x?force=1&v=true&link=0", 204, ("remove", "x", True, True, False)),
    ("POST", "/containers/x/resize?h=24&w=80", 200, ("resize", "x", 24, 80)),
    ("GET", "/containers/x/json?size=1", 200, ("inspect", "x", True)),
]


@pytest.mark.parametrize("prefix", ["", "/v1.42", "/v1.51"])
@pytest.mark.parametrize(("method", "path", "status", "call"), SIMPLE)
async def test_a_verb_reaches_the_engine(
    api: Api, prefix: str, method: str, path: str, status: int, call: tuple[Any, ...]
) -> None:
    got, headers, body = await api.ask(method, prefix + path)
    assert got == status
    assert api.containers.calls == [call]
    assert headers["api-version"] == "1.51"
    assert headers["ostype"] == "linux"
    if status >= 400:
        assert json.loads(body)["message"]
    if status in (204, 304):
        assert (body, headers.get("content-length")) == (b"", None)


async def test_create_hands_over_the_whole_body(api: Api) -> None:
    body = {
        "Image": "busybox",
        "Cmd": ["sh", "-c", "true"],
        "Env": None,
        "HostConfig": {"Memory": 1 << 20, "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}},
        "NetworkingConfig": {"EndpointsConfig": {"bridge": None}},
        "Unknown": 1,
    }
    status, _, answer = await api.ask(
        "POST", "/v1.51/containers/create?name=n&platform=linux%2Famd64", json.dumps(body).encode()
    )
    assert (status, json.loads(answer)) == (201, {"Id": ID, "Warnings": ["be careful"]})
    assert api.containers.calls == [("create", "n", "linux/amd64")]
    made = api.containers.bodies[0]
    assert made.cmd == ["sh", "-c", "true"]
    assert made.host_config.memory == 1 << 20
    assert made.host_config.port_bindings is not None
    assert made.host_config.port_bindings["80/tcp"] is not None


@pytest.mark.parametrize(
    ("body", "word"), [(b"", "EOF"), (b"{", "invalid JSON"), (b'{"Tty": "yes"}', "Tty"), (b"[]", "object")]
)
async def test_a_bad_body_is_the_client_s_fault(api: Api, body: bytes, word: str) -> None:
    status, _, answer = await api.ask("POST", "/containers/create", body)
    assert status == 400
    assert word.lower() in json.loads(answer)["message"].lower()
    assert api.containers.calls == []


async def test_a_body_that_is_not_json_by_its_own_word_is_refused(api: Api) -> None:
    status, _, answer = await api.ask("POST", "/containers/create", b"{}", Content_Type="text/plain")
    assert (status, "application/json" in json.loads(answer)["message"]) == (400, True)


@pytest.mark.parametrize("kind", list(STATUS))
async def test_each_kind_of_error_has_its_status(api: Api, kind: type[errors.WharfieError]) -> None:
    class Concrete(kind):  # type: ignore[misc, valid-type]
        pass

    api.containers.failure = Concrete("it is so")
    status, _, body = await api.ask("POST", "/containers/x/start")
    assert status == STATUS[kind]
    if status != 304:
        assert json.loads(body) == {"message": "it is so"}


def test_every_kind_of_error_is_in_the_table() -> None:
    kinds = [kind for kind in errors.WharfieError.__subclasses__() if kind.__module__ == errors.__name__]
    assert set(STATUS) == set(kinds)


async def test_a_fault_of_ours_is_500_and_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.containers.failure = KeyError("oops")
    status, _, body = await api.ask("POST", "/containers/x/start")
    assert (status, "oops" in json.loads(body)["message"]) == (500, True)
    assert "KeyError" in caplog.text


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1.99/info", 400, "client version 1.99 is too new. Maximum supported API version is 1.51"),
        ("/v1.12/info", 400, "client version 1.12 is too old. Minimum supported API version is 1.24, "
         "please upgrade your client to a newer version"),
        ("/nowhere", 404, "page not found"),
        ("/containers/a/b/json", 404, "page not found"),
        ("/session", 404, "method not allowed: /session takes POST"),
        ("/images/get", 400, "no image is named to save"),
        ("/images/get?names=nothing", 404, "No such image: nothing:latest"),
        ("/containers/x/resize", 404, "method not allowed: /containers/x/resize takes POST"),
    ],
)  # fmt: skip
async def test_paths_that_are_not_served(api: Api, path: str, status: int, message: str) -> None:
    got, _, body = await api.ask("GET", path)
    assert (got, json.loads(body)["message"]) == (status, message)


async def test_ping_tells_the_versions_without_a_body_for_head(api: Api) -> None:
    status, headers, body = await api.ask("GET", "/_ping")
    assert (status, body, headers["builder-version"]) == (200, b"OK", "2")
    status, headers, body = await api.ask("HEAD", "/_ping")
    assert (status, body, headers["content-length"]) == (200, b"", "2")


async def test_list_and_its_filters_in_both_forms(api: Api) -> None:
    for filters in (
        '{"label":["a=b"],"status":["exited"]}',
        '{"label":{"a=b":true},"status":{"exited":true}}',
    ):
        status, _, body = await api.ask("GET", f"/containers/json?all=1&limit=3&filters={filters}")
        assert (status, json.loads(body)[0]["Id"]) == (200, ID)
    assert {repr(call) for call in api.containers.calls} == {
        repr(("list", {"all": True, "limit": 3, "size": False,
                       "filters": {"label": ["a=b"], "status": ["exited"]}}))
    }  # fmt: skip
    status, _, body = await api.ask("GET", "/containers/json?filters=x")
    assert (status, json.loads(body)["message"].startswith("invalid filter")) == (400, True)


async def test_the_head_of_wait_comes_at_once_and_its_body_at_the_exit(api: Api) -> None:
    reader, writer = await api.connect()
    writer.write(b"POST /v1.51/containers/x/wait?condition=next-exit HTTP/1.1\r\nHost: docker\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert api.containers.calls == [("wait", "x", "next-exit")]
    api.containers.exits.set_result(7)
    assert b'{"StatusCode":7}' in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 60)
    writer.close()


async def test_a_client_that_stops_waiting_is_forgotten(api: Api) -> None:
    reader, writer = await api.connect()
    writer.write(b"POST /containers/x/wait HTTP/1.1\r\nHost: docker\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    for _ in range(3000):
        if api.containers.waits[0].closed:
            break
        await asyncio.sleep(0.01)
    assert api.containers.waits[0].closed


async def test_following_logs_ends_with_the_client(api: Api) -> None:
    reader, writer = await api.connect()
    writer.write(
        b"GET /containers/x/logs?stdout=1&follow=1&tail=5&since=3.5 HTTP/1.1\r\nHost: docker\r\n\r\n"
    )
    assert b"hello" in await reader.readuntil(b"hello\n")
    request = api.streams.requests[0]
    assert (request.tail, request.since_ns, request.stderr) == (5, 3_500_000_000, False)
    writer.close()
    await asyncio.wait_for(api.streams.cancelled.wait(), 60)


async def test_logs_without_a_stream_or_a_container(api: Api) -> None:
    status, _, body = await api.ask("GET", "/containers/x/logs")
    assert (status, json.loads(body)["message"]) == (
        400,
        "Bad parameters: you must choose at least one stream",
    )
    status, _, _ = await api.ask("GET", "/containers/missing/logs?stdout=1")
    assert status == 404


async def test_a_stream_that_breaks_is_cut_and_not_ended(api: Api) -> None:
    with pytest.raises((EOFError, ConnectionError)):
        await api.ask("GET", "/containers/breaks/logs?stdout=1")


async def test_an_http_1_0_client_gets_no_chunks(api: Api) -> None:
    reader, writer = await api.connect()
    writer.write(b"GET /containers/x/stats?stream=0 HTTP/1.0\r\n\r\n")
    status, headers, body = parse(await reader.read())
    assert (status, "transfer-encoding" in headers) == (200, False)
    assert json.loads(body) == {"id": ID, "one_shot": False}
    writer.close()


async def test_stats_stream_lines_of_json(api: Api) -> None:
    _, _, body = await api.ask("GET", "/containers/x/stats")
    assert [json.loads(line) for line in body.splitlines()] == [
        {"id": ID, "one_shot": False},
        {"id": ID, "second": True},
    ]
    status, _, _ = await api.ask("GET", "/containers/missing/stats")
    assert status == 404


async def test_top_and_its_default(api: Api) -> None:
    _, _, body = await api.ask("GET", "/containers/x/top")
    assert json.loads(body) == {"Titles": ["PID", "CMD"], "Processes": [["1", "-ef"]]}


async def test_events_have_docker_s_spelling(api: Api) -> None:
    _, _, body = await api.ask("GET", "/events?since=1")
    assert json.loads(body) == {
        "status": "start", "Type": "container", "Action": "start", "scope": "local",
        "Actor": {"ID": ID, "Attributes": {}}, "time": 1, "timeNano": 1,
    }  # fmt: skip


async def test_pull_streams_progress_and_reports_errors_early_and_late(api: Api) -> None:
    auth = base64.urlsafe_b64encode(b'{"username":"u","password":"p"}').decode().rstrip("=")
    status, _, body = await api.ask(
        "POST", "/images/create?fromImage=busybox&tag=1.36&platform=linux/arm64", X_Registry_Auth=auth
    )
    assert (status, json.loads(body)["status"]) == (200, "Pulling from library/busybox")
    call = api.registries.calls[0]
    assert (*call[:3], call[3].username, call[3].password) == (
        "pull", "busybox:1.36", "linux/arm64", "u", "p",
    )  # fmt: skip
    status, _, body = await api.ask("POST", "/images/create?fromImage=nowhere&tag=1")
    assert (status, json.loads(body)) == (404, {"message": "manifest unknown"})
    status, _, body = await api.ask("POST", "/images/create?fromImage=broken&tag=sha256:12")
    assert status == 200
    assert json.loads(body.splitlines()[-1]) == {
        "errorDetail": {"message": "the digest is wrong"},
        "error": "the digest is wrong",
    }
    assert api.registries.calls[-1][1] == "broken@sha256:12"
    status, _, body = await api.ask("POST", "/images/create?fromImage=x", X_Registry_Auth="bm8")
    assert (status, "X-Registry-Auth" in json.loads(body)["message"]) == (400, True)


async def test_without_a_tag_all_are_pulled_and_pushed(api: Api) -> None:
    await api.ask("POST", "/images/create?fromImage=localhost:5000/a")
    await api.ask("POST", "/images/localhost:5000/a/push")
    await api.ask(
        "POST",
        "/images/localhost:5000/a/push?tag=1&platform=" + quote('{"os":"linux","architecture":"arm64"}'),
    )
    assert api.registries.calls == [
        ("pull all", "localhost:5000/a", "", None),
        ("push", "localhost:5000/a", True, "", None),
        ("push", "localhost:5000/a:1", False, "linux/arm64", None),
    ]


async def test_login_search_and_distribution_have_dockers_json(api: Api) -> None:
    body = b'{"auth":"dTpw","serveraddress":"localhost:5000"}'
    status, _, answer = await api.ask("POST", "/auth", body)
    assert (status, json.loads(answer)) == (200, {"Status": "Login Succeeded", "IdentityToken": "token"})
    given = api.registries.calls[0][1]
    assert (given.username, given.password, given.serveraddress) == ("u", "p", "localhost:5000")
    _, _, answer = await api.ask("GET", '/images/search?term=deb&limit=3&filters={"stars":["2"]}')
    assert json.loads(answer) == [
        {"star_count": 3, "is_official": True, "name": "debian", "is_automated": False, "description": ""}
    ]
    assert api.registries.calls[1][1:4] == ("deb", 3, {"stars": ["2"]})
    _, _, answer = await api.ask("GET", "/distribution/localhost:5000/a/b:1/json")
    assert json.loads(answer) == {
        "Descriptor": {"mediaType": "m", "digest": "sha256:1", "size": 2},
        "Platforms": [{"architecture": "amd64", "os": "linux"}],
    }
    assert api.registries.calls[2][1] == "localhost:5000/a/b:1"


async def test_import_streams_the_body(api: Api) -> None:
    data = b"t" * 3_000_000
    status, _, _ = await api.ask(
        "POST",
        "/images/create?fromSrc=-&repo=new&tag=1&message=m&changes=CMD+a&changes=ENV+b=c",
        data,
        Content_Type="application/x-tar",
    )
    assert (status, api.images.imported == data) == (200, True)
    assert api.images.calls[0][1] == {
        "reference": "new:1", "changes": ["CMD a", "ENV b=c"], "message": "m", "platform": "",
        "epoch": None,
    }  # fmt: skip


async def test_image_names_may_hold_slashes(api: Api) -> None:
    await api.ask("GET", "/images/registry:5000/a/b:c/json")
    await api.ask("POST", "/images/a%2Fb/tag?repo=c/d&tag=e")
    await api.ask("DELETE", "/images/a/b:c?force=1")
    assert api.images.calls == [
        ("inspect", "registry:5000/a/b:c", ""),
        ("tag", "a/b", "c/d:e"),
        ("remove", "a/b:c", True, False, ""),
    ]


async def test_a_platform_is_taken_as_text_or_as_json_and_one_at_most_for_a_removal(api: Api) -> None:
    arm = quote('{"os":"linux","architecture":"arm","variant":"v7"}')
    await api.ask("GET", f"/images/a/json?platform={arm}")
    await api.ask("GET", "/images/a/history?platform=linux/arm64")
    await api.ask("DELETE", f"/images/a?platforms={arm}")
    status, _, body = await api.ask("DELETE", f"/images/a?platforms={arm}&platforms=linux/amd64")
    assert (status, json.loads(body)) == (400, {"message": "multiple platforms are not supported"})
    assert api.images.calls == [
        ("inspect", "a", "linux/arm/v7"),
        ("history", "a", "linux/arm64"),
        ("remove", "a", False, False, "linux/arm/v7"),
    ]


async def test_exec_create_and_inspect(api: Api) -> None:
    status, _, body = await api.ask("POST", "/containers/x/exec", b'{"Cmd":"ls","AttachStdout":true}')
    assert (status, json.loads(body)) == (201, {"Id": "e0"})
    assert api.execs.created[0].cmd == ["ls"]
    _, _, body = await api.ask("GET", "/exec/e0/json")
    found = json.loads(body)
    assert (found["ID"], found["ExitCode"], found["ProcessConfig"]["tty"]) == ("e0", 3, False)
    status, _, _ = await api.ask("POST", "/containers/x/exec", b"{}")
    assert status == 400


async def test_an_exec_can_be_sent_a_signal(api: Api) -> None:
    assert (await api.ask("POST", "/exec/e0/kill?signal=TERM"))[0] == 204
    assert api.execs.killed == [("e0", "TERM")]


async def test_archives_go_in_and_out(api: Api) -> None:
    status, headers, body = await api.ask("GET", "/containers/x/archive?path=/etc/passwd")
    assert (status, body, headers["content-type"]) == (200, b"tarball", "application/x-tar")
    stat = json.loads(base64.b64decode(headers["x-docker-container-path-stat"]))
    assert stat["name"] == "passwd"
    status, headers, body = await api.ask("HEAD", "/containers/x/archive?path=/etc/passwd")
    assert (status, body) == (200, b"")
    assert "x-docker-container-path-stat" in headers
    data = b"z" * 2_000_000
    status, _, _ = await api.ask(
        "PUT", "/containers/x/archive?path=/", data, Content_Type="application/x-tar"
    )
    assert (status, api.files.uploaded == data) == (200, True)
    status, _, _ = await api.ask("GET", "/containers/x/archive")
    assert status == 400
    _, _, body = await api.ask("GET", "/containers/x/export")
    assert body == b"whole root"


async def test_an_upload_that_waits_for_100_continue(api: Api) -> None:
    reader, writer = await api.connect()
    writer.write(
        b"PUT /containers/x/archive?path=/ HTTP/1.1\r\nHost: docker\r\nContent-Length: 4\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"data")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert api.files.uploaded == b"data"
    writer.close()


async def test_changes_are_null_when_there_are_none(api: Api) -> None:
    assert (await api.ask("GET", "/containers/x/changes"))[2] == b'[{"Path":"/new","Kind":1}]'
    assert (await api.ask("GET", "/containers/same/changes"))[2] == b"null"


async def test_commit_takes_names_and_a_config(api: Api) -> None:
    status, _, body = await api.ask(
        "POST", "/commit?container=x&repo=r&tag=t&comment=c&author=a&pause=0&changes=CMD+x", b'{"Cmd":["y"]}'
    )
    assert (status, json.loads(body)) == (201, {"Id": "sha256:new"})
    assert api.files.committed["config"].cmd == ["y"]
    del api.files.committed["config"]
    assert api.files.committed == {
        "ref": "x", "reference": "r:t", "author": "a", "message": "c", "changes": ["CMD x"], "pause": False,
        "squash": False, "epoch": None,
    }  # fmt: skip


async def test_images_are_saved_loaded_squashed_and_checked(api: Api) -> None:
    arm = "%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm64%22%7D"
    status, headers, body = await api.ask("GET", f"/images/get?names=a&names=b%2Fc%3A1&platform={arm}")
    assert (status, headers["content-type"], body) == (200, "application/x-tar", b"an archive")
    await api.ask("GET", "/images/example.com/d:2/get")
    status, _, body = await api.ask("POST", "/images/load?quiet=1&platform=linux/arm64", b"tar")
    assert json.loads(body) == {"stream": "Loaded image: x:1\n"}
    assert api.store.loaded == b"tar"
    status, _, body = await api.ask("POST", "/images/a/b/squash?repo=r&tag=t&epoch=5&comment=m")
    assert (status, json.loads(body)) == (201, {"Id": "sha256:2"})
    status, _, body = await api.ask("POST", "/wharfie/system/check?repair=1")
    assert json.loads(body)["Images"] == 1
    assert api.store.calls == [
        ("save", ["a", "b/c:1"], "linux/arm64"),
        ("save", ["example.com/d:2"], ""),
        ("load", "linux/arm64", True),
        ("squash", "a/b", "r:t", "m", 5),
        ("check", True),
    ]


async def test_a_volume_prune_of_old_clients_takes_named_ones_too(api: Api) -> None:
    await api.ask("POST", "/v1.41/volumes/prune")
    assert api.volumes.pruned == {"all": ["true"]}
    await api.ask("POST", "/v1.42/volumes/prune")
    assert api.volumes.pruned == {}


async def test_a_volume_travels_as_an_archive(api: Api) -> None:
    assert (await api.ask("GET", "/volumes/data/archive"))[::2] == (200, b"archive of data")
    status, _, _ = await api.ask("PUT", "/volumes/data/archive", b"tar")
    assert (status, api.volumes.imported) == (200, ("data", b"tar"))


async def test_volumes_of_a_cluster_are_not_there_to_be_updated(api: Api) -> None:
    status, _, body = await api.ask("PUT", "/volumes/data?version=1", b"{}")
    assert (status, json.loads(body)["message"]) == (
        503, "volume update only valid for cluster volumes, but swarm is unavailable"
    )  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["/info", "/version", "/system/df", "/volumes", "/networks", "/images/json", "/volumes/v",
     "/networks/bridge", "/images/x/history", "/plugins"],
)  # fmt: skip
async def test_what_can_be_looked_at_is_json(api: Api, path: str) -> None:
    status, headers, body = await api.ask("GET", path)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) is not None


async def test_shutdown_asks_the_daemon(api: Api) -> None:
    status, _, _ = await api.ask("POST", "/wharfie/shutdown")
    assert (status, api.system.asked_to_end) == (204, True)


async def test_one_connection_serves_many_requests_and_pipelines(api: Api) -> None:
    reader, writer = await api.connect()
    writer.write(
        b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nPOST /containers/x/start HTTP/1.1\r\nHost: d\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\nOK")).startswith(b"HTTP/1.1 200 ")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
    writer.close()


async def test_checkpoints_are_made_listed_and_removed(api: Api) -> None:
    body = b'{"CheckpointID": "one", "CheckpointDir": "/d", "Exit": true}'
    assert (await api.ask("POST", "/v1.42/containers/x/checkpoints", body))[0] == 201
    assert (await api.ask("GET", "/containers/taken/checkpoints?dir=/d"))[2] == b'[{"Name":"one"}]'
    assert (await api.ask("GET", "/containers/x/checkpoints"))[2] == b"null"
    assert (await api.ask("DELETE", "/containers/x/checkpoints/one?dir=/d"))[0] == 204
    assert (await api.ask("DELETE", "/containers/x/nothing/one"))[0] == 404
    made = CreateCheckpoint(checkpoint_id="one", checkpoint_dir="/d", exit=True)
    assert api.checkpoints.asked == [("x", made), ("taken", "/d"), ("x", ""), ("x", "one", "/d")]
