"""Every Dockerfile of the corpus gives the image that real Docker made of it, as recorded."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ours
from tests.peers import builds, sources
from tests.peers.record_builds import RECORDING, answer

RECORDED: dict[str, Any] = json.loads(RECORDING.read_text())["cases"]
CASES = {case.name: case for case in builds.cases()}

_NO_LAYER = "a step that changed nothing gets no layer"
DIFFERENT = {"config-13": _NO_LAYER, "run-03": _NO_LAYER}
"""Cases in which we differ from Docker, each with the reason."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ours.Engine]:
    with ours.engine(tmp_path_factory.mktemp("builds"), bridge="whbc") as running:
        yield running


@pytest.fixture(scope="module")
def base(engine: ours.Engine) -> dict[str, Any]:
    return builds.outcome(saved(engine, "busybox"))["whole"]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with sources.served(tmp_path_factory.mktemp("sources"), builds.STAMP) as found:
        yield found


def saved(engine: ours.Engine, name: str) -> bytes:
    done = subprocess.run([ours.WHARFIE, "-H", engine.host, "save", name], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_recording_is_of_this_corpus() -> None:
    assert set(RECORDED) == set(CASES), "run ./check peers"
    assert len(CASES) >= 205


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_image_is_dockers(
    engine: ours.Engine, base: dict[str, Any], addresses: dict[str, str], tmp_path: Path, name: str
) -> None:
    if name in DIFFERENT:
        pytest.xfail(DIFFERENT[name])
    case = CASES[name]
    builds.write_context(case, tmp_path / "context", addresses)
    words = [
        ours.WHARFIE,
        "-H",
        engine.host,
        "build",
        "-t",
        "case",
        *(sources.put_in(word, addresses) for word in case.arguments),
        str(tmp_path / "context"),
    ]
    done = subprocess.run(words, capture_output=True, timeout=60)
    mine = answer(done, lambda: saved(engine, "case"), base)
    theirs = RECORDED[name]
    assert mine["code"] == theirs["code"], done.stderr.decode()
    if theirs["code"]:
        return
    assert {key: mine[key] for key in theirs} == theirs
