"""``--cache-from`` and ``--cache-to``: where a cache is, in Docker's attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.images.reference import parse

KINDS = ("registry", "local", "inline")
_FROM = {"type", "ref", "src", "key", "tag", "digest"}
_TO = {
    "type", "ref", "dest", "key", "tag", "mode", "compression", "image-manifest", "oci-mediatypes",
    "ignore-error",
}  # fmt: skip
_COMPRESSIONS = ("", "gzip", "uncompressed")


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """One cache."""

    kind: str
    ref: str = ""
    key: str = ""
    """Of a local one: what it was uploaded as, or what it will be asked for by."""
    tag: str = "latest"
    digest: str = ""
    whole: bool = False
    """``mode=max``: all steps, not only those of the result's own stages."""
    compressed: bool = True
    index: bool = False
    """As an index, as older BuildKits had it."""
    lenient: bool = False
    """A failure does not fail the build."""

    @property
    def shown(self) -> str:
        """For people."""
        return self.ref or f"type={self.kind}"


def imported(given: Mapping[str, str]) -> CacheSpec:
    """One ``--cache-from``; raises InvalidArgument, NotSupported."""
    kind = _kind(given, _FROM, "cache-from")
    if kind == "inline":
        raise InvalidArgument(
            "--cache-from type=inline is not supported: name the image by type=registry,ref=…"
        )
    if kind == "local" and not given.get("key"):
        raise InvalidArgument("local cache importer requires src")
    if kind == "registry":
        _reference(given, "registry cache importer requires ref")
    return CacheSpec(
        kind, given.get("ref", ""), given.get("key", ""), given.get("tag", "latest"), given.get("digest", "")
    )


def exported(given: Mapping[str, str]) -> CacheSpec:
    """One ``--cache-to``; raises InvalidArgument, NotSupported."""
    kind = _kind(given, _TO, "cache-to")
    if kind == "local" and not given.get("key"):
        raise InvalidArgument("local cache exporter requires dest")
    if kind == "registry":
        _reference(given, "registry cache exporter requires ref")
    mode = given.get("mode", "min")
    if mode not in ("min", "max"):
        raise InvalidArgument(f"--cache-to mode={mode} is not valid: it is min or max")
    compression = given.get("compression", "")
    if compression not in _COMPRESSIONS:
        raise NotSupported(
            f"--cache-to compression={compression} is not supported: it is gzip or uncompressed"
        )
    if given.get("oci-mediatypes", "true") != "true":
        raise NotSupported("--cache-to oci-mediatypes=false is not supported")
    return CacheSpec(
        kind,
        given.get("ref", ""),
        given.get("key", ""),
        given.get("tag", "latest"),
        whole=mode == "max",
        compressed=compression != "uncompressed",
        index=given.get("image-manifest", "true") == "false",
        lenient=given.get("ignore-error") == "true",
    )


def _kind(given: Mapping[str, str], known: set[str], option: str) -> str:
    kind = given.get("type", "")
    if kind not in KINDS:
        raise NotSupported(f"--{option} type={kind} is not supported: it is one of {', '.join(KINDS)}")
    unknown = sorted(set(given) - known)
    if unknown:
        raise NotSupported(f"--{option} {unknown[0]}={given[unknown[0]]} is not supported")
    return kind


def _reference(given: Mapping[str, str], missing: str) -> None:
    if not given.get("ref"):
        raise InvalidArgument(missing)
    parse(given["ref"])
