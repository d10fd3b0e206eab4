"""Dozens of networks beside each other: each has its subnet, its bridge and its names, and nothing stays."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from tests import ours
from tests.kernel.network.many import Crowd
from tests.kernel.network.namespaces import in_new_netns
from wharfie.linux import nft
from wharfie.linux.rtnetlink import Netlink

COUNT = 60


def _present(engine: ours.Engine) -> dict[str, object]:
    """What networks and containers are made of."""
    with Netlink() as netlink:
        links = sorted(link.name for link in netlink.links() if link.name != engine.bridge)
        routes = sorted(route.destination for route in netlink.routes() if ":" not in route.destination)
    elements = []
    for item in nft.query("list ruleset"):
        for kind in ("set", "map"):
            if kind in item:
                elements += [f"{item[kind]['name']} {one}" for one in item[kind].get("elem", ())]
    sockets = [line for line in Path("/proc/net/tcp").read_text().splitlines() if " 0A " in line]
    return {
        "links": links,
        "routes": routes,
        "elements": sorted(elements),
        "ports": len(sockets),
        "directories": [path.name for path in (engine.state / "data" / "containers").iterdir()],
        "runs": [path.name for path in (engine.state / "exec" / "containers").iterdir()],
        "networks": engine.cli("network", "ls", "-q").stdout.split(),
    }


def test_dozens_of_networks_come_answer_and_go(tmp_path: Path) -> None:
    def work() -> None:
        with ours.engine(tmp_path, bridge="wm") as engine:
            before = _present(engine)
            crowd = Crowd(engine, COUNT, every=3)
            crowd.make()
            listed = json.loads(engine.cli("network", "inspect", *(f"net{n}" for n in range(COUNT))).stdout)
            subnets = [ipaddress.ip_network(one["IPAM"]["Config"][0]["Subnet"]) for one in listed]
            assert not any(
                one.overlaps(other) for place, one in enumerate(subnets) for other in subnets[:place]
            )
            assert [len(one["Containers"]) for one in listed] == [1, 0, 0] * (COUNT // 3)
            crowd.resolve()
            crowd.remove()
            # a veth goes with its namespace, a moment after its container
            ours.until(lambda: _present(engine) == before, "something of the networks stays")

    in_new_netns(work)
