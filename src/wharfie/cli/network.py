"""``network ls``, ``create``, ``connect``, ``disconnect`` and ``rm``."""

from __future__ import annotations

import sys
from typing import Any

from wharfie.cli.context import Context, say, warn
from wharfie.cli.create_parts import pairs
from wharfie.cli.errors import CommandError
from wharfie.cli.listing import FORMAT, filters, show
from wharfie.cli.options import Command
from wharfie.cli.table import natural
from wharfie.client.api import query, quote
from wharfie.client.errors import ApiError

LS = Command(
    "network ls [OPTIONS]",
    "List networks",
    (
        ("filter", "f", "filter", "Only those that match: dangling, driver, id, label, name, scope, type"),
        FORMAT,
        ("no-trunc", "", "flag", "Do not shorten"),
        ("quiet", "q", "flag", "Print ids only"),
    ),
    most=0,
    aliases="network ls, network list",
)
CREATE = Command(
    "network create [OPTIONS] NETWORK",
    "Make a network",
    (
        ("aux-address", "", "map", "Address that something else has (name=address)"),
        ("attachable", "", "flag", "Let containers be attached by hand"),
        ("config-from", "", "string", "Make it by the settings of this network"),
        ("config-only", "", "flag", "Keep settings for other networks, and make nothing"),
        ("driver", "d", "string", 'Driver (default "bridge")'),
        ("egress", "", "string", "What its containers may reach, and nothing else (allow=…)"),
        ("gateway", "", "list", "Address of the subnet's gateway"),
        ("ingress", "", "flag", ""),
        ("internal", "", "flag", "Without a way out"),
        ("ip-range", "", "list", "Take addresses from this part of the subnet"),
        ("ipam-driver", "", "string", 'Who gives out addresses (default "default")'),
        ("ipam-opt", "", "map", "Option of that"),
        ("ipv4", "", "flag", "Give out IPv4 addresses (default true)"),
        ("ipv6", "", "flag", "Give out IPv6 addresses too"),
        ("label", "", "label", "Attach a label (name=value)"),
        ("network-rate", "", "string", "How fast its containers may receive and send (in=…,out=…)"),
        ("opt", "o", "map", "Option of the driver"),
        ("scope", "", "string", "Scope of the network (local)"),
        ("subnet", "", "list", "Subnet (address/length)"),
    ),
    needs=1,
    most=1,
)
CONNECT = Command(
    "network connect [OPTIONS] NETWORK CONTAINER",
    "Put a container into a network",
    (
        ("alias", "", "list", "Another name of the container there"),
        ("driver-opt", "", "map", "Option of the driver"),
        ("gw-priority", "", "int", "The network with the highest one has the default route"),
        ("ip", "", "string", "IPv4 address"),
        ("ip6", "", "string", "IPv6 address"),
        ("link", "", "link", "Know another container by a name (container:alias)"),
        ("link-local-ip", "", "list", "Link-local address"),
    ),
    needs=2,
    most=2,
)
DISCONNECT = Command(
    "network disconnect [OPTIONS] NETWORK CONTAINER",
    "Take a container out of a network",
    (("force", "f", "flag", "Even if the container cannot be found"),),
    needs=2,
    most=2,
)
REMOVE = Command(
    "network rm NETWORK [NETWORK...]",
    "Remove networks",
    (("force", "f", "flag", "It is no error when a network does not exist"),),
    needs=1,
    aliases="network rm, network remove",
)
_COLUMNS = [("ID", "NETWORK ID"), ("Name", "NAME"), ("Driver", "DRIVER"), ("Scope", "SCOPE")]


def ls(context: Context, arguments: list[str]) -> int:
    """``network ls``."""
    options, _ = LS.parse(arguments)
    found = context.api.get("/networks" + query(filters=filters(options.get("filter")))) or []
    found.sort(key=lambda one: natural(one["Name"]))
    whole = options.get("no-trunc", False)
    rows = []
    for one in found:
        labels = one.get("Labels") or {}
        rows.append(
            {
                "CreatedAt": one.get("Created", ""),
                "Driver": one.get("Driver", ""),
                "ID": one["Id"] if whole else one["Id"][:12],
                "IPv6": str(bool(one.get("EnableIPv6"))).lower(),
                "Internal": str(bool(one.get("Internal"))).lower(),
                "Label": lambda name, labels=labels: labels.get(name, ""),
                "Labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
                "Name": one["Name"],
                "Scope": one.get("Scope", "local"),
            }
        )
    if options.get("quiet"):
        sys.stdout.write("".join(f"{row['ID']}\n" for row in rows))
        return 0
    show(rows, _COLUMNS, options.get("format") or context.settings.get("networksFormat"))
    return 0


