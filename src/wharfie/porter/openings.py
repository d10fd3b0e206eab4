"""What the names on a container's allow-list stand for: open to it as long as the answer is good.

The packet filter has it in a set whose elements end by themselves; it is remembered here too, for a table
that somebody flushed, and for a list that changes and still holds the name. An answer that would be good for
days is cut to an hour, for the container as well, which then asks again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from wharfie.linux import nfsets
from wharfie.porter import wire
from wharfie.porter.wire import Malformed

LEAST_SECONDS, MOST_SECONDS = 30, 3600
_MOST = 4096


def allowed(name: str, listed: Sequence[str]) -> bool:
    """Whether a name is on the list, or below one that is."""
    return any(name == item or name.endswith(f".{item}") for item in listed)


class Openings:
    """Those of one container: (its address, the other one) → the name, and when it ends."""

    __slots__ = ("_changes", "_own", "_table", "_until")

    def __init__(self, changes: nfsets.Changes) -> None:
        self._changes = changes
        self._table = ""
        self._own: Sequence[str] = ()
        self._until: dict[tuple[str, str], tuple[str, float]] = {}

    def configure(self, table: str, own: Sequence[str], listed: Sequence[str]) -> None:
        """Where they are kept, whose they are, and which names count; the others are forgotten."""
        self._table, self._own = table, own
        self._until = {
            pair: (name, end)
            for pair, (name, end) in self._until.items()
            if pair[0] in own and allowed(name, listed)
        }
        self.put()

    def let_through(self, name: str, answer: bytes) -> bytes:
        """Open the way to what the answer says, before the container hears it; the answer it is to hear."""
        try:
            found = wire.addresses(answer)
            answer = wire.shortened(answer, MOST_SECONDS)
        except Malformed:
            return answer
        for address, ttl in found:
            seconds = min(max(ttl, LEAST_SECONDS), MOST_SECONDS)
            for own in self._own:
                if (":" in own) == (":" in address):
                    self._remember((own, address), name, seconds)
                    self._open(own, address, seconds)
        return answer

    def put(self) -> None:
        """Into the packet filter, as long as each is good."""
        now = time.monotonic()
        self._until = {pair: found for pair, found in self._until.items() if found[1] > now}
        for (own, address), (_, end) in self._until.items():
            self._open(own, address, end - now)

    def _remember(self, pair: tuple[str, str], name: str, seconds: int) -> None:
        self._until.pop(pair, None)
        while len(self._until) >= _MOST:
            del self._until[next(iter(self._until))]
        self._until[pair] = name, time.monotonic() + seconds

    def _open(self, own: str, address: str, seconds: float) -> None:
        target = f"answered{6 if ':' in address else 4}"
        key = nfsets.address(own) + nfsets.address(address)
        fresh = nfsets.add(self._table, target, [nfsets.element(key, timeout=max(1, int(seconds * 1000)))])
        # the time of an element that is there would stay as it is
        old = nfsets.delete(self._table, target, [nfsets.element(key)])
        try:
            self._changes.apply([*old, *fresh])
        except FileNotFoundError:
            try:
                self._changes.apply(fresh)
            except FileNotFoundError:
                return  # somebody flushed the table: the daemon puts it back, and asks for these again
