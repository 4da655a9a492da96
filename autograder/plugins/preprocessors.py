"""nbgrader preprocessors of the course; `nbgrader_config.py` puts them into nbgrader's lists by their dotted names.

Making the student's notebook: `NamedStubs`, `Seal`. Taking in a submission: `RestoreMetadata`. After it has
run: `PositiveCredit`. Before formgrader shows it: `BoxesForPoints`. Before feedback is rendered: `HideChecks`. Each
does one thing to one notebook.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_output
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme, ClearSolutions, NbGraderPreprocessor

from ..cells import grade_id, lacking, metadata, place, sealed, stub_line

Resources = dict[str, Any]
Result = tuple[NotebookNode, Resources]
ANSWER_STUB = "*Write your answer here, in a few sentences of your own.*"


class NamedStubs(ClearSolutions):
    """ClearSolutions whose stub names its exercise: `raise NotImplementedError("gaussian_kl: write …")`."""

    def preprocess_cell(self, cell: NotebookNode, resources: Resources, cell_index: int) -> Result:
        if utils.is_solution(cell):
            name = cell.metadata.nbgrader["grade_id"]
            self.code_stub = {"python": stub_line(name, cell.source)}
            self.text_stub = ANSWER_STUB
        return super().preprocess_cell(cell, resources, cell_index)


class Seal(NbGraderPreprocessor):
    """Records the digest of a built student notebook, so that `course build --check` notices an edit by hand."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> Result:
        if "course" in nb.metadata:
            sealed(nb)
        return nb, resources


class RestoreMetadata(NbGraderPreprocessor):
    """Makes a submission's cells answer to the grade book again, so that no broken one stops the class.

    Every cell whose grade_id the grade book knows gets its nbgrader metadata from there, whatever the submission says;
    of several with one id the last keeps it, as nbgrader does; all other nbgrader metadata goes. Locked and graded
    cells that are missing come back after the cell they follow. Tags go from every cell that has an id: one of them
    (`skip-execution`) keeps a graded cell from running. What was changed is logged.
    """

    def preprocess(self, nb: NotebookNode, resources: Resources) -> Result:
        where = resources["nbgrader"]
        with Gradebook(where["db_url"]) as gradebook:
            notebook = gradebook.find_notebook(where["notebook"], where["assignment"])
            known = {cell.name: (cell.cell_type, cell.source, cell.checksum) for cell in notebook.source_cells}
            held = {name: _metadata_of(notebook, name) for name in known}
        seen: set[str] = set()
        for cell in reversed(nb.cells):
            given = cell.metadata.pop("nbgrader", None)
            name = given.get("grade_id") if isinstance(given, dict) else None
            if not isinstance(name, str) or name not in known or name in seen:
                if given is not None:
                    self.log.warning(
                        "cell %r: its nbgrader metadata is %s", name, "double" if name in seen else "unknown"
                    )
                continue
            seen.add(name)
            if any(given.get(key) != value for key, value in held[name].items()):
                self.log.warning("cell %r: its nbgrader metadata was changed", name)
            if cell.metadata.pop("tags", None):
                self.log.warning("cell %r: its tags were removed", name)
            kind, _, checksum = known[name]
            cell.metadata.nbgrader = NotebookNode({**held[name], "cell_type": kind, "checksum": checksum})
        for name in sorted(known.keys() - seen, key=place):
            if held[name]["locked"] or held[name]["grade"]:
                self.log.warning("cell %r is missing and is put back", name)
                kind, source, checksum = known[name]
                added = _new_cell(kind, source, {**held[name], "cell_type": kind, "checksum": checksum})
                nb.cells.insert(_position(nb, name), added)
        return nb, resources


def _metadata_of(notebook: Any, name: str) -> dict[str, Any]:
    """A cell's nbgrader metadata as the grade book knows it."""
    worth = {cell.name: cell.max_score for cell in [*notebook.grade_cells, *notebook.task_cells]}
    grade = name in {cell.name for cell in notebook.grade_cells}
    solution = name in {cell.name for cell in notebook.solution_cells}
    task = name in {cell.name for cell in notebook.task_cells}
    locked = next(cell.locked for cell in notebook.source_cells if cell.name == name)
    return metadata(name, worth.get(name), grade=grade, solution=solution, task=task, locked=locked)["nbgrader"]


