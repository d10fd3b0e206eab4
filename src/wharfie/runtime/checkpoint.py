"""The commands checkpoint and restore."""

from __future__ import annotations

from wharfie.errors import NotSupported
from wharfie.runtime.state import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def do_checkpoint(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``checkpoint``."""
    store.load(words[0])
    raise NotSupported("checkpoint is not supported by wharfie-runtime")


def do_restore(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``restore``."""
    raise NotSupported("restore is not supported by wharfie-runtime")
