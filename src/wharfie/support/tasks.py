"""Asyncio tasks that have a name and an owner.

The event loop keeps only weak references to tasks, and an unobserved exception is lost; every background task
of the daemon is therefore made here. Lint bans a bare ``asyncio.create_task`` elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
_running: set[asyncio.Task[Any]] = set()
_log = logging.getLogger(__name__)


def spawn(name: str, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
    """Run ``work`` as a named task that is kept until it ends; a failure nobody awaits is logged."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        _log.error("task %s failed", task.get_name(), exc_info=error)


async def cancel_all() -> None:
    """Cancel what is still running and wait for its end; for the daemon's shutdown."""
    pending = [task for task in _running if task is not asyncio.current_task()]
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
