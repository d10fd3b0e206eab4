"""``wharfie.Client`` and ``wharfie.AsyncClient``, all they can do, against one engine."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import wharfie
from tests import ours
from wharfie.wire.networks import IPAMPool


@pytest.fixture(scope="module")
def client(engine: ours.Engine) -> Iterator[wharfie.Client]:
    with wharfie.Client(engine.host, timeout=30) as made:
        before = set(made.containers.list(all=True))
        yield made
        assert set(made.containers.list(all=True)) <= before


def test_run_gives_what_was_printed_and_leaves_nothing(client: wharfie.Client) -> None:
    done = client.containers.run("busybox", ["sh", "-c", "cat; echo bad >&2; exit 3"], input=b"x" * 300_000)
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"x" * 300_000, b"bad\n")
    with pytest.raises(wharfie.CommandFailed, match=r"exit code 3: bad"):
        done.check()
    assert client.containers.run("busybox", "echo hello", tty=True).check().text == "hello\r\n"
    with pytest.raises(wharfie.BadRequest, match="executable file not found"):
        client.containers.run("busybox", "nothing-of-this-name")


def test_refusals_are_exceptions_by_status(client: wharfie.Client) -> None:
    with pytest.raises(wharfie.NotFound, match="No such container: nobody") as missing:
        client.containers.get("nobody")
    assert (missing.value.status, str(missing.value)) == (404, missing.value.message)
    with pytest.raises(wharfie.BadRequest):
        client.containers.create("busybox", "true", network="container:")
    first = client.containers.create("busybox", "true", name="twice")
    with pytest.raises(wharfie.Conflict, match="already in use"):
        client.containers.create("busybox", "true", name="twice")
    first.remove()


def test_a_container_s_life(client: wharfie.Client) -> None:
    made = client.containers.launch(
        "busybox",
        ["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done"],
        name="life",
        labels={"suite": "python"},
        memory="64m",
        environment={"A": "b"},
        ports={80: None},
    )
    try:
        assert next(made.logs(follow=True)).data == b"up\n"
        assert made.start() is False
        found = made.inspect()
        assert (found.state.status, found.host_config.memory, found.config.labels) == (
            "running", 64 << 20, {"suite": "python"},
        )  # fmt: skip
        assert "A=b" in (found.config.env or [])
        assert found.network_settings.ports["80/tcp"]
        (listed,) = client.containers.list(filters={"label": ["suite=python"]})
        assert (listed, listed.name, listed.summary and listed.summary.state) == (made, "life", "running")
        assert client.containers.get("life") == made
        made.pause()
        assert made.inspect().state.paused
        made.unpause()
        assert made.update(Memory=32 << 20, MemorySwap=64 << 20) == []
        assert made.top().titles[0] == "UID"
        assert made.sample()["memory_stats"]["limit"] == 32 << 20
        with made.stats() as samples:
            assert next(samples)["pids_stats"]["current"] >= 1
        made.rename("other")
        assert made.stop(timeout=20) is True
        assert made.stop() is False
        assert made.wait() == 7
        assert [one.data for one in made.logs(tail=1)] == [b"up\n"]
        made.restart()
        made.kill()
        assert made.wait() == 137
    finally:
        made.remove(force=True)
    with pytest.raises(wharfie.NotFound):
        made.inspect()


def test_exec_attach_and_sessions(client: wharfie.Client) -> None:
    shell = client.containers.create("busybox", "cat", stdin=True)
    try:
        with shell.attach() as session:
            shell.start()
            session.send(b"first ")
            assert next(session.output()).data == b"first "
            told = shell.exec("sh -c 'echo $V; id -u; pwd'", environment={"V": "v"}, user="5", workdir="/tmp")
            assert told.check().text.split() == ["v", "5", "/tmp"]
            assert shell.exec(["cat"], input=b"data").stdout == b"data"
            assert shell.exec("false").exit_code == 1
            with shell.open(["sh"], tty=True, size=(20, 70)) as terminal:
                terminal.send(b"stty size\n")
                output = terminal.output()
                shown = b""
                while b"20 70" not in shown:
                    shown += next(output).data
                terminal.resize(30, 90)
                terminal.send(b"stty size; exit\n")
                assert b"30 90" in terminal.communicate()[0]
            assert session.communicate(b"last") == (b"last", b"")
        assert shell.wait() == 0
    finally:
        shell.remove(force=True)


def test_files_go_in_and_out(client: wharfie.Client, tmp_path: Path) -> None:
    box = client.containers.launch("busybox", "sleep 1000")
    try:
        box.write_file("/tmp/one", b"1", mode=0o600)
        assert box.read_file("/tmp/one") == b"1"
        source = tmp_path / "tree"
        (source / "below").mkdir(parents=True)
        (source / "below" / "file").write_bytes(b"deep")
        (source / "link").symlink_to("below/file")
        box.copy_in(source, "/tmp")
        assert box.read_file("/tmp/tree/below/file") == b"deep"
        assert box.exec("cat /tmp/tree/link").stdout == b"deep"
        (tmp_path / "back").mkdir()
        box.copy_out("/tmp/tree", tmp_path / "back")
        assert (tmp_path / "back/tree/link").read_bytes() == b"deep"
        assert "/tmp/one" in [change.path for change in box.changes()]
        with tarfile.open(fileobj=io.BytesIO(b"".join(box.export()))) as archive:
            assert "tmp/one" in archive.getnames()
        with pytest.raises(wharfie.NotFound):
            box.read_file("/nothing")
        identifier = box.commit("python-test", "v1", changes=["ENV Q=1"])
        assert client.images.inspect("python-test:v1").id == identifier
    finally:
        box.remove(force=True)
        client.images.remove("python-test:v1")


def test_images(client: wharfie.Client, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox\nCOPY kept /kept\nARG WHO\n"
        "RUN --mount=type=secret,id=token --mount=type=cache,target=/cache "
        "cp /run/secrets/token /token && echo $WHO >/who && date >>/cache/x\n"
    )
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "big").write_text("not sent")
    (tmp_path / ".dockerignore").write_text("big\n")
    told: list[dict[str, object]] = []
    identifier = client.images.build(
        tmp_path, tags="py:1", args={"WHO": "me"}, secrets={"token": b"s3cret"}, labels={"l": "v"},
        told=told.append,
    )  # fmt: skip
    try:
        found = client.images.inspect("py:1")
        assert (found.id, found.config and found.config.labels) == (identifier, {"l": "v"})
        assert client.containers.run("py:1", "cat /kept /token /who").text == "kepts3cretme\n"
        assert any("stream" in message for message in told)
        assert client.images.history("py:1")[0].id == identifier
        archive = b"".join(client.images.save("py:1"))
        client.images.tag("py:1", "py:2")
        assert {one.untagged for one in client.images.remove("py:1")} == {"py:1"}
        client.images.remove("py:2")
        assert client.images.load(io.BytesIO(archive)) == ["Loaded image: py:1"]
        assert client.images.inspect("py:1").id == identifier
    finally:
        client.images.remove("py:1", force=True)
    with pytest.raises(wharfie.BuildFailed) as failed:
        client.images.build(dockerfile="FROM busybox\nRUN echo said; exit 4\n")
    assert "said" in failed.value.output
    with pytest.raises(wharfie.WharfieError, match="No such image: py:1"):
        client.images.inspect("py:1")
    with pytest.raises(wharfie.EngineError):
        client.images.pull("127.0.0.1:1/nothing:here")
    assert client.images.prune_builds(all=True).space_reclaimed >= 0


def test_networks_and_volumes(client: wharfie.Client) -> None:
    network = client.networks.create("pynet", pools=[IPAMPool(subnet="10.213.0.0/24")], labels={"a": "b"})
    volume = client.volumes.create("pyvol", labels={"c": "d"})
    box = client.containers.launch(
        "busybox", "sleep 1000", network="pynet", ip="10.213.0.9", aliases=["nine"], volumes=["pyvol:/data"]
    )
    try:
        found = client.networks.inspect("pynet")
        assert (found.id, found.labels, found.containers[box.id].ipv4_address) == (
            network, {"a": "b"}, "10.213.0.9/24",
        )  # fmt: skip
        client.networks.disconnect("pynet", box)
        client.networks.connect("pynet", box, aliases=["ten"], ip="10.213.0.10")
        assert box.inspect().network_settings.networks["pynet"].ip_address == "10.213.0.10"
        box.write_file("/data/x", b"in it")
        assert [one.name for one in client.volumes.list({"label": ["c=d"]})] == [volume.name]
        with tarfile.open(fileobj=io.BytesIO(b"".join(client.volumes.export("pyvol")))) as archive:
            assert any(name.endswith("x") for name in archive.getnames())
        with pytest.raises(wharfie.Conflict):
            client.volumes.remove("pyvol")
    finally:
        box.remove(force=True)
        client.networks.remove("pynet")
        client.volumes.remove("pyvol")


def test_the_engine_itself(client: wharfie.Client) -> None:
    assert client.system.ping() == client.system.version().api_version == "1.51"
    assert client.system.info().os_type == "linux"
    assert client.system.df().images
    before = client.system.info().system_time
    client.containers.run("busybox", "true", name="seen")
    events = client.system.events(since=before, until=client.system.info().system_time,
                                  filters={"container": ["seen"]})  # fmt: skip
    actions = [event.action for event in events]
    assert [one for one in ("create", "start", "die", "destroy") if one in actions] == [
        "create", "start", "die", "destroy",
    ]  # fmt: skip
    assert client.system.prune().space_reclaimed >= 0


def test_threads_share_a_client(client: wharfie.Client) -> None:
    found: list[str] = []

    def ask(number: int) -> None:
        for _ in range(5):
            found.append(client.containers.run("busybox", f"echo {number}").text.strip())

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(str(number) for number in range(4) for _ in range(5))


async def test_the_same_in_an_event_loop(engine: ours.Engine) -> None:
    async with wharfie.AsyncClient(engine.host, timeout=30) as client:
        runs = [client.containers.run("busybox", f"sh -c 'cat; echo {n}'", input=b"in ") for n in range(6)]
        assert [one.text for one in await asyncio.gather(*runs)] == [f"in {n}\n" for n in range(6)]
        with pytest.raises(wharfie.NotFound):
            await client.containers.get("nobody")
        box = await client.containers.launch("busybox", ["sh", "-c", "echo up; exec sleep 1000"])
        try:
            async for piece in box.logs(follow=True):
                assert piece == wharfie.Output("stdout", b"up\n")
                break
            async with box.stats() as samples:
                assert (await anext(samples))["read"]
            assert (await box.exec(["cat"], input=b"data")).stdout == b"data"
            with await box.open(["sh"], tty=True) as session:
                await session.send(b"echo $((6*7)); exit\n")
                assert b"42" in (await session.communicate())[0]
            await box.write_file("/tmp/x", b"async")
            assert await box.read_file("/tmp/x") == b"async"
            waiting = asyncio.ensure_future(box.wait())  # noqa: TID251  (as a program would)
            await box.kill()
            assert await waiting == 137
        finally:
            await box.remove(force=True)
        archive = [part async for part in client.images.save("busybox")]

        async def sent() -> object:
            for part in archive:
                yield part

        assert await client.images.load(sent()) == ["Loaded image: busybox:latest"]  # type: ignore[arg-type]


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(wharfie.DaemonUnreachable, match="Is the daemon running"):
        wharfie.Client(f"unix://{tmp_path}/no.sock").system.ping()


def test_hosts_come_from_contexts_and_the_environment(
    engine: ours.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WHARFIE_HOST", "WHARFIE_CONTEXT", "DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine.cli("context", "create", "named", "--docker", f"host={engine.host}")
    assert wharfie.Client(context="named").system.ping() == "1.51"
    with pytest.raises(wharfie.WharfieError, match="context not found"):
        wharfie.Client(context="nothing")
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    assert wharfie.Client().host == engine.host
    monkeypatch.setenv("WHARFIE_HOST", "unix:///elsewhere")
    assert wharfie.Client().host == "unix:///elsewhere"


def test_the_examples_of_the_page_print_what_it_says(
    engine: ours.Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WHARFIE_HOST", engine.host)
    page = (ours.ROOT / "docs" / "python.md").read_text().split("```")
    known: dict[str, object] = {}
    shown = 0
    for block in page[1::2]:
        kind, _, text = block.partition("\n")
        if kind == "python":
            exec(compile(text, "docs/python.md", "exec"), known)
            printed = capsys.readouterr().out
        elif kind == "text":
            assert printed == text
            shown += 1
    assert shown >= 5
    assert not os.path.exists("hello.tar")
