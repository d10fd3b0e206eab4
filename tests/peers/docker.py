"""A real dockerd of one's own: other roots, another socket, no bridge of the host's but its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.peers import busybox

PEERS = Path(__file__).resolve().parents[2] / ".cache" / "peers" / "root" / "usr"


def docker_cli() -> str:
    """The unmodified docker command line of this machine."""
    found = shutil.which("docker") or str(PEERS / "bin" / "docker")
    assert Path(found).exists(), "no docker command line here; bench/peers.sh fetches one"
    return found


def docker_compose() -> str:
    """Compose v2, unmodified; fetched where it is missing."""
    return _plugin("docker-compose")


def docker_buildx() -> str:
    """The plugin that the docker command line builds with, unmodified; fetched where it is missing."""
    return _plugin("docker-buildx")


def _plugin(name: str) -> str:
    found = PEERS / "libexec" / "docker" / "cli-plugins" / name
    if not found.exists():
        fetch = Path(__file__).resolve().parents[2] / "bench" / "peers.sh"
        subprocess.run([str(fetch), name], check=True)
    return str(found)


def settings(directory: Path) -> Path:
    """A directory of the docker command line's settings, with both plugins."""
    plugins = directory / "cli-plugins"
    plugins.mkdir(parents=True)
    for program in (docker_buildx(), docker_compose()):
        (plugins / Path(program).name).symlink_to(program)
    return directory


@contextmanager
def dockerd(
    state: Path,
    *,
    bridge: str = "none",
    address: str = "172.29.77.1/24",
    own_network: bool = True,
    options: Sequence[str] = (),
) -> Iterator[str]:
    """Run dockerd (the newer one when bench/peers.sh has fetched it) below ``state``; yields its -H address.

    It lives in network and mount namespaces of its own, so that its firewall rules, bridge and mounts go with
    it; without ``own_network`` it stays in the caller's. Its output goes to ``state/dockerd.log``.
    """
    daemon = PEERS / "sbin" / "dockerd"
    program = str(daemon) if daemon.exists() else shutil.which("dockerd")
    assert program, "no dockerd here; scripts/setup dev installs one"
    state.mkdir(parents=True, exist_ok=True)
    host = f"unix://{state}/docker.sock"
    environment = dict(os.environ, PATH=f"{PEERS}/bin:{PEERS}/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
    words = [
        program,
        "--data-root", str(state / "data"),
        "--exec-root", str(state / "exec"),
        "-p", str(state / "docker.pid"),
        "-H", host,
        "--bridge", bridge,
        "--iptables=" + ("false" if bridge == "none" else "true"),
        "--ip6tables=false",
        "--default-ulimit", "nofile=1024:20000",
        *options,
    ]  # fmt: skip
    namespaces = ["--net", "--mount"] if own_network else ["--mount"]
    prepare = "ip link set lo up"
    if bridge != "none":
        prepare += f"; ip link add {bridge} type bridge; ip link set {bridge} up"
        prepare += f"; ip addr add {address} dev {bridge}"
    with (state / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", f'{prepare}; exec "$@"', "sh", *words],
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        deadline = time.monotonic() + 60
        while subprocess.run([docker_cli(), "-H", host, "version"], capture_output=True).returncode:
            assert process.poll() is None, (state / "dockerd.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "dockerd did not answer within a minute"
            time.sleep(0.2)
        yield host
    finally:
        process.terminate()
        process.wait(60)


def load_busybox(host: str) -> None:
    """Import the test image as ``busybox:latest``."""
    subprocess.run(
        [
            docker_cli(),
            "-H",
            host,
            "import",
            "--change",
            'CMD ["sh"]',
            "--change",
            "ENV PATH=/bin",
            "-",
            "busybox",
        ],
        input=busybox.tarball(),
        check=True,
        capture_output=True,
    )
