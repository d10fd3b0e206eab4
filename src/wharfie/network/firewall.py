"""The rules of all our bridges: one nftables table of our own, put there as a whole.

::

    prerouting, raw    dropped: what comes from containers and lies about its source, is for 127.0.0.0/8
                       (CVE-2020-8558), or is IPv6 where the network has none; what comes from elsewhere with
                       a container's address
    prerouting, nat    published ports lead to their containers, from outside and from containers; what is
    output, nat        for 127.0.0.0/8 only when it comes from this machine
    forward, filter    a network's containers reach the outside; in come answers and what a published port let
                       in; nothing goes from one bridge to another, nor in or out of an internal one
    input, forward     containers with an allow-list reach what is on it
    postrouting, nat   containers leave with the host's address; so do connections to published ports that
                       come from containers and from 127.0.0.1, whose answers would not come back otherwise

Rules are the same for one network and for a thousand: what differs is in sets, and changes by single
elements (:mod:`wharfie.linux.nfsets`). Tables and policies of others stay as they are. An ``accept`` here
ends only this table's opinion: a chain of somebody else that drops forwarded packets by policy (Docker sets
one) still does, and :meth:`Firewall.warnings` says so. Several daemons have a table each. nft(8) has the
language.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from wharfie.linux import nfsets, nft
from wharfie.linux.netlink import Request
from wharfie.linux.nft import NftError, NftMissing
from wharfie.network.model import NetworkUnavailable

_Change = Callable[[str, str, Sequence[bytes]], list[Request]]
_PREFIX = "wharfie"
_OWN_BRIDGE = "wharfie0"
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}
EGRESS_GROUP = 7777
"""The nflog group that refused packets are reported to."""


class FirewallMissing(NetworkUnavailable):
    """This machine has no libnftables."""


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """What the rules must know of one bridge."""

    bridge: str
    subnets: tuple[str, ...]
    internal: bool = False
    masquerade: bool = True
    host_address: str = ""
    """The address that its containers leave with, instead of the one the route chooses."""

    @property
    def ipv6(self) -> bool:
        """Whether IPv6 is let through."""
        return any(":" in subnet for subnet in self.subnets)


@dataclass(frozen=True, slots=True)
class PortRule:
    """A published port: ``host_ip`` is empty for all addresses of the container address's family."""

    protocol: str
    host_ip: str
    host_port: int
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class EgressRule:
    """A container's address that reaches nothing but ``allowed`` (prefixes) and what ``names`` stand for."""

    address: str
    allowed: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def table_name(bridge: str) -> str:
    """The table of a daemon, by its default bridge: "wharfie" for the usual one, "wharfie_br7" for br7."""
    return _PREFIX if bridge == _OWN_BRIDGE else f"{_PREFIX}_{bridge}"


