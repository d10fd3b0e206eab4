"""Bad config.json of every kind: one sentence that names the field, and nothing is left behind."""

from __future__ import annotations

import json
import shutil
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.conformance.runtime import schemas
from tests.conformance.runtime.base import base_configuration
from tests.conformance.runtime.case import Case
from tests.conformance.runtime.forked import Forked, forked
from tests.conformance.runtime.harness import Bundle, Done, groups, parent_group

FIELDS = list(schemas.fields())
# by the schema's type: values that it is not
WRONG: dict[str, tuple[Any, ...]] = {
    "string": (5, ["x"], True),
    "integer": ("x", 1.5, [1]),
    "boolean": ("yes", 1),
    "array": ("x", {"a": 1}),
    "object": ("x", [1]),
}
# engines write the kind of file into fileMode as well, beyond what the schema has as its end
BOUNDS = [
    field for field in FIELDS if {"minimum", "maximum"} & set(field.schema) and field.name != "fileMode"
]
TYPED = [(field, wrong) for field in FIELDS for wrong in WRONG.get(str(field.schema.get("type")), ())]


def spoken(place: schemas.Place) -> str:
    return ".".join(str(part) for part in place)


class Bench:
    """One bundle, whose config.json changes."""

    def __init__(self, runtime: Forked, directory: Path) -> None:
        self._runtime = runtime
        self._bundle = Bundle(directory, Case("any", "", probe="true"))
        self._config = base_configuration(["sh", "-c", "true"], self._bundle.cgroup)

    def run(self, place: schemas.Place, value: Any) -> Done:
        """Run the configuration with ``value`` at ``place``; whatever comes of it, nothing may be left."""
        return self.run_text(json.dumps(schemas.put(self._config, place, value)))

    def run_text(self, text: str) -> Done:
        """Run a configuration; whatever comes of it, nothing may be left."""
        (self._bundle.directory / "config.json").write_text(text)
        words = [
            "--root",
            str(self._bundle.directory / "state"),
            "run",
            "--bundle",
            str(self._bundle.directory),
        ]
        done = self._runtime([*words, self._bundle.id], self._bundle.directory)
        assert self._bundle.leftovers() == [], text
        # a group elsewhere, where the configuration asked for another path
        assert groups(f"/{self._bundle.id}") == []
        return done


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    directory = Path(tempfile.mkdtemp(prefix="bad-"))
    directory.chmod(0o755)
    try:
        with parent_group(), forked() as runtime:
            yield Bench(runtime, directory)
    finally:
        shutil.rmtree(directory)


def refused(done: Done) -> str:
    """The one sentence of a refusal."""
    assert done.code == 1, done
    lines = done.errors.splitlines()
    assert len(lines) == 1, done.errors
    assert "Traceback" not in lines[0]
    return lines[0]


def test_there_are_many_fields() -> None:
    assert len(FIELDS) > 200
    assert len(TYPED) > 500


def test_a_value_of_another_type_is_refused_by_the_field(bench: Bench) -> None:
    silent = []
    for field, wrong in TYPED:
        sentence = refused(bench.run(field.place, wrong))
        if field.name not in sentence:
            silent.append((spoken(field.place), wrong, sentence))
    assert not silent, "\n".join(map(str, silent))


def test_a_number_out_of_its_range_is_refused_by_the_field(bench: Bench) -> None:
    silent = []
    for field in BOUNDS:
        for value in (field.schema.get("minimum", 0) - 1, field.schema.get("maximum", 1 << 70) + 1):
            sentence = refused(bench.run(field.place, value))
            if field.name not in sentence:
                silent.append((spoken(field.place), value, sentence))
    assert not silent, "\n".join(map(str, silent))


def test_a_word_that_is_none_of_the_possible_ones_is_refused_by_the_field(bench: Bench) -> None:
    silent = []
    chosen = [field for field in FIELDS if "enum" in field.schema]
    assert len(chosen) > 10
    for field in chosen:
        sentence = refused(bench.run(field.place, "nonsense"))
        if field.name not in sentence and "nonsense" not in sentence:
            silent.append((spoken(field.place), sentence))
    assert not silent, "\n".join(map(str, silent))


def test_an_object_without_what_it_requires_is_refused_by_the_field(bench: Bench) -> None:
    # an empty linux.resources.pids limits nothing, as with runc
    silent = []
    for field in FIELDS:
        if field.schema.get("required") and spoken(field.place) != "linux.resources.pids":
            done = bench.run(field.place, {})
            sentence = refused(done) if done.code else "taken"
            if not any(name in sentence for name in field.schema["required"]):
                silent.append((spoken(field.place), sentence))
    assert not silent, "\n".join(map(str, silent))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "5", '"x"', "\0", "{" * 5000, "[" * 100000, '{"a":1,}']
)
def test_what_is_no_object_of_json_is_refused(bench: Bench, text: str) -> None:
    assert "config.json" in refused(bench.run_text(text)) or "ociVersion" in refused(bench.run_text(text))


def test_bytes_that_are_no_text_are_refused(bench: Bench, tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, Case("any", ""))
    (tmp_path / "config.json").write_bytes(b'{"ociVersion": "\xff\xfe"}')
    done = bench._runtime(
        ["--root", str(tmp_path / "state"), "run", "-b", str(tmp_path), bundle.id], tmp_path
    )
    assert "config.json" in refused(done)


_PATHS = st.text(string.printable, max_size=40)
_WORDS = st.one_of(
    st.sampled_from(
        ["", "/", "/proc", "/proc/self/ns/net", "/dev", "..", "../../..", "/sys/fs/cgroup", "/etc/x"]
    ),
    _PATHS,
    st.text(max_size=20),
)
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(1 << 65), 1 << 65), st.floats(), _WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(string.ascii_letters, max_size=8), inner, max_size=3),
    ),
    max_leaves=6,
)
# what a configuration may do to the machine outside of its bundle is no matter of this test
_TAME = [
    field
    for field in FIELDS
    if not {"hooks", "cgroupsPath", "unified", "netDevices", "source", "path", "namespaces", "args"}
    & set(field.place)
]


@settings(
    max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
@given(field=st.sampled_from(_TAME), value=_VALUES)
def test_anything_anywhere_is_run_or_refused_in_one_sentence(
    bench: Bench, field: schemas.Field, value: Any
) -> None:
    done = bench.run(field.place, value)
    assert "Traceback" not in done.errors
    assert done.code in range(256)
    if done.code == 1:
        assert len([line for line in done.errors.splitlines() if "level=warning" not in line]) <= 1


def test_features_obeys_its_schema(bench: Bench) -> None:
    known = {path.name: json.loads(path.read_text()) for path in schemas.DIRECTORY.glob("*.json")}
    features = json.loads(bench._runtime(["features"], bench._bundle.directory).output)
    registry = Registry().with_resources(
        (name, Resource.from_contents(schema, default_specification=DRAFT4)) for name, schema in known.items()
    )
    jsonschema.Draft4Validator({"$ref": "features-schema.json"}, registry=registry).validate(features)
