"""Seats in networks, with a kernel that only remembers what was asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any, ClassVar

import pytest

from wharfie.errors import Conflict, Forbidden, InvalidArgument, NotFound
from wharfie.network import configuration, creating
from wharfie.network import manager as manager_module
from wharfie.network.creating import Wish
from wharfie.network.firewall import NetworkRules
from wharfie.network.manager import NetworkManager, NetworkSettings
from wharfie.network.model import Endpoint, Mode, ModeKind, NetworkInUse, NetworkNotFound, Subnet
from wharfie.network.seating import SeatWish
from wharfie.state.db import Database, StateUnwritable


class FakeBridge:
    members: ClassVar[list[str]] = []

    def __init__(self, name: str, remark: str = "") -> None:
        self.name = name

    def exists(self) -> bool:
        return True

    def interface(self) -> IPv4Interface | None:
        return None

    def ensure(self, cidrs: list[str], mtu: int, members: list[str], view: object = None) -> None:
        FakeBridge.members = members

    def remove(self) -> None:
        raise OSError(1, "no")


class FakeForeign:
    def networks(self, own: object) -> set[IPv4Network]:
        return {IPv4Network("172.17.0.0/16"), IPv4Network("0.0.0.0/0")}


class FakeFirewall:
    removed = 0

    def __init__(self, bridge: str) -> None:
        self.whole = False
        self.networks: dict[str, NetworkRules] = {}
        self.egress: dict[str, object] = {}

    def install(self, *, lone_router: bool) -> None:
        self.whole = True

    def add_network(self, rules: NetworkRules) -> None:
        self.networks[rules.bridge] = rules

    def remove_network(self, bridge: str) -> None:
        del self.networks[bridge]

    def intact(self) -> bool:
        return self.whole

    def warnings(self) -> list[str]:
        return []

    def has_siblings(self) -> bool:
        return False

    def remove(self) -> None:
        FakeFirewall.removed += 1


class FakeRouting:
    restored = 0

    def __init__(self, exec_root: str, *, wanted: bool) -> None:
        pass

    def lone(self) -> bool:
        return False

    def enable(self, *, ipv6: bool) -> None:
        pass

    def rest6(self) -> None:
        pass

    def restore(self) -> None:
        FakeRouting.restored += 1


class FakeDepartures:
    begun: ClassVar[list[str]] = []

    def begin(self, seat: Endpoint) -> None:
        FakeDepartures.begun.append(seat.host_interface)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(str(tmp_path / "state.db"))
    yield database
    database.close()


def _make(db: Database, bridge: str = "wharfie0", **options: object) -> NetworkManager:
    settings = NetworkSettings(bridge=bridge, **options)  # type: ignore[arg-type]
    made = NetworkManager(db, exec_root="/nonexistent", settings=settings)
    made.setup()
    return made


def seat(networks: NetworkManager, container: str, ref: str, **wishes: Any) -> Endpoint:
    return networks.seat(ref, SeatWish(container=container, **wishes))


@pytest.fixture
def networks(db: Database, monkeypatch: pytest.MonkeyPatch) -> NetworkManager:
    monkeypatch.setattr(manager_module, "Bridge", FakeBridge)
    monkeypatch.setattr(manager_module, "Foreign", FakeForeign)
    monkeypatch.setattr(manager_module, "Firewall", FakeFirewall)
    monkeypatch.setattr(manager_module, "Routing", FakeRouting)
    monkeypatch.setattr(manager_module, "Departures", FakeDepartures)
    return _make(db)


def test_a_seat_says_all_that_the_interface_needs(networks: NetworkManager) -> None:
    endpoint = seat(networks, "c1", "bridge", hostname="web")
    assert endpoint.interface() == {
        "host": f"veth{endpoint.id[:7]}",
        "name": "eth0",
        "bridge": "wharfie0",
        "mac": "02:42:ac:12:00:02",
        "addresses": ["172.18.0.2/16"],
        "gateway": "172.18.0.1",
        "mtu": 1500,
    }
    assert networks.endpoints("c1") == [endpoint]
    assert networks.get("bridge").members == (endpoint,)
    networks.disconnect("c1")
    assert networks.endpoints("c1") == []
    networks.disconnect("c1")


def test_seats_survive_the_daemon(networks: NetworkManager, db: Database) -> None:
    first = seat(networks, "c1", "bridge", mac="02:00:00:00:00:99")
    again = _make(db)
    assert again.endpoints("c1") == [first]
    assert first.mac == "02:00:00:00:00:99"
    assert seat(again, "c2", "bridge").address == "172.18.0.3"
    assert [network.id for network in again.list()] == [network.id for network in networks.list()]


def test_a_new_seat_replaces_the_old_one(networks: NetworkManager) -> None:
    first = seat(networks, "c1", "bridge")
    second = seat(networks, "c1", "bridge")
    assert second.address == first.address
    assert second.host_interface != first.host_interface
    assert networks.endpoints("c1") == [second]


def test_host_and_none_have_seats_without_interface(networks: NetworkManager) -> None:
    for number, network in enumerate(("host", "none", "host")):
        endpoint = seat(networks, f"c{number}", network)
        assert endpoint.interface() is None
        assert endpoint.cidr == ""
    assert len(networks.get("host").members) == 2


def test_networks_are_found_by_name_and_id(networks: NetworkManager) -> None:
    bridge = networks.get("bridge")
    assert [network.name for network in networks.list()] == ["bridge", "host", "none"]
    assert [network.driver for network in networks.list()] == ["bridge", "host", "null"]
    assert networks.get(bridge.id) == networks.get(bridge.id[:12]) == bridge
    assert bridge.options["com.docker.network.bridge.name"] == "wharfie0"
    assert (bridge.subnet, bridge.gateway) == ("172.18.0.0/16", "172.18.0.1")
    for unknown in ("mynet", "default", ""):
        with pytest.raises(NetworkNotFound, match=f"network {unknown} not found"):
            seat(networks, "c", unknown)


def test_a_prefix_of_an_id_is_enough_as_long_as_it_is_one_networks(networks: NetworkManager) -> None:
    ids = {"bridge": "ab" * 32, "host": "ac" * 32, "none": "d" * 64}
    known = networks.store.networks
    known.update({name: replace(known[name], id=identifier) for name, identifier in ids.items()})
    assert networks.get("d").name == "none"
    assert networks.get("ac").name == "host"
    with pytest.raises(
        InvalidArgument, match=r"network a is ambiguous \(2 matches found based on ID prefix\)"
    ):
        networks.get("a")


def test_a_seat_that_cannot_be_written_costs_no_address(
    networks: NetworkManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_seat: Endpoint) -> None:
        raise StateUnwritable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(networks.store, "write_endpoint", full)
        for number in range(3):
            with pytest.raises(StateUnwritable):
                seat(networks, f"c{number}", "bridge")
    addresses = [seat(networks, f"c{number}", "bridge").address for number in range(3)]
    assert addresses == ["172.18.0.2", "172.18.0.3", "172.18.0.4"]


def test_a_seat_that_went_with_its_container_is_no_error(networks: NetworkManager) -> None:
    given = seat(networks, "c", "bridge")
    networks.disconnect("c")
    other = seat(networks, "other", "bridge", ip="")
    networks.leave(given)
    assert networks.endpoints("other") == [other]
    with pytest.raises(Conflict, match="container c is not running"):
        networks.mark(given, "")


def test_what_only_named_networks_can_do_is_refused(networks: NetworkManager) -> None:
    with pytest.raises(InvalidArgument, match="IP address is supported on user defined networks only"):
        seat(networks, "c", "bridge", ip="172.18.0.9")
    with pytest.raises(InvalidArgument, match="is not a network"):
        seat(networks, "c", "container:other")


def test_recovery_frees_the_seats_of_the_dead(networks: NetworkManager, db: Database) -> None:
    kept = seat(networks, "kept", "bridge")
    seat(networks, "gone", "bridge")
    again = _make(db)
    gone = again.endpoints("gone")[0]
    again.recover({"kept"})
    assert FakeDepartures.begun[-1] == gone.host_interface
    assert again.endpoints("gone") == []
    assert again.endpoints("kept") == [kept]


def test_a_rolled_back_transaction_does_no_harm(networks: NetworkManager, db: Database) -> None:
    def refused() -> None:
        with db.transaction():
            seat(networks, "c1", "bridge")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        refused()
    # another database row took the address that memory believes free
    networks.disconnect("c1")
    other = _make(db)
    taken = seat(other, "c2", "bridge").address
    assert seat(networks, "c3", "bridge").address != taken
    assert {row[0] for row in db.rows("SELECT container FROM endpoints")} == {"c2", "c3"}


def test_teardown_tries_everything_and_tells(networks: NetworkManager) -> None:
    before = FakeFirewall.removed, FakeRouting.restored
    with pytest.raises(OSError, match="no"):
        networks.teardown()
    assert (FakeFirewall.removed, FakeRouting.restored) == (before[0] + 1, before[1] + 1)


@pytest.mark.usefixtures("networks")
def test_without_a_bridge_the_default_network_has_no_interface(db: Database) -> None:
    alone = _make(db, bridge="none")
    assert not alone.has_bridge
    assert seat(alone, "c", "bridge").interface() is None
    assert not alone.repair()


def test_repair_acts_only_when_something_is_missing(networks: NetworkManager) -> None:
    endpoint = seat(networks, "c", "bridge")
    assert not networks.repair()
    assert networks._firewall is not None
    networks._firewall.whole = False  # type: ignore[attr-defined]
    assert networks.repair()
    assert FakeBridge.members == [endpoint.host_interface]


def test_the_files_know_the_gateway_and_the_daemons_resolvers(networks: NetworkManager, db: Database) -> None:
    endpoint = seat(networks, "c", "bridge")
    content = networks.files.hosts_file(
        hostname="c", addresses=[endpoint.address], extra_hosts=["gate:host-gateway"]
    )
    assert content.decode().splitlines()[-2:] == ["172.18.0.1\tgate", "172.18.0.2\tc"]
    told = _make(
        db, dns=("10.9.9.9",), dns_search=("lan",), dns_options=("ndots:1",), host_gateway="192.0.2.1"
    )
    assert told.files.resolv_conf().endswith(b"\n\nnameserver 10.9.9.9\nsearch lan\noptions ndots:1\n")
    assert b"nameserver 1.1.1.1" in told.files.resolv_conf(dns=["1.1.1.1"])
    assert b"192.0.2.1\tgate" in told.files.hosts_file(hostname="c", extra_hosts=["gate:host-gateway"])
    assert networks.files.hostname_file("c") == b"c\n"


@pytest.mark.parametrize("name", ["", "-x", "a/b", "0123456789abcdef", "a b", "a\n"])
def test_names_that_no_bridge_can_have_are_refused(db: Database, name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid bridge name"):
        NetworkManager(db, exec_root="/nonexistent", settings=NetworkSettings(bridge=name))


def test_modes() -> None:
    assert Mode.parse("") == Mode.parse("default") == Mode(ModeKind.BRIDGE, "bridge")
    assert Mode.parse("host") == Mode(ModeKind.HOST, "host")
    assert Mode.parse("none") == Mode(ModeKind.NONE, "none")
    assert Mode.parse("container:db") == Mode(ModeKind.CONTAINER, "db")
    assert Mode.parse("mynet") == Mode(ModeKind.NAMED, "mynet")
    with pytest.raises(InvalidArgument, match="invalid container format"):
        Mode.parse("container:")


async def test_settings_for_other_networks_are_kept_and_nothing_is_made_of_them(
    networks: NetworkManager, db: Database
) -> None:
    subnet = Subnet("10.99.0.0/24")
    await networks.create(Wish(name="settings", config_only=True, subnets=(subnet,), labels={"a": "b"}))
    with pytest.raises(Forbidden, match="cannot create endpoint on configuration-only network"):
        seat(networks, "c", "settings")
    # they are in nobody's way, not even their own
    wish = configuration.applied(Wish(name="made", config_from="settings"), networks.store.networks)
    made = creating.plan(wish, networks.store.networks.values(), (), ())
    assert (made.driver, made.subnet, made.labels) == ("bridge", "10.99.0.0/24", {"a": "b"})
    networks.store.write_network(made)
    again = _make(db)
    assert (again.get("settings").driver, again.get("settings").config_only) == ("null", True)
    assert again.get("made").config_from == "settings"
    with pytest.raises(NetworkInUse, match='configuration network "settings" is in use'):
        await again.remove("settings")
    again.store.delete_network(made)
    await again.remove("settings")
    with pytest.raises(NotFound, match='configuration network "settings" does not exist'):
        await again.create(Wish(name="made", config_from="settings"))
