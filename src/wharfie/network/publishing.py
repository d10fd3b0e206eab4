"""Published ports of containers: reserved, led by the packet filter, the rest by the porter."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence

from wharfie.network.bridge import Bridge
from wharfie.network.firewall import Firewall, PortRule
from wharfie.network.flows import Senders
from wharfie.network.model import Endpoint, NetworkUnavailable, Published, gateways
from wharfie.network.porter import Porter
from wharfie.network.ports import PortRequest, Ports
from wharfie.network.store import Store
from wharfie.support.faults import point

_ANYWHERE = ("0.0.0.0", "::")
_LOCAL = ("0.0.0.0", "127.")
_log = logging.getLogger(__name__)


def seat_of(endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """The seat whose addresses the published ports lead to: the gateway's, if that is a bridge of ours."""
    usable = [seat for seat in endpoints if seat.bridge and not seat.internal]
    four, six = gateways(usable)
    return four or six


def rules(seat: Endpoint, published: Iterable[Published]) -> list[PortRule]:
    """What the packet filter can do of them."""
    found = []
    for one in published:
        address = seat.address6 if ":" in one.host_ip else seat.address
        if address and not one.proxied:
            host_ip = "" if one.host_ip in _ANYWHERE else one.host_ip
            found.append(PortRule(one.protocol, host_ip, one.host_port, address, one.port))
    return found


