"""Queueing disciplines by rtnetlink(7): token buckets, and the way through another device.

tc(8) has the words; include/uapi/linux/pkt_sched.h the structures.
"""

from __future__ import annotations

import struct

from wharfie.linux.netlink import (
    CREATE,
    EXCL,
    REPLACE,
    Request,
    as_text,
    attribute,
    attributes,
    nested,
    text,
)

_NEWQDISC, _DELQDISC, _GETQDISC, _NEWFILTER = 36, 37, 38, 44
_KIND, _OPTIONS = 1, 2
_ROOT, _INGRESS, _INGRESS_HANDLE = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFF0000
_TBF_PARMS, _TBF_RATE64, _TBF_BURST = 1, 4, 6
_U32_SEL, _U32_ACT = 5, 7
_ACT_KIND, _ACT_OPTIONS, _MIRRED_PARMS = 1, 2, 2
_EGRESS_REDIR, _STOLEN, _TERMINAL = 1, 4, 1
_ALL = 0x0300
"""ETH_P_ALL in network order."""
_TC = struct.Struct("=BxxxiIII")
_RATE = struct.Struct("=BBHhHI")
_TICKS = 15.625
"""Of the kernel's packet scheduler clock, per microsecond (/proc/net/psched: 1000 / 64)."""
_LATENCY = 0.05
_MTU = 2048


def _header(index: int, handle: int, parent: int, info: int = 0) -> bytes:
    return _TC.pack(0, index, handle, parent, info)


def bucket(index: int, rate: int, burst: int) -> Request:
    """A token bucket at a device's root, whatever was there: ``rate`` in bytes per second."""
    limit = int(rate * _LATENCY) + burst
    low = min(rate, 0xFFFFFFFF)
    spec = _RATE.pack(0, 1, 0, 0, 0, low)
    ticks = int(burst / rate * 1_000_000 * _TICKS)
    parameters = spec + _RATE.pack(0, 0, 0, 0, 0, 0) + struct.pack("=III", limit, min(ticks, 0xFFFFFFFF), 0)
    parts = [attribute(_TBF_PARMS, parameters), attribute(_TBF_BURST, struct.pack("=I", burst))]
    if rate > 0xFFFFFFFF:
        parts.append(attribute(_TBF_RATE64, struct.pack("=Q", rate)))
    body = _header(index, 0x10000, _ROOT) + text(_KIND, "tbf") + nested(_OPTIONS, *parts)
    return Request("set the rate of a network device", _NEWQDISC, CREATE | REPLACE, body)


def all_queues() -> Request:
    """For a dump of what :func:`shaped` reads."""
    return Request("list the queues of the network devices", _GETQDISC, 0, _header(0, 0, 0))


def shaped(body: bytes) -> int:
    """The index of the device whose queue this is, if it is a bucket or a place for filters; or 0."""
    _family, index, _handle, _parent, _info = _TC.unpack_from(body)
    return index if as_text(attributes(body, _TC.size).get(_KIND)) in ("tbf", "ingress") else 0


def without_queue(index: int) -> Request:
    """The device's usual queue again."""
    return Request("remove the rate of a network device", _DELQDISC, 0, _header(index, 0, _ROOT))


def ingress(index: int) -> Request:
    """A place for filters of what a device takes in."""
    body = _header(index, _INGRESS_HANDLE, _INGRESS) + text(_KIND, "ingress") + nested(_OPTIONS)
    return Request("look at what a network device takes in", _NEWQDISC, CREATE | EXCL, body)


def without_ingress(index: int) -> Request:
    """The opposite."""
    return Request(
        "stop looking at a network device", _DELQDISC, 0, _header(index, _INGRESS_HANDLE, _INGRESS)
    )


def redirect(index: int, through: int) -> Request:
    """Everything that a device takes in goes through another one first."""
    # one key that always holds: no bit of the first word is looked at
    selector = struct.pack("=BBBBHHhhI", _TERMINAL, 0, 1, 0, 0, 0, 0, 0, 0) + struct.pack("=IIii", 0, 0, 0, 0)
    parameters = struct.pack("=IIiiiiI", 0, 0, _STOLEN, 0, 0, _EGRESS_REDIR, through)
    action = nested(1, text(_ACT_KIND, "mirred"), nested(_ACT_OPTIONS, attribute(_MIRRED_PARMS, parameters)))
    options = nested(_OPTIONS, attribute(_U32_SEL, selector), nested(_U32_ACT, action))
    body = _header(index, 0, _INGRESS_HANDLE, 1 << 16 | _ALL) + text(_KIND, "u32") + options
    return Request("lead what a network device takes in elsewhere", _NEWFILTER, CREATE | EXCL, body)
