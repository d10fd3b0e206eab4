"""The check of config.json's fields."""

from __future__ import annotations

from typing import Any

import pytest

from wharfie.errors import InvalidArgument
from wharfie.runtime.specfile import default_spec, rootless_spec
from wharfie.spec.schema import CONFIG, check


@pytest.mark.parametrize("spec", [default_spec(), rootless_spec(1000, 1000), {"ociVersion": "1.0.0"}])
def test_a_good_configuration_passes(spec: dict[str, Any]) -> None:
    check(spec, CONFIG, "")
    check({**spec, "unknown": [1], "process": None}, CONFIG, "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ociVersion": None}, "ociVersion is missing"),
        ({"process": []}, "process must be an object, not an array"),
        ({"process": {"args": "sh"}}, "process.args must be an array, not a string"),
        ({"process": {"args": ["a", 1]}}, "process.args[1] must be a string, not a number"),
        ({"process": {"args": [None]}}, "process.args[0] is null"),
        ({"process": {"cwd": "/\0"}}, "process.cwd has a NUL character in it"),
        ({"process": {"cwd": "/\ud800"}}, "process.cwd has half a surrogate pair in it"),
        ({"process": {"terminal": 1}}, "process.terminal must be true or false, not a number"),
        ({"process": {"user": {"uid": -1}}}, "process.user.uid must be between 0 and 4294967295: -1"),
        ({"process": {"user": {"uid": True}}}, "process.user.uid must be a whole number, not a boolean"),
        ({"process": {"user": {"uid": 1.5}}}, "process.user.uid must be a whole number, not a number"),
        ({"root": {}}, "root.path is missing"),
        ({"mounts": [{"source": "x"}]}, "mounts[0].destination is missing"),
        ({"annotations": {"a": 1}}, "annotations['a'] must be a string, not a number"),
        ({"linux": {"sysctl": {"a": {}}}}, "linux.sysctl['a'] must be a string, not an object"),
        ({"hooks": {"prestart": [{}]}}, "hooks.prestart[0].path is missing"),
        (
            {"linux": {"resources": {"memory": {"limit": "1"}}}},
            "linux.resources.memory.limit must be a whole",
        ),
    ],
)
def test_a_bad_one_is_refused_by_the_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check({"ociVersion": "1.2.0", **changes}, CONFIG, "")
    assert caught.value.message.startswith(message)