_SETS = """
  set bridges { type ifname; }
  set bridges6 { type ifname; }
  set pairs { type ifname . ifname; }
  set internal { type ifname; }
  set subnets4 { type ipv4_addr; flags interval; }
  set subnets6 { type ipv6_addr; flags interval; }
  set masquerade4 { type ipv4_addr; flags interval; }
  set masquerade6 { type ipv6_addr; flags interval; }
  map leave4 { type ipv4_addr : ipv4_addr; flags interval; }
  map ports4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
  map ports6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }
  map anywhere4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map anywhere6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
  set egress4 { type ipv4_addr; }
  set egress6 { type ipv6_addr; }
  set allowed4 { type ipv4_addr . ipv4_addr; flags interval; }
  set allowed6 { type ipv6_addr . ipv6_addr; flags interval; }
  set answered4 { type ipv4_addr . ipv4_addr; flags timeout; }
  set answered6 { type ipv6_addr . ipv6_addr; flags timeout; }
"""
_PUBLISHED = """
    meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . ip daddr . th dport map @ports4
    meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @anywhere4
    meta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . ip6 daddr . th dport map @ports6
    meta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . th dport map @anywhere6
"""
_CHAINS = """
  chain raw_prerouting {
    type filter hook prerouting priority raw; policy accept;
    meta pkttype other accept comment "between two ports of one bridge (br_netfilter)"
    iifname @bridges goto from_containers
    iifname != "lo" ip saddr @subnets4 drop
    iifname != "lo" ip6 saddr @subnets6 drop
  }
  chain from_containers {
    meta nfproto ipv6 goto from_containers6
    ip daddr 127.0.0.0/8 drop
    ip saddr 127.0.0.0/8 drop
    fib saddr . iif oif missing drop
  }
  chain from_containers6 {
    iifname != @bridges6 drop
    ip6 saddr { ::, fe80::/10 } accept
    fib saddr . iif oif missing drop
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr 127.0.0.0/8 return
    ip6 daddr ::1 return
$published
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ip6 daddr ::1 return
$published
  }
$input
  chain forward {
    type filter hook forward priority filter; policy accept;
    oifname @bridges ct state established,related accept
    iifname . oifname @pairs accept
    ip saddr @egress4 jump egress
    ip6 saddr @egress6 jump egress
    iifname @internal drop
    oifname @internal drop
    oifname @bridges ct status dnat accept
    oifname @bridges drop
$lone
  }
  chain egress {
    ct state established,related return
    ip saddr . ip daddr @allowed4 return
    ip6 saddr . ip6 daddr @allowed6 return
    ip saddr . ip daddr @answered4 return
    ip6 saddr . ip6 daddr @answered6 return
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } return
    limit rate 20/second log group $group snaplen 64
    reject with icmpx admin-prohibited
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname @bridges ct status dnat ip saddr @subnets4 masquerade
    oifname @bridges ct status dnat ip saddr 127.0.0.0/8 masquerade
    oifname @bridges ct status dnat ip6 saddr @subnets6 masquerade
    oifname != @bridges snat ip to ip saddr map @leave4
    oifname != @bridges ip saddr @masquerade4 masquerade
    oifname != @bridges ip6 saddr @masquerade6 masquerade
  }
"""

_INPUT = """
  chain input {
    type filter hook input priority filter; policy accept;
    iifname @bridges ip saddr @egress4 jump egress
    iifname @bridges ip6 saddr @egress6 jump egress
  }
"""
"""Looked at for every packet that this machine gets, so there only when somebody has an allow-list."""


def ruleset(table: str, *, lone_router: bool, restricted: bool, elements: dict[str, list[str]]) -> str:
    """The commands that put the table there, whatever was there before, in one transaction.

    ``lone_router``: this machine forwarded nothing before we switched that on, so it still must not route
    between its other interfaces; bridges (of other engines) are left alone. ``restricted``: somebody has an
    allow-list.
    """
    lone = '    meta iifkind != "bridge" meta oifkind != "bridge" drop' if lone_router else ""
    chains = _CHAINS.replace("$published", _PUBLISHED).replace("$lone", lone)
    chains = chains.replace("$input", _INPUT if restricted else "")
    chains = chains.replace("$group", str(EGRESS_GROUP))
    text = f"add table inet {table}\ndelete table inet {table}\ntable inet {table} {{{_SETS}{chains}}}\n"
    for name, found in elements.items():
        if found:
            text += f"add element inet {table} {name} {{ {', '.join(found)} }}\n"
    return text


