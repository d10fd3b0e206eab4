"""Signals by name (signal(7)), as users and specifications write them."""

from __future__ import annotations

from wharfie.errors import InvalidArgument

NAMES = [
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
    "STKFLT",
    "CHLD",
    "CONT",
    "STOP",
    "TSTP",
    "TTIN",
    "TTOU",
    "URG",
    "XCPU",
    "XFSZ",
    "VTALRM",
    "PROF",
    "WINCH",
    "IO",
    "PWR",
    "SYS",
]
NUMBERS = {name: number for number, name in enumerate(NAMES, 1)}
NUMBERS.update({"CLD": 17, "POLL": 29, "IOT": 6, "UNUSED": 31, "RTMIN": 34, "RTMAX": 64})


def signal_number(text: str) -> int:
    """The number of "TERM", "SIGTERM", "15" or "RTMIN+3"; raises InvalidArgument."""
    if text.isascii() and text.isdigit() and 0 < int(text) <= 64:
        return int(text)
    name = text.upper().removeprefix("SIG")
    if name in NUMBERS:
        return NUMBERS[name]
    base, sign, offset = name[:5], name[5:6], name[6:]
    if base in ("RTMIN", "RTMAX") and sign in ("+", "-") and sign and offset.isdigit():
        number = NUMBERS[base] + (int(offset) if sign == "+" else -int(offset))
        if 34 <= number <= 64:
            return number
    raise InvalidArgument(f"Invalid signal: {text}")
