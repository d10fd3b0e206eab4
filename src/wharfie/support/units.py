"""Sizes, durations and times, read and written in Docker's words.

Times inside wharfie are integers of nanoseconds since the epoch; durations are integers of nanoseconds.
Sizes use binary multiples where Docker's limits do (``10m`` is 10 MiB) and decimal ones where it prints what
takes up disk. Nothing but ``time`` is imported: the command line and the monitor load this module on the
start path.
"""

from __future__ import annotations

import time

NANOSECOND = 1
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time, which the API writes for "not yet"."""

_PREFIXES = "kmgtp"
_DURATION_UNITS = {
    "ns": NANOSECOND,
    "us": MICROSECOND,
    "µs": MICROSECOND,
    "μs": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def parse_size(text: str, base: int = 1024) -> int:
    """Bytes of ``512``, ``10m``, ``1.5 GiB`` …; ``base`` is what one prefix multiplies by.

    Raises ValueError with Docker's words.
    """
    end = max((text.rfind(character) for character in "0123456789. "), default=-1)
    if end < 0:
        raise ValueError(f"invalid size: '{text}'")
    number = text[:end] if text[end] == " " else text[: end + 1]
    suffix = text[end + 1 :].lower()
    if number.strip("0123456789.+-") or not any(character.isdigit() for character in number):
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax')
    try:
        value = float(number)
    except ValueError:
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax') from None
    if value < 0:
        raise ValueError(f"invalid size: '{text}'")
    if suffix in ("", "b"):
        return int(value)
    power = _PREFIXES.find(suffix[0]) + 1
    if not power or suffix[1:] not in ("", "b", "ib"):
        raise ValueError(f"invalid suffix: '{suffix}'")
    return int(value * base**power)


def _scaled(size: float, base: float, names: tuple[str, ...], digits: int) -> tuple[str, str]:
    step = 0
    while size >= base and step < len(names) - 1:
        size /= base
        step += 1
    return f"{size:.{digits}g}", names[step]


def format_size(size: float, digits: int = 3) -> str:
    """Decimal: ``1.24MB``, as ``images`` and ``ps --size`` print it."""
    return "".join(_scaled(size, 1000.0, _DECIMAL, digits))


def format_binary_size(size: float, digits: int = 4) -> str:
    """Binary: ``23.86GiB``, as ``stats`` and ``info`` print memory."""
    return "".join(_scaled(size, 1024.0, _BINARY, digits))


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration (``1h30m``, ``-1.5s``, ``0``); raises ValueError in Go's words."""
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = 0
    while rest:
        at = 0
        while at < len(rest) and (rest[at].isdigit() or rest[at] == "."):
            at += 1
        number, rest = rest[:at], rest[at:]
        if not number.strip(".") or number.count(".") > 1:
            raise ValueError(f'time: invalid duration "{text}"')
        at = 0
        while at < len(rest) and not (rest[at].isdigit() or rest[at] == "."):
            at += 1
        unit, rest = rest[:at], rest[at:]
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _DURATION_UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        whole, _, fraction = number.partition(".")
        scale = _DURATION_UNITS[unit]
        total += int(whole or "0") * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)
    if total > (1 << 63) - 1:
        raise ValueError(f'time: invalid duration "{text}"')
    return -total if text[0] == "-" else total


