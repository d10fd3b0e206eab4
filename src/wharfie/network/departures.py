"""Network devices on their way out: sent off when their use ends, gone a little later.

The kernel takes a device down at once and then waits for everybody who may still look at it (9 to 60 ms),
which the event loop need not: a thread does it. A container's veth goes with its network namespace as well,
and mostly before us; but somebody else may hold that open, and whoever gets the address next must be the only
one who has it. So what is made anew waits for what is on its way out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from wharfie.linux.rtnetlink import Netlink
from wharfie.network import traffic
from wharfie.network.model import Endpoint

_log = logging.getLogger(__name__)


class Departures:
    """One thread that removes devices, and who waits for it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "remove network devices")
        self._going: dict[str, Future[None]] = {}

    def begin(self, seat: Endpoint) -> None:
        """Send off the interface of a seat that is given up."""
        if seat.host_interface:
            leaving = self._thread.submit(partial(_remove, seat))
            self._going = {key: one for key, one in self._going.items() if not one.done()}
            self._going.update((key, leaving) for key in _addresses(seat))

    async def over(self, seats: Iterable[Endpoint]) -> None:
        """Wait until nobody else has the addresses of these seats."""
        for key in [key for seat in seats for key in _addresses(seat)]:
            if key in self._going:
                await asyncio.wrap_future(self._going[key])

    async def done(self, work: Callable[[], None]) -> None:
        """Have the thread remove something else, and wait for that; raises what it raises."""
        await asyncio.wrap_future(self._thread.submit(work))


def _addresses(seat: Endpoint) -> list[str]:
    return [f"{seat.network_id} {address}" for address in (seat.address, seat.address6) if address]


def _remove(seat: Endpoint) -> None:
    try:
        with Netlink() as netlink:
            netlink.delete_link(seat.host_interface, traffic.shaper(seat))
    except OSError as error:
        _log.warning("%s", error)
