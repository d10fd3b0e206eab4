"""What can be wrong with a Dockerfile or its build, in Docker's words, with the place it is at."""

from __future__ import annotations

from copy import copy

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

    def at(self, line: int, end: int) -> BuildFailed:
        """The same, at these lines."""
        found = copy(self)
        found.line, found.end = line, end
        return found


class CommandFailed(BuildFailed):
    """The command of a ``RUN`` ended with another code than 0."""

    def __init__(self, shown: str, code: int = 1) -> None:
        super().__init__(f"The command '{shown}' returned a non-zero code: {code}", code=code)
        self.args = (shown, code)
        self.process = f'process "{shown}" did not complete successfully: exit code: {code}'
        """The same in BuildKit's words."""


class BuildNotSupported(NotSupported):
    """An option of a build that this engine does not have."""
