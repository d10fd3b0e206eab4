"""What ``-v``, ``--mount``, ``--tmpfs``, ``VOLUME`` and ``--volumes-from`` ask for, as mount points.

The grammar of ``-v`` is ``[source:]destination[:mode]``; a source that begins with "/" is a host path, any
other one a volume's name, none an anonymous volume. A mode is a comma-separated list with at most one word
of each kind. Nothing here touches the file system except :func:`from_mount`, which asks whether a bind's
source exists.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from wharfie.support.ids import new_id
from wharfie.volumes import idmapping
from wharfie.volumes.model import InvalidMount, MountPoint
from wharfie.volumes.tmpfs import tmpfs_options, validate_tmpfs
from wharfie.wire.config import BindOptions, Mount

PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_DEFAULT_PROPAGATION = "rprivate"
_ROOTS = ("/", "//", ".")
_KINDS: tuple[frozenset[str], ...] = (
    frozenset({"rw", "ro", "ro-non-recursive", "ro-force-recursive", "rro"}),
    frozenset({"z", "Z"}),
    PROPAGATIONS,
    frozenset({"nocopy"}),
    frozenset({"consistent", "cached", "delegated", "default"}),
)


def valid_mode(mode: str) -> bool:
    """Whether ``mode`` (the third part of ``-v``) says at most one thing of each kind, and nothing else."""
    if not mode:
        return True
    words = [word for word in mode.split(",") if not idmapping.is_word(word)]
    if any(not any(word in kind for kind in _KINDS) for word in words):
        return False
    named = [word.partition("=")[0] for word in idmapping.words_of(mode)]
    return len(named) == len(set(named)) and all(sum(word in kind for word in words) <= 1 for kind in _KINDS)


def parse_bind(raw: str, volume_driver: str = "") -> MountPoint:
    """One ``-v``; raises InvalidMount."""
    parts = raw.split(":", 3)
    # "/destination:ro" reads like source and destination, but is neither
    if not parts[0] or len(parts) > 3 or (len(parts) == 2 and valid_mode(parts[1])):
        raise InvalidMount(f"invalid volume specification: '{raw}'")
    source, destination = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    mode = parts[2] if len(parts) == 3 else ""
    if not valid_mode(mode):
        raise InvalidMount(f"invalid mode: {mode}")
    words = mode.split(",")
    bind = source.startswith("/")
    recursive_words = [word for word in words if word.startswith("ro-") or word == "rro"]
    if recursive_words and not bind:
        raise InvalidMount(f"invalid mode: {mode}")
    try:
        _check_destination("bind" if bind else "volume", destination)
    except InvalidMount as error:
        raise InvalidMount(f"invalid volume specification: '{raw}': {error}") from None
    propagation = next((word for word in words if word in PROPAGATIONS), "")
    if propagation and not bind:
        reason = 'invalid mount config for type "volume": field BindOptions must not be specified'
        raise InvalidMount(f"invalid volume specification: '{raw}': {reason}")
    if bind and "nocopy" in words:
        reason = 'invalid mount config for type "bind": field VolumeOptions must not be specified'
        raise InvalidMount(f"invalid volume specification: '{raw}': {reason}")
    idmap = _idmap_of(",".join(idmapping.words_of(mode)), bind=bind)
    rw = not recursive_words and "ro" not in words
    if bind:
        return MountPoint(
            type="bind",
            destination=_clean(destination),
            source=_clean(source),
            mode=mode,
            rw=rw,
            propagation=propagation or _DEFAULT_PROPAGATION,
            create_source=True,
            readonly_recursive=_readonly(words),
            idmap=idmap,
        )
    return MountPoint(
        type="volume",
        destination=_clean(destination),
        name=source or new_id(),
        driver=volume_driver,
        # Docker's label mode, told although nothing here is labelled
        mode=mode or ("z" if source else ""),
        rw=rw,
        anonymous=not source,
        copy="nocopy" not in words,
    )


def _idmap_of(text: str, *, bind: bool) -> str:
    if text:
        if not bind:
            raise InvalidMount(f"ids can be mapped in a bind mount only: {text}")
        if not all(idmapping.is_word(word) for word in text.split(",")):
            raise InvalidMount(f"invalid id mapping '{text}'")
        idmapping.check(text)
    return text


def _readonly(words: list[str]) -> str:
    if "ro-non-recursive" in words:
        return "no"
    return "required" if "rro" in words or "ro-force-recursive" in words else "if-possible"


def _clean(path: str) -> str:
    # normpath(3p) keeps two leading slashes; Docker does not
    return posixpath.normpath("/" + path.lstrip("/")) if path.startswith("/") else path


def _check_destination(kind: str, destination: str) -> None:
    def wrong(reason: str) -> InvalidMount:
        return InvalidMount(f'invalid mount config for type "{kind}": {reason}')

    if not destination:
        raise wrong("field Target must not be empty")
    if "\0" in destination:
        raise wrong("field Target must not contain a NUL character")
    if not destination.startswith("/"):
        raise wrong(f"invalid mount path: '{destination}' mount path must be absolute")
    if posixpath.normpath(destination) in _ROOTS:
        raise wrong("invalid specification: destination can't be '/'")


def _check_subpath(kind: str, subpath: str) -> None:
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise InvalidMount(
            f'invalid mount config for type "{kind}": subpath must be a relative path within the {kind}'
        )


def from_mount(mount: Mount, exists: Callable[[str], bool] = os.path.lexists) -> MountPoint:
    """One ``--mount``; raises InvalidMount."""
    readers = {"bind": _bind_of, "volume": _volume_of, "tmpfs": _tmpfs_of, "image": _image_of}
    kind = mount.type
    if kind not in readers and mount.target:
        raise InvalidMount(f'invalid mount config for type "{kind}": mount type unknown')
    _check_destination(kind, mount.target)
    for name, value, wanted in (
        ("BindOptions", mount.bind_options, "bind"),
        ("VolumeOptions", mount.volume_options, "volume"),
        ("TmpfsOptions", mount.tmpfs_options, "tmpfs"),
        ("ImageOptions", mount.image_options, "image"),
    ):
        if value is not None and kind != wanted:
            raise InvalidMount(f'{name} must not be specified on mount type "{kind}"')
    return readers[kind](mount, exists)


def _bind_of(mount: Mount, exists: Callable[[str], bool]) -> MountPoint:
    def wrong(reason: str) -> InvalidMount:
        return InvalidMount(f'invalid mount config for type "bind": {reason}')

    options = mount.bind_options or BindOptions()
    if not mount.source:
        raise wrong("field Source must not be empty")
    if options.propagation and options.propagation not in PROPAGATIONS:
        raise wrong(f"invalid propagation mode: {options.propagation}")
    if not mount.source.startswith("/"):
        raise wrong(f"invalid mount path: '{mount.source}' mount path must be absolute")
    for conflict, both in (
        (
            "!ReadOnly && BindOptions.ReadOnlyNonRecursive",
            options.read_only_non_recursive and not mount.read_only,
        ),
        (
            "!ReadOnly && BindOptions.ReadOnlyForceRecursive",
            options.read_only_force_recursive and not mount.read_only,
        ),
        (
            "ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive",
            options.read_only_non_recursive and options.read_only_force_recursive,
        ),
    ):
        if both:
            raise InvalidMount(f"mount options conflict: {conflict}")
    if not options.create_mountpoint and not exists(mount.source):
        raise wrong(f"bind source path does not exist: {mount.source}")
    readonly = "no" if options.read_only_non_recursive else "if-possible"
    return MountPoint(
        type="bind",
        destination=_clean(mount.target),
        source=_clean(mount.source),
        rw=not mount.read_only,
        propagation=options.propagation or _DEFAULT_PROPAGATION,
        create_source=options.create_mountpoint,
        recursive=not options.non_recursive,
        readonly_recursive="required" if options.read_only_force_recursive else readonly,
        idmap=_idmap_of(options.id_map, bind=True),
        via_mount=True,
    )


def _volume_of(mount: Mount, _exists: Callable[[str], bool]) -> MountPoint:
    options = mount.volume_options
    subpath = options.subpath if options else ""
    _check_subpath("volume", subpath)
    if not mount.source and mount.read_only:
        raise InvalidMount(
            'invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes'
        )
    if not mount.source and subpath:
        raise InvalidMount(
            'invalid mount config for type "volume": must not set Subpath when using anonymous volumes'
        )
    config = options.driver_config if options else None
    return MountPoint(
        type="volume",
        destination=_clean(mount.target),
        name=mount.source or new_id(),
        driver=config.name if config else "",
        rw=not mount.read_only,
        anonymous=not mount.source,
        copy=not (options and options.no_copy),
        subpath=subpath,
        labels=dict(options.labels or {}) if options else {},
        driver_options=dict(config.options or {}) if config else {},
        via_mount=True,
    )


def _tmpfs_of(mount: Mount, _exists: Callable[[str], bool]) -> MountPoint:
    if mount.source:
        raise InvalidMount('invalid mount config for type "tmpfs": field Source must not be specified')
    return MountPoint(
        type="tmpfs",
        destination=_clean(mount.target),
        rw=not mount.read_only,
        options=tmpfs_options(mount.tmpfs_options, mount.read_only),
        via_mount=True,
    )


def _image_of(mount: Mount, _exists: Callable[[str], bool]) -> MountPoint:
    if not mount.source:
        raise InvalidMount('invalid mount config for type "image": field Source must not be empty')
    subpath = mount.image_options.subpath if mount.image_options else ""
    _check_subpath("image", subpath)
    return MountPoint(
        type="image",
        destination=_clean(mount.target),
        source=mount.source,
        rw=False,
        subpath=subpath,
        via_mount=True,
    )


def from_tmpfs(destination: str, options: str) -> MountPoint:
    """One ``--tmpfs destination[:options]``; raises InvalidMount."""
    if not destination.startswith("/"):
        # Docker names no kind of mount here
        raise InvalidMount(f"invalid mount path: '{destination}' mount path must be absolute")
    if posixpath.normpath(destination) in _ROOTS:
        raise InvalidMount("invalid specification: destination can't be '/'")
    _check_destination("tmpfs", destination)
    words = tuple(options.split(",")) if options else ()
    validate_tmpfs(words)
    return MountPoint(type="tmpfs", destination=_clean(destination), rw="ro" not in words, options=words)


def from_image_volume(destination: str) -> MountPoint:
    """One ``VOLUME`` of an image, or a key of the request's ``Volumes``; raises InvalidMount."""
    if not destination.startswith("/"):
        destination = "/" + destination
    _check_destination("volume", destination)
    return MountPoint(
        type="volume", destination=_clean(destination), name=new_id(), anonymous=True, copy=True
    )