def create(context: Context, arguments: list[str]) -> int:
    """``network create``."""
    options, words = CREATE.parse(arguments)
    try:
        pools = _pools(options)
    except ValueError as error:
        raise CommandError(str(error)) from None
    driver_options = pairs(options.get("opt", []))
    for name, key in (("network-rate", "wharfie.rate"), ("egress", "wharfie.egress")):
        if name in options:
            driver_options[key] = options[name]
    body = {
        "Name": words[0],
        "Driver": options.get("driver", "bridge"),
        "Scope": options.get("scope", ""),
        "Internal": options.get("internal", False),
        "ConfigOnly": options.get("config-only", False),
        "ConfigFrom": {"Network": options.get("config-from", "")},
        "Ingress": options.get("ingress", False),
        "Attachable": options.get("attachable", False),
        "IPAM": {
            "Driver": options.get("ipam-driver", "default"),
            "Options": pairs(options.get("ipam-opt", [])),
            "Config": pools,
        },
        "Options": driver_options,
        "Labels": pairs(options.get("label", [])),
    }
    for name, key in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if name in options:
            body[key] = options[name]
    say(context.api.post("/networks/create", body)["Id"])
    return 0


def _pools(options: dict[str, Any]) -> list[dict[str, Any]]:
    """Each range, gateway and auxiliary address belongs to the subnet that holds it; raises ValueError."""
    from ipaddress import ip_network

    subnets = options.get("subnet", [])
    ranges, gateways = options.get("ip-range", []), options.get("gateway", [])
    if len(subnets) < max(len(ranges), len(gateways)):
        raise ValueError("every ip-range or gateway must have a corresponding subnet")
    pools: dict[str, dict[str, Any]] = {subnet: {"Subnet": subnet} for subnet in subnets}
    known = []
    for subnet in subnets:
        try:
            known.append((ip_network(subnet, strict=False), pools[subnet]))
        except ValueError:
            continue  # the daemon says what is wrong with it
    for place, (one, _) in enumerate(known):
        if any(one.version == other.version and one.overlaps(other) for other, _ in known[:place]):
            raise ValueError("multiple overlapping subnet configuration is not supported")
    for texts, what, field in ((ranges, "range", "IPRange"), (gateways, "gateway", "Gateway")):
        for text in texts:
            pool = _home(text, what, known)
            if field in pool:
                raise ValueError(
                    f"cannot configure multiple {what}s ({text}, {pool[field]}) on the same subnet "
                    f"({pool['Subnet']})"
                )
            pool[field] = text
    for name, text in pairs(options.get("aux-address", [])).items():
        _home(text, "aux-address", known).setdefault("AuxiliaryAddresses", {})[name] = text
    return list(pools.values())


def _home(text: str, what: str, known: list[tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    """The subnet that holds an address or a range; raises ValueError."""
    from ipaddress import ip_address

    address, slash, _length = text.partition("/")
    try:
        first = ip_address(address)
    except ValueError:
        first = None
    if what == "range" and (first is None or not slash):
        raise ValueError(f"invalid CIDR address: {text}")
    for network, pool in known:
        if first is not None and first in network:
            return pool
    raise ValueError(f"no matching subnet for {what} {text}")


def connect(context: Context, arguments: list[str]) -> int:
    """``network connect``."""
    options, words = CONNECT.parse(arguments)
    settings: dict[str, Any] = {}
    ipam = {
        field: options[name]
        for name, field in (("ip", "IPv4Address"), ("ip6", "IPv6Address"), ("link-local-ip", "LinkLocalIPs"))
        if name in options
    }
    if ipam:
        settings["IPAMConfig"] = ipam
    for name, field in (("alias", "Aliases"), ("link", "Links"), ("gw-priority", "GwPriority")):
        if name in options:
            settings[field] = options[name]
    if "driver-opt" in options:
        settings["DriverOpts"] = pairs(options["driver-opt"])
    body = {"Container": words[1], "EndpointConfig": settings}
    context.api.post(f"/networks/{quote(words[0])}/connect", body)
    return 0


def disconnect(context: Context, arguments: list[str]) -> int:
    """``network disconnect``."""
    options, words = DISCONNECT.parse(arguments)
    body = {"Container": words[1], "Force": options.get("force", False)}
    context.api.post(f"/networks/{quote(words[0])}/disconnect", body)
    return 0


def remove(context: Context, arguments: list[str]) -> int:
    """``network rm``."""
    options, words = REMOVE.parse(arguments)
    code = 0
    for word in words:
        try:
            context.api.call("DELETE", f"/networks/{quote(word)}")
        except ApiError as error:
            if options.get("force") and error.status == 404:
                continue
            warn(str(error))
            code = 1
        else:
            say(word)
    return code