def format_duration(nanoseconds: int) -> str:
    """As Go prints a duration: ``1h30m0s``, ``1.5s``, ``300ms``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    for unit, name in ((MICROSECOND, "ns"), (MILLISECOND, "µs"), (SECOND, "ms")):
        if rest < unit:
            return sign + _decimal(rest, unit // 1000) + name
    seconds = _decimal(rest % MINUTE, SECOND) + "s"
    minutes = rest // MINUTE
    if not minutes:
        return sign + seconds
    if minutes < 60:
        return f"{sign}{minutes}m{seconds}"
    return f"{sign}{minutes // 60}h{minutes % 60}m{seconds}"


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    if not fraction:
        return str(whole)
    return f"{whole}.{str(fraction).zfill(len(str(unit)) - 1).rstrip('0')}"


def human_duration(nanoseconds: int) -> str:
    """As Docker says it: ``Less than a second``, ``5 minutes``, ``About an hour``, ``3 weeks``."""
    seconds = nanoseconds // SECOND
    minutes = seconds // 60
    hours = int(nanoseconds / HOUR + 0.5)
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(nanoseconds / HOUR) // 24 // 365} years"


def ago(then_ns: int, now_ns: int | None = None) -> str:
    """``5 minutes ago``, of a moment in nanoseconds."""
    return human_duration((time.time_ns() if now_ns is None else now_ns) - then_ns) + " ago"


def days_from_epoch(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the proleptic Gregorian calendar.

    The year is taken to begin in March, so that the leap day is its last one.
    """
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def format_time(nanoseconds: int) -> str:
    """RFC 3339 in UTC with all nine digits that are not trailing zeros, as Go's ``RFC3339Nano``."""
    seconds, fraction = divmod(nanoseconds, SECOND)
    moment = time.gmtime(seconds)
    text = (
        f"{moment.tm_year:04d}-{moment.tm_mon:02d}-{moment.tm_mday:02d}"
        f"T{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}"
    )
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else text + "Z"


def parse_time(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time (with or without fraction); raises ValueError.

    A date or time without zone is local, as in Docker's ``--since``; Go's zero time gives a large negative
    number.
    """
    try:
        date, separator, clock = text.replace("t", "T").replace(" ", "T").partition("T")
        year, month, day = (int(part) for part in date.split("-"))
        clock, offset = _split_zone(clock, separator)
        parts = [*clock.split(":"), "0", "0"] if clock else ["0", "0", "0"]
        hour, minute = int(parts[0]), int(parts[1])
        whole, _, fraction = parts[2].partition(".")
        if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 23 and minute <= 59 and int(whole) <= 60):
            raise ValueError
        nanoseconds = int(fraction[:9].ljust(9, "0")) if fraction else 0
        seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + int(whole)
        if offset is None:
            local = time.mktime((year, month, day, hour, minute, int(whole), 0, 0, -1))
            return int(local) * SECOND + nanoseconds
    except (ValueError, OverflowError):
        raise ValueError(f'parsing time "{text}" as RFC 3339: cannot parse') from None
    return (seconds - offset) * SECOND + nanoseconds


def _split_zone(clock: str, separator: str) -> tuple[str, int | None]:
    """The clock without its zone, and the zone's offset in seconds (None: local time)."""
    if clock.endswith(("Z", "z")):
        return clock[:-1], 0
    for sign in "+-":
        if separator and sign in clock:
            clock, _, zone = clock.rpartition(sign)
            hours, _, minutes = zone.partition(":")
            seconds = int(hours) * 3600 + int(minutes or "0") * 60
            return clock, seconds if sign == "+" else -seconds
    return clock, None


def timestamp(text: str, now_ns: int | None = None) -> str:
    """``--since`` and ``--until`` as the API wants them: ``seconds.nanoseconds`` since the epoch.

    Taken are Unix times (``1700000000.5``), RFC 3339 times and dates, and Go durations before now (``42m``).
    Raises ValueError.
    """
    if not text.strip("0123456789.") and text.count(".") <= 1 and text[:1].isdigit():
        seconds, _, fraction = text.partition(".")
        return f"{seconds}.{fraction[:9].ljust(9, '0')}"
    try:
        nanoseconds = (time.time_ns() if now_ns is None else now_ns) - parse_duration(text)
    except ValueError:
        try:
            nanoseconds = parse_time(text)
        except ValueError:
            raise ValueError(f'failed to parse value as time or duration: "{text}"') from None
    return f"{nanoseconds // SECOND}.{nanoseconds % SECOND:09d}"