class Publishing:
    """Who has which ports, and the way in."""

    def __init__(
        self,
        store: Store,
        ports: Ports,
        firewall: Firewall | None,
        porter: Porter,
        *,
        host_rules: bool = False,
    ) -> None:
        self._store = store
        self._ports = ports
        self._firewall = firewall
        self._porter = porter
        self._host_rules = host_rules
        self._senders = Senders()
        self._localnet: set[str] = set()

    def add(self, container: str, requests: Sequence[PortRequest], default_ip: str = "") -> list[Published]:
        """Publish; all or none. Raises PortInUse, InvalidArgument, NetworkUnavailable."""
        seat = seat_of(list(self._store.endpoints.get(container, {}).values()))
        if seat is None or not requests:
            return []
        if self._host_rules or self._firewall is None:
            requests = [dataclasses.replace(request, host_rules=True) for request in requests]
        made = self._ports.reserve(
            container, requests, ipv4=bool(seat.address), ipv6=bool(seat.address6), default_ip=default_ip
        )
        point("ports are reserved")
        changed = dataclasses.replace(seat, published=(*seat.published, *made))
        try:
            self._store.replace_endpoint(changed)
            self._open(changed, made)
            point("ports are open")
        except BaseException:
            self._store.replace_endpoint(seat)
            self._close(seat, made)
            self._let_go(made)
            raise
        return made

    def remove(self, container: str, published: Iterable[Published]) -> None:
        """Close these ports of a running container; raises NetworkUnavailable."""
        gone = set(published)
        for seat in list(self._store.endpoints.get(container, {}).values()):
            mine = [one for one in seat.published if one in gone]
            if mine:
                left = tuple(one for one in seat.published if one not in gone)
                self._store.replace_endpoint(dataclasses.replace(seat, published=left))
                self._close(seat, mine)
                point("ports are closed")
                self._let_go(mine)
                point("ports are let go")

    def release(self, seat: Endpoint) -> None:
        """The seat is given up, and its ports with it."""
        if seat.published:
            self._close(seat, seat.published)
            self._let_go(seat.published)

    def move(self, container: str) -> None:
        """Networks came or went: the ports belong where the gateway is now."""
        seats = list(self._store.endpoints.get(container, {}).values())
        home = seat_of(seats)
        for seat in seats:
            if not seat.published or (home is not None and seat.network_id == home.network_id):
                continue
            self._close(seat, seat.published)
            self._store.replace_endpoint(dataclasses.replace(seat, published=()))
            if home is None:
                self._let_go(seat.published)
                continue
            moved = [self._fit(one, home) for one in seat.published]
            home = dataclasses.replace(home, published=(*home.published, *moved))
            self._store.replace_endpoint(home)
            self._open(home, moved)

    def move_from(self, container: str, seat: Endpoint) -> None:
        """The container is about to leave a network: its ports there go to the next one, if there is one."""
        if not seat.published:
            return
        rest = [one for one in self._store.endpoints.get(container, {}).values() if one.id != seat.id]
        home = seat_of(rest)
        current = self._store.endpoints[container][seat.network_id]
        if home is None:
            self.remove(container, current.published)
            return
        self._close(current, current.published)
        self._store.replace_endpoint(dataclasses.replace(current, published=()))
        moved = [self._fit(one, home) for one in current.published]
        home = dataclasses.replace(home, published=(*home.published, *moved))
        self._store.replace_endpoint(home)
        self._open(home, moved)

    def adopt(self) -> None:
        """At the daemon's start: the rules and sockets of what is published already."""
        kept = self._porter.kept_ports()
        for seat in self._store.all():
            if not seat.published:
                continue
            for protocol, address, port in self._ports.adopt(seat.container, seat.published, kept):
                _log.warning("port %s/%s of %s was taken by somebody meanwhile", port, protocol, address)
            self._lead(seat, seat.published)

    def hand_over(self) -> None:
        """Give the sockets to the porter, which keeps them beyond the daemon's end."""
        items = []
        for seat in self._store.all():
            for one in seat.published:
                sock = self._ports.sockets.get(one.key)
                if sock is not None:
                    items.append((one.key, sock, _target(seat, one)))
        if items:
            self._porter.keep(items)
            point("ports are handed over")
            for key, sock, _ in items:
                self._ports.sockets.pop(key, None)
                sock.close()

    def lost(self) -> None:
        """The porter died and its sockets with it: take them anew."""
        for seat in self._store.all():
            for protocol, address, port in self._ports.adopt(seat.container, seat.published, ()):
                _log.warning("port %s/%s of %s was taken by somebody meanwhile", port, protocol, address)

    def _fit(self, one: Published, seat: Endpoint) -> Published:
        """Whether the filter can lead a port depends on the addresses of where it goes."""
        address = seat.address6 if ":" in one.host_ip else seat.address
        return dataclasses.replace(one, proxied=not address or self._host_rules)

    def _open(self, seat: Endpoint, published: Sequence[Published]) -> None:
        self._lead(seat, published)
        self._senders.forget(published)

    def _lead(self, seat: Endpoint, published: Sequence[Published]) -> None:
        if any(one.host_ip.startswith(_LOCAL) and not one.proxied for one in published):
            self._allow_localnet(seat.bridge)
        if self._firewall is not None:
            self._firewall.open(rules(seat, published))
        # a port that moved is the porter's already: it learns where that leads now
        self._porter.retarget([(one.key, _target(seat, one)) for one in published])

    def _close(self, seat: Endpoint, published: Sequence[Published]) -> None:
        if self._firewall is not None:
            try:
                self._firewall.close(rules(seat, published))
            except NetworkUnavailable as error:
                _log.warning("%s", error)
        self._senders.forget(published)

    def _let_go(self, published: Iterable[Published]) -> None:
        self._porter.drop(self._ports.release(published))

    def _allow_localnet(self, bridge: str) -> None:
        if bridge not in self._localnet:
            Bridge(bridge).route_localnet()
            self._localnet.add(bridge)

    def forget_bridge(self, bridge: str) -> None:
        """The bridge has gone, and what was set on it."""
        self._localnet.discard(bridge)


def _target(seat: Endpoint, one: Published) -> tuple[str, int]:
    """Where the porter leads a connection: by the same family if it can."""
    if ":" in one.host_ip:
        return seat.address6 or seat.address, one.port
    return seat.address or seat.address6, one.port
