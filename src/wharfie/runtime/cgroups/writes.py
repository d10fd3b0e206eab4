"""What planning limits yields: writes to control files, each known by the option a person gave."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # reads a control file of the group: (controller, file) -> content, "" where there is none
    Reader = Callable[[str, str], str]


class Write:
    """One write: which controller's file, what, and the option."""

    __slots__ = ("controller", "file", "option", "value")

    def __init__(self, controller: str, file: str, value: str, option: str) -> None:
        self.controller = controller
        self.file = file
        self.value = value
        self.option = option
