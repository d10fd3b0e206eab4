"""The rules of the default bridge: one nftables table of our own per bridge, replaced as a whole.

::

    prerouting, raw   dropped: what comes from containers and lies about its source, or is for 127.0.0.0/8
                      (CVE-2020-8558), or is IPv6 (this network has none); what comes from elsewhere with
                      a container's address
    forward, filter   containers of this bridge reach each other and the outside; from outside, and from other
                      bridges, only answers come in
    postrouting, nat  containers leave with the host's address; so do hairpin connections

Tables and policies of others stay as they are. An ``accept`` here ends only this table's opinion: a chain
of somebody else that drops forwarded packets by policy (Docker sets one) still does, and
:meth:`Firewall.warnings` says so. Several daemons have several bridges, hence several tables. nft(8) has
the language.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from wharfie.linux import nft
from wharfie.linux.nft import NftError, NftMissing
from wharfie.network.model import NetworkUnavailable

_PREFIX = "wharfie"
_OWN_BRIDGE = "wharfie0"


class FirewallMissing(NetworkUnavailable):
    """This machine has no libnftables."""


def table_name(bridge: str) -> str:
    """The table of a bridge: "wharfie" for the usual one, "wharfie_br7" for another."""
    return _PREFIX if bridge == _OWN_BRIDGE else f"{_PREFIX}_{bridge}"


def ruleset(bridge: str, subnet: IPv4Network, *, masquerade: bool, lone_router: bool) -> str:
    """The commands that put the table there, whatever was there before, in one transaction.

    ``lone_router``: this machine forwarded nothing before we switched that on, so it still must not route
    between its other interfaces; bridges (of other engines) are left alone.
    """
    table = table_name(bridge)
    forward = [
        f'iifname "{bridge}" oifname "{bridge}" accept',
        f'oifname "{bridge}" ct state established,related accept',
        f'oifname "{bridge}" drop',
    ]
    if lone_router:
        forward.append('meta iifkind != "bridge" meta oifkind != "bridge" drop')
    nat = [f'ip saddr {subnet} oifname "{bridge}" ct status dnat masquerade']
    if masquerade:
        nat.append(f'ip saddr {subnet} oifname != "{bridge}" masquerade')
    chains = {
        "prerouting { type filter hook prerouting priority raw; policy accept;": [
            f'iifname "{bridge}" meta nfproto ipv6 drop',
            f'iifname "{bridge}" ip daddr 127.0.0.0/8 drop',
            f'iifname "{bridge}" ip saddr 127.0.0.0/8 drop',
            # the reverse path: an answer to this source would not leave through the bridge
            f'iifname "{bridge}" fib saddr . iif oif missing drop',
            f'iifname != {{ "{bridge}", "lo" }} ip saddr {subnet} drop',
        ],
        "forward { type filter hook forward priority filter; policy accept;": forward,
        "postrouting { type nat hook postrouting priority srcnat; policy accept;": nat,
    }
    lines = [f"add table inet {table}", f"delete table inet {table}", f"table inet {table} {{"]
    for head, rules in chains.items():
        lines += [f"  chain {head}", *(f"    {rule}" for rule in rules), "  }"]
    return "\n".join([*lines, "}", ""])


class Firewall:
    """The table of one bridge in the kernel."""

    def __init__(self, bridge: str, *, masquerade: bool = True) -> None:
        self._bridge = bridge
        self._table = table_name(bridge)
        self._masquerade = masquerade
        self._rules = 0

    def install(self, subnet: IPv4Network, *, lone_router: bool) -> None:
        """Put the table there, atomically; raises NetworkUnavailable."""
        text = ruleset(self._bridge, subnet, masquerade=self._masquerade, lone_router=lone_router)
        try:
            nft.run(text)
            self._rules = self._count()
        except NftMissing as error:
            raise FirewallMissing(str(error)) from error
        except NftError as error:
            raise NetworkUnavailable(f"the firewall of {self._bridge} cannot be set up: {error}") from error

    def intact(self) -> bool:
        """Whether the table still has as many rules as we put there."""
        return self._rules > 0 and self._count() == self._rules

    def remove(self) -> None:
        """Remove the table if it is there; raises NftError."""
        nft.run(f"add table inet {self._table}\ndelete table inet {self._table}\n")

    def has_siblings(self) -> bool:
        """Whether other bridges of ours have tables here; raises NftError."""
        return any(
            name != self._table and (name == _PREFIX or name.startswith(f"{_PREFIX}_"))
            for name in self._tables()
        )

    def warnings(self) -> list[str]:
        """Chains of others that drop forwarded packets by policy and do not know our bridge."""
        found = []
        for item in nft.query("list chains"):
            chain = item.get("chain", {})
            if chain.get("hook") != "forward" or chain.get("policy") != "drop":
                continue
            family, table = chain["family"], chain["table"]
            if family not in ("ip", "inet") or (family, table) == ("inet", self._table):
                continue
            if f'"{self._bridge}"' in nft.run(f"list table {family} {table}"):
                continue
            found.append(
                f"the chain {chain['name']} of the nftables table {family} {table} drops forwarded packets "
                f"by policy: containers on {self._bridge} reach the outside only when it accepts them "
                f"(with Docker: iptables -I DOCKER-USER -i {self._bridge} -j ACCEPT; "
                f"iptables -I DOCKER-USER -o {self._bridge} -j ACCEPT)"
            )
        return found

    def _tables(self) -> list[str]:
        return [item["table"]["name"] for item in nft.query("list tables inet") if "table" in item]

    def _count(self) -> int:
        if self._table not in self._tables():
            return 0
        return sum("rule" in item for item in nft.query(f"list table inet {self._table}"))
