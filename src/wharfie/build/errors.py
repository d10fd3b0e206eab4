"""What can be wrong with a Dockerfile or its build, in Docker's words, with the place it is at."""

from __future__ import annotations

from wharfie.errors import InvalidArgument, NotSupported


class DockerfileError(InvalidArgument):
    """A Dockerfile that cannot be understood; ``line`` is the first of the instruction, 0 for the whole."""

    def __init__(self, message: str, line: int = 0, end: int = 0) -> None:
        super().__init__(f"dockerfile parse error on line {line}: {message}" if line else message)
        self.line = line
        self.end = end or line


class BuildFailed(InvalidArgument):
    """A step that failed; ``code`` is the exit code of its command, 1 for all else."""

    def __init__(self, message: str, *, code: int = 1, line: int = 0, end: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.line = line
        self.end = end or line


class BuildNotSupported(NotSupported):
    """An option of a build that this engine does not have."""
