"""``docker wait``: registered at once, answered later.

The registration comes before the answer's first byte: a client that waits, then starts, misses nothing.
"""

from __future__ import annotations

import asyncio

from wharfie.engine.container import Container, State
from wharfie.errors import InvalidArgument
from wharfie.wire.containers import WaitResponse

NOT_RUNNING = "not-running"
NEXT_EXIT = "next-exit"
REMOVED = "removed"


class WaitResult:
    """Something waited for."""

    def __init__(self, container: Container, future: asyncio.Future[None] | None) -> None:
        self._container = container
        self._future = future

    async def result(self) -> WaitResponse:
        """The exit code, when it is there."""
        if self._future is not None:
            # others may wait for the same removal: this waiter's end must not be theirs
            await asyncio.shield(self._future)
        # Docker forgets a failed start's error here too: who started the container was told it
        return WaitResponse(status_code=self._container.status.exit_code)

    def close(self) -> None:
        """Stop waiting: the client went away."""
        if self._future is not None and self._future in self._container.waiters:
            self._container.waiters.remove(self._future)


def wait(container: Container, condition: str = "") -> WaitResult:
    """Register; raises InvalidArgument for a condition that is none."""
    if condition in ("", NOT_RUNNING):
        if not container.status.running and container.status.state is not State.RESTARTING:
            return WaitResult(container, None)
        return WaitResult(container, _next_exit(container))
    if condition == NEXT_EXIT:
        return WaitResult(container, _next_exit(container))
    if condition == REMOVED:
        return WaitResult(container, removal_of(container))
    raise InvalidArgument(f'invalid condition: "{condition}"')


def _next_exit(container: Container) -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    container.waiters.append(future)
    return future


def removal_of(container: Container) -> asyncio.Future[None]:
    """Resolves when the container is gone."""
    if container.removal is None:
        container.removal = asyncio.get_running_loop().create_future()
    return container.removal


def wake(container: Container) -> None:
    """Tell those who wait for an exit."""
    waiters, container.waiters = container.waiters, []
    for future in waiters:
        if not future.done():
            future.set_result(None)


def wake_removed(container: Container) -> None:
    """Tell those who wait for the removal, and those who wait for an exit that can no longer come."""
    wake(container)
    if container.removal is None:
        container.removal = asyncio.get_running_loop().create_future()
    if not container.removal.done():
        container.removal.set_result(None)
