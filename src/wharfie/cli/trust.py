"""Content trust: a Notary server signs the names of images. We know no signatures: who asks is refused."""

from __future__ import annotations

from wharfie.errors import InvalidArgument
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VARIABLE = "DOCKER_CONTENT_TRUST"
# strconv.ParseBool; what is neither counts as true
_FALSE = ("", "0", "f", "F", "false", "False", "FALSE")
_ID = 64
"""Hexadecimal digits of an image's identifier."""


class NotTrusted(InvalidArgument):
    """Signatures are asked for."""


def check(options: dict[str, Any], command: str, image: str) -> None:
    """Whether ``command`` may go on without a signature of ``image``; raises NotTrusted.

    As with Docker a digest needs none: it names the content itself.
    """
    asked = variable(VARIABLE) not in (None, *_FALSE)
    named_by_content = "@" in image or image.startswith("sha256:") or _is_identifier(image)
    if options.get("disable-content-trust", not asked) or (command != "push" and named_by_content):
        return
    by = "--disable-content-trust=false" if "disable-content-trust" in options else VARIABLE
    digest = (
        "name the image by its digest (NAME@sha256:\u2026), or " if command not in ("build", "push") else ""
    )
    raise NotTrusted(
        f"{by} asks for signed images, and wharfie can neither verify nor sign them (Docker Content Trust, "
        f"Notary): {digest}give --disable-content-trust to {command} without"
    )


def _is_identifier(text: str) -> bool:
    return len(text) == _ID and all(letter in "0123456789abcdef" for letter in text)
