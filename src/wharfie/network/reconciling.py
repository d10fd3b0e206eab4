"""The host's devices against what the seats say: after a daemon that died between the two."""

from __future__ import annotations

import logging
import re

from wharfie.linux.rtnetlink import Netlink
from wharfie.network.bridge import View
from wharfie.network.manager import NetworkManager

_VETH = re.compile(r"veth[0-9a-f]{7}")
_DEVICE = re.compile(r"br-[0-9a-f]{12}")
_log = logging.getLogger(__name__)


def compare(networks: NetworkManager) -> set[str]:
    """Remove devices of no seat and bridges of no network; the ids of the seats whose device is missing."""
    view = View.now()
    seats = list(networks.store.all())
    wanted = {seat.host_interface for seat in seats if seat.host_interface}
    own = {networks.device(one) for one in networks.store.networks.values() if one.driver == "bridge"}
    indexes = {view.links[name].index for name in own if name in view.links}
    stray = [
        link.name
        for link in view.links.values()
        if (_VETH.fullmatch(link.name) and link.master in indexes and link.name not in wanted)
        or (_DEVICE.fullmatch(link.name) and link.alias == networks.remark and link.name not in own)
    ]
    for name in stray:
        _log.info("removing the network device %s, which belongs to nobody", name)
        try:
            with Netlink() as netlink:
                netlink.delete_link(name)
        except OSError as error:
            _log.warning("%s: %s", name, error)
    return {seat.id for seat in seats if seat.host_interface and seat.host_interface not in view.links}
