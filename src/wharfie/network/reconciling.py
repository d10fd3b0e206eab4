"""The host's devices against what the seats say: after a daemon that died between the two.

::

    a veth in one of our bridges      of no seat              removed
    a bridge with our remark          of no network           removed, whatever its name
    a device that shapes (ifb)        its veth is gone        removed: nothing comes through it any more
    a port of a bridge                its seat publishes      it may reach itself
"""

from __future__ import annotations

import logging
import re

from wharfie.linux.rtnetlink import Netlink
from wharfie.network import live
from wharfie.network.bridge import View
from wharfie.network.manager import NetworkManager

_VETH = re.compile(r"veth[0-9a-f]{7}")
_SHAPER = re.compile(r"ifb[0-9a-f]{7}")
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
        or (link.kind == "bridge" and link.alias == networks.remark and link.name not in own)
        or (_SHAPER.fullmatch(link.name) and link.name.replace("ifb", "veth", 1) not in view.links)
    ]
    for name in stray:
        _log.info("removing the network device %s, which belongs to nobody", name)
        try:
            with Netlink() as netlink:
                netlink.delete_link(name)
        except OSError as error:
            _log.warning("%s: %s", name, error)
    for seat in seats:
        if seat.published and seat.host_interface in view.links:
            try:
                live.hairpin(seat)
            except OSError as error:
                _log.warning("%s: %s", seat.host_interface, error)
    return {seat.id for seat in seats if seat.host_interface and seat.host_interface not in view.links}
