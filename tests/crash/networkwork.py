"""Things done to networks, ports and volumes by daemons of their own, which a fault may end at any point.

``python -m tests.crash.networkwork`` obeys (:mod:`tests.crash.orders`): each child is a whole daemon on the
same roots. It tells what it finds, goes back to where every order begins, does what the order says under its
fault, and tells what there is then.
"""

from __future__ import annotations

import glob
import io
import json
import os
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.crash import orders
from tests.crash.orders import Order
from wharfie.api.services.networks import NetworkService
from wharfie.api.services.volumes import VolumeService
from wharfie.daemon.config import load
from wharfie.daemon.wiring import RunningDaemon, serve
from wharfie.engine import seating
from wharfie.linux import nft
from wharfie.linux.rtnetlink import Netlink
from wharfie.network import live, traffic
from wharfie.network.bridge import View
from wharfie.support import faults
from wharfie.wire.base import decode
from wharfie.wire.containers import UpdateContainer
from wharfie.wire.networks import NetworkConnect, NetworkCreate, NetworkDisconnect
from wharfie.wire.volumes import VolumeCreate

DEVICE, FURTHER = "com.docker.network.bridge.name", "wcfurther"
HELD = {"com.docker.network.bridge.enable_icc": "false"}


def config(root: Path, bridge: str) -> Any:
    return load(
        ["-H", f"unix://{root}/wharfie.sock", "--data-root", f"{root}/data", "--exec-root", f"{root}/exec",
         "--pidfile", f"{root}/wharfie.pid", "--bridge", bridge, "--cgroup-parent", f"/{bridge}"]
    )  # fmt: skip


def archive() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in ("first", "second"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"kept"))
    return made.getvalue()


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


