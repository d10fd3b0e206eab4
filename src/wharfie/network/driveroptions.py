"""What ``--opt`` of a network says: Docker's names, and two of our own.

An option that nobody knows is kept and has no effect, as with Docker.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.network import egress, rates
from wharfie.network.devices import check_device_name
from wharfie.network.model import BRIDGE_NAME

MTU = "com.docker.network.driver.mtu"
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
HOST_ADDRESS = "com.docker.network.host_ipv4"
INTERFACE_PREFIX = "com.docker.network.container_iface_prefix"
GATEWAY_MODES = (
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
)
PARENT, MACVLAN_MODE = "parent", "macvlan_mode"
RATE = "wharfie.rate"
EGRESS = "wharfie.egress"
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_MACVLAN_MODES = ("bridge", "private", "vepa", "passthru")


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """The options of one network, understood."""

    mtu: int = 0
    icc: bool = True
    masquerade: bool = True
    host_binding: str = ""
    host_address: str = ""
    prefix: str = "eth"
    parent: str = ""
    mode: str = "bridge"
    rate: str = ""
    egress: str = ""

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> DriverOptions:
        """Read them; raises InvalidArgument, NotSupported."""
        for name in GATEWAY_MODES:
            if options.get(name, "nat") != "nat":
                raise NotSupported(f"the gateway mode {options[name]} is not supported: nat is the only one")
        if options.get(BRIDGE_NAME):
            check_device_name(options[BRIDGE_NAME], "bridge")
        mode = options.get(MACVLAN_MODE) or "bridge"
        if mode not in _MACVLAN_MODES:
            raise InvalidArgument(
                f"requested macvlan mode '{mode}' is not valid, 'bridge' mode is the macvlan driver default"
            )
        if options.get(RATE):
            rates.parse(options[RATE])
        if options.get(EGRESS):
            egress.parse(options[EGRESS])
        return cls(
            mtu=_number(options, MTU),
            icc=_switch(options, ICC),
            masquerade=_switch(options, MASQUERADE),
            host_binding=_address(options, HOST_BINDING),
            host_address=_address(options, HOST_ADDRESS),
            prefix=options.get(INTERFACE_PREFIX) or "eth",
            parent=options.get(PARENT, ""),
            mode=mode,
            rate=options.get(RATE, ""),
            egress=options.get(EGRESS, ""),
        )


def _switch(options: Mapping[str, str], name: str) -> bool:
    value = options.get(name, "true")
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise InvalidArgument(
        f'failed to parse {name} value: {value} (strconv.ParseBool: parsing "{value}": invalid syntax)'
    )


def _number(options: Mapping[str, str], name: str) -> int:
    value = options.get(name, "")
    if not value:
        return 0
    if not value.isascii() or not value.removeprefix("-").isdigit():
        raise InvalidArgument(
            f'failed to parse {name} value: {value} (strconv.Atoi: parsing "{value}": invalid syntax)'
        )
    if not 68 <= int(value) <= 65535 and int(value) != 0:
        raise InvalidArgument(f"invalid MTU number: {value}")
    return int(value)


def _address(options: Mapping[str, str], name: str) -> str:
    value = options.get(name, "")
    if not value:
        return ""
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise InvalidArgument(f"failed to parse {name} value: {value} (nil ip)") from None
