"""Every operation on images and registries."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from typing import Any

from tests.conformance.api.recorder import Recorder
from tests.conformance.api.scenario_containers import NOBODY, SLEEP, archive


def play(api: Recorder, registry: str, locked: str, index: str) -> None:
    """On an open registry, one that asks for a password, and an index to search."""
    looks(api)
    builds(api)
    names(api)
    transfers(api, registry)
    secrets(api, registry, locked)
    api.call(
        "ImageSearch", query={"term": f"{index}/tool", "limit": "5", "filters": {"stars": ["1"]}}, expect=200
    )
    ends(api)


def auth(user: str, password: str, server: str) -> str:
    """The header of these credentials."""
    text = json.dumps({"username": user, "password": password, "serveraddress": server})
    return base64.urlsafe_b64encode(text.encode()).decode()


def looks(api: Recorder) -> None:
    """Lists and inspections."""
    filters = {"reference": ["busy*"], "dangling": ["false"]}
    query = {"all": "1", "digests": "1", "shared-size": "1", "manifests": "1", "filters": filters}
    assert len(api.call("ImageList", query=query, expect=200)) == 1
    api.call("ImageInspect", "busybox", query={"manifests": "1"}, expect=200)
    api.call("ImageHistory", "busybox", expect=200)
    for operation in ("ImageInspect", "ImageHistory", "ImageDelete"):
        api.call(operation, NOBODY, expect=404)
    api.call("ImageTag", NOBODY, query={"repo": "x"}, expect=404)


def context(dockerfile: str) -> bytes:
    """A build's context with this Dockerfile."""
    return archive(Dockerfile=dockerfile.encode())


def builds(api: Recorder) -> None:
    """The classic builder, and what it keeps."""
    query = {"t": "built:1", "labels": '{"a": "b"}', "rm": "1"}
    api.call(
        "ImageBuild",
        query=query,
        body=context(
            'FROM busybox\nRUN echo x > /x\nEXPOSE 80\nVOLUME /v\nUSER 0\nSHELL ["sh", "-c"]\n'
            'ENTRYPOINT ["sh"]\n'
            "STOPSIGNAL INT\nONBUILD RUN true\nHEALTHCHECK CMD true\nWORKDIR /w\n"
        ),
        expect=200,
    )
    api.call("ImageBuild", body=context("FROM\n"), expect=400)
    assert api.call("ImageInspect", "built:1", expect=200)["Config"]["StopSignal"] == "INT"
    api.call("SystemDataUsage", expect=200)
    api.call("BuildPrune", query={"all": "1", "filters": {"until": ["1s"]}}, expect=200)


def names(api: Recorder) -> None:
    """Tags and images made of containers."""
    api.call("ImageTag", "busybox", query={"repo": "other/name", "tag": "2"}, expect=201)
    api.call("ImageTag", "busybox", query={"repo": "UPPER"}, expect=400)
    api.call("ContainerCreate", query={"name": "source"}, body=SLEEP, expect=201)
    query = {
        "container": "source",
        "repo": "committed",
        "tag": "1",
        "comment": "c",
        "author": "a",
        "pause": "0",
        "changes": "ENV X=y",
    }
    api.call("ImageCommit", query=query, body={"Labels": {"from": "body"}}, expect=201)
    api.call("ImageCommit", query={"container": NOBODY}, body={}, expect=404)


def transfers(api: Recorder, registry: str) -> None:
    """To a registry and back, to an archive and back."""
    api.call("ImageTag", "busybox", query={"repo": f"{registry}/test/busybox", "tag": "1"}, expect=201)
    api.call(
        "ImagePush",
        f"{registry}/test/busybox",
        query={"tag": "1"},
        headers={"X-Registry-Auth": "e30="},
        expect=200,
    )
    api.call("ImageCreate", query={"fromImage": f"{registry}/test/busybox", "tag": "1"}, expect=200)
    api.call("ImageCreate", query={"fromImage": f"{registry}/test/nothing", "tag": "1"}, expect=404)
    api.call(
        "ImageCreate",
        query={"fromSrc": "-", "repo": "imported", "message": "m", "changes": 'CMD ["sh"]'},
        body=archive(f=b"x"),
        expect=200,
    )
    api.call("DistributionInspect", f"{registry}/test/busybox:1", expect=200)
    saved = api.call("ImageGet", "busybox", expect=200)
    with tarfile.open(fileobj=io.BytesIO(saved)) as found:
        assert "manifest.json" in found.getnames()
    saved = api.call("ImageGetAll", query={"names": ["busybox", "imported"]}, expect=200)
    api.call("ImageLoad", query={"quiet": "0"}, body=saved, expect=200)


def secrets(api: Recorder, registry: str, locked: str) -> None:
    """With credentials, right and wrong."""
    right: dict[str, Any] = {"username": "me", "password": "secret", "serveraddress": locked}
    api.call("SystemAuth", body=right, expect=200)
    api.call("SystemAuth", body={**right, "password": "wrong"}, expect=401)
    wrong = {"X-Registry-Auth": auth("me", "wrong", locked)}
    api.call("DistributionInspect", f"{locked}/test/busybox:1", headers=wrong, expect=401)


def ends(api: Recorder) -> None:
    """Removed, and what speaks against it."""
    api.call("ImageDelete", "busybox", query={"noprune": "1"}, expect=200)
    api.call("ImageTag", "other/name:2", query={"repo": "busybox"}, expect=201)
    api.call("ContainerCreate", query={"name": "user"}, body={**SLEEP, "Image": "built:1"}, expect=201)
    api.call("ContainerStart", "user", expect=204)
    api.call("ImageDelete", "built:1", expect=409)
    api.call("ContainerDelete", "user", query={"force": "1"}, expect=204)
    api.call("ContainerDelete", "source", expect=204)
    assert api.call("ImageDelete", "built:1", query={"force": "1"}, expect=200)
    api.call("ImagePrune", query={"filters": {"dangling": ["true"]}}, expect=200)