class Firewall:
    """The table of one daemon in the kernel, and what is to be in its sets."""

    def __init__(self, bridge: str) -> None:
        self._table = table_name(bridge)
        self._changes = nfsets.Changes()
        self._rules = 0
        self._lone_router = False
        self._restricted = False
        self.networks: dict[str, NetworkRules] = {}
        self.ports: set[PortRule] = set()
        self.egress: dict[str, EgressRule] = {}

    # -- as a whole --------------------------------------------------------------------------------

    def install(self, *, lone_router: bool) -> None:
        """Put the table there, atomically; raises NetworkUnavailable."""
        self._lone_router = lone_router
        try:
            elements = {**self._elements(), **self._openings()}
            restricted = bool(self.egress)
            nft.run(ruleset(self._table, lone_router=lone_router, restricted=restricted, elements=elements))
            self._restricted = restricted
            self._rules = self._count()
        except NftMissing as error:
            raise FirewallMissing(str(error)) from error
        except NftError as error:
            raise NetworkUnavailable(f"the firewall of the containers cannot be set up: {error}") from error

    def intact(self) -> bool:
        """Whether the table still has as many rules as we put there."""
        return self._rules > 0 and self._count() == self._rules

    def remove(self) -> None:
        """Remove the table if it is there; raises NftError."""
        nft.run(f"add table inet {self._table}\ndelete table inet {self._table}\n")
        self._rules = 0

    def has_siblings(self) -> bool:
        """Whether other daemons of ours have tables here; raises NftError."""
        return any(
            name != self._table and (name == _PREFIX or name.startswith(f"{_PREFIX}_"))
            for name in self._tables()
        )

    def warnings(self) -> list[str]:
        """Chains of others that drop forwarded packets by policy and do not know our bridges."""
        found = []
        for item in nft.query("list chains"):
            chain = item.get("chain", {})
            if chain.get("hook") != "forward" or chain.get("policy") != "drop":
                continue
            family, table = chain["family"], chain["table"]
            if family not in ("ip", "inet") or (family, table) == ("inet", self._table):
                continue
            text = nft.run(f"list table {family} {table}")
            bridge = next((name for name in self.networks if f'"{name}"' not in text), "")
            if not bridge:
                continue
            found.append(
                f"the chain {chain['name']} of the nftables table {family} {table} drops forwarded packets "
                f"by policy: containers on {bridge} reach the outside only when it accepts them "
                f"(with Docker: iptables -I DOCKER-USER -i {bridge} -j ACCEPT; "
                f"iptables -I DOCKER-USER -o {bridge} -j ACCEPT)"
            )
        return found

    # -- by element --------------------------------------------------------------------------------

    def add_network(self, rules: NetworkRules) -> None:
        """Know a bridge; raises NetworkUnavailable."""
        old = self.networks.get(rules.bridge)
        self.networks[rules.bridge] = rules
        if old is None:
            self._change(nfsets.add, _network_elements(rules))
        elif old != rules:
            self._reinstall()

    def remove_network(self, bridge: str) -> None:
        """Forget a bridge; raises NetworkUnavailable."""
        rules = self.networks.pop(bridge, None)
        if rules is not None:
            self._change(nfsets.delete, _network_elements(rules))

    def open(self, ports: Iterable[PortRule]) -> None:
        """Lead published ports to their containers; raises NetworkUnavailable."""
        fresh = [port for port in ports if port not in self.ports]
        self.ports.update(fresh)
        self._change(nfsets.add, _port_elements(fresh))

    def close(self, ports: Iterable[PortRule]) -> None:
        """The opposite."""
        gone = [port for port in ports if port in self.ports]
        self.ports.difference_update(gone)
        self._change(nfsets.delete, _port_elements(gone))

    def restrict(self, rule: EgressRule) -> None:
        """Hold an address to its allow-list; raises NetworkUnavailable.

        What DNS answered for another list, or to another container, counts no more.
        """
        if self.egress.get(rule.address) == rule:
            return
        self.release(rule.address)
        self.egress[rule.address] = rule
        if self._restricted:
            self._change(nfsets.add, _egress_elements(rule))
        else:
            self._reinstall()

    def release(self, address: str) -> None:
        """Let an address go anywhere again; raises NetworkUnavailable."""
        rule = self.egress.pop(address, None)
        if rule is not None:
            self._change(nfsets.delete, _egress_elements(rule))
        self._forget_answers(address)

    def _forget_answers(self, address: str) -> None:
        if not self._rules:
            return
        target = f"answered{6 if ':' in address else 4}"
        own = nfsets.address(address)
        try:
            found = nft.query(f"list set inet {self._table} {target}")
        except NftError:
            self._reinstall()
            return
        answers = [one["elem"]["val"]["concat"] for item in found for one in item["set"].get("elem", ())]
        for source, destination in answers:
            if nfsets.address(source) != own:
                continue
            element = nfsets.element(own + nfsets.address(destination))
            try:
                self._changes.apply(nfsets.delete(self._table, target, [element]))
            except FileNotFoundError:
                continue  # its time was over meanwhile
            except OSError:
                self._reinstall()
                return

    def _openings(self) -> dict[str, list[str]]:
        """What names stand for now, with the time that is left of each: it outlives the daemon's restart."""
        found: dict[str, list[str]] = {}
        for name, family in (("answered4", 4), ("answered6", 6)):
            if not any((":" in address) == (family == 6) for address in self.egress):
                continue
            try:
                listed = nft.query(f"list set inet {self._table} {name}")
            except NftError:
                continue  # there is no table yet, or not any more
            elements = [one["elem"] for item in listed for one in item["set"].get("elem", ())]
            found[name] = [
                f"{' . '.join(one['val']['concat'])} timeout {one['timeout']}s expires {one['expires']}s"
                for one in elements
                if one["val"]["concat"][0] in self.egress and one.get("expires")
            ]
        return found

    def _change(self, change: _Change, elements: dict[str, list[bytes]]) -> None:
        if not self._rules:
            return
        try:
            self._changes.apply(
                [one for name, found in elements.items() for one in change(self._table, name, found)]
            )
        except OSError:
            # somebody has been at our table: put it back whole, which is what was wanted
            self._reinstall()

    def _reinstall(self) -> None:
        if self._rules:
            self.install(lone_router=self._lone_router)

    def _elements(self) -> dict[str, list[str]]:
        """All elements as nft(8) writes them."""
        found: dict[str, list[str]] = {}

        def put(name: str, text: str) -> None:
            found.setdefault(name, []).append(text)

        for rules in self.networks.values():
            bridge = f'"{rules.bridge}"'
            put("bridges", bridge)
            put("pairs", f"{bridge} . {bridge}")
            if rules.ipv6:
                put("bridges6", bridge)
            if rules.internal:
                put("internal", bridge)
            for subnet in rules.subnets:
                family = 6 if ":" in subnet else 4
                put(f"subnets{family}", subnet)
                if _masqueraded(rules):
                    put(f"masquerade{family}", subnet)
                if rules.host_address and family == 4 and not rules.internal:
                    put("leave4", f"{subnet} : {rules.host_address}")
        for port in self.ports:
            put(*_port_text(port))
        for rule in self.egress.values():
            family = 6 if ":" in rule.address else 4
            put(f"egress{family}", rule.address)
            for cidr in _of_family(rule):
                put(f"allowed{family}", f"{rule.address} . {cidr}")
        return found

    def _tables(self) -> list[str]:
        return [item["table"]["name"] for item in nft.query("list tables inet") if "table" in item]

    def _count(self) -> int:
        if self._table not in self._tables():
            return 0
        return sum("rule" in item for item in nft.query(f"list table inet {self._table}"))


