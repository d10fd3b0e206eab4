"""The host's devices against what the seats say: after a daemon that died between the two.

::

    a veth in one of our bridges      of no seat              removed
    a bridge with our remark          of no network           removed, whatever its name
    a device that shapes (ifb)        its veth is gone        removed: nothing comes through it any more
    a veth that is held to a rate     or should be            held to what its seat says
    a port of a bridge                its seat publishes      it may reach itself
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence

from wharfie.linux.rtnetlink import Netlink
from wharfie.network import live, traffic
from wharfie.network.bridge import View
from wharfie.network.manager import NetworkManager
from wharfie.network.model import Endpoint

_VETH = re.compile(r"veth[0-9a-f]{7}")
_SHAPER = re.compile(r"ifb[0-9a-f]{7}")
_log = logging.getLogger(__name__)


def compare(networks: NetworkManager) -> set[str]:
    """Make the devices follow the seats; the ids of the seats whose device is missing."""
    view = View.now()
    seats = [seat for seat in networks.store.all() if seat.host_interface]
    stray = _strays(networks, view, {seat.host_interface for seat in seats})
    for name in stray:
        _log.info("removing the network device %s, which belongs to nobody", name)
        try:
            with Netlink() as netlink:
                netlink.delete_link(name)
        except OSError as error:
            _log.warning("%s: %s", name, error)
    _settle(view, [seat for seat in seats if seat.host_interface in view.links])
    return {seat.id for seat in seats if seat.host_interface not in view.links}


def _strays(networks: NetworkManager, view: View, wanted: Collection[str]) -> list[str]:
    own = {networks.device(one) for one in networks.store.networks.values() if one.driver == "bridge"}
    indexes = {view.links[name].index for name in own if name in view.links}
    stray = [
        link.name
        for link in view.links.values()
        if (_VETH.fullmatch(link.name) and link.master in indexes and link.name not in wanted)
        or (link.kind == "bridge" and link.alias == networks.remark and link.name not in own)
    ]
    # another daemon's is known by its veth alone
    alive = view.links.keys() - set(stray)
    return stray + [
        name for name in view.links if _SHAPER.fullmatch(name) and name.replace("ifb", "veth", 1) not in alive
    ]


def _settle(view: View, seats: Sequence[Endpoint]) -> None:
    shaped = traffic.shaped()
    for seat in seats:
        name = seat.host_interface
        try:
            if seat.published:
                live.hairpin(seat)
            if seat.rate or view.links[name].index in shaped or traffic.shaper(seat) in view.links:
                traffic.limit(seat)
                traffic.tidy(seat)
        except OSError as error:
            _log.warning("%s: %s", name, error)
