"""Which log drivers there are and which options each takes, refused at creation in Docker's words."""

from __future__ import annotations

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.logs import syslog
from wharfie.support.units import parse_size

SENT = frozenset(("journald", "syslog"))
"""Drivers whose lines go to a service of the host, by way of the container's own file."""
DRIVERS = ("journald", "json-file", "local", "none", "syslog")
_DOCKER_DRIVERS = frozenset(("gelf", "fluentd", "awslogs", "splunk", "gcplogs", "etwlogs"))
_EVERYWHERE = frozenset(
    ("mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress")
)
_DETAILS = frozenset(("labels", "labels-regex", "env", "env-regex", "tag"))
_OPTIONS = {
    "json-file": _DETAILS | {"max-file", "max-size", "compress"},
    "local": {"max-file", "max-size", "compress"},
    "journald": _DETAILS,
    "syslog": _DETAILS
    | {
        "syslog-address",
        "syslog-facility",
        "syslog-format",
        "syslog-tls-ca-cert",
        "syslog-tls-cert",
        "syslog-tls-key",
        "syslog-tls-skip-verify",
    },
}


def check(driver: str, options: dict[str, str]) -> None:
    """A log driver and its options; raises InvalidArgument, NotSupported."""
    if driver == "none":
        return
    known = _OPTIONS.get(driver)
    if known is None:
        if driver in _DOCKER_DRIVERS:
            others = ", ".join(DRIVERS)
            raise NotSupported(f"the log driver {driver} is not supported: use one of {others}")
        raise InvalidArgument(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    _mode(options)
    for option in options:
        if option not in known and option not in _EVERYWHERE:
            where = "log driver local" if driver == "local" else f"{driver} log driver"
            raise InvalidArgument(f"unknown log opt '{option}' for {where}")
    if driver == "syslog":
        syslog.address(options.get("syslog-address", ""))
        syslog.facility(options.get("syslog-facility", ""))
        syslog.format_of(options.get("syslog-format", ""))


def truth(options: dict[str, str], name: str) -> bool:
    """An option that is true or false, as Go reads it; raises InvalidArgument."""
    text = options.get(name, "")
    if text in ("", "0", "f", "F", "false", "FALSE", "False"):
        return False
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    raise InvalidArgument(f'invalid value for {name}: strconv.ParseBool: parsing "{text}": invalid syntax')


def _mode(options: dict[str, str]) -> None:
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidArgument(f"logger: logging mode not supported: {mode}")
    size = options.get("max-buffer-size")
    if size is not None:
        if mode != "non-blocking":
            raise InvalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        try:
            parse_size(size)
        except ValueError:
            raise InvalidArgument(f"error parsing option max-buffer-size: invalid size: '{size}'") from None
    truth(options, "cache-disabled")