def _masqueraded(rules: NetworkRules) -> bool:
    return rules.masquerade and not rules.internal


def _network_elements(rules: NetworkRules) -> dict[str, list[bytes]]:
    bridge = nfsets.name(rules.bridge)
    found = {"bridges": [nfsets.element(bridge)], "pairs": [nfsets.element(bridge + bridge)]}
    if rules.ipv6:
        found["bridges6"] = [nfsets.element(bridge)]
    if rules.internal:
        found["internal"] = [nfsets.element(bridge)]
    for subnet in rules.subnets:
        family = 6 if ":" in subnet else 4
        found.setdefault(f"subnets{family}", []).extend(nfsets.interval(subnet))
        if _masqueraded(rules):
            found.setdefault(f"masquerade{family}", []).extend(nfsets.interval(subnet))
        if rules.host_address and family == 4 and not rules.internal:
            leave = nfsets.interval(subnet, nfsets.address(rules.host_address))
            found.setdefault("leave4", []).extend(leave)
    return found


def _port_elements(ports: Sequence[PortRule]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for rule in ports:
        family = 6 if ":" in rule.address else 4
        key = nfsets.protocol(PROTOCOLS[rule.protocol])
        key += nfsets.address(rule.host_ip) if rule.host_ip else b""
        key += nfsets.port(rule.host_port)
        data = nfsets.address(rule.address) + nfsets.port(rule.port)
        name = f"ports{family}" if rule.host_ip else f"anywhere{family}"
        found.setdefault(name, []).append(nfsets.element(key, data))
    return found


def _port_text(rule: PortRule) -> tuple[str, str]:
    family = 6 if ":" in rule.address else 4
    target = f"{rule.address} . {rule.port}"
    if rule.host_ip:
        return f"ports{family}", f"{rule.protocol} . {rule.host_ip} . {rule.host_port} : {target}"
    return f"anywhere{family}", f"{rule.protocol} . {rule.host_port} : {target}"


def _of_family(rule: EgressRule) -> list[str]:
    return [cidr for cidr in rule.allowed if (":" in cidr) == (":" in rule.address)]


def _egress_elements(rule: EgressRule) -> dict[str, list[bytes]]:
    family = 6 if ":" in rule.address else 4
    own = nfsets.address(rule.address)
    found = {f"egress{family}": [nfsets.element(own)]}
    for cidr in _of_family(rule):
        first, last = nfsets.span(cidr)
        found.setdefault(f"allowed{family}", []).append(nfsets.element(own + first, end=own + last))
    return found
