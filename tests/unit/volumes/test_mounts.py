"""What -v, --mount, --tmpfs and --volumes-from mean, with Docker's complaints."""

from __future__ import annotations

import re

import msgspec
import pytest

from wharfie.volumes.model import InvalidMount
from wharfie.volumes.mounts import (
    collect,
    from_image_volume,
    from_mount,
    from_tmpfs,
    inherited,
    parse_bind,
    parse_volumes_from,
)
from wharfie.volumes.tmpfs import merge_tmpfs
from wharfie.wire.config import BindOptions, DriverConfig, ImageOptions, Mount, TmpfsOptions, VolumeOptions


def _refuses(message: str) -> pytest.RaisesExc[InvalidMount]:
    return pytest.raises(InvalidMount, match=re.escape(message))


def test_a_host_path_is_bound() -> None:
    point = parse_bind("/host/./dir/:/in//side/")
    assert (point.type, point.source, point.destination) == ("bind", "/host/dir", "/in/side")
    assert (point.rw, point.propagation, point.mode, point.create_source) == (True, "rprivate", "", True)


def test_a_name_is_a_volume() -> None:
    point = parse_bind("data:/data:ro", "special")
    assert (point.type, point.name, point.destination, point.source) == ("volume", "data", "/data", "")
    assert (point.rw, point.mode, point.driver, point.copy, point.anonymous) == (
        False,
        "ro",
        "special",
        True,
        False,
    )


def test_a_destination_alone_is_an_anonymous_volume() -> None:
    point = parse_bind("/data")
    assert point.anonymous
    assert len(point.name) == 64


@pytest.mark.parametrize(
    ("mode", "rw", "propagation"),
    [
        ("rw", True, "rprivate"),
        ("ro,z", False, "rprivate"),
        ("Z", True, "rprivate"),
        ("ro,rslave,cached", False, "rslave"),
        ("shared,delegated", True, "shared"),
        ("consistent", True, "rprivate"),
    ],
)
def test_modes_of_a_bind(mode: str, rw: bool, propagation: str) -> None:
    point = parse_bind(f"/a:/b:{mode}")
    assert (point.rw, point.propagation, point.mode) == (rw, propagation, mode)


@pytest.mark.parametrize(
    ("mode", "recursive"),
    [
        ("ro", "if-possible"),
        ("ro-non-recursive", "no"),
        ("ro-force-recursive", "required"),
        ("rro", "required"),
    ],
)
def test_how_deep_read_only_goes(mode: str, recursive: str) -> None:
    point = parse_bind(f"/a:/b:{mode}")
    assert (point.rw, point.readonly_recursive) == (False, recursive)


def test_nocopy_is_for_volumes() -> None:
    assert not parse_bind("data:/data:nocopy").copy


@pytest.mark.parametrize("raw", ["", ":", "::", ":/x", "/a:ro", "name:rw", "/a:/b:ro:more", "a:b:c:d"])
def test_specifications_that_are_none(raw: str) -> None:
    with _refuses(f"invalid volume specification: '{raw}'"):
        parse_bind(raw)


@pytest.mark.parametrize(
    "mode", ["x", "ro,rw", "z,Z", "shared,private", "ro,", "nocopy,nocopy", "RO", "ro rw"]
)
def test_modes_that_are_none(mode: str) -> None:
    with _refuses(f"invalid mode: {mode}"):
        parse_bind(f"/a:/b:{mode}")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("/a:/", "destination can't be '/'"),
        ("/", "destination can't be '/'"),
        ("name:/./", "destination can't be '/'"),
        ("/a:/b/..", "destination can't be '/'"),
        ("/a:relative", "invalid mount path: 'relative' mount path must be absolute"),
        ("relative", "invalid mount path: 'relative' mount path must be absolute"),
        ("name:/b:shared", "field BindOptions must not be specified"),
    ],
)
def test_destinations_and_modes_that_do_not_fit(raw: str, reason: str) -> None:
    with _refuses(reason) as caught:
        parse_bind(raw)
    assert f"invalid volume specification: '{raw}'" in str(caught.value)


