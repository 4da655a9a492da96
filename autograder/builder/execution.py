"""Runs a lesson's notebook for the builder: with the full budget, in its folder, stopping at the first cell that fails.

What a cell shows must be the same on every build, so a cell that writes to stderr, shows a memory address or leaves a
live widget (whose id is random) counts as failed too, with one line that says where.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from ..cells import nbgrader
from .assemble import Assembled
from .source import Lesson, LessonError, Problem
from .taint import TAG

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
_WIDGET = "application/vnd.jupyter.widget-view+json"


def environment(ipython_folder: str) -> dict[str, str]:
    """The kernel's environment: everything in full and nothing interactive, and no habits of the person who builds."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NBGRADER_")}
    ours = {
        "COURSE_PROGRESS": "off",
        # One thread: sums come out the same on every machine, and a busy one does not stall on waiting threads.
        "OMP_NUM_THREADS": "1",
        "COURSE_WIDGETS": "static",
        "COURSE_BUDGET": os.environ.get("COURSE_BUDGET", "full"),
        "IPYTHONDIR": ipython_folder,
        "PYTHONHASHSEED": "0",
    }
    return kept | ours


def execute(
    lesson: Lesson, made: Assembled, on_cell: Callable[[int, int], None] = lambda done, total: None, draft: bool = False
) -> list[Problem]:
    """Fill in the notebook's outputs. `on_cell(position, line)` is called before each code cell.

    Raises LessonError at the first cell that fails; what a draft may still have (stderr, addresses) comes back instead.
    """
    client = NotebookClient(
        made.notebook,
        kernel_name="python3",
        timeout=None,
        record_timing=False,
        store_widget_state=True,  # or nbclient loses its way in what an `interact` prints
        coalesce_streams=True,
        resources={"metadata": {"path": str(lesson.path.parent)}},
    )
    problems: list[Problem] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile() as log,  # what the kernel itself says, as against the cells
        client.setup_kernel(env=environment(folder), stdout=log, stderr=log),
    ):
        for position, cell in enumerate(made.notebook.cells):
            if cell.cell_type != "code":
                continue
            on_cell(position, made.lines[position])
            try:
                client.execute_cell(cell, position)
            except CellExecutionError as error:
                failure = _failure(lesson, cell, made.lines[position], error)
                if not (draft and failure.pending):
                    raise LessonError([failure]) from None
                problems.append(failure)
                cell.outputs = []
                continue
            except DeadKernelError:
                text = "the kernel died in this cell (out of memory?)"
                raise LessonError([lesson.problem(made.lines[position], text)]) from None
            found = [lesson.problem(made.lines[position], text, pending=True) for text in _faults(cell)]
            if found and not draft:
                raise LessonError(found)
            problems += found
    _clean(made.notebook)
    return problems


def _failure(lesson: Lesson, cell: NotebookNode, line: int, error: CellExecutionError) -> Problem:
    """The exception in one line, at the line of the cell that the traceback names."""
    output = next((output for output in cell.outputs if output.output_type == "error"), None)
    trace = _ANSI.sub("", "\n".join(output.traceback)) if output else ""
    within = re.findall(rf"Cell In\[{cell.execution_count}\], line (\d+)", trace)
    message = f"{error.ename}: {error.evalue}".strip().splitlines()[0]
    if _is_graded(cell):
        return lesson.problem(line, f"the hidden checks fail: {message}", pending=True)
    return lesson.problem(line + int(within[-1]) - 1 if within else line, message)


def _faults(cell: NotebookNode) -> list[str]:
    """What a cell shows that another run would show differently, or that nobody wants to read."""
    faults = []
    for output in cell.outputs:
        text = _text(output)
        if output.output_type == "stream" and output.name == "stderr":
            faults.append(f"writes to stderr: {(text.strip() or repr(text)).splitlines()[0][:120]}")
        elif _WIDGET in output.get("data", {}):
            faults.append("leaves a live widget: use course_lib.widgets.explore, which draws a static figure here")
        elif address := _ADDRESS.search(text):
            faults.append(
                f"shows a memory address ({address[0]}): end the line with a semicolon, or print what matters"
            )
    worth = nbgrader(cell).get("points") or 0
    if worth and _is_graded(cell):
        grades = [_text(output) for output in cell.outputs if output.output_type == "execute_result"]
        if grades != [repr(float(worth))]:
            said = " ".join(_text(output).strip() for output in cell.outputs if output.output_type == "stream")
            faults.append(
                f"the solution gets {grades[0] if grades else 'no grade'} of {worth:g} points. {said}".strip()
            )
    return faults


def _is_graded(cell: NotebookNode) -> bool:
    return "nbgrader" in cell.metadata and "BEGIN HIDDEN TESTS" in cell.source


def _text(output: Any) -> str:
    text = output.get("text", output.get("data", {}).get("text/plain", ""))
    return text if isinstance(text, str) else "".join(text)


def _clean(notebook: NotebookNode) -> None:
    """Leave out what a run adds to the metadata and the lesson did not ask for, and the bare number under a graded
    cell, which nbgrader reads where a hand-in is graded: to a reader the lines above it say as much.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code" and _is_graded(cell):
            cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
            cell.metadata.tags = sorted({*cell.metadata.get("tags", ()), TAG})  # nbval would miss the number
        for key in ("execution", "collapsed", "scrolled"):
            cell.metadata.pop(key, None)
