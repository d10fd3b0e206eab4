"""Attributes of the Dockerfile frontend as options of our builder."""

from __future__ import annotations

import pytest

from wharfie.build.cachespec import CacheSpec
from wharfie.buildkit.frontend import export_of, imported, read
from wharfie.errors import InvalidArgument, NotSupported, WharfieError
from wharfie.images.platform import Platform

KIND = "dockerfile.v0"


def test_all_attributes_become_options() -> None:
    wanted = read(
        KIND,
        {
            "filename": "D", "target": "t", "build-arg:A": "1", "build-arg:BUILDKIT_SYNTAX": "x",
            "build-arg:SOURCE_DATE_EPOCH": "7", "label:l": "v", "platform": "linux/amd64,linux/arm64",
            "no-cache": "", "image-resolve-mode": "pull", "add-hosts": "h=1.2.3.4,i=::1",
            "force-network-mode": "none", "shm-size": "1024", "ulimit": "nofile=1:2,core=3",
            "cgroup-parent": "/p", "contextkey": "c", "dockerfilekey": "d", "context": "https://x/y.git",
        },
        [],
    )  # fmt: skip
    options = wanted.options
    assert (options.dockerfile, options.target, options.labels) == ("D", "t", {"l": "v"})
    assert options.arguments == {"A": "1", "SOURCE_DATE_EPOCH": "7"}
    assert (options.epoch, options.no_cache, options.no_cache_for, options.pull) == (7, True, [], True)
    assert (options.hosts, options.network) == (["h:1.2.3.4", "i:::1"], "none")
    assert (options.limits.shm_size, options.limits.cgroup_parent) == (1024, "/p")
    assert options.limits.ulimits == [("nofile", 1, 2), ("core", 3, 3)]
    assert wanted.platforms == ["linux/amd64", "linux/arm64"]
    assert (wanted.context, wanted.context_key, wanted.dockerfile_key) == ("https://x/y.git", "c", "d")


def test_what_is_not_said_is_dockers_default() -> None:
    wanted = read(KIND, {"no-cache": "a,b"}, [])
    assert (wanted.options.dockerfile, wanted.options.no_cache, wanted.options.pull) == (
        "Dockerfile",
        False,
        False,
    )
    assert wanted.options.no_cache_for == ["a", "b"]
    assert (wanted.platforms, wanted.context, wanted.context_key) == ([], "", "context")


def test_a_context_may_be_for_one_platform_only() -> None:
    host = str(Platform.of_host())
    wanted = read(
        KIND,
        {"context:a": "local:a", f"context:b::{host}": "input:1", "context:b::linux/s390x": "input:2"},
        [],
    )
    assert wanted.for_platform("").contexts == {"a": "local:a", "b": "input:1"}
    assert wanted.for_platform("linux/s390x").contexts == {"a": "local:a", "b": "input:2"}


def test_caches_come_from_images_and_go_where_they_can() -> None:
    entries = imported({"cache-imports": '[{"Type":"registry","Attrs":{"ref":"busybox"}}]'})
    assert entries == [CacheSpec("image", "busybox")]
    assert export_of("inline", {}) == CacheSpec("inline")
    assert imported({}) == []


@pytest.mark.parametrize(
    ("kind", "given", "error", "message"),
    [
        ("", {}, NotSupported, "raw LLB"),
        ("other.v0", {}, NotSupported, "the frontend other.v0 is not supported"),
        (KIND, {"attest:sbom": ""}, NotSupported, "attestations"),
        (KIND, {"shm-size": "x"}, InvalidArgument, "invalid shm-size: x"),
        (KIND, {"ulimit": "nofile=x"}, InvalidArgument, "invalid ulimit: x"),
        (KIND, {"build-arg:SOURCE_DATE_EPOCH": "x"}, InvalidArgument, "invalid SOURCE_DATE_EPOCH: x"),
        (KIND, {"platform": "a/b/c/d/e"}, WharfieError, "platform"),
    ],
)
def test_what_cannot_be_is_refused(
    kind: str, given: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(kind, given, [])


def test_imports_that_are_no_json_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="cache-imports"):
        imported({"cache-imports": "["})
