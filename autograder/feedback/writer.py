"""Feedback pages, filled from the grade book, without hidden checks, rubrics or answers.

Nothing on a page may act. What the student wrote has been made harmless when it was taken in (`markup`); here the
rendered HTML is cleaned once more, mathematics becomes MathML, and the page's content security policy lets the browser
run no script and load nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import BaseCell, Comment, Grade, Gradebook
from nbgrader.converters import GenerateFeedback
from nbgrader.preprocessors import GetGrades
from traitlets.config import Config
from traitlets.utils.importstring import import_item

from ..cells import exercise_graded_in, grade_id, nbgrader, open_to_students
from ..grading.exchange import Exchange
from ..grading.gradebook import resources_for
from ..grading.graded import Graded
from ..hand_in.restoring import Master
from ..marking import Mark
from .making import PageRefused, Pages
from .page import Bounded, exporter, refusal, without_scripts

HINTS = "<details><summary>Hint"  # how a cell of hints begins
WAITS, BY_HAND = "Still to be marked by a person.", "Marked by a person."


def page_maker(config: Config, masters: Iterable[Master] = ()) -> Pages:
    """What makes the pages of `FeedbackWriter`; those of the lessons as released are made first."""
    converter = GenerateFeedback(config=config)
    made = exporter(converter.config)
    for preprocessor in converter.preprocessors:
        if import_item(preprocessor) is not GetGrades:  # whose work is done where the grade book is open
            made.register_preprocessor(preprocessor, enabled=True)
    made.register_preprocessor(Bounded(), enabled=True)

    def make(notebook: NotebookNode, resources: dict[str, Any]) -> str:
        return without_scripts(made.from_notebook_node(notebook, resources=resources)[0])

    first = []
    for master in masters:
        resources = resources_for("", master.lesson, master.name, "")
        resources["nbgrader"].update(score=0.0, max_score=0.0, late_penalty=0.0, waiting=0.0)
        first.append((master.released, resources))
    return Pages(make, first)


def page_of(pages: Pages, graded: Graded, notebook: NotebookNode, resources: dict[str, Any]) -> str:
    """The page of `graded`, of whose `notebook` and `resources` the scores are filled in. Raises as `Pages.page`."""
    rows = table(notebook, {mark.name: mark for mark in graded.marks})
    return pages.page(notebook, {**resources, "rows": rows}, graded.left)


def table(notebook: NotebookNode, marks: Mapping[str, Mark]) -> list[dict[str, Any]]:
    """The page's table: a row for each exercise and written question, in the order of the notebook, whose cells have
    their scores. Cells of hints get their exercise's name, so that its row can point to them.
    """
    rows: dict[str, dict[str, Any]] = {}
    hints: set[str] = set()
    above = ""
    for cell in notebook.cells:
        meta, name = nbgrader(cell), grade_id(cell)
        above = name if open_to_students(cell) else above
        if cell.cell_type == "markdown" and not meta and above in marks and cell.source.startswith(HINTS):
            cell.metadata["hints_of"] = above
            hints.add(above)
        exercise = exercise_graded_in(cell)
        if exercise in marks:
            mark = marks[exercise]
            rows[exercise] = {"name": exercise, "to": name, "points": mark.points, "max_points": mark.max_points}
            rows[exercise] |= {"message": mark.message, "hints": exercise in hints and not mark.passed}
        elif meta.get("task"):
            worth = {"points": meta.get("score") or 0.0, "max_points": meta["points"]}
            said = WAITS if meta.get("waits") else BY_HAND
            rows[name] = {"name": name, "to": f"comment-{name}", **worth, "message": said, "hints": False}
    return list(rows.values())


class FeedbackWriter:
    """Writes `feedback/<student>/<lesson>/<name>.html` below `out`, with the scores and comments of `gradebook`."""

    def __init__(self, out: Path, config: Config, gradebook: Gradebook, pages: Pages | None = None) -> None:
        self.out = out
        self._scores, self._pages = _Scores(gradebook), pages or page_maker(config)

    def write(
        self, graded: Graded, name: str, files: Exchange | None = None, release: Mapping[str, str] | None = None
    ) -> Path:
        """The page of one submission, in its place when `files` are swapped, or at once; beside it what `release`
        holds, by name.
        """
        page = self.out / "feedback" / graded.student / graded.lesson / f"{name}.html"
        texts = {page.name: self.render(graded, name), **(release or {})}
        if files is None:
            page.parent.mkdir(parents=True, exist_ok=True)
        for beside, text in texts.items():
            place = page.with_name(beside)
            (files.aside(place) if files else place).write_text(text, encoding="utf-8", errors="replace")
        return page

    def render(self, graded: Graded, name: str) -> str:
        """The page's HTML; for a submission that could not be graded, a page that says why."""
        if graded.notebook is None:
            return refusal(f"{graded.lesson}: not graded", "; ".join(graded.flags))
        resources = resources_for(graded.student, graded.lesson, name, "")
        try:
            return page_of(self._pages, graded, *self._scores(deepcopy(graded.notebook), resources))
        except PageRefused as error:  # whatever else goes wrong may be our fault
            return refusal(f"{graded.lesson}: no page", f"This notebook cannot be shown ({error}); its marks stand")


class _Scores:
    """What nbgrader's GetGrades does, in three queries of a grade book that is open instead of two for every cell of
    one that is opened anew: the time of a large class is the time of its one writer.
    """

    def __init__(self, gradebook: Gradebook) -> None:
        self._gradebook = gradebook

    def __call__(self, notebook: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        about = resources["nbgrader"]
        held = self._gradebook.find_submission_notebook(about["notebook"], about["assignment"], about["student"])
        scores = self._rows(held.id, Grade, Grade.score, Grade.max_score, Grade.needs_manual_grade)
        comments = self._rows(held.id, Comment, Comment.comment)
        for cell in notebook.cells:
            meta, name = nbgrader(cell), grade_id(cell)
            if found := comments.get(name):
                (meta["comment"],) = found
            if found := scores.get(name):
                meta["score"], meta["points"], meta["waits"] = found
        penalty = held.late_submission_penalty or 0
        waiting = sum(most for _, most, waits in scores.values() if waits)
        about.update(score=held.score - penalty, max_score=held.max_score, late_penalty=penalty, waiting=waiting)
        return notebook, resources

    def _rows(self, notebook: str, kind: Any, *columns: Any) -> dict[str, tuple[Any, ...]]:
        """These columns of every graded or commented cell of a submission, by the cell's name."""
        query = self._gradebook.db.query(BaseCell.name, *columns)
        rows = query.filter(kind.cell_id == BaseCell.id, kind.notebook_id == notebook)
        return {name: tuple(values) for name, *values in rows}
