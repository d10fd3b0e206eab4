"""The answer to a request in a file: complete, or not there."""

from __future__ import annotations

import os

from wharfie.cli.errors import CommandError
from wharfie.cli.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.client.http import Response

_CHUNK = 1 << 20


def put(response: Response, output: str | None, complaint: str) -> None:
    """Write a body to the file ``output``, whose name appears when all is written, or to standard output."""
    if not output:
        _write(response, 1)
        return
    if os.path.exists(output) and not os.path.isfile(output):
        # a device or a pipe is written to, not replaced
        fd = _opened(output, os.O_WRONLY, complaint)
        try:
            _write(response, fd)
        finally:
            os.close(fd)
        return
    directory = os.path.dirname(output) or "."
    if not os.path.isdir(directory):
        problem = "not a directory" if os.path.exists(directory) else "no such file or directory"
        raise CommandError(f"{complaint}: invalid output path: stat {directory}: {problem}")
    draft = f"{output}.{os.getpid()}.part"
    fd = _opened(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, complaint, output)
    try:
        _write(response, fd)
        os.rename(draft, output)
    except BaseException:
        os.unlink(draft)
        raise
    finally:
        os.close(fd)


def _opened(path: str, flags: int, complaint: str, shown: str = "") -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandError(f"{complaint}: {error.strerror}: {shown or path}") from None


def _write(response: Response, fd: int) -> None:
    with Tally("Writing", quiet=fd == 1) as tally:
        while data := response.read_some(_CHUNK):
            tally.add(len(data))
            while data:
                data = data[os.write(fd, data) :]
