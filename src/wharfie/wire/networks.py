"""Requests and answers about networks."""

from __future__ import annotations

from wharfie.wire.base import Wire, always, optional
from wharfie.wire.config import EndpointSettings


class IPAMPool(Wire, frozen=True, kw_only=True):
    """One range of addresses."""

    subnet: str = ""
    ip_range: str = optional("", "IPRange")
    gateway: str = ""
    auxiliary_addresses: dict[str, str] | None = None


class IPAM(Wire, frozen=True, kw_only=True):
    """How a network gives out addresses."""

    driver: str = always("default")
    options: dict[str, str] | None = always(None)
    config: list[IPAMPool] | None = always(None)


class ConfigReference(Wire, frozen=True, kw_only=True):
    """The network that another takes its configuration from."""

    network: str = always("")


class NetworkContainer(Wire, frozen=True, kw_only=True):
    """A container on a network."""

    name: str = always("")
    endpoint_id: str = always("", "EndpointID")
    mac_address: str = always("")
    ipv4_address: str = always("", "IPv4Address")
    ipv6_address: str = always("", "IPv6Address")


class Network(Wire, frozen=True, kw_only=True):
    """One network, in a list or inspected."""

    name: str
    id: str
    created: str = always("0001-01-01T00:00:00Z")
    scope: str = always("local")
    driver: str = always("bridge")
    enable_ipv4: bool = always(True, "EnableIPv4")
    enable_ipv6: bool = always(False, "EnableIPv6")
    ipam: IPAM = always(IPAM(), "IPAM")
    internal: bool = always(False)
    attachable: bool = always(False)
    ingress: bool = always(False)
    config_from: ConfigReference = always(ConfigReference())
    config_only: bool = always(False)
    containers: dict[str, NetworkContainer] = always({})
    options: dict[str, str] = always({})
    labels: dict[str, str] = always({})


class NetworkCreate(Wire, frozen=True, kw_only=True):
    """Body of ``POST /networks/create``."""

    name: str = always("")
    driver: str = always("")
    scope: str = ""
    enable_ipv4: bool | None = optional(None, "EnableIPv4")
    enable_ipv6: bool | None = optional(None, "EnableIPv6")
    ipam: IPAM | None = optional(None, "IPAM")
    internal: bool = always(False)
    attachable: bool = always(False)
    ingress: bool = always(False)
    options: dict[str, str] | None = always(None)
    labels: dict[str, str] | None = always(None)
    config_only: bool = False
    config_from: ConfigReference = ConfigReference()


class NetworkCreated(Wire, frozen=True, kw_only=True):
    """Answer to create."""

    id: str
    warning: str = always("")


class NetworkConnect(Wire, frozen=True, kw_only=True):
    """Body of ``POST /networks/{id}/connect``."""

    container: str = always("")
    endpoint_config: EndpointSettings | None = None


class NetworkDisconnect(Wire, frozen=True, kw_only=True):
    """Body of ``POST /networks/{id}/disconnect``."""

    container: str = always("")
    force: bool = always(False)


class NetworkPrune(Wire, frozen=True, kw_only=True):
    """Answer to prune."""

    networks_deleted: list[str] | None = always(None)