class Turn:
    """One daemon's life."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self.daemon = daemon
        self.containers = daemon.containers
        context = daemon.containers._context
        self.manager = context.networks
        self.networks = NetworkService(context.networks, daemon.containers)
        self.volumes = VolumeService(
            context.volumes, daemon.containers.volume_files, daemon.system, daemon.events
        )

    # -- what may be ended ---------------------------------------------------------------------------

    async def create(self) -> None:
        ipam = {"Config": [{"Subnet": "10.88.0.0/24"}, {"Subnet": "fd88::/64"}]}
        body = {"Name": "fresh", "EnableIPv6": True, "IPAM": ipam, "Options": {DEVICE: "wcfresh"}}
        await self.networks.create(decode(json.dumps(body).encode(), NetworkCreate))

    async def remove(self) -> None:
        await self.networks.remove("fresh")

    async def connect(self) -> None:
        asked = {"IPAMConfig": {"IPv4Address": "10.87.0.9"}, "Aliases": ["nine"], "GwPriority": 9}
        body = {"Container": "mover", "EndpointConfig": asked}
        await self.networks.connect("further", decode(json.dumps(body).encode(), NetworkConnect))

    async def disconnect(self) -> None:
        await self.networks.disconnect("further", NetworkDisconnect(container="mover"))

    async def publish(self) -> None:
        bindings = {"80/udp": [{"HostPort": "8082"}], "80/tcp": [{"HostPort": "8082"}]}
        await self.update({"PublishAdd": bindings, "PublishRemove": ["8081"]})

    async def limit(self) -> None:
        await self.update({"NetworkRate": "in=30mbit,out=20mbit"})

    async def unlimit(self) -> None:
        await self.update({"NetworkRate": "none"})

    async def update(self, body: dict[str, Any]) -> None:
        await self.containers.update("mover", decode(json.dumps(body).encode(), UpdateContainer))

    async def volume(self) -> None:
        await self.volumes.create(VolumeCreate(name="plain"))

    async def disk(self) -> None:
        await self.volumes.create(VolumeCreate(name="sized", driver_opts={"size": "2m"}))

    async def discard(self) -> None:
        await self.volumes.remove("sized", force=True)

    async def fill(self) -> None:
        await self.volumes.import_("kept", pieces(archive()))

    # -- where every order begins --------------------------------------------------------------------

    async def begin(self, order: str) -> None:
        """As it was, and with what the order needs."""
        has = {network.name for network in self.manager.list()}
        if order == "remove" and "fresh" not in has:
            await self.create()
        if order != "remove" and "fresh" in has:
            await self.remove()
        joined = "further" in self.containers.get("mover").record.networks
        if joined != (order == "disconnect"):
            await (self.disconnect() if joined else self.connect())
        bound = self.containers.get("mover").host_config.port_bindings or {}
        if any(one.host_port == "8082" for wanted in bound.values() for one in wanted or ()):
            before = {"80/tcp": [{"HostPort": "8081"}]}
            await self.update({"PublishAdd": before, "PublishRemove": ["8082", "8082/udp"]})
        await (self.limit() if order == "unlimit" else self.unlimit())
        await self.volumes.remove("plain", force=True)
        if order == "discard":
            await self.disk()
        else:
            await self.discard()
            # so that the next one drafts it again
            for template in glob.glob(f"{self.daemon.config.data_root}/volumes/.templates/*.ext4"):
                os.unlink(template)
        for file in glob.glob(f"{self.daemon.config.data_root}/volumes/kept/_data/*"):
            os.unlink(file)

    # -- what there is -------------------------------------------------------------------------------

    async def found(self) -> dict[str, Any]:
        """Catalog, kernel and files; without the names that chance gave."""
        # one thread removes devices: when it comes to this, it has done what it was asked before
        await self.manager.departures.done(lambda: None)
        mover = self.containers.get("mover")
        pid = mover.status.pid
        directory = Path(mover.directory)
        names = {
            name: f"{what} of {seat.container[:12]} in {seat.network}"
            for seat in self.manager.store.all()
            for what, name in (("veth", seat.host_interface), ("shaper", traffic.shaper(seat)))
        }
        shaped = traffic.shaped()
        view = View.now()
        indexes = {link.index: link.name for link in view.links.values()}
        return {
            "networks": sorted(network.name for network in self.manager.list()),
            "seats": sorted(
                [
                    seat.container[:12],
                    seat.network,
                    seat.address,
                    seat.phase,
                    sorted(map(str, seat.published)),
                ]
                for seat in self.manager.store.all()
            ),
            "record": sorted(name for name, _ in seating.wished(mover)),
            "bindings": str(mover.host_config.port_bindings),
            "rate": mover.host_config.network_rate,
            "devices": sorted(
                [
                    names.get(link.name, link.name),
                    indexes.get(link.master, ""),
                    link.alias,
                    link.up,
                    sorted(view.cidrs(link.index)),
                    link.index in shaped,
                ]
                for link in view.links.values()
            ),
            "inside": live.inside(pid, _interfaces),
            "rules": _rules(self.manager),
            "hosts": (directory / "hosts").read_text(),
            "resolver": (directory / "resolv.conf").read_text(),
            "resolves": _resolves(pid),
            "ports": _ports(),
            "ports6": Path("/proc/sys/net/ipv6/conf/all/forwarding").read_text(),
            "volumes": [one.name for one in self.volumes.list({}).volumes],
            "files": _files(f"{self.daemon.config.data_root}/volumes"),
        }


def _interfaces() -> list[Any]:
    view = View.now()
    with Netlink() as netlink:
        routes = [[one.destination, one.gateway] for one in netlink.routes() if one.gateway]
    return [
        sorted([link.name, link.up, sorted(view.cidrs(link.index))] for link in view.links.values()),
        sorted(routes),
    ]


def _rules(manager: Any) -> list[str]:
    """The table with all its elements, in an order of its own."""
    found = []
    for item in nft.query(f"list table inet {manager._firewall._table}"):
        for kind, value in item.items():
            value.pop("handle", None)
            elements = value.pop("elem", [])
            found += [f"{value.get('name')} {json.dumps(one, sort_keys=True)}" for one in elements]
            found.append(f"{kind} {json.dumps(value, sort_keys=True)}")
    return sorted(found)


def _ports() -> list[str]:
    found = set()
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]:
            words = line.split()
            port = int(words[1].rpartition(":")[2], 16)
            if 8080 <= port < 8090 and words[3] in ("0A", "07"):
                found.add(f"{port}/{protocol}")
    return sorted(found)


def _resolves(pid: int) -> list[bool]:
    """Whether a name of each of its networks is known inside."""
    words = ["nsenter", "-t", str(pid), "-n", "/bin/busybox", "nslookup"]
    return [
        subprocess.run([*words, name, "127.0.0.11"], capture_output=True, timeout=60).returncode == 0
        for name in ("mover", "nine")
    ]


def _files(root: str) -> list[str]:
    """All but disks and their templates: a volume's disk is made when it is first used, if not before."""
    found = [os.path.relpath(os.path.join(top, name), root)
             for top, inner, names in os.walk(root) for name in (*inner, *names)]  # fmt: skip
    return sorted(name for name in found if not name.endswith(".ext4") and name != ".templates")


async def turn(order: Order) -> None:
    """In a child: one daemon."""
    daemon = await serve(config(Path(order["root"]), order["bridge"]))
    work = Turn(daemon)
    told = {"found": await work.found()}
    await work.begin(order["work"])
    told["begun"] = await work.found()
    Path(order["told"]).write_text(json.dumps(told))
    faults.arm(order["fault"])
    await getattr(work, order["work"])()
    faults.arm("")
    told["done"] = await work.found()
    Path(order["told"]).write_text(json.dumps(told))
    await daemon.close()


if __name__ == "__main__":
    orders.serve(turn)
