"""Signals by name or number, as ``--stop-signal`` and ``kill -s`` take them (signal(7))."""

from __future__ import annotations

import signal

from wharfie.errors import InvalidArgument

_RTMIN, _RTMAX = 34, 64
_NAMES = {item.name.removeprefix("SIG"): int(item) for item in signal.Signals}
_NAMES.update(
    {"RTMIN": _RTMIN, "RTMAX": _RTMAX, "CLD": _NAMES["CHLD"], "IOT": _NAMES["ABRT"], "POLL": _NAMES["IO"]}
)
_NAMES.update({f"RTMIN+{n}": _RTMIN + n for n in range(1, 16)})
_NAMES.update({f"RTMAX-{n}": _RTMAX - n for n in range(1, 15)})


class InvalidSignal(InvalidArgument):
    """Not a signal."""

    def __init__(self, text: str) -> None:
        super().__init__(f"invalid signal: {text}")


class NoSuchSignal(InvalidArgument):
    """A number that is none here."""


def parse_signal(text: str) -> int:
    """The number of ``TERM``, ``SIGTERM``, ``15`` …; raises InvalidSignal."""
    if text.isascii() and text.isdigit():
        number = int(text)
        if 0 < number <= _RTMAX:
            return number
        raise (
            NoSuchSignal(f"the linux daemon does not support signal {text}")
            if number
            else InvalidSignal(text)
        )
    number = _NAMES.get(text.upper().removeprefix("SIG"), 0)
    if not number:
        raise InvalidSignal(text)
    return number
