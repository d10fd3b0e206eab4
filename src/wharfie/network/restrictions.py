"""Allow-lists of containers: what the packet filter holds, and what the porter is told to let names do."""

from __future__ import annotations

from collections.abc import Iterable

from wharfie.errors import NotSupported
from wharfie.network import egress
from wharfie.network.firewall import EgressRule, Firewall
from wharfie.network.model import Endpoint
from wharfie.network.porter import Porter


class Restrictions:
    """Which addresses are held to which lists."""

    def __init__(self, firewall: Firewall | None, porter: Porter) -> None:
        self._firewall = firewall
        self._porter = porter

    def apply(self, seat: Endpoint) -> None:
        """Hold a seat to its list; raises NotSupported, NetworkUnavailable."""
        found = egress.joined(*seat.egress.split(";"))
        if found is None or not seat.bridge:
            self.release(seat)
            return
        if self._firewall is None:
            raise NotSupported("an egress list needs the firewall: start the daemon without --iptables=false")
        for address in (seat.address, seat.address6):
            if address:
                self._firewall.restrict(EgressRule(address, found.prefixes, found.names))

    def release(self, seat: Endpoint) -> None:
        """Its addresses are somebody else's from now on."""
        if self._firewall is not None:
            for address in (seat.address, seat.address6):
                if address in self._firewall.egress:
                    self._firewall.release(address)

    def adopt(self, seats: Iterable[Endpoint]) -> None:
        """At the daemon's start, before the rules are made."""
        if self._firewall is None:
            return
        for seat in seats:
            found = egress.joined(*seat.egress.split(";"))
            if found is not None and seat.bridge:
                for address in (seat.address, seat.address6):
                    if address:
                        self._firewall.egress[address] = EgressRule(address, found.prefixes, found.names)
