"""Whichever of our processes is killed: no container is lost unnoticed, logs and exit codes stay true."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.kernel.monitor.bench import Client, alive, bench_in, gone
from wharfie.monitor.client import MonitorLink, SpawnerDied, reconnect

CGROUPS = Path("/sys/fs/cgroup/memory/wharfie-test")


async def test_a_killed_spawner_takes_nothing_with_it(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        link = await bench.run("sh", "-c", "echo up; read x; echo got $x; exit 7", open_stdin=True)
        os.kill(bench.spawner.pid, signal.SIGKILL)
        assert await bench.spawner.died == -signal.SIGKILL
        assert alive(link.monitor_pid)
        assert alive(link.pid)
        with pytest.raises(SpawnerDied):
            await bench.run("true")
        await bench.start_spawner()
        assert (await (await bench.run("true")).exited).exit_code == 0
        client = Client(stdin=True)
        await link.attach(client.attachment, client.theirs.fileno())
        client.handed_over()
        await client.send(b"on\n")
        assert await client.read_all() == b"got on\n"
        assert (await link.exited).exit_code == 7


DAEMON = """
import asyncio, sys
from pathlib import Path
from tests.kernel.monitor.bench import Bench

async def main():
    bench = Bench(Path(sys.argv[1]))
    await bench.start_spawner()
    first = await bench.run("sh", "-c", sys.argv[2], open_stdin=True)
    second = await bench.run("sh", "-c", "sleep 0.3; exit 9")
    print(first.directory, second.directory, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_daemon_loses_no_line_and_no_exit_code(tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; read x; echo end $x; exit 4"
    root = Path(__file__).resolve().parents[2]
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, str(tmp_path), script,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
    )  # fmt: skip
    assert daemon.stdout is not None
    first, second = (await daemon.stdout.readline()).decode().split()
    daemon.kill()
    await daemon.wait()
    ended = await reconnect(second)
    if isinstance(ended, MonitorLink):
        ended = await ended.exited
    assert ended.exit_code == 9
    link = await reconnect(first)
    assert isinstance(link, MonitorLink)
    assert link.directory == first
    assert alive(link.pid)
    await link.ping()
    client = Client(stdin=True, stdout=False, stderr=False)
    await link.attach(client.attachment, client.theirs.fileno())
    client.handed_over()
    await client.send(b"here\n")
    assert (await link.exited).exit_code == 4
    import json

    log = tmp_path / f"{link.id}-json.log"
    logged = "".join(json.loads(line)["log"] for line in log.read_text().splitlines())
    assert logged == "".join(f"line {n}\n" for n in range(3000)) + "end here\n"
    await gone(link.monitor_pid)
    again = await reconnect(first)
    assert not isinstance(again, MonitorLink)
    assert again.exit_code == 4


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_killed_monitor_is_noticed_and_its_container_killed(tmp_path: Path, stopped: bool) -> None:
    async with bench_in(tmp_path) as bench:
        link = await bench.run("sh", "-c", "sleep 1000 & sleep 1000")
        client = Client()
        handle = await link.attach(client.attachment, client.theirs.fileno())
        client.handed_over()
        if stopped:
            os.kill(link.pid, signal.SIGSTOP)
        os.kill(link.monitor_pid, signal.SIGKILL)
        record = await asyncio.wait_for(link.exited, 60)
        assert record.exit_code == 137
        assert "monitor was killed" in record.error
        assert await handle.closed == "lost"
        assert not alive(link.pid)
        assert not (CGROUPS / link.id).exists()
        found = await reconnect(link.directory)
        assert not isinstance(found, MonitorLink)
        assert found.error == record.error


async def test_a_monitor_killed_without_a_daemon_is_settled_later(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        link = await bench.run("sleep", "1000")
        link.close()
        os.kill(link.monitor_pid, signal.SIGKILL)
        await gone(link.monitor_pid)
        assert alive(link.pid)
        found = await reconnect(link.directory)
        assert not isinstance(found, MonitorLink)
        assert found.exit_code == 137
        assert not alive(link.pid)
        assert not (CGROUPS / link.id).exists()


async def test_a_pid_that_is_another_process_by_now_is_left_alone(tmp_path: Path) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "1000")
    try:
        (tmp_path / "status.json").write_text(
            f'{{"id": "x", "pid": {bystander.pid}, "start_time": 1, "cgroup": "/wharfie-test/none"}}'
        )
        found = await reconnect(str(tmp_path))
        assert not isinstance(found, MonitorLink)
        assert found.exit_code == 137
        assert bystander.returncode is None
        assert alive(bystander.pid)
    finally:
        bystander.kill()
        await bystander.wait()


async def test_nothing_was_ever_started_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await reconnect(str(tmp_path))