def _new_cell(kind: str, source: str, metadata: dict[str, Any]) -> NotebookNode:
    cell = {"cell_type": kind, "metadata": {"nbgrader": metadata}, "source": source, "id": metadata["grade_id"]}
    return from_dict({**cell, "outputs": [], "execution_count": None} if kind == "code" else cell)


def _position(nb: NotebookNode, name: str) -> int:
    """Just after the last cell of the same exercise that comes before `name`; the end if none is left."""
    before = [
        index
        for index, cell in enumerate(nb.cells)
        if (other := grade_id(cell)) and place(other)[0] == place(name)[0] and place(other) < place(name)
    ]
    return before[-1] + 1 if before else len(nb.cells)


class PositiveCredit(NbGraderPreprocessor):
    """A graded cell's points are the last value it displays: a number, at most the maximum. No number, no points.

    nbgrader gives full points to a graded cell that displays nothing or no number, and refuses the whole submission
    where the number is above the maximum.
    """

    def preprocess_cell(self, cell: NotebookNode, resources: Resources, cell_index: int) -> Result:
        if not (utils.is_grade(cell) and utils.is_locked(cell) and cell.cell_type == "code"):
            return cell, resources
        most = float(cell.metadata.nbgrader["points"])
        results = [output for output in cell.outputs if output.output_type == "execute_result"]
        if most == 0 or any(output.output_type == "error" for output in cell.outputs):
            cell.outputs = [output for output in cell.outputs if output not in results]
            return cell, resources
        points = _number(results[-1]) if results else None
        kept = [output for output in cell.outputs if output not in results]
        if points is None:
            text = "the hidden checks gave no grade"
            kept.append(new_output("error", ename="NoGrade", evalue=text, traceback=[f"NoGrade: {text}"]))
        else:
            data = {"text/plain": repr(min(max(points, 0.0), most))}
            kept.append(new_output("execute_result", data=data, execution_count=cell.execution_count))
        cell.outputs = kept
        return cell, resources


def _number(output: NotebookNode) -> float | None:
    try:
        value = float("".join(output.data["text/plain"]))
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


class BoxesForPoints(NbGraderPreprocessor):
    """Before formgrader shows a submission: only cells that are worth something, and count for whoever handed in, have
    a box for a mark. A cell to answer
    in keeps its box for comments.
    """

    def preprocess_cell(self, cell: NotebookNode, resources: Resources, cell_index: int) -> Result:
        if utils.is_grade(cell) and not cell.metadata.nbgrader.get("points"):
            cell.metadata.nbgrader["grade"] = False
        if lacking(cell):  # no row of the grade book's stands behind it
            cell.metadata.nbgrader |= {"grade": False, "task": False, "solution": False}
        return cell, resources


class HideChecks(NbGraderPreprocessor):
    """Takes hidden regions, mark schemes, tracebacks that run through them, and a graded cell's bare number out of what
    a student is shown.
    """

    def preprocess(self, nb: NotebookNode, resources: Resources) -> Result:
        tests, scheme = ClearHiddenTests(parent=self), ClearMarkScheme(parent=self)
        hidden = {line.strip() for cell in nb.cells for line in _hidden_lines(cell) if line.strip()}
        for cell in nb.cells:
            graded = utils.is_grade(cell) and utils.is_locked(cell)
            for output in cell.get("outputs", []):
                _hide(output, hidden, graded)
            if graded:
                tests._remove_hidden_test_region(cell)
                # Its points, which stand at its head.
                cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
            if utils.is_task(cell):
                scheme._remove_mark_scheme_region(cell)
        return nb, resources


def _hidden_lines(cell: NotebookNode) -> Iterator[str]:
    if utils.is_grade(cell) and utils.is_locked(cell):
        for region in re.findall(r"BEGIN HIDDEN TESTS\n(.*?)\n[^\n]*END HIDDEN TESTS", cell.source, re.S):
            yield from region.split("\n")


def _hide(output: NotebookNode, hidden: set[str], graded: bool) -> None:
    if output.output_type == "stream":
        output.text = "\n".join(line for line in output.text.split("\n") if line.strip() not in hidden)
    elif output.output_type == "error":
        whole = "\n".join(output.traceback)
        if (graded and "BEGIN HIDDEN TESTS" in whole) or any(line in whole for line in hidden) or "autograder" in whole:
            output.traceback = [f"{output.ename}: {output.evalue}"]
