"""What a client asks of the Dockerfile frontend, in attributes: read into our builder's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from wharfie.build import cachespec
from wharfie.build.cachespec import CacheSpec
from wharfie.build.options import Options
from wharfie.build.running import Limits
from wharfie.build.variables import INLINE_ARGUMENT
from wharfie.errors import InvalidArgument, NotSupported
from wharfie.images.platform import Platform

FRONTENDS = ("dockerfile.v0", "gateway.v0")
EPOCH = "SOURCE_DATE_EPOCH"
_CONTEXT, _DOCKERFILE = "context", "dockerfile"
_PULL = "pull"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One build for any number of platforms."""

    options: Options
    platforms: list[str] = field(default_factory=list)
    """Empty: this machine's, without a word about it."""
    request: str = ""
    """A question about the Dockerfile instead of a build."""
    context: str = ""
    """An address; empty: the client's own files."""
    context_key: str = _CONTEXT
    dockerfile_key: str = ""
    """Under which name the client has the Dockerfile's directory; empty: as it has the context's."""

    def for_platform(self, platform: str) -> Options:
        """The options for one of them; a context ``name::linux/amd64`` counts for that one only."""
        own = f"::{platform or Platform.of_host()}"
        contexts = {name: value for name, value in self.options.contexts.items() if "::" not in name}
        for name, value in self.options.contexts.items():
            if name.endswith(own):
                contexts[name.removesuffix(own)] = value
        return replace(self.options, platform=platform, contexts=contexts)


def read(frontend: str, given: Mapping[str, str], imports: list[CacheSpec]) -> Wanted:
    """Attributes of a request; raises InvalidArgument, NotSupported."""
    if frontend not in FRONTENDS:
        raise NotSupported(f"the frontend {frontend or 'of raw LLB'} is not supported: it is {FRONTENDS[0]}")
    for name, value in given.items():
        if name.startswith("attest:") and "disabled=true" not in value.split(","):
            raise NotSupported(f"attestations ({name.removeprefix('attest:')}) are not supported")
    arguments = _prefixed(given, "build-arg:")
    return Wanted(
        options=Options(
            dockerfile=given.get("filename") or "Dockerfile",
            arguments={
                name: value
                for name, value in arguments.items()
                if not name.startswith("BUILDKIT_") or name == INLINE_ARGUMENT
            },
            labels=_prefixed(given, "label:"),
            target=given.get("target", ""),
            no_cache=given.get("no-cache") == "",
            no_cache_for=_list(given.get("no-cache", "")),
            pull=given.get("image-resolve-mode") == _PULL,
            network=given.get("force-network-mode", ""),
            hosts=[one.replace("=", ":", 1) for one in _list(given.get("add-hosts", ""))],
            limits=Limits(
                shm_size=_number("shm-size", given.get("shm-size", "")),
                ulimits=[_ulimit(one) for one in _list(given.get("ulimit", ""))],
                cgroup_parent=given.get("cgroup-parent", ""),
            ),
            contexts=_prefixed(given, "context:"),
            cache_from=imports,
            epoch=_number(EPOCH, arguments[EPOCH]) if arguments.get(EPOCH) else None,
            events=True,
            check=bool(given.get("requestid")),
        ),
        platforms=[str(Platform.parse(one)) for one in _list(given.get("platform", ""))],
        request=given.get("requestid", ""),
        context=given.get("context", ""),
        context_key=given.get("contextkey") or _CONTEXT,
        dockerfile_key=given.get("dockerfilekey", ""),
    )


def imported(given: Mapping[str, str]) -> list[CacheSpec]:
    """``cache-imports``; raises InvalidArgument, NotSupported."""
    text = given.get("cache-imports", "")
    if not text:
        return []
    try:
        entries = msgspec.json.decode(text, type=list[_Entry])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"failed to unmarshal cache-imports: {error}") from None
    return [import_of(one.Type, one.Attrs or {}) for one in entries]


class _Entry(msgspec.Struct):
    Type: str
    Attrs: dict[str, str] | None = None


def import_of(kind: str, attributes: Mapping[str, str]) -> CacheSpec:
    """One ``--cache-from``; raises InvalidArgument, NotSupported."""
    if kind == "local":
        place = attributes.get("src", "local")
        return cachespec.imported({"type": kind, "key": place, **_picked(attributes, "tag", "digest")})
    found = cachespec.imported({"type": kind, **_picked(attributes, "ref")})
    # an image that is here already may have it inside: as Docker's BuildKit looks
    return replace(found, kind="image") if kind == "registry" else found


def export_of(kind: str, attributes: Mapping[str, str]) -> CacheSpec:
    """One ``--cache-to``; raises InvalidArgument, NotSupported."""
    picked = dict(attributes)
    picked.pop("store", None)
    if kind == "local":
        picked["key"] = picked.pop("dest", "local")
    return cachespec.exported({"type": kind, **picked})


def _picked(given: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: given[name] for name in names if given.get(name)}


def _prefixed(given: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(name: str, text: str) -> int:
    try:
        return int(text) if text else 0
    except ValueError:
        raise InvalidArgument(f"invalid {name}: {text}") from None


def _ulimit(text: str) -> tuple[str, int, int]:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    return name, _number("ulimit", soft), _number("ulimit", hard or soft)
