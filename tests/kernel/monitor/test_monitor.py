"""Containers through spawner and monitor: streams, exit, signals, execs, terminals."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kernel.monitor.bench import Bench, Client, alive, gone
from wharfie.monitor import protocol
from wharfie.monitor.client import LaunchError, MonitorLink, MonitorRefused, reconnect
from wharfie.wire.stdcopy import Demultiplexer


def demultiplexed(data: bytes) -> dict[int, bytes]:
    streams: dict[int, bytes] = {}
    demultiplexer = Demultiplexer()
    for stream, part in demultiplexer.feed(data):
        streams[stream] = streams.get(stream, b"") + bytes(part)
    assert demultiplexer.whole
    return streams


async def attached(bench: Bench, client: Client, *args: str, **options: object) -> MonitorLink:
    link = await bench.run(*args, attachments=[client.attachment], fds=[client.theirs.fileno()], **options)
    client.handed_over()
    return link


async def test_output_goes_to_the_log_and_the_exit_code_comes_back(bench: Bench) -> None:
    link = await bench.run("sh", "-c", "echo out; echo err >&2; printf tail; exit 3")
    record = await link.exited
    assert record.exit_code == 3
    assert not record.oom_killed
    assert sorted(bench.logged(link.id).splitlines()) == ["err", "out", "tail"]
    await gone(link.monitor_pid)
    assert not Path(link.directory, "monitor.sock").exists()
    assert not Path(f"/sys/fs/cgroup/memory/wharfie-test/{link.id}").exists()


async def test_a_signal_that_ends_it_is_128_and_more(bench: Bench) -> None:
    link = await bench.run("sleep", "1000")
    await link.signal(signal.SIGKILL)
    assert (await link.exited).exit_code == 137


async def test_a_program_that_is_not_there_is_127_and_leaves_nothing(bench: Bench) -> None:
    request = bench.request(["nosuchprogram"])
    with pytest.raises(LaunchError, match="executable file not found in \\$PATH") as caught:
        await bench.spawner.launch(request)
    assert caught.value.exit_code == 127
    assert os.listdir(request.directory) == []
    assert not Path(f"/sys/fs/cgroup/memory{request.cgroup}").exists()


async def test_attached_from_the_start_nothing_is_missed(bench: Bench) -> None:
    client = Client(multiplex=True)
    link = await attached(bench, client, "sh", "-c", "echo one; echo two >&2; echo three")
    assert demultiplexed(await client.read_all()) == {1: b"one\nthree\n", 2: b"two\n"}
    assert await link.attachments[0].closed == protocol.EXITED
    await link.exited


async def test_stdin_reaches_it_and_its_end_too(bench: Bench) -> None:
    client = Client(stdin=True, multiplex=True, prefix=b"before ")
    link = await attached(bench, client, "cat", open_stdin=True, stdin_once=True)
    await client.send(b"hello")
    client.end_input()
    assert demultiplexed(await client.read_all()) == {1: b"before hello"}
    assert (await link.exited).exit_code == 0


async def test_without_stdin_it_reads_nothing(bench: Bench) -> None:
    link = await bench.run("cat")
    assert (await link.exited).exit_code == 0


async def test_a_lot_goes_through_in_both_directions(bench: Bench) -> None:
    client = Client(stdin=True, multiplex=False)
    link = await attached(bench, client, "cat", open_stdin=True, stdin_once=True, log={"driver": "none"})
    data = os.urandom(1 << 20) * 24

    async def send() -> None:
        await client.send(data)
        client.end_input()

    received, _ = await asyncio.gather(client.read_all(), send())
    assert received == data
    await link.exited


async def test_a_client_that_goes_away_closes_stdin(bench: Bench) -> None:
    client = Client(stdin=True)
    link = await attached(bench, client, "cat", open_stdin=True, stdin_once=True)
    client.close()
    assert (await link.exited).exit_code == 0


async def test_what_was_sent_before_going_away_arrives(bench: Bench) -> None:
    client = Client(stdin=True, stdout=False, stderr=False)
    link = await attached(
        bench,
        client,
        "sh",
        "-c",
        "sleep 0.2; cat | dd bs=1M 2>/dev/null of=/tmp/got",
        open_stdin=True,
        stdin_once=True,
    )
    data = b"x" * 150_000
    await client.send(data)
    client.close()
    await link.exited
    assert (bench.root / "tmp/got").read_bytes() == data


async def test_a_client_can_attach_later_and_detach(bench: Bench) -> None:
    link = await bench.run("sh", "-c", "read a; echo got $a; read b; echo got $b", open_stdin=True)
    first = Client(stdin=True, multiplex=True, detach_keys=b"\x10\x11")
    handle = await link.attach(first.attachment, first.theirs.fileno())
    first.handed_over()
    await first.send(b"one\n")
    await first.read_until(b"got one\n")
    await first.send(b"\x10")
    await first.send(b"\x11")
    assert await handle.closed == protocol.DETACHED
    assert await first.read_all() == b""
    second = Client(stdin=True)
    await link.attach(second.attachment, second.theirs.fileno())
    second.handed_over()
    await second.send(b"two\n")
    assert await second.read_all() == b"got two\n"
    assert (await link.exited).exit_code == 0


async def test_a_slow_client_holds_the_output_and_loses_nothing(bench: Bench) -> None:
    client = Client()
    link = await attached(bench, client, "sh", "-c", "yes 0123456789abcdef | head -c 8000000")
    # the container cannot end before somebody reads: 8 MB do not fit into any buffer between
    done, _ = await asyncio.wait([link.exited], timeout=0.5)
    assert not done
    assert len(await client.read_all()) == 8_000_000
    assert (await link.exited).exit_code == 0
    assert len(bench.logged(link.id)) == 8_000_000


async def test_a_client_that_never_reads_does_not_hold_the_exit_back(bench: Bench) -> None:
    client = Client()
    link = await attached(bench, client, "sh", "-c", "head -c 900000 /dev/zero")
    assert (await asyncio.wait_for(link.exited, 60)).exit_code == 0
    assert len(await client.read_all()) == 900_000


async def test_a_terminal(bench: Bench) -> None:
    client = Client(stdin=True, detach_keys=b"\x10\x11")
    link = await attached(
        bench,
        client,
        "sh",
        "-c",
        "tty; stty size; read x; stty size; echo $x",
        tty=True,
        console_size=(33, 77),
        open_stdin=True,
    )
    first = await client.read_until(b"33 77\r\n")
    assert first.startswith(b"/dev/pts/0\r\n") or b"/dev/console" in first
    await link.resize(44, 99)
    await client.send(b"word\n")
    assert (await client.read_all()).replace(b"\r", b"").endswith(b"44 99\nword\n")
    assert (await link.exited).exit_code == 0


async def test_an_exec_has_its_own_streams_and_exit_code(bench: Bench) -> None:
    link = await bench.run("sleep", "1000")
    process = {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh", "-c", "cat; echo err >&2; exit 5"],
        "env": ["PATH=/bin"],
        "cwd": "/",
    }
    client = Client(stdin=True, multiplex=True)
    handle = await link.exec(
        "e1", process, open_stdin=True, attachments=[client.attachment], fds=[client.theirs.fileno()]
    )
    client.handed_over()
    assert alive(handle.pid)
    await client.send(b"in")
    client.end_input()
    assert demultiplexed(await client.read_all()) == {1: b"in", 2: b"err\n"}
    assert await handle.exited == 5
    assert await handle.attachments[0].closed == protocol.EXITED
    with pytest.raises(LaunchError) as caught:
        await link.exec("e2", {**process, "args": ["nosuch"]})
    assert caught.value.exit_code == 127
    with pytest.raises(MonitorRefused, match="no terminal"):
        await link.resize(1, 1)
    assert bench.log(link.id).read_bytes() == b""
    await link.signal(signal.SIGKILL)
    await link.exited


async def test_an_exec_ends_with_its_container(bench: Bench) -> None:
    link = await bench.run("sleep", "1000")
    process = {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sleep", "1000"],
        "env": ["PATH=/bin"],
        "cwd": "/",
    }
    client = Client()
    handle = await link.exec(
        "e1", process, tty=True, attachments=[client.attachment], fds=[client.theirs.fileno()]
    )
    client.handed_over()
    await link.resize(10, 20, "e1")
    await link.signal(signal.SIGKILL)
    assert await handle.exited == 137
    assert (await link.exited).exit_code == 137
    assert await client.read_all() == b""


async def test_several_at_once_and_all_exits_arrive(bench: Bench) -> None:
    links = await asyncio.gather(
        *(bench.run("sh", "-c", f"read x; exit {n}", open_stdin=True) for n in range(12))
    )
    await asyncio.gather(*(link.close_stdin() for link in links))
    records = await asyncio.gather(*(link.exited for link in links))
    assert [record.exit_code for record in records] == list(range(12))


async def test_running_out_of_memory_is_noticed(bench: Bench) -> None:
    link = await bench.run(
        "sh",
        "-c",
        "x=$(yes | head -c 100000000); echo $?",
        linux={"resources": {"memory": {"limit": 8 << 20, "swap": 8 << 20}}},
    )
    notices = [True] * link.ooms
    link.on_oom = lambda: notices.append(True)
    record = await link.exited
    assert record.oom_killed
    assert notices


async def test_a_container_that_left_writers_behind_still_ends(bench: Bench) -> None:
    link = await bench.run(
        "sh", "-c", "(sleep 1000 &) ; echo done", linux={"namespaces": ("mount", "uts", "ipc", "network")}
    )
    record = await asyncio.wait_for(link.exited, 60)
    assert record.exit_code == 0
    assert bench.logged(link.id) == "done\n"


async def test_it_can_be_started_again_in_the_same_place(bench: Bench) -> None:
    first = await bench.run("sh", "-c", "echo one; exit 1")
    assert (await first.exited).exit_code == 1
    second = await bench.run("sh", "-c", "echo two; exit 2", id=first.id)
    assert (await second.exited).exit_code == 2
    found = await reconnect(second.directory)
    assert not isinstance(found, MonitorLink)
    assert found.exit_code == 2
    assert bench.logged(first.id) == "one\ntwo\n"


async def test_the_container_cannot_reach_the_interpreter_for_writing(bench: Bench) -> None:
    link = await bench.run("sleep", "1000")
    for pid in (bench.spawner.pid, link.monitor_pid):
        # while it runs, writing fails with ETXTBSY anyway; the mount is what remains when it has ended
        assert os.statvfs(f"/proc/{pid}/exe").f_flag & os.ST_RDONLY
        with pytest.raises(OSError, match="Read-only"):
            os.chmod(f"/proc/{pid}/exe", 0o777)
    await link.signal(signal.SIGKILL)
    await link.exited


async def test_a_spawner_that_may_not_fork_refuses_and_goes_on(bench: Bench, tmp_path: Path) -> None:
    # one stands by already; there will be no other
    group = Path(f"/sys/fs/cgroup/pids/wharfie-no-fork-{os.getpid()}")
    group.mkdir()
    try:
        first = await bench.run("true")
        await first.exited
        await gone(first.monitor_pid)  # it is a child of the spawner's as well
        await until_it_stands_by(bench)
        (group / "pids.max").write_text("1")
        (group / "cgroup.procs").write_text(str(bench.spawner.pid))
        last = await bench.run("true")
        assert (await last.exited).exit_code == 0
        with pytest.raises(LaunchError, match="died while it started"):
            await bench.run("true")
        assert not bench.spawner.died.done()
        (group / "pids.max").write_text("max")
        assert (await (await bench.run("true")).exited).exit_code == 0
        assert "cannot fork" in (tmp_path / "exec/spawner.log").read_text()
    finally:
        (group.parent / "cgroup.procs").write_text(str(bench.spawner.pid))
        while (group / "cgroup.procs").read_text():
            await asyncio.sleep(0.01)  # the last monitors are on their way out
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    (group.parent / "cgroup.procs").write_text(pid)
        group.rmdir()


async def test_a_group_whose_place_is_no_longer_noted_is_found(bench: Bench) -> None:
    link = await bench.run("sleep", "1000")
    Path(link.directory, "remains").unlink()
    await link.signal(9)
    await link.exited
    assert not Path(f"/sys/fs/cgroup/memory/wharfie-test/{link.id}").exists()


async def test_a_group_with_another_in_it_is_removed(bench: Bench) -> None:
    link = await bench.run("sleep", "1000")
    group = Path(f"/sys/fs/cgroup/memory/wharfie-test/{link.id}")
    (group / "inner").mkdir()
    await link.signal(9)
    await link.exited
    assert not group.exists()


async def test_who_launched_a_container_is_gone_in_the_first_quiet_moment(bench: Bench) -> None:
    link = await bench.run("sleep", "1000")
    children = Path(f"/proc/{link.monitor_pid}/task/{link.monitor_pid}/children")
    left = children.read_text().split()
    while left != [str(link.pid)]:  # neither alive nor a zombie
        await asyncio.sleep(0.01)
        left = children.read_text().split()
    await link.signal(9)
    await link.exited


async def test_who_launched_a_container_does_not_outlive_a_killed_monitor(bench: Bench) -> None:
    link = await bench.run("sleep", "1000")
    children = Path(f"/proc/{link.monitor_pid}/task/{link.monitor_pid}/children").read_text().split()
    os.kill(link.monitor_pid, signal.SIGKILL)
    for pid in children:
        await gone(int(pid))
    await link.exited


async def until_it_stands_by(bench: Bench) -> None:
    """Wait for the spawner's next monitor and its helper."""
    children = Path(f"/proc/{bench.spawner.pid}/task/{bench.spawner.pid}/children")
    while True:
        for pid in children.read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):  # one that has ended meanwhile
                if Path(f"/proc/{pid}/task/{pid}/children").read_text().strip():
                    return
        await asyncio.sleep(0.01)
