"""Kinds of option values: how each is read, what a wrong one is told, and its name in the help.

Every reader takes the text and returns the value; it raises ValueError with the words Docker puts behind
``invalid argument "…" for "--…" flag:``. Files are not opened and nothing is asked here.
"""

from __future__ import annotations

import _socket

from wharfie.support.environment import variable
from wharfie.support.units import parse_duration, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_ULIMITS = frozenset(
    [
        *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile"),
        *("nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
    ]
)
_SYSCTLS = frozenset(
    "kernel." + name
    for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)


def boolean(text: str) -> bool:
    """A flag's explicit value."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _integer(text: str, function: str, low: int, high: int) -> int:
    digits = text[1:] if text[:1] in ("-", "+") and low < 0 else text
    try:
        if not digits[:1].isdigit():
            raise ValueError
        value = int(digits, 8) if digits.isdigit() and digits[0] == "0" else int(digits, 0)
    except ValueError:
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax') from None
    value = -value if text[0] == "-" else value
    if not low <= value <= high:
        raise ValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return value


def integer(text: str) -> int:
    """A signed number of 64 bits."""
    return _integer(text, "ParseInt", -(1 << 63), (1 << 63) - 1)


def short(text: str) -> int:
    """An unsigned number of 16 bits."""
    return _integer(text, "ParseUint", 0, (1 << 16) - 1)


def unsigned(text: str) -> int:
    """An unsigned number of 64 bits."""
    return _integer(text, "ParseUint", 0, (1 << 64) - 1)


def swap(text: str) -> int:
    """A size, or -1 for without limit."""
    return -1 if text == "-1" else parse_size(text)


def cpus(text: str) -> int:
    """A decimal number of CPUs, in billionths."""
    numerator, slash, denominator = text.partition("/")
    whole, _, fraction = numerator.partition(".")
    digits = whole.lstrip("+-") + fraction
    if not digits.isdigit() or (slash and not denominator.isdigit()):
        raise ValueError(f"failed to parse {text} as a rational number")
    value = int(digits) * 1_000_000_000 * (-1 if text[0] == "-" else 1)
    scale: int = 10 ** len(fraction) * int(denominator or "1")
    value, rest = divmod(value, scale)
    if rest:
        raise ValueError("value is too precise")
    return value


def environment(text: str) -> str:
    """``NAME=value``, or ``NAME`` for the value it has here."""
    name, equals, _ = text.partition("=")
    if not name:
        raise ValueError(f"invalid environment variable: {text}")
    if not equals and (inherited := variable(name)) is not None:
        return f"{name}={inherited}"
    return text


def label(text: str) -> str:
    """``name`` or ``name=value``."""
    if not text.partition("=")[0]:
        raise ValueError(f"invalid label '{text}': empty name")
    return text


def stream(text: str) -> str:
    """One of the three standard streams."""
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def ulimit(text: str) -> dict[str, Any]:
    """``name=soft[:hard]``."""
    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise ValueError(f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`")
    soft = integer(parts[0])
    hard = integer(parts[1]) if len(parts) == 2 else soft
    if hard != -1 and soft == -1:
        raise ValueError(
            f"ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}"
        )
    if hard != -1 and soft > hard:
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Soft": soft, "Hard": hard}


def sysctl(text: str) -> str:
    """``name=value`` of a sysctl that belongs to one of the container's namespaces."""
    name, equals, _ = text.partition("=")
    if equals and (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        return text
    raise ValueError(f"sysctl '{text}' is not allowed")


def is_address(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False


def address(text: str) -> str:
    """An IP address."""
    if not is_address(text.strip()):
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return text.strip()


def host(text: str) -> str:
    """``name:address`` or ``name=address``; the address may be the word host-gateway."""
    separator = "=" if "=" in text else ":"
    name, found, target = text.partition(separator)
    if not found or not name:
        raise ValueError(f'bad format for add-host: "{text}"')
    if target.startswith("[") and target.endswith("]"):
        target = target[1:-1]
    if target != "host-gateway" and not is_address(target):
        raise ValueError(f'invalid IP address in add-host: "{target}"')
    return f"{name}:{target}"


def _device(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or ":" in value:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    return path, value


def rate(text: str) -> dict[str, Any]:
    """``/dev/x:10mb``."""
    path, value = _device(text)
    try:
        return {"Path": path, "Rate": parse_size(value)}
    except ValueError:
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. "
            "Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        ) from None


def operations(text: str) -> dict[str, Any]:
    """``/dev/x:1000``."""
    path, value = _device(text)
    try:
        return {"Path": path, "Rate": unsigned(value)}
    except ValueError:
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. "
            "Number must be a positive integer"
        ) from None


def weight(text: str) -> dict[str, Any]:
    """``/dev/x:500``."""
    path, value = _device(text)
    if not value.isdigit() or (int(value) and not 10 <= int(value) <= 1000):
        raise ValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(value)}


def device_rule(text: str) -> str:
    """``c 1:3 rwm``, with ``*`` for any number."""
    words = text.split(" ")
    if len(words) == 3 and words[0] in ("a", "b", "c") and 1 <= len(words[2]) <= 3:
        numbers = words[1].split(":")
        if (
            len(numbers) == 2
            and all(number == "*" or number.isdigit() for number in numbers)
            and not words[2].strip("rwm")
        ):
            return text
    raise ValueError(f"invalid device cgroup format '{text}'")


def pair(text: str) -> str:
    """A filter, ``name=value``."""
    if text and "=" not in text:
        raise ValueError("bad format of filter (expected name=value)")
    return text


def network(text: str) -> str:
    """A network by its name, or in fields."""
    if "=" in text:
        from wharfie.cli.create_parts import parse_network

        parse_network(text)
    return text


def link(text: str) -> str:
    """``container[:alias]``."""
    if not text:
        raise ValueError("empty string specified for links")
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    return text


def mount(text: str) -> dict[str, Any]:
    """``type=bind,source=…,target=…``."""
    from wharfie.cli.mounts import parse_mount

    return parse_mount(text)


def gpus(text: str) -> dict[str, Any]:
    """A request for GPUs."""
    from wharfie.cli.mounts import parse_gpus

    return parse_gpus(text)


# kind: reader, whether it repeats, its name in the help
KINDS: dict[str, tuple[Callable[[str], Any], bool, str]] = {
    "flag": (boolean, False, ""),
    "string": (str, False, "string"),
    "list": (str, True, "list"),
    "int": (integer, False, "int"),
    "uint16": (short, False, "uint16"),
    "uint": (unsigned, False, "uint"),
    "bytes": (parse_size, False, "bytes"),
    "swap": (swap, False, "bytes"),
    "cpus": (cpus, False, "decimal"),
    "duration": (parse_duration, False, "duration"),
    "env": (environment, True, "list"),
    "label": (label, True, "list"),
    "stream": (stream, True, "list"),
    "ulimit": (ulimit, True, "ulimit"),
    "sysctl": (sysctl, True, "map"),
    "map": (str, True, "map"),
    "address": (address, True, "list"),
    "host": (host, True, "list"),
    "rate": (rate, True, "list"),
    "operations": (operations, True, "list"),
    "weight": (weight, True, "list"),
    "device-rule": (device_rule, True, "list"),
    "mount": (mount, True, "mount"),
    "gpus": (gpus, True, "gpu-request"),
    "network": (network, True, "network"),
    "link": (link, True, "list"),
    "filter": (pair, True, "filter"),
}


def read(kind: str, text: str) -> tuple[Any, bool]:
    """The value of ``text`` and whether the option may be given several times; raises ValueError."""
    reader, repeats, _ = KINDS[kind]
    return reader(text), repeats
