"""How far a class has been graded, in a line of a terminal that goes when it is done."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as ProgressTask
from rich.text import Text


def progress_bar(console: Console) -> Progress:
    """A bar with the rate, and the times gone and left."""
    times = (_Rate(), TimeElapsedColumn(), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *times)
    return Progress(*columns, console=console, transient=True)


class _Rate(ProgressColumn):
    """Submissions per second."""

    def render(self, task: ProgressTask) -> Text:
        """The rate so far, once there is one."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")