def _exists(path: str) -> bool:
    return path == "/there"


def test_a_bind_mount() -> None:
    options = BindOptions(propagation="rshared", non_recursive=True, read_only_force_recursive=True)
    point = from_mount(
        Mount(type="bind", source="/there", target="/x/", read_only=True, bind_options=options), _exists
    )
    assert (point.source, point.destination, point.rw, point.propagation) == (
        "/there",
        "/x",
        False,
        "rshared",
    )
    assert (point.recursive, point.readonly_recursive, point.create_source) == (False, "required", False)


def test_a_volume_mount() -> None:
    options = VolumeOptions(
        no_copy=True,
        labels={"a": "b"},
        subpath="in/side",
        driver_config=DriverConfig(name="d", options={"o": "p"}),
    )
    point = from_mount(Mount(type="volume", source="data", target="/x", volume_options=options))
    assert (point.name, point.driver, point.copy, point.subpath) == ("data", "d", False, "in/side")
    assert (point.labels, point.driver_options) == ({"a": "b"}, {"o": "p"})
    assert from_mount(Mount(type="volume", target="/x")).anonymous


def test_a_tmpfs_mount() -> None:
    options = TmpfsOptions(size_bytes=64 << 20, mode=0o1770, options=[["exec"], ["uid", "5"]])
    point = from_mount(Mount(type="tmpfs", target="/x", read_only=True, tmpfs_options=options))
    assert point.options == ("ro", "mode=1770", "size=64m", "exec", "uid=5")
    assert not point.rw


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        (Mount(type="bind", source="/there"), "field Target must not be empty"),
        (Mount(type="bind", target="/x"), "field Source must not be empty"),
        (Mount(type="bind", source="/gone", target="/x"), "bind source path does not exist: /gone"),
        (
            Mount(type="bind", source="rel", target="/x"),
            "invalid mount path: 'rel' mount path must be absolute",
        ),
        (
            Mount(type="bind", source="/there", target="x"),
            "invalid mount path: 'x' mount path must be absolute",
        ),
        (Mount(type="bind", source="/there", target="/"), "invalid specification: destination can't be '/'"),
        (
            Mount(type="bind", source="/there", target="/x", bind_options=BindOptions(propagation="often")),
            "invalid propagation mode: often",
        ),
        (
            Mount(
                type="bind",
                source="/there",
                target="/x",
                bind_options=BindOptions(read_only_non_recursive=True),
            ),
            "mount options conflict: !ReadOnly && BindOptions.ReadOnlyNonRecursive",
        ),
        (
            Mount(type="bind", source="/there", target="/x", volume_options=VolumeOptions()),
            'VolumeOptions must not be specified on mount type "bind"',
        ),
        (
            Mount(type="volume", target="/x", read_only=True),
            "must not set ReadOnly mode when using anonymous volumes",
        ),
        (
            Mount(type="volume", source="v", target="/x", bind_options=BindOptions()),
            'BindOptions must not be specified on mount type "volume"',
        ),
        (
            Mount(type="volume", source="v", target="/x", volume_options=VolumeOptions(subpath="../up")),
            "subpath must be a relative path within the volume",
        ),
        (Mount(type="tmpfs", source="/a", target="/x"), "field Source must not be specified"),
        (
            Mount(type="tmpfs", target="/x", tmpfs_options=TmpfsOptions(options=[["subtle"]])),
            'invalid tmpfs option "subtle"',
        ),
    ],
)
def test_mounts_that_cannot_be(mount: Mount, reason: str) -> None:
    with _refuses(reason):
        from_mount(mount, _exists)


def test_an_image_is_mounted_to_be_read() -> None:
    mount = Mount(type="image", source="busybox", target="/x", image_options=ImageOptions(subpath="etc"))
    point = from_mount(mount)
    assert (point.type, point.source, point.subpath, point.rw) == ("image", "busybox", "etc", False)
    with _refuses("field Source must not be empty"):
        from_mount(Mount(type="image", target="/x"))
    with _refuses("subpath must be a relative path within the image"):
        from_mount(msgspec.structs.replace(mount, image_options=ImageOptions(subpath="../x")))


