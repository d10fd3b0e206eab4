"""The configuration read again on SIGHUP: what Docker changes in a running daemon, and nothing else.

::

    SIGHUP ──▶ daemon.json ──▶ checked as at the start ──▶ Config with what may change ──▶ event ``reload``
                                   └─ cannot be: said in the log, everything stays as it is

A key that is not in the file any more stays as it was, except for the limits of transfers, which get their
defaults back: Docker's way, which clients that write the file rely on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wharfie.daemon import options
from wharfie.daemon.config import CONFIG_FILE, Config, build
from wharfie.wire.base import encode

_log = logging.getLogger(__name__)
_WHEN_SET = {
    "labels": "labels",
    "insecure-registries": "insecure_registries",
    "registry-mirrors": "registry_mirrors",
    "shutdown-timeout": "shutdown_timeout",
    "features": "buildkit",
}
_ALWAYS = ("max_concurrent_downloads", "max_concurrent_uploads", "max_download_attempts")


def reread(running: Config, words: Sequence[str]) -> Config:
    """The running configuration with what the file says now; ``words`` are the daemon's flags.

    Raises:
        InvalidArgument: something in the file cannot be.
    """
    flags = options.parse(words)
    path = flags.pop("config-file", CONFIG_FILE)
    for name in ("help", "validate", "version"):
        flags.pop(name, None)
    in_file, ignored = options.read_file(path, required=path != CONFIG_FILE)
    fresh = build(options.merge(flags, in_file, path), tuple(ignored))
    changes: dict[str, Any] = {name: getattr(fresh, name) for name in _ALWAYS}
    for key, name in _WHEN_SET.items():
        if key in in_file:
            changes[name] = getattr(fresh, name)
    if "debug" in in_file or "log-level" in in_file:
        changes |= {"debug": fresh.debug, "log_level": fresh.log_level}
    return replace(running, **changes)


def attributes(config: Config) -> dict[str, str]:
    """What the event says of the configuration, in Docker's names and forms."""
    return {
        "debug": _text(config.debug),
        "default-ipc-mode": config.ipc_mode,
        "default-runtime": "wharfie-runtime",
        "default-shm-size": str(config.shm_size),
        "insecure-registries": _text(list(config.insecure_registries)),
        "labels": _text(list(config.labels)),
        "live-restore": "true",
        "max-concurrent-downloads": str(config.max_concurrent_downloads),
        "max-concurrent-uploads": str(config.max_concurrent_uploads),
        "max-download-attempts": str(config.max_download_attempts),
        "registry-mirrors": _text(list(config.registry_mirrors)),
        "runtimes": "wharfie-runtime:{wharfie-runtime []}",
        "shutdown-timeout": str(config.shutdown_timeout),
    }


def _text(value: Any) -> str:
    return encode(value).decode()


def set_level(config: Config) -> None:
    """How much is logged from now on."""
    logging.getLogger().setLevel(config.log_level)
