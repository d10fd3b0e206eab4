"""Documents that a registry or an archive hands us."""

from __future__ import annotations

import pytest

from wharfie.errors import WharfieError
from wharfie.images import config, manifests


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"layers":[{"annotations":'])
def test_a_document_nested_too_deeply_is_a_wrong_one_and_no_fault_of_ours(opening: bytes) -> None:
    with pytest.raises(WharfieError, match="invalid"):
        manifests.parse(opening * 50_000, "application/vnd.oci.image.manifest.v1+json")
    with pytest.raises(WharfieError, match="invalid"):
        config.decode(opening * 50_000)
