"""Names of images, as Docker reads and shows them."""

from __future__ import annotations

import pytest

from wharfie.images import reference


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("debian", "docker.io/library/debian:latest", "debian:latest"),
        ("debian:12", "docker.io/library/debian:12", "debian:12"),
        ("me/tool", "docker.io/me/tool:latest", "me/tool:latest"),
        ("index.docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"),
        ("ghcr.io/o/r__x.y-z", "ghcr.io/o/r__x.y-z:latest", "ghcr.io/o/r__x.y-z:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
    ],
)
def test_a_name_is_read_and_shown(text: str, canonical: str, familiar: str) -> None:
    found = reference.parse(text).with_default_tag()
    assert (found.canonical, found.familiar) == (canonical, familiar)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("-x", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a@sha256:12", "invalid reference format"),
        ("docker.io/Foo", "must be lowercase"),
        ("foo/Bar", "must be lowercase"),
        ("0" * 64, "64-byte hexadecimal"),
        ("x/" + "a" * 260, "more than 255"),
        ("debian\n", "invalid reference format"),
    ],
)
def test_what_no_image_can_be_called(text: str, words: str) -> None:
    with pytest.raises(reference.InvalidReference, match=words):
        reference.parse(text)
