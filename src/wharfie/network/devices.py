"""Names of network devices."""

from __future__ import annotations

import re

from wharfie.errors import InvalidArgument

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


def check_device_name(name: str, what: str) -> None:
    """Raises InvalidArgument: 1 to 15 letters, digits, ``_.-``."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"invalid {what} name {name}: 1 to 15 letters, digits, dots, dashes, underscores"
        )
