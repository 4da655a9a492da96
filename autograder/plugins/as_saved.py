"""Reading what was handed in, by nbgrader's own steps as by ours."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters.base import BaseConverter, NbGraderException

from ..hand_in.finding import timestamp
from ..hand_in.notebook_file import SubmissionError, plain_bytes, read


class AsSaved(NotebookExporter):
    """Reads a notebook as any editor may have saved it, and one in which cells are odd; and the time of a hand-in as
    `course grade` does, where nbgrader gives up the hand-in for a time that it cannot read.
    """

    def __init__(self, parent: Any = None, **options: Any) -> None:
        super().__init__(parent=parent, **options)
        if isinstance(parent, BaseConverter):
            parent.coursedir.get_existing_timestamp = partial(_timestamp, parent.log)

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """As nbconvert's, which opens whatever there is and would wait for a pipe."""
        try:
            plain_bytes(Path(filename), 0)
        except SubmissionError as error:
            raise NbGraderException(str(error)) from None
        return super().from_filename(filename, resources, **options)

    def from_file(
        self, file_stream: Any, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[NotebookNode, dict[str, Any]]:
        try:
            held = read(Path(file_stream.name))
        except SubmissionError as error:
            raise NbGraderException(str(error)) from None
        taken: set[str] = set()
        for number, cell in enumerate(held.cells):  # nbformat would give others at random, and refuse some
            if not re.fullmatch(r"[\w-]{1,64}", cell["id"], re.ASCII) or cell["id"] in taken:
                cell["id"] = f"handed-in-{number}"
            taken.add(cell["id"])
        about = NotebookNode(flags=held.flags)  # where the notebook format has room for it
        made = NotebookNode(cells=held.cells, metadata=about, nbformat=4, nbformat_minor=5)
        return self.from_notebook_node(made, resources, **options)


def _timestamp(log: Any, folder: str) -> datetime | None:
    when, flag = timestamp(Path(folder))
    if flag:
        log.warning("%s: %s", folder, flag)
    return when
