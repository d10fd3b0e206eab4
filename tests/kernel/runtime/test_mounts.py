"""Mounts with translated ids and with options of whole trees."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.runtime.conftest import Box, make_spec
from wharfie.linux import mount as mounting
from wharfie.runtime.launch import LaunchError

MAPPINGS = {
    "uidMappings": [
        {"containerID": 0, "hostID": 7000, "size": 10},
        {"containerID": 50, "hostID": 8000, "size": 10},
    ],
    "gidMappings": [{"containerID": 0, "hostID": 9000, "size": 10}],
}


def bind(source: Path, options: list[str], **more: Any) -> dict[str, Any]:
    return {"destination": "/data", "type": "bind", "source": str(source), "options": options, **more}


@pytest.mark.parametrize("options", [["bind"], ["bind", "idmap"], ["rbind", "ridmap"]])
def test_ids_are_translated_by_the_mounts_own_ranges(box: Box, tmp_path: Path, options: list[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name, uid in (("one", 3), ("two", 51)):
        (data / name).touch()
        os.chown(data / name, uid, 2)
    done = box.run(
        ["stat", "-c", "%u:%g", "/data/one", "/data/two"], mounts=[bind(data, options, **MAPPINGS)]
    )
    assert done.output.split() == ["7003:9002", "8001:9002"]
    assert (data / "one").stat().st_uid == 3


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        (bind(Path("/tmp"), ["bind", "idmap"]), "no uidMappings"),
        (bind(Path("/tmp"), ["bind"], uidMappings=MAPPINGS["uidMappings"]), "needs both"),
        ({"destination": "/data", "type": "tmpfs", "source": "x", **MAPPINGS}, "only bind mounts"),
    ],
)
def test_what_cannot_be_translated_is_refused(box: Box, mount: dict[str, Any], message: str) -> None:
    with pytest.raises(LaunchError, match=message):
        box.start(make_spec(["true"], mounts=[mount]))


def test_an_option_of_the_whole_tree_reaches_what_is_mounted_below(box: Box, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "below").mkdir(parents=True)
    mounting.mount("tmpfs", str(data / "below"), "tmpfs")
    script = (
        "for place in /data /data/below; do touch $place/x 2>/dev/null && echo writable; done; "
        "grep /data /proc/mounts"
    )
    try:
        plain = box.run(script, mounts=[bind(data, ["rbind", "ro"])]).output
        whole = box.run(script, mounts=[bind(data, ["rbind", "rro", "rnosuid", "rnodev", "rnoexec"])]).output
    finally:
        mounting.umount2(str(data / "below"), mounting.MNT_DETACH)
    assert plain.count("writable") == 1
    assert "writable" not in whole
    assert whole.count("ro,nosuid,nodev,noexec") == 2
