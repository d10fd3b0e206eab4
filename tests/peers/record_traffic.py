"""The table of real connections on real Docker: what it gave, and why ours is to give something else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.kernel.network import traffic
from tests.kernel.network.laboratory import HOST_OUTSIDE, uplink
from tests.kernel.network.namespaces import Peer, in_new_netns
from tests.peers import docker

PATH = Path(__file__).parent / "recordings" / "traffic.json"


def reason(case: traffic.Case) -> str:
    """Why Docker's answer is another one; empty where it is not."""
    asker, protocol, target, port, seen = case
    if asker == "outside" and port == 80 and seen is None and target != "10.93.0.10":
        return "before version 28, who knew the way reached a published port by the container's own address"
    if protocol == "udp" and asker in ("d1", "d2", "u1", "u2") and target == HOST_OUTSIDE and port % 100 == 0:
        return "its userland proxy answers a container under another address than it was asked at"
    return ""


def main() -> int:
    """Record; how many answers there are."""
    with tempfile.TemporaryDirectory(prefix="peer-") as state:

        def work() -> None:
            with Peer() as server:
                uplink(server)
                traffic.outside(server)
                with docker.dockerd(
                    Path(state),
                    bridge="whpeer0",
                    address="172.17.0.1/16",
                    own_network=False,
                    options=["--experimental", "--ip6tables=true"],
                ) as host:
                    docker.load_busybox(host)
                    found = traffic.play([docker.docker_cli(), "-H", host], server)
                    PATH.write_text(json.dumps({"cases": list(found.items())}, indent=0) + "\n")

        in_new_netns(work)
    return len(json.loads(PATH.read_text())["cases"])


if __name__ == "__main__":
    main()
