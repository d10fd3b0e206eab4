"""aiodocker, the client for asyncio, unmodified, against our engine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from typing import Any

import aiodocker
import pytest

from tests import ours


@pytest.fixture
async def docker(engine: ours.Engine) -> AsyncIterator[Any]:
    async with aiodocker.Docker(url=engine.host) as client:
        yield client


@pytest.fixture
async def box(docker: Any) -> AsyncIterator[Any]:
    made = await docker.containers.run(
        config={"Image": "busybox", "Cmd": ["sh", "-c", "echo up; exec cat"], "OpenStdin": True},
        name="aio-box",
    )
    async for _line in made.log(stdout=True, follow=True):
        break  # who attaches later does not hear it
    yield made
    await made.delete(force=True)


async def test_containers_live_and_are_listed(docker: Any, box: Any) -> None:
    assert (await docker.version())["ApiVersion"] == "1.51"
    found = await docker.containers.list(filters={"name": ["aio-box"]})
    assert [one.id for one in found] == [box.id]
    assert (await box.show())["State"]["Running"] is True
    async for line in box.log(stdout=True, follow=True):
        assert line == "up\n"
        break
    async for sample in box.stats(stream=True):
        assert sample["pids_stats"]["current"] >= 1
        break
    await box.kill()
    assert (await box.wait())["StatusCode"] == 137
    with pytest.raises(aiodocker.DockerError) as missing:
        await docker.containers.get("nobody")
    assert missing.value.status == 404


async def test_streams_of_exec_and_attach(docker: Any, box: Any) -> None:
    made = await box.exec(["sh", "-c", "cat; echo no >&2"], stdin=True)
    async with made.start(detach=False) as stream:
        await stream.write_in(b"data\n")
        first = await stream.read_out()
        assert (first.stream, first.data) == (1, b"data\n")
    async with box.attach(stdin=True, stdout=True, stderr=True) as stream:
        await stream.write_in(b"typed\n")
        assert (await stream.read_out()).data == b"typed\n"
    done = await box.exec(["false"])
    async with done.start(detach=False) as stream:
        assert await stream.read_out() is None
    assert (await done.inspect())["ExitCode"] == 1


async def test_archives_images_networks_volumes_and_events(docker: Any, box: Any) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"text"))
    await box.put_archive("/tmp", buffer.getvalue())
    with await box.get_archive("/tmp/file") as archive:
        member = archive.extractfile("file")
        assert member is not None
        assert member.read() == b"text"
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w:gz") as archive:
        text = b"FROM busybox\nRUN echo built >/built\n"
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    context.seek(0)
    messages = await docker.images.build(fileobj=context, encoding="gzip", tag="aio:1")
    assert any("Successfully tagged aio:1" in one.get("stream", "") for one in messages)
    await docker.images.delete("aio:1")
    network = await docker.networks.create({"Name": "aio-net"})
    await network.connect({"Container": box.id})
    assert box.id in (await network.show())["Containers"]
    await network.disconnect({"Container": box.id})
    await network.delete()
    volume = await docker.volumes.create({"Name": "aio-vol"})
    await volume.delete()
    await box.rename("aio-other")
    # from the beginning: a subscription begins when its task does
    events = docker.events.subscribe(since="0", filters='{"container": ["aio-other"]}')
    while (event := await events.get())["Action"] != "rename":
        continue
    assert event["Actor"]["Attributes"]["name"] == "aio-other"
