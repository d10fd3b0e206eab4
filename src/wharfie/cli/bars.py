"""Bars on a terminal, one for each layer; rich is loaded for these alone."""

from __future__ import annotations

import os

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from wharfie.support.units import format_size


class _Amount(ProgressColumn):
    """``1.2MB/3.4MB``."""

    def render(self, task: Task) -> Text:
        """Nothing while no size is known."""
        if not task.fields["sized"]:
            return Text("")
        done = format_size(int(task.completed))
        return Text(done if not task.total else f"{done}/{format_size(int(task.total))}")


class _Bar(BarColumn):
    """Only while something is being moved: a status needs no bar."""

    def render(self, task: Task) -> Text:  # type: ignore[override]
        """Blank without a size."""
        return super().render(task) if task.fields["sized"] else Text("")  # type: ignore[return-value]


class Bars:
    """The layers of one image."""

    def __init__(self, fd: int) -> None:
        self._file = os.fdopen(os.dup(fd), "w")
        console = Console(file=self._file, force_terminal=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.fields[layer]}:"),
            TextColumn("{task.description}"),
            _Bar(bar_width=40),
            _Amount(),
            console=console,
            refresh_per_second=10,
        )
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def show(self, layer: str, status: str, current: int | None, total: int | None) -> None:
        """Set one layer's line."""
        task = self._tasks.get(layer)
        if task is None:
            task = self._tasks[layer] = self._progress.add_task(status, layer=layer, sized=False, total=None)
        sized = bool(total) and current is not None
        self._progress.update(
            task, description=status, layer=layer, sized=sized, completed=current or 0, total=total or 1
        )

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._progress.stop()
        self._file.close()
