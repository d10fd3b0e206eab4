"""Networks that are settings only (``--config-only``), and those that are made by them (``--config-from``).

Neither device nor rules belong to the former, and no container can be in them. What Docker refuses, in its
words.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from wharfie.errors import Forbidden
from wharfie.network.creating import Wish
from wharfie.network.model import ConfigurationNotFound, Network, NetworkInUse


def applied(wish: Wish, networks: Mapping[str, Network]) -> Wish:
    """The wish with the settings it refers to; raises Forbidden, ConfigurationNotFound."""
    if wish.config_only and (wish.internal or wish.attachable or wish.scope):
        raise Forbidden(
            "configuration network can only contain network specific fields. Network operator fields like "
            "[ ingress | internal | attachable | scope ] are not supported."
        )
    if not wish.config_from:
        return wish
    if wish.config_only:
        raise Forbidden("a configuration network cannot depend on another configuration network")
    given = wish.subnets or wish.labels or wish.ipam_options or wish.ipv6
    if given or wish.ipam_driver not in ("", "default"):
        raise Forbidden(
            "user specified configurations are not supported if the network depends on a configuration "
            "network"
        )
    if wish.options:
        raise Forbidden(
            "network driver options are not supported if the network depends on a configuration network"
        )
    found = networks.get(wish.config_from)
    if found is None or not found.config_only:
        raise ConfigurationNotFound(wish.config_from)
    return dataclasses.replace(
        wish,
        subnets=found.subnets,
        options=found.options,
        labels=found.labels,
        ipv4=found.ipv4,
        ipv6=found.ipv6,
        ipam_driver=found.ipam_driver,
        ipam_options=found.ipam_options,
    )


def check_unused(network: Network, networks: Iterable[Network]) -> None:
    """Whether no network was made by these settings; raises NetworkInUse."""
    if network.config_only and any(other.config_from == network.name for other in networks):
        raise NetworkInUse(f'error while removing network: configuration network "{network.name}" is in use')
