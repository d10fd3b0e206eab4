"""A container's whole life on real pieces, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import select
from pathlib import Path

import msgspec
import pytest

from tests import ours
from tests.kernel.engine.conftest import Engine, Make
from wharfie.engine.commit import ContainerFiles
from wharfie.engine.container import Container, State
from wharfie.engine.creation import Creation
from wharfie.engine.failures import StartFailed
from wharfie.errors import Conflict, InternalError, NotFound, NotModified
from wharfie.network.model import NetworkUnavailable
from wharfie.wire.config import HostConfig, Mount, RestartPolicy
from wharfie.wire.containers import CreateContainer, UpdateContainer


def body(*words: str, host: HostConfig | None = None, **config: object) -> CreateContainer:
    return CreateContainer(image="busybox", cmd=list(words), host_config=host or HostConfig(), **config)  # type: ignore[arg-type]


async def run(engine: Engine, made: CreateContainer, name: str | None = None) -> int:
    """Create, start, wait; the exit code."""
    created = await engine.containers.create(name, made)
    ended = await engine.containers.wait(created.id, "next-exit")
    await engine.containers.start(created.id)
    return (await ended.result()).status_code


def log_of(engine: Engine, ref: str) -> str:
    path = Path(engine.containers.get(ref).log_path)
    return "".join(json.loads(line)["log"] for line in path.read_text().splitlines())


async def test_a_whole_life_leaves_nothing_behind(engine: Engine) -> None:
    with engine.events.subscribe(accepts=lambda event: event.type == "container") as events:
        code = await run(engine, body("sh", "-c", "echo hello; exit 3"), "life")
        assert code == 3
        container = engine.containers.get("life")
        assert (container.status.state, container.status.exit_code) == (State.EXITED, 3)
        assert log_of(engine, "life") == "hello\n"
        await engine.containers.remove("life")
        seen = [(await anext(events)).action for _ in range(4)]
    assert seen == ["create", "start", "die", "destroy"]
    with pytest.raises(NotFound):
        engine.containers.get("life")
    assert engine.leftovers() == []


async def test_limits_and_defaults_are_those_of_docker(engine: Engine) -> None:
    script = "grep -E '^(CapBnd|CapEff|Seccomp):' /proc/self/status; hostname; env; id -u"
    assert await run(engine, body("sh", "-c", script), "defaults") == 0
    log = log_of(engine, "defaults")
    assert "00000000a80425fb" in log
    assert "Seccomp:\t2" in log
    assert engine.containers.get("defaults").short_id in log
    assert "HOME=/root" in log


async def test_a_fault_of_ours_gives_back_what_a_start_had_taken(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await engine.containers.create("faulty", body("true"))

    async def fault(container: Container) -> None:
        raise KeyError(container.id)

    with monkeypatch.context() as patched:
        patched.setattr("wharfie.engine.shipping.check", fault)
        with pytest.raises(StartFailed, match="KeyError"):
            await engine.containers.start("faulty")
    container = engine.containers.get("faulty")
    assert (container.status.state, container.status.exit_code) == (State.CREATED, 128)
    assert not any(seat.address for seat in engine.networks.endpoints(created.id))
    await engine.containers.start("faulty")


async def test_nothing_runs_without_the_network_rate_that_was_asked_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = HostConfig(network_rate="in=10mbit")
    await engine.containers.create("unlimited", body("sleep", "1000", host=host))
    ended = await engine.containers.wait("unlimited", "next-exit")

    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr("wharfie.network.traffic.limit", refuse)
    with pytest.raises(NetworkUnavailable, match=r"the rate of .* cannot be set"):
        await engine.containers.start("unlimited")
    assert (await ended.result()).status_code == 137


async def test_a_program_that_is_missing_has_dockers_error_and_exit_code(engine: Engine) -> None:
    await engine.containers.create("broken", body("nosuchcommand"))
    with pytest.raises(StartFailed, match=r'exec: "nosuchcommand": executable file not found in \$PATH'):
        await engine.containers.start("broken")
    status = engine.containers.get("broken").status
    assert (status.state, status.exit_code) == (State.CREATED, 127)
    await engine.containers.remove("broken")
    assert engine.leftovers() == []


@pytest.mark.parametrize(
    ("made", "phrase"),
    [
        (body("true", user="nosuchuser"), "unable to find user nosuchuser"),
        (body("/etc/passwd"), "permission denied"),
        (body("true", working_dir="/etc/passwd"), "not a directory"),
        (body("true", host=HostConfig(binds=["/etc/passwd:/etc"])), 'error mounting "/etc/passwd"'),
    ],
)
async def test_a_failed_start_gives_everything_back(
    engine: Engine, made: CreateContainer, phrase: str
) -> None:
    created = await engine.containers.create(None, made)
    with pytest.raises(StartFailed, match=phrase):
        await engine.containers.start(created.id)
    assert engine.networks.endpoints(created.id) == []
    await engine.containers.remove(created.id)
    assert engine.leftovers() == []


async def test_auto_remove_takes_anonymous_volumes_and_tells_who_waits(engine: Engine) -> None:
    host = HostConfig(auto_remove=True)
    created = await engine.containers.create("gone", body("true", host=host, volumes={"/data": {}}))
    assert len(engine.volumes.list()) == 1
    removed = await engine.containers.wait(created.id, "removed")
    await engine.containers.start(created.id)
    assert (await removed.result()).status_code == 0
    await engine.containers.create("gone", body("true"))
    await engine.containers.remove("gone")
    assert engine.volumes.list() == []
    assert engine.leftovers() == []


async def test_stop_kill_pause_and_what_they_refuse(engine: Engine) -> None:
    calls = engine.containers
    script = "trap 'exit 9' TERM; touch /ready; while :; do sleep 0.01; done"
    await calls.create("verbs", body("sh", "-c", script))
    with pytest.raises(
        Conflict, match=r"cannot kill container: verbs: container [0-9a-f]{64} is not running"
    ):
        await calls.kill("verbs")
    await calls.start("verbs")
    # until then its first process takes no signal
    ready = Path(calls.get("verbs").upper, "ready")
    await asyncio.to_thread(ours.until, ready.exists, "it never was ready for signals")
    with pytest.raises(NotModified):
        await calls.start("verbs")
    with pytest.raises(Conflict, match='cannot remove container "/verbs": container is running'):
        await calls.remove("verbs")
    await calls.pause("verbs")
    assert calls.get("verbs").status.state is State.PAUSED
    with pytest.raises(Conflict, match="is already paused"):
        await calls.pause("verbs")
    await calls.unpause("verbs")
    await calls.stop("verbs", timeout=10)
    assert calls.get("verbs").status.exit_code == 9
    with pytest.raises(NotModified):
        await calls.stop("verbs")
    await calls.restart("verbs", timeout=0)
    await calls.pause("verbs")
    await calls.kill("verbs")
    assert calls.get("verbs").status.exit_code == 137
    await calls.remove("verbs")
    assert engine.leftovers() == []


async def test_a_policy_starts_it_again_until_its_limit(engine: Engine) -> None:
    policy = RestartPolicy(name="on-failure", maximum_retry_count=2)
    created = await engine.containers.create(
        "again", body("sh", "-c", "exit 4", host=HostConfig(restart_policy=policy))
    )
    with engine.events.subscribe() as events:
        await engine.containers.start(created.id)
        dead = 0
        async for event in events:
            dead += event.action == "die"
            if dead == 3:
                break
    status = engine.containers.get("again").status
    assert (status.state, status.restart_count) == (State.EXITED, 2)


async def test_update_reaches_the_control_group(engine: Engine) -> None:
    await engine.containers.create("update", body("sleep", "100", host=HostConfig(memory=64 << 20)))
    await engine.containers.start("update")
    await engine.containers.update("update", UpdateContainer(memory=32 << 20, memory_swap=64 << 20))
    directory = engine.cgroup_root / engine.containers.get("update").id
    found = [directory / name for name in ("memory.limit_in_bytes", "memory.max")]
    assert [int(path.read_text()) for path in found if path.exists()] == [32 << 20]
    assert (await engine.containers.inspect("update")).host_config.memory == 32 << 20


async def test_an_empty_volume_takes_what_the_image_has(engine: Engine) -> None:
    mount = Mount(type="volume", source="filled", target="/etc")
    assert await run(engine, body("cat", "/etc/passwd", host=HostConfig(mounts=[mount])), "filled") == 0
    assert "nobody" in Path(engine.volumes.get("filled").mountpoint, "passwd").read_text()
    await engine.containers.remove("filled", volumes=True)
    assert [volume.name for volume in engine.volumes.list()] == ["filled"]
    await engine.volumes.remove("filled")


async def test_a_volume_that_another_container_took_meanwhile_outlives_a_creation_that_fails(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = Mount(type="volume", source="both", target="/data")
    made = body("true", host=HostConfig(mounts=[mount]))
    populate = Creation._populate

    async def fails(creation: Creation, container: Container, image: object) -> None:
        monkeypatch.setattr(Creation, "_populate", populate)
        await engine.containers.create("second", made)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Creation, "_populate", fails)
    with pytest.raises(InternalError, match="No space left"):
        await engine.containers.create("first", made)
    assert [container.name for container in engine.containers.all()] == ["second"]
    assert [volume.name for volume in engine.volumes.list()] == ["both"]
    await engine.containers.remove("second")
    await engine.volumes.remove("both")
    assert engine.leftovers() == []


async def test_what_an_image_says_without_sense_stops_nobody(engine: Engine) -> None:
    calls = engine.containers
    await calls.create("odd", body("sleep", "100"))
    container = calls.get("odd")
    ports, signal = {"\u00b2/tcp": {}, "9" * 5000: {}}, "NOSUCH"
    config = msgspec.structs.replace(container.config, exposed_ports=ports, stop_signal=signal)
    container.record = msgspec.structs.replace(container.record, config=config)
    await calls.start("odd")
    assert [one.ports for one in await calls.list(size=True)] == [[]]
    await calls.stop("odd", timeout=0)
    await calls.start("odd")
    await calls.pause("odd")
    await calls.remove("odd", force=True)
    assert engine.leftovers() == []


async def test_a_container_that_is_killed_while_it_is_committed_has_its_image(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.containers.create("short", body("sleep", "100"))
    await engine.containers.start("short")
    images = engine.images  # type: ignore[attr-defined]
    commit = images.commit

    async def and_kill(*arguments: object, **options: object) -> object:
        await engine.containers.kill("short")
        return await commit(*arguments, **options)

    monkeypatch.setattr(images, "commit", and_kill)
    files = ContainerFiles(engine.containers, images)
    identifier = await files.commit(
        "short", reference="made", author="", message="", changes=[], config=None, pause=True
    )
    assert images.get("made").id == identifier


async def test_namespaces_are_shared_when_asked_for(engine: Engine) -> None:
    calls = engine.containers
    await calls.create("donor", body("sleep", "100", host=HostConfig(ipc_mode="shareable")))
    await calls.start("donor")
    joined = HostConfig(
        network_mode="container:donor", pid_mode="container:donor", ipc_mode="container:donor"
    )
    pid = calls.get("donor").status.pid
    script = "for n in net pid ipc; do readlink /proc/self/ns/$n; done; touch /dev/shm/seen"
    assert await run(engine, body("sh", "-c", script, host=joined), "guest") == 0
    log = log_of(engine, "guest")
    for name in ("net", "pid", "ipc"):
        assert str(Path(f"/proc/{pid}/ns/{name}").readlink()) in log
    assert Path(f"/proc/{pid}/root/dev/shm/seen").exists()


async def test_a_private_user_namespace_maps_root_away(engine: Engine) -> None:
    made = body("sh", "-c", "cat /proc/self/uid_map; touch /made", host=HostConfig(userns_mode="private"))
    assert await run(engine, made, "mapped") == 0
    log = log_of(engine, "mapped")
    assert "100000" in log
    assert "65536" in log


async def test_containers_outlive_the_engine_and_tell_how_they_ended(engine: Engine, make: Make) -> None:
    calls = engine.containers
    ends = "while ! test -e /end; do sleep 0.01; done; exit 33"
    await calls.create("ends", body("sh", "-c", ends))
    await calls.create("stays", body("sleep", "1000"))
    for name in ("ends", "stays"):
        await calls.start(name)
    pids = {name: calls.get(name).status.pid for name in ("ends", "stays")}
    await calls.close()
    await engine.spawner.close()
    pidfd = os.pidfd_open(pids["ends"])
    Path(f"/proc/{pids['ends']}/root/end").touch()
    assert select.select([pidfd], [], [], 20)[0], "it did not end"
    os.close(pidfd)
    engine.database.close()

    again = make().containers
    await again.recover()
    # its monitor may be about to write how it ended
    ended = await again.wait("ends", "not-running")
    assert (await asyncio.wait_for(ended.result(), 60)).status_code == 33
    assert again.get("stays").status.pid == pids["stays"]
    await again.stop("stays", timeout=0)
    assert again.get("stays").status.exit_code == 137
