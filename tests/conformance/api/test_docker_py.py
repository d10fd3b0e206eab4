"""Docker's Python SDK, as people use it, against our engine."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from tests import ours


@pytest.fixture(scope="module")
def client(engine: ours.Engine) -> Iterator[Any]:
    found = docker.DockerClient(base_url=engine.host, timeout=30)
    yield found
    found.close()


@pytest.fixture
def container(client: Any) -> Iterator[Any]:
    made = client.containers.run("busybox", ["sleep", "1000"], detach=True, labels={"suite": "api"})
    yield made
    made.remove(force=True, v=True)


def test_version_and_info_are_docker_s(client: Any) -> None:
    assert client.version()["ApiVersion"] == "1.51"
    info = client.info()
    assert (info["OSType"], info["LoggingDriver"], info["CgroupDriver"]) == ("linux", "json-file", "cgroupfs")
    assert info["NCPU"] >= 1
    assert client.ping() is True


def test_run_gives_the_output_and_raises_the_exit_code(client: Any) -> None:
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as failed:
        client.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
    assert (failed.value.exit_status, failed.value.stderr) == (3, b"bad\n")
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("nobody-made-this")
    with pytest.raises(docker.errors.APIError, match="executable file not found"):
        client.containers.run("busybox", ["no-such-program"])
    client.containers.prune()


def test_life_of_a_container(client: Any, container: Any) -> None:
    assert container.status in ("created", "running")
    container.reload()
    assert (container.status, container.labels) == ("running", {"suite": "api"})
    assert [found.id for found in client.containers.list(filters={"label": "suite=api"})] == [container.id]
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("renamed-by-sdk")
    assert client.containers.get("renamed-by-sdk").id == container.id
    container.restart(timeout=0)
    container.kill()
    assert container.wait(timeout=20)["StatusCode"] == 137
    container.start()
    container.stop(timeout=0)
    container.reload()
    assert container.status == "exited"


def test_exec_with_streams_and_code(container: Any) -> None:
    done = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 5"], demux=True)
    assert (done.exit_code, done.output) == (5, (b"out\n", b"err\n"))
    done = container.exec_run(["sh", "-c", "echo $A; id -u"], environment={"A": "b"}, user="65534")
    assert (done.exit_code, done.output) == (0, b"b\n65534\n")


def test_exec_through_a_socket(client: Any, container: Any) -> None:
    made = client.api.exec_create(container.id, ["cat"], stdin=True)
    sock = client.api.exec_start(made["Id"], socket=True)
    sock._sock.sendall(b"typed\n")
    sock._sock.shutdown(1)
    received = b""
    while data := sock._sock.recv(4096):
        received += data
    assert received == b"\x01\0\0\0\0\0\0\x06typed\n"


def test_logs_top_stats_and_diff(container: Any) -> None:
    container.exec_run(["touch", "/made-here"])
    assert {"Path": "/made-here", "Kind": 1} in container.diff()
    assert any("sleep 1000" in " ".join(row) for row in container.top()["Processes"])
    stats = container.stats(stream=False)
    assert stats["memory_stats"]["usage"] > 0
    assert stats["pids_stats"]["current"] >= 1


def test_logs_follow_until_the_end(client: Any) -> None:
    script = "for i in 1 2 3; do echo line $i; usleep 50000; done"
    made = client.containers.run("busybox", ["sh", "-c", script], detach=True)
    try:
        assert b"".join(made.logs(stream=True, follow=True)) == b"line 1\nline 2\nline 3\n"
        assert made.logs(tail=1) == b"line 3\n"
        assert made.logs(timestamps=True).count(b"Z line") == 3
    finally:
        made.remove(force=True)


def test_files_in_and_out(container: Any) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("sent")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"data"))
    assert container.put_archive("/tmp", buffer.getvalue())
    pieces, stat = container.get_archive("/tmp/sent")
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        file = archive.extractfile("sent")
        assert file is not None
        assert (file.read(), stat["size"]) == (b"data", 4)


def test_commit_tag_history_and_remove(client: Any, container: Any) -> None:
    container.exec_run(["sh", "-c", "echo committed > /file"])
    image = container.commit(repository="by-sdk", tag="1", message="m", changes=["CMD cat /file"])
    try:
        assert client.containers.run("by-sdk:1", remove=True) == b"committed\n"
        assert image.tag("by-sdk", "2")
        assert sorted(client.images.get("by-sdk:2").tags) == ["by-sdk:1", "by-sdk:2"]
        assert image.history()[0]["Comment"] == "m"
    finally:
        client.images.remove("by-sdk:1")
        client.images.remove("by-sdk:2")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("by-sdk:1")


def test_volumes_outlive_containers(client: Any) -> None:
    volume = client.volumes.create("sdk-volume", labels={"a": "b"})
    try:
        mounted = {"sdk-volume": {"bind": "/data", "mode": "rw"}}
        client.containers.run("busybox", ["sh", "-c", "echo kept > /data/f"], remove=True, volumes=mounted)
        assert client.containers.run("busybox", ["cat", "/data/f"], remove=True, volumes=mounted) == b"kept\n"
        assert [found.name for found in client.volumes.list(filters={"label": "a=b"})] == ["sdk-volume"]
    finally:
        volume.remove()


def test_networks_can_be_looked_at(client: Any, container: Any) -> None:
    container.reload()
    bridge = client.networks.get("bridge")
    assert container.id in bridge.attrs["Containers"]
    address = container.attrs["NetworkSettings"]["IPAddress"]
    assert bridge.attrs["Containers"][container.id]["IPv4Address"].startswith(f"{address}/")


def test_events_arrive_while_things_happen(client: Any) -> None:
    seen: list[str] = []
    events = client.events(decode=True, filters={"type": "container", "label": "watched"})
    listening = threading.Event()

    def listen() -> None:
        listening.set()
        for event in events:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert listening.wait(5)
    client.containers.run("busybox", ["true"], labels=["watched"], remove=True)
    listener.join(60)
    events.close()
    assert [action for action in seen if action in ("create", "start", "die", "destroy")] == [
        "create",
        "start",
        "die",
        "destroy",
    ]


def test_what_is_not_there_says_so(client: Any) -> None:
    with pytest.raises(docker.errors.APIError, match="incompatible with swarm mode"):
        client.swarm.init()
    with pytest.raises(docker.errors.NotFound):
        client.images.get("no-such-image")


def test_disk_usage_counts_the_image(client: Any) -> None:
    used = client.df()
    assert used["LayersSize"] > 1_000_000
    assert any("busybox:latest" in image["RepoTags"] for image in used["Images"])
