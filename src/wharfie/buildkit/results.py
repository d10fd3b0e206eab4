"""What builds came to, by ids that clients hand on: to the exporter, or as a base of another build.

An id travels as a definition in BuildKit's form with one source of our own making, ``wharfie://ID``: a client
takes it apart and puts it together again without a look at it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from wharfie.build.solver import Solver
from wharfie.build.stagestate import StageState
from wharfie.build.work import Work
from wharfie.buildkit.messages import common
from wharfie.errors import NotFound, NotSupported
from wharfie.images.platform import Platform
from wharfie.support.ids import random_hex

_SCHEME = "wharfie://"
_KEPT = 256


@dataclass(slots=True)
class Outcome:
    """One platform's."""

    platform: Platform
    state: StageState
    document: bytes
    """The image's configuration."""
    work: Work
    solver: Solver


class Results:
    """The latest outcomes of all builds; what one stands on, the build cache keeps."""

    def __init__(self) -> None:
        self._known: dict[str, StageState] = {}

    def add(self, state: StageState) -> str:
        """Its id."""
        while len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        key = random_hex(32)
        self._known[key] = state
        return key

    def get(self, key: str) -> StageState:
        """One that was not long ago; raises NotFound."""
        found = self._known.get(key)
        if found is None:
            raise NotFound("the result of the build that this one begins from is gone: build both again")
        return found

    def inputs(self, given: Mapping[str, Any]) -> dict[str, StageState]:
        """Results that a client handed on, by its names; raises NotSupported, NotFound."""
        return {name: self.get(key_in(definition)) for name, definition in given.items()}


def definition_of(key: str) -> Any:
    """An id as it travels."""
    source = common.Op(source=common.Source(identifier=f"{_SCHEME}{key}")).SerializeToString()
    digest = f"sha256:{hashlib.sha256(source).hexdigest()}"
    end = common.Op(inputs=[common.Input(digest=digest)]).SerializeToString()
    found = common.Definition(steps=[source, end])
    for step in found.steps:  # a client wants to see something of each
        found.metadata[f"sha256:{hashlib.sha256(step).hexdigest()}"].SetInParent()
    return found


def key_in(definition: Any) -> str:
    """The id in it; raises NotSupported for any other definition."""
    for step in definition.steps:
        try:
            identifier = common.Op.FromString(step).source.identifier
        except DecodeError:
            continue
        if identifier.startswith(_SCHEME):
            return str(identifier.removeprefix(_SCHEME))
    raise NotSupported("raw LLB is not supported: this builder takes Dockerfiles")
