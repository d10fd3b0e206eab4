"""One engine of ours for the whole directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import ours


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ours.Engine]:
    with ours.engine(tmp_path_factory.mktemp("engine"), bridge="whconf0") as running:
        yield running
