"""`course build`: a lesson's source made into its executed solution notebook and its student notebook.

    solutions/02-vae/vae.py ──▶ solutions/02-vae/vae.ipynb ──nbgrader generate_assignment──▶ notebooks/02-vae/vae.ipynb

Both notebooks record a hash of what they were made of, and a digest of their own content. Nothing is overwritten until
both are made. What the student notebook says, and what the one said that it takes the place of, is kept (`releases`).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..cells import sealed
from ..checkout import course_config, database_url
from ..releases import Release, Releases
from . import rules
from .assemble import SIZE_LIMIT, as_text, assemble
from .execution import execute
from .lag import points_of
from .meaning import meaning
from .outline import note_outline
from .release import ReleaseError, generate, stage, submissions
from .replacing import replace_file, replace_folder
from .source import Lesson, LessonError, Problem, read_lesson

OnCell = Callable[[int, int], None]


@dataclass(frozen=True)
class Built:
    """The two notebooks of a lesson, what a draft still lacks, and what changes mean for those who have handed in."""

    solution: Path
    student: Path
    pending: tuple[Problem, ...] = ()
    means: tuple[str, ...] = ()


def build(
    source: Path,
    root: Path,
    exercises: Mapping[str, rules.HasPoints],
    *,
    to: Path | None = None,
    on_start: Callable[[int], None] = lambda cells: None,
    on_cell: OnCell = lambda position, line: None,
) -> Built:
    """Build the lesson at `source`. `to` makes a draft there instead, with a grade book of its own.

    A draft may lack hidden checks, whose exercises are then worth 0 points, and has its other pending problems
    returned. Raises LessonError, with every problem at its file and line; then nothing has been written.
    """
    lesson = read_lesson(source, root)
    pending = rules.validate(lesson, exercises, draft=to is not None)
    student = (root if to is None else to) / "notebooks" / lesson.lesson / f"{lesson.name}.ipynb"
    before = _standing(student) if to is None else None
    kept = _kept(lesson, source.parent, before) if to is None else Releases()
    made = assemble(lesson, points_of(exercises))
    if (edition := kept.edition(Release.of(made.notebook).asked)) > 1:
        made = assemble(lesson, points_of(exercises), edition)
    on_start(len(made.notebook.cells))
    pending += execute(lesson, made, on_cell, draft=to is not None)
    large = _too_large(lesson, made.notebook, made.lines)
    if large and to is None:
        raise LessonError(large)
    pending += large
    text = as_text(sealed(made.notebook))

    config = course_config(root)
    target = root if to is None else to
    target.mkdir(parents=True, exist_ok=True)
    db_url = database_url(root, config) if to is None else f"sqlite:///{(to / 'gradebook.db').resolve()}"
    with tempfile.TemporaryDirectory() as folder:
        staged = stage(source.parent, Path(folder), config)
        for stale in (staged / "solutions" / lesson.lesson).glob("*.ipynb"):
            stale.unlink()
        (staged / "solutions" / lesson.lesson / f"{lesson.name}.ipynb").write_text(text, encoding="utf-8")
        try:
            told = generate(lesson.lesson, staged, db_url, config, target)
        except ReleaseError as error:
            raise LessonError([lesson.problem(1, str(error))]) from None
        solution = target / "solutions" / lesson.lesson / f"{lesson.name}.ipynb"
        replace_file(solution, text.encode())
        replace_folder(staged / "notebooks" / lesson.lesson, target / "notebooks" / lesson.lesson)
    means = [told] if told else []
    if to is None:
        after = nbformat.read(student, as_version=4)
        kept.followed_by(Release.of(after)).keep(source.parent)
        note_outline(lesson, root)
        means += meaning(before, after, submissions(lesson.lesson, db_url, config)) if before else []
    return Built(solution, student, tuple(sorted(pending)), tuple(means))


def _standing(student: Path) -> NotebookNode | None:
    """The student notebook that a build is about to replace; None where there is none to be read."""
    try:
        return nbformat.read(student, as_version=4)
    except Exception:  # nbformat raises whatever a broken file makes it raise
        return None


def _kept(lesson: Lesson, folder: Path, before: NotebookNode | None) -> Releases:
    """The lesson's releases so far. What stands there has been released, were it by a build that kept none."""
    try:
        kept = Releases.kept(folder)
    except FileNotFoundError as error:
        raise LessonError([lesson.problem(1, str(error))]) from None
    return kept.followed_by(Release.of(before)) if before else kept


def _too_large(lesson: Lesson, notebook: NotebookNode, lines: tuple[int, ...]) -> list[Problem]:
    """A problem, at the cell that shows most, if the notebook is over the limit."""
    size = len(as_text(notebook).encode())
    if size <= SIZE_LIMIT:
        return []
    shown = sorted(
        ((len(json.dumps(cell.get("outputs", []))), line) for cell, line in zip(notebook.cells, lines, strict=True))
    )
    largest = ", ".join(f"line {line} ({length / 1e6:.2f} MB)" for length, line in shown[:-6:-1])
    text = f"the notebook has {size / 1e6:.1f} MB, the limit is {SIZE_LIMIT / 1e6:g} MB; most is shown at {largest}"
    return [lesson.problem(shown[-1][1], text, pending=True)]
