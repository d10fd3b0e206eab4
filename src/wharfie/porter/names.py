"""Who is called what, and whom a container may ask about: only those it shares a network with."""

from __future__ import annotations

import random

from wharfie.porter import wire
from wharfie.porter.wire import Question


class Seat:
    """A container in a network: its names there and its addresses."""

    __slots__ = ("addresses", "container", "names", "network", "network_name")

    def __init__(
        self, container: str, network: str, network_name: str, names: list[str], addresses: list[str]
    ) -> None:
        self.container = container
        self.network = network
        self.network_name = network_name
        self.names = [name.lower() for name in names]
        self.addresses = addresses


class Names:
    """All seats, by network and by container."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[str, list[Seat]]] = {}
        self._by_address: dict[str, dict[str, Seat]] = {}
        self._seats: dict[str, dict[str, Seat]] = {}
        self.links: dict[str, dict[str, str]] = {}
        """Names that one container alone has for others, by its id."""

    def put(self, seat: Seat) -> None:
        """A container sits here now."""
        self.take(seat.container, seat.network)
        self._seats.setdefault(seat.container, {})[seat.network] = seat
        names = self._by_name.setdefault(seat.network, {})
        for name in seat.names:
            names.setdefault(name, []).append(seat)
        for address in seat.addresses:
            self._by_address.setdefault(seat.network, {})[address] = seat

    def take(self, container: str, network: str) -> None:
        """It does so no more."""
        seats = self._seats.get(container, {})
        seat = seats.pop(network, None)
        if seat is None:
            return
        if not seats:
            del self._seats[container]
        names = self._by_name[network]
        for name in seat.names:
            names[name].remove(seat)
            if not names[name]:
                del names[name]
        for address in seat.addresses:
            self._by_address[network].pop(address, None)
        if not names:
            del self._by_name[network]
            del self._by_address[network]

    def become(self, other: Names) -> None:
        """Know what another one knows, and nothing else."""
        self._by_name, self._by_address = other._by_name, other._by_address
        self._seats, self.links = other._seats, other.links

    def networks(self, container: str) -> list[str]:
        """The networks it sits in."""
        return list(self._seats.get(container, {}))

    def find(self, container: str, name: str) -> list[Seat]:
        """Those that ``container`` knows by this name."""
        linked = self.links.get(container, {}).get(name)
        mine = self._seats.get(container, {})
        if linked is not None:
            return [seat for network, seat in self._seats.get(linked, {}).items() if network in mine]
        found: list[Seat] = []
        for network, own in mine.items():
            names = self._by_name[network]
            found += names.get(name, ())
            suffix = f".{own.network_name.lower()}"
            if name.endswith(suffix):
                found += names.get(name.removesuffix(suffix), ())
        return found

    def answer(self, container: str, question: Question) -> list[bytes] | None:
        """The records about containers; None when the question is not about them."""
        if question.kind == wire.PTR:
            address = wire.reversed_address(question.name)
            for network in self._seats.get(container, {}):
                seat = self._by_address[network].get(address)
                if seat is not None and seat.names:
                    return [wire.name_record(f"{seat.names[0]}.{seat.network_name}")]
            return None
        seats = self.find(container, question.name)
        if not seats:
            return None
        found = list(dict.fromkeys(address for seat in seats for address in seat.addresses))
        if question.kind != wire.ANY:
            wanted = {wire.A: False, wire.AAAA: True}.get(question.kind)
            found = [address for address in found if (":" in address) is wanted]
        random.shuffle(found)
        return [wire.address_record(address) for address in found]
