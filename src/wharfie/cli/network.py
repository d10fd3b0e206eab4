"""``network ls``, ``create`` and ``rm``."""

from __future__ import annotations

import sys

from wharfie.cli.context import Context, say, warn
from wharfie.cli.create_parts import pairs
from wharfie.cli.listing import FORMAT, filters, show
from wharfie.cli.options import Command
from wharfie.client.api import query, quote
from wharfie.client.errors import ApiError

LS = Command(
    "network ls [OPTIONS]",
    "List networks",
    (
        ("filter", "f", "filter", "Only those that match (name=value)"),
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
        ("attachable", "", "flag", "Let containers be attached by hand"),
        ("driver", "d", "string", 'Driver (default "bridge")'),
        ("gateway", "", "list", "Address of the subnet's gateway"),
        ("internal", "", "flag", "Without a way out"),
        ("ip-range", "", "list", "Take addresses from this part of the subnet"),
        ("ipv6", "", "flag", "Give out IPv6 addresses too"),
        ("label", "", "label", "Attach a label (name=value)"),
        ("opt", "o", "map", "Option of the driver"),
        ("subnet", "", "list", "Subnet (address/length)"),
    ),
    needs=1,
    most=1,
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
    found.sort(key=lambda one: one["Name"])
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
    pools = []
    ranges, gateways = options.get("ip-range", []), options.get("gateway", [])
    for number, subnet in enumerate(options.get("subnet", [])):
        pool = {"Subnet": subnet}
        if number < len(ranges):
            pool["IPRange"] = ranges[number]
        if number < len(gateways):
            pool["Gateway"] = gateways[number]
        pools.append(pool)
    body = {
        "Name": words[0],
        "Driver": options.get("driver", "bridge"),
        "Internal": options.get("internal", False),
        "Attachable": options.get("attachable", False),
        "EnableIPv6": options.get("ipv6", False),
        "IPAM": {"Driver": "default", "Config": pools},
        "Options": pairs(options.get("opt", [])),
        "Labels": pairs(options.get("label", [])),
    }
    say(context.api.post("/networks/create", body)["Id"])
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
