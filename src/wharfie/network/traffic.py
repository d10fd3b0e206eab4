"""How fast a container may receive and send, held on the host's side of its veth.

::

    in     the veth's own queue towards the container: a token bucket (tc-tbf(8))
    out    what the veth takes in is led through a device of its own with a token bucket (an ifb: what is sent
           into it comes out again where it was taken)

Nothing of it is inside the container, so nothing there can change it.
"""

from __future__ import annotations

import errno

from wharfie.errors import NotSupported
from wharfie.linux import rtmessages as messages
from wharfie.linux import traffic
from wharfie.linux.netlink import Request
from wharfie.linux.rtnetlink import Netlink
from wharfie.network import rates
from wharfie.network.model import Endpoint
from wharfie.support.faults import point


def shaper(endpoint: Endpoint) -> str:
    """The name of the device that a container's sending is led through."""
    return f"ifb{endpoint.host_interface.removeprefix('veth')}"


def limit(endpoint: Endpoint) -> None:
    """Hold an interface to ``endpoint.rate``, none is none; raises NotSupported, OSError."""
    wanted = rates.parse(endpoint.rate)
    if not endpoint.host_interface:
        if wanted != rates.Rate():
            raise NotSupported(f"a rate needs a bridge: network {endpoint.network} is none")
        return
    with Netlink() as netlink:
        try:
            index = netlink.link_index(endpoint.host_interface)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return  # the container has ended
            raise
        if wanted.inward:
            netlink.send(traffic.bucket(index, wanted.inward, wanted.burst_for(wanted.inward)))
        else:
            _quietly(netlink, traffic.without_queue(index))
        if wanted.outward:
            _lead_through(netlink, index, shaper(endpoint), wanted)
        else:
            _quietly(netlink, traffic.without_ingress(index))
            point("a container sends past its shaper")


def _lead_through(netlink: Netlink, index: int, name: str, wanted: rates.Rate) -> None:
    try:
        through = netlink.link_index(name)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        netlink.send(messages.device(name, "ifb"))
        point("a shaper is made")
        through = netlink.link_index(name)
    netlink.send(traffic.bucket(through, wanted.outward, wanted.burst_for(wanted.outward)))
    netlink.set_link(through, up=True)
    _quietly(netlink, traffic.without_ingress(index))
    netlink.send(traffic.ingress(index), traffic.redirect(index, through))
    point("a container sends through its shaper")


def tidy(endpoint: Endpoint) -> None:
    """Remove the device that it sends through no more, and wait for that; raises OSError."""
    if endpoint.host_interface and not rates.parse(endpoint.rate).outward:
        with Netlink() as netlink:
            netlink.delete_link(shaper(endpoint))


def shaped() -> set[int]:
    """The indexes of the devices that are held to a rate, whoever did it; raises OSError."""
    with Netlink() as netlink:
        return {traffic.shaped(body) for body in netlink.listed(traffic.all_queues())}


def _quietly(netlink: Netlink, request: Request) -> None:
    try:
        netlink.send(request)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EINVAL):
            raise