@pytest.mark.parametrize("kind", ["", "npipe", "cluster"])
def test_types_of_mounts_that_are_not_known(kind: str) -> None:
    with _refuses(f'invalid mount config for type "{kind}": mount type unknown'):
        from_mount(Mount(type=kind, source="x", target="/x"))


def test_a_recursive_read_only_mode_is_for_binds() -> None:
    with _refuses("invalid mode: rro"):
        parse_bind("name:/b:rro")


def test_a_missing_source_is_made_when_asked_for() -> None:
    mount = Mount(type="bind", source="/gone", target="/x", bind_options=BindOptions(create_mountpoint=True))
    assert from_mount(mount, _exists).create_source


def test_tmpfs_options() -> None:
    assert from_tmpfs("/x", "").options == ()
    assert from_tmpfs("/x", "size=64m,exec,mode=1777").options == ("size=64m", "exec", "mode=1777")
    for wrong, told in (
        ("lowerdir=/etc", "lowerdir"), ("size", "size"), ("size=", "size="), ("bind", "bind"),
    ):  # fmt: skip
        with _refuses(f'invalid tmpfs option "{told}"'):
            from_tmpfs("/x", wrong)
    with _refuses("destination can't be '/'"):
        from_tmpfs("/", "")


def test_tmpfs_options_go_over_the_defaults() -> None:
    assert merge_tmpfs(()) == ("noexec", "nosuid", "nodev")
    assert merge_tmpfs(("exec", "size=1m")) == ("nosuid", "nodev", "exec", "size=1m")
    assert merge_tmpfs(("size=1m", "size=2m", "dev", "nodev")) == ("noexec", "nosuid", "size=2m", "nodev")


def test_volumes_from() -> None:
    assert parse_volumes_from("web") == ("web", "rw")
    assert parse_volumes_from("web:ro") == ("web", "ro")
    for wrong in ("web:x", "web:shared", "web:nocopy", "web:rro"):
        with _refuses("invalid mode: "):
            parse_volumes_from(wrong)
    with _refuses("cannot be an empty string"):
        parse_volumes_from(":ro")
    points = [parse_bind("data:/a"), parse_bind("/b:/b:ro"), from_tmpfs("/t", ""), from_image_volume("/v")]
    taken = inherited(points, "ro")
    assert [point.destination for point in taken] == ["/a", "/b", "/v"]
    assert not any(point.rw or point.copy for point in taken)
    assert [point.anonymous for point in taken] == [False, False, True]
    assert taken[2].name == points[3].name
    assert [point.rw for point in inherited(points, "rw")] == [True, False, True]


def test_what_was_asked_for_wins_over_what_is_inherited_or_in_the_image() -> None:
    points = collect(
        binds=["data:/a/deep/down", "/host:/b"],
        mounts=[Mount(type="tmpfs", target="/c")],
        tmpfs={"/d": "size=1m"},
        volumes=["/b", "/e", "f"],
        inherited_points=[parse_bind("other:/a/deep/down"), parse_bind("other:/e")],
        volume_driver="local",
    )
    assert [(point.destination, point.type) for point in points] == [
        ("/b", "bind"),
        ("/c", "tmpfs"),
        ("/d", "tmpfs"),
        ("/e", "volume"),
        ("/f", "volume"),
        ("/a/deep/down", "volume"),
    ]
    assert points[3].name == "other"
    assert points[5].name == "data"


@pytest.mark.parametrize(
    "asked",
    [
        {"binds": ["/a:/x", "/b:/x/"]},
        {"binds": ["/a:/x"], "mounts": [Mount(type="tmpfs", target="/x")]},
        {"binds": ["v:/x"], "tmpfs": {"/x/.": ""}},
    ],
)
def test_two_mounts_at_one_place_are_refused(asked: dict[str, object]) -> None:
    with _refuses("Duplicate mount point: /x"):
        collect(**asked)  # type: ignore[arg-type]