def parse_volumes_from(spec: str) -> tuple[str, str]:
    """One ``--volumes-from container[:mode]`` as container and mode; raises InvalidMount."""
    container, _colon, mode = spec.partition(":")
    if not container:
        raise InvalidMount("volumes-from specification cannot be an empty string")
    words = mode.split(",") if mode else ["rw"]
    if not valid_mode(mode) or any(word not in ("rw", "ro", "z", "Z") for word in words):
        raise InvalidMount(f"invalid mode: {mode}")
    return container, mode or "rw"


def inherited(points: Iterable[MountPoint], mode: str) -> list[MountPoint]:
    """The mount points of another container, as ``--volumes-from`` takes them: no tmpfs, no copy-up."""
    readonly = "ro" in mode.split(",")
    return [
        replace(point, rw=point.rw and not readonly, mode=mode, copy=False, create_source=False)
        for point in points
        if point.type != "tmpfs"
    ]


def collect(
    *,
    binds: Iterable[str] = (),
    mounts: Iterable[Mount] = (),
    tmpfs: Mapping[str, str] | None = None,
    volumes: Iterable[str] = (),
    inherited_points: Iterable[MountPoint] = (),
    volume_driver: str = "",
    exists: Callable[[str], bool] = os.path.lexists,
) -> list[MountPoint]:
    """All mount points of a container, by destination's depth and name: parents are mounted before children.

    What is asked for by ``-v``, ``--mount`` and ``--tmpfs`` must not meet; it wins over ``--volumes-from``,
    and that over the image's volumes.

    Raises:
        InvalidMount: one is malformed, or two have the same destination.
    """
    asked: dict[str, MountPoint] = {}
    own = [(point, point.destination) for point in (parse_bind(raw, volume_driver) for raw in binds)]
    own += [(from_mount(mount, exists), mount.target) for mount in mounts]
    own += [(from_tmpfs(place, options), place) for place, options in (tmpfs or {}).items()]
    for point, written in own:
        if point.destination in asked:
            raise InvalidMount(f"Duplicate mount point: {written}")
        asked[point.destination] = point
    for point in inherited_points:
        asked.setdefault(point.destination, point)
    for destination in volumes:
        point = from_image_volume(destination)
        asked.setdefault(point.destination, replace(point, driver=volume_driver))
    return sorted(asked.values(), key=lambda point: (point.destination.count("/"), point.destination))
