"""Older parts of logs are compressed by the daemon, and nobody who reads them notices."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests import ours

COUNT = 3000
SCRIPT = f"read go; i=0; while [ $i -lt {COUNT} ]; do echo line $i; i=$((i + 1)); done"
LINES = [f"line {number}" for number in range(COUNT)]
LIMITS = ("max-size=30k", "max-file=50")


def start(engine: ours.Engine, name: str, driver: str, *options: str) -> Path:
    """A container that says its lines when it is told to; returns its log."""
    words = ["--log-driver", driver]
    for option in options:
        words += ["--log-opt", option]
    script = f"mkfifo /f; exec <>/f; {SCRIPT}"
    done = engine.cli("run", "-d", "--name", name, *words, "busybox", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    identifier = done.stdout.strip()
    return engine.state / "data" / "containers" / identifier / f"{identifier}-json.log"


def go(engine: ours.Engine, name: str) -> int:
    """Tell it; its process."""
    pid = int(engine.cli("inspect", "-f", "{{.State.Pid}}", name).stdout)
    fifo = Path(f"/proc/{pid}/root/f")
    ours.until(fifo.exists, "it does not come so far")
    fifo.write_bytes(b"go\n")
    return pid


def is_compressed(log: Path) -> bool:
    """Whether only the newest part is plain, and there are others."""
    names = {one.name.removeprefix(log.name) for one in log.parent.iterdir() if one.name.startswith(log.name)}
    return len(names) > 3 and all(name.endswith(".gz") for name in names - {""})


@pytest.mark.parametrize(("driver", "options"), [("json-file", ("compress=true",)), ("local", ())])
def test_a_compressed_log_is_read_as_another(
    engine: ours.Engine, driver: str, options: tuple[str, ...]
) -> None:
    log = start(engine, "packed", driver, *LIMITS, *options)
    try:
        go(engine, "packed")
        # it follows through rotations, while parts are compressed behind it
        assert engine.cli("logs", "-f", "packed").stdout.splitlines() == LINES
        ours.until(lambda: is_compressed(log), "older parts stay as they are")
        whole = b"".join(
            gzip.decompress(Path(f"{log}.{number}.gz").read_bytes())
            for number in range(len(list(log.parent.glob("*.gz"))), 0, -1)
        )
        assert whole.startswith(b'{"log":"line 0\\n","stream":"stdout","time":')
        assert engine.cli("logs", "packed").stdout.splitlines() == LINES
        assert engine.cli("logs", "--tail", "2500", "packed").stdout.splitlines() == LINES[-2500:]
        stamped = engine.cli("logs", "-t", "packed").stdout.splitlines()
        times = [line.partition(" ")[0] for line in stamped]
        since = times[COUNT // 3]
        found = engine.cli(
            "logs", "--since", since, "--until", times[COUNT // 2], "packed"
        ).stdout.splitlines()
        assert found == LINES[times.index(since) : len(times) - times[::-1].index(times[COUNT // 2])]
        # and the next start goes on with it
        engine.cli("start", "packed")
        engine.cli("kill", "packed")
        assert engine.cli("logs", "packed").stdout.splitlines() == LINES
    finally:
        engine.cli("rm", "-f", "packed")
    assert not log.parent.exists()


def test_what_was_rotated_while_no_daemon_was_there_is_compressed_by_the_next(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with ours.engine(tmp_path_factory.mktemp("k"), bridge="wlr") as engine:
        log = start(engine, "alone", "json-file", *LIMITS, "compress=true")
        pid = int(engine.cli("inspect", "-f", "{{.State.Pid}}", "alone").stdout)
        ours.until(Path(f"/proc/{pid}/root/f").exists, "it does not come so far")
        engine.kill()
        Path(f"/proc/{pid}/root/f").write_bytes(b"go\n")
        ours.until(lambda: not ours.alive(pid), "the container does not end")
        record = engine.state / "exec/containers" / log.parent.name / "exit.json"
        ours.until(record.exists, "its monitor does not close the log")
        assert not list(log.parent.glob("*.gz"))
        assert Path(f"{log}.3").exists()
        # as one leaves it that is killed at the worst time
        Path(f"{log}.packing").write_bytes(b"half")
        Path(f"{log}.2.gz").write_bytes(gzip.compress(Path(f"{log}.2").read_bytes()))
        process = engine.start()
        ours.until(lambda: is_compressed(log), "older parts stay as they are")
        assert engine.cli("logs", "alone").stdout.splitlines() == LINES
        engine.cli("rm", "-f", "alone")
        process.terminate()
        process.wait(60)


FAILED = "failed to create task for container: failed to initialize logging driver: "
IMPOSSIBLE = "compress cannot be true when max-file is less than 2 or max-size is not set"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("compress=true", "max-file=1"), IMPOSSIBLE),
        (("compress=true", "max-size=1m"), IMPOSSIBLE),
        (("compress=true", "max-size=-1", "max-file=3"), IMPOSSIBLE),
        (("compress=x",), 'strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)
def test_what_cannot_be_fails_the_start_in_docker_s_words(
    engine: ours.Engine, given: tuple[str, ...], message: str
) -> None:
    words = [word for one in given for word in ("--log-opt", one)]
    done = engine.cli("run", "--name", "wrong", *words, "busybox", "true")
    assert done.returncode == 125
    assert FAILED + message in done.stderr
    engine.cli("rm", "-f", "wrong")
