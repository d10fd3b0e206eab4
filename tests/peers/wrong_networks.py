"""Networks that cannot be, seats that cannot be had, lists that cannot be made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Requests = list[tuple[str, str, Any]]
SUBNET = "10.71.0.0/24"
_BRIDGE = "com.docker.network.bridge"
BODIES: dict[str, Any] = {
    "no name": {"Name": ""},
    "a blank name": {"Name": "  "},
    "no body": None,
    "half a body": '{"Name": "bad"',
    "a list for a body": "[]",
    "a number for a name": {"Name": 5},
    "a name that is taken": {"Name": "base"},
    "the name bridge": {"Name": "bridge"},
    "the name host": {"Name": "host"},
    "the name none": {"Name": "none"},
    "the name default": {"Name": "default"},
    "no such driver": {"Name": "bad", "Driver": "nosuch"},
    "a second host network": {"Name": "bad", "Driver": "host"},
    "a second null network": {"Name": "bad", "Driver": "null"},
    "an overlay without a swarm": {"Name": "bad", "Driver": "overlay"},
    "the scope swarm": {"Name": "bad", "Scope": "swarm"},
    "no such IPAM driver": {"Name": "bad", "IPAM": {"Driver": "nosuch"}},
    "IPAM that is a word": {"Name": "bad", "IPAM": "x"},
    "ingress without a swarm": {"Name": "bad", "Ingress": True, "Driver": "overlay"},
    "a macvlan without its device": {"Name": "bad", "Driver": "macvlan", "Options": {"parent": "nosuch0"}},
    "a macvlan of no mode": {
        "Name": "bad", "Driver": "macvlan", "Options": {"parent": "lo", "macvlan_mode": "nosuch"},
    },
}  # fmt: skip
SUBNETS = (
    "x", "10.71.0.0", "10.71.0.0/33", "10.71.0.0/x", "/24", "10.71.0.5/24", "10.71.0.0/32", "10.71.0.0/31",
    "10.70.0.0/16", "10.70.0.0/25", "10.70.0.0/24", "fd71::/64", "fd71::/129", "10.71.0/24", " 10.71.0.0/24",
    "10.71.0.0/-1", "010.071.0.0/24", "10.71.0.0/24/24", "1.2.3/x",
)  # fmt: skip
CONFIGS: dict[str, list[dict[str, Any]]] = {
    **{
        f"the range {text}": [{"Subnet": SUBNET, "IPRange": text}]
        for text in ("x", "10.71.0.0", "10.71.0.0/16", "10.72.0.0/25", "10.71.0.5/25", "fd71::/64",
                     "10.71.0.0/33")
    },
    **{
        f"the gateway {text}": [{"Subnet": SUBNET, "Gateway": text}]
        for text in ("x", "10.72.0.1", "fd71::1", "10.71.0.1/24", "10.71.0.256", "10.71.0.0", "10.71.0.255")
    },
    **{
        f"the auxiliary address {text}": [{"Subnet": SUBNET, "AuxiliaryAddresses": {"a": text}}]
        for text in ("x", "10.72.0.1", "fd71::1", "10.71.0.256", "")
    },
    # each of a subnet of its own: what Docker refuses so late it keeps as taken
    "a gateway that is the network": [{"Subnet": "10.74.0.0/24", "Gateway": "10.74.0.0"}],
    "a gateway that is everybody": [{"Subnet": "10.74.1.0/24", "Gateway": "10.74.1.255"}],
    "an auxiliary address that is the gateway's": [
        {"Subnet": "10.74.2.0/24", "Gateway": "10.74.2.9", "AuxiliaryAddresses": {"a": "10.74.2.9"}}
    ],
    "an auxiliary address that would be the gateway's": [
        {"Subnet": "10.74.3.0/24", "AuxiliaryAddresses": {"a": "10.74.3.1"}}
    ],
    "an auxiliary address twice": [
        {"Subnet": "10.74.4.0/24", "AuxiliaryAddresses": {"a": "10.74.4.9", "b": "10.74.4.9"}}
    ],
    "an auxiliary address that is the network": [
        {"Subnet": "10.74.5.0/24", "AuxiliaryAddresses": {"a": "10.74.5.0"}}
    ],
    "the same subnet twice": [{"Subnet": SUBNET}, {"Subnet": SUBNET}],
    "a subnet in another": [{"Subnet": "10.71.0.0/16"}, {"Subnet": "10.71.5.0/24"}],
    "one subnet of two taken": [{"Subnet": SUBNET}, {"Subnet": "10.70.0.0/24"}],
    "a range without a subnet": [{"IPRange": "10.71.0.0/25"}],
    "an auxiliary address without a subnet": [{"AuxiliaryAddresses": {"a": "10.71.0.9"}}],
    "everything wrong at once": [
        {"Subnet": "10.71.0.5/24", "IPRange": "10.72.0.0/16", "Gateway": "x",
         "AuxiliaryAddresses": {"a": "y"}}
    ],
}  # fmt: skip
CONFIGS6: dict[str, list[dict[str, Any]]] = {
    "the subnet fd71::5/64": [{"Subnet": "fd71::5/64"}],
    "the subnet fd71::/129": [{"Subnet": "fd71::/129"}],
    "the gateway fd72::1": [{"Subnet": "fd71::/64", "Gateway": "fd72::1"}],
    "the gateway 10.71.0.1 in it": [{"Subnet": "fd71::/64", "Gateway": "10.71.0.1"}],
    "the range fd72::/80": [{"Subnet": "fd71::/64", "IPRange": "fd72::/80"}],
    "the range fd71::/48": [{"Subnet": "fd71::/64", "IPRange": "fd71::/48"}],
    "the auxiliary address fd72::9": [{"Subnet": "fd71::/64", "AuxiliaryAddresses": {"a": "fd72::9"}}],
    "the same one twice": [{"Subnet": "fd71::/64"}, {"Subnet": "fd71::/64"}],
}
OPTIONS = (
    ("com.docker.network.driver.mtu", "x"),
    ("com.docker.network.driver.mtu", "1.5"),
    (f"{_BRIDGE}.enable_icc", "maybe"),
    (f"{_BRIDGE}.enable_ip_masquerade", "2"),
    (f"{_BRIDGE}.host_binding_ipv4", "x"),
    (f"{_BRIDGE}.host_binding_ipv4", "300.1.1.1"),
    ("com.docker.network.host_ipv4", "x"),
    (f"{_BRIDGE}.name", "whnamed0"),
    (f"{_BRIDGE}.name", "averyveryverylongname"),
    (f"{_BRIDGE}.name", "a/b"),
    (f"{_BRIDGE}.name", "a b"),
    ("nosuch.option", "1"),
)
CONNECTING: dict[str, tuple[str, Any]] = {
    "a container that is not there": ("base", {"Container": "nosuch"}),
    "no container": ("base", {"Container": ""}),
    "a network that is not there": ("nosuch", {"Container": "here"}),
    "twice": ("base", {"Container": "there"}),
    "to host": ("host", {"Container": "there"}),
    "to none": ("none", {"Container": "there"}),
    "what has the host's network": ("base", {"Container": "onhost"}),
    "what has no network": ("base", {"Container": "alone"}),
    "half a body": ("base", '{"Container"'),
    "an address on the default bridge": (
        "bridge", {"Container": "there", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.70.0.9"}}},
    ),
    "an alias on the default bridge": (
        "bridge", {"Container": "there", "EndpointConfig": {"Aliases": ["x"]}},
    ),
    **{
        f"the address {text}": (
            "named", {"Container": "there", "EndpointConfig": {"IPAMConfig": {"IPv4Address": text}}},
        )
        for text in ("x", "10.70.0.9", "fd71::1", "10.69.0.1", "10.69.0.0", "10.69.0.255", "10.69.0.256")
    },
    "an IPv6 address where there is none": (
        "named", {"Container": "there", "EndpointConfig": {"IPAMConfig": {"IPv6Address": "fd71::9"}}},
    ),
    "an address for IPv6 that is none": (
        "named", {"Container": "there", "EndpointConfig": {"IPAMConfig": {"IPv6Address": "10.69.0.9"}}},
    ),
    "a hardware address that is none": (
        "named", {"Container": "there", "EndpointConfig": {"MacAddress": "x"}},
    ),
    "a hardware address too short": (
        "named", {"Container": "there", "EndpointConfig": {"MacAddress": "02:42:01:02:03"}},
    ),
    "a stopped one, at an address of another network": (
        "named", {"Container": "here", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.70.0.9"}}},
    ),
    "a stopped one, at an address that is none": (
        "named", {"Container": "here", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "x"}}},
    ),
}  # fmt: skip
LISTS = (
    '{"nosuch":["x"]}', '{"type":["x"]}', '{"dangling":["maybe"]}', '{"dangling":["true","false"]}',
    '{"scope":["x"]}', '{"driver":["nosuch"]}', "{", "[]", '{"name":"x"}', '{"label":["a=b"]}',
)  # fmt: skip
PLAIN: dict[str, tuple[str, str, Any]] = {
    "remove what is not there": ("DELETE", "/networks/nosuch", None),
    "remove bridge": ("DELETE", "/networks/bridge", None),
    "remove host": ("DELETE", "/networks/host", None),
    "remove none": ("DELETE", "/networks/none", None),
    "remove what is in use": ("DELETE", "/networks/base", None),
    "inspect what is not there": ("GET", "/networks/nosuch", None),
    "inspect in another scope": ("GET", "/networks/base?scope=swarm", None),
    "inspect, verbose or not": ("GET", "/networks/base?verbose=maybe", None),
    "take out what is not there": ("POST", "/networks/base/disconnect", {"Container": "nosuch"}),
    "take out what is not in it": ("POST", "/networks/base/disconnect", {"Container": "here"}),
    "take out of what is not there": ("POST", "/networks/nosuch/disconnect", {"Container": "there"}),
    "take out of host": ("POST", "/networks/host/disconnect", {"Container": "onhost"}),
    "take out, half a body": ("POST", "/networks/base/disconnect", "{"),
    "prune by no such filter": ("POST", '/networks/prune?filters={"nosuch":["x"]}', None),
    "prune until no time": ("POST", '/networks/prune?filters={"until":["x"]}', None),
    "prune dangling": ("POST", '/networks/prune?filters={"dangling":["true"]}', None),
}


def _create(body: Any) -> Requests:
    return [("POST", "/networks/create", body)]


def _with(configs: list[dict[str, Any]], **more: Any) -> Requests:
    return _create({"Name": "bad", "IPAM": {"Config": configs}, **more})


def table() -> Iterator[tuple[str, Requests]]:
    for name, body in BODIES.items():
        yield f"network: {name}", _create(body)
    for text in SUBNETS:
        yield f"network: the subnet {text}", _with([{"Subnet": text}])
    for name, configs in CONFIGS.items():
        yield f"network: {name}", _with(configs)
    for name, configs in CONFIGS6.items():
        yield f"network with IPv6: {name}", _with([{"Subnet": SUBNET}, *configs], EnableIPv6=True)
    for number, (option, value) in enumerate(OPTIONS):
        # a subnet of its own: what Docker refuses so late it keeps as taken
        config = [{"Subnet": f"10.73.{number}.0/24"}]
        body = {"Name": "bad", "IPAM": {"Config": config}, "Options": {option: value}}
        yield f"network: {option}={value}", _create(body)
    for name, (network, body) in CONNECTING.items():
        yield f"connect: {name}", [("POST", f"/networks/{network}/connect", body)]
    for text in LISTS:
        yield f"networks by {text}", [("GET", f"/networks?filters={_quoted(text)}", None)]
    for name, (method, path, body) in PLAIN.items():
        head, mark, query = path.partition("filters=")
        yield f"network: {name}", [(method, head + mark + _quoted(query), body)]


def _quoted(text: str) -> str:
    return text.replace("{", "%7B").replace("}", "%7D").replace('"', "%22").replace(" ", "%20")
