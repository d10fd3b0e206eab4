"""What this host tells of its distribution: release, mirror, keyring."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass

_SOURCE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)")
_URIS = re.compile(r"^URIs:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_SUITES = re.compile(r"^Suites:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# Docker's own Debian images have the like: no translations, no cache of packages, no services started
IMAGE_FILES = {
    "etc/apt/apt.conf.d/container-clean": (
        'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };\n'
        'APT::Update::Post-Invoke { "rm -f /var/cache/apt/*.bin || true"; };\n'
        'Acquire::Languages "none";\n'
    ),
    "usr/sbin/policy-rc.d": "#!/bin/sh\n# no service is started by installing it into an image\nexit 101\n",
}


@dataclass(frozen=True, slots=True)
class Release:
    """os-release(5)."""

    is_debian: bool
    codename: str


def host_release() -> Release:
    """This host's distribution."""
    fields = {}
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.strip().partition("=")
                fields[key] = value.strip("\"'")
    except OSError:
        return Release(False, "")
    return Release(fields.get("ID") == "debian", fields.get("VERSION_CODENAME", ""))


def debian_mirror() -> str:
    """The first mirror of Debian proper that apt knows; empty (debootstrap's own) where there is none."""
    if not host_release().is_debian:
        return ""
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        for address, suite in _sources(path, text):
            if "security" not in address and "security" not in suite and address.startswith(("http", "file")):
                return address
    return ""


def _sources(path: str, text: str) -> list[tuple[str, str]]:
    if not path.endswith(".sources"):
        found = (_SOURCE.match(line.strip()) for line in text.splitlines())
        return [(match[1], match[2]) for match in found if match]
    entries = []
    for paragraph in text.split("\n\n"):
        address, suite = _URIS.search(paragraph), _SUITES.search(paragraph)
        if address and suite:
            entries.append((address[1], suite[1]))
    return entries


def keyring_option() -> list[str]:
    """Check signatures against Debian's keys where the host has them."""
    return [f"--keyring={_KEYRING}"] if os.path.exists(_KEYRING) else []
