"""`course page`: the feedback page of a made-up hand-in, to look at after a change of `page.html.j2`.

Nothing is run but hidden checks, nothing is asked of a grade book: the lesson's solution notebook stands for the
hand-in, and every third exercise is answered by the first of its known mistakes.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

import nbformat

from ..cells import exercise_graded_in, grade_id, nbgrader
from ..checkout import course_config, course_root
from ..exercise import lesson_exercises
from ..grading.runner import with_verdicts
from ..hand_in.restoring import Master
from ..marking import mark
from ..marks import Mark
from ..sandbox.responder import Responder
from ..student import LocalLink
from .filling import Said, filled
from .page import refusal
from .writer import body_of, page_maker

EVERY = 3  # exercises of which one is answered wrongly


def run_page(options: argparse.Namespace) -> int:
    """`course page [LESSON] [--to DIR]`; 1 where the lesson's notebooks or hidden checks are missing."""
    root = course_root()
    try:
        page = preview(root, options.lesson)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    refused = refusal(f"{options.lesson}: not graded", "the notebook is not there, or whatever else the reason may be")
    options.to.mkdir(parents=True, exist_ok=True)
    for name, text in (("page.html", page), ("refusal.html", refused)):
        (options.to / name).write_text(text, encoding="utf-8")
        print(options.to / name)
    return 0


def preview(root: Path, lesson: str) -> str:
    """The page's HTML. Raises FileNotFoundError for a lesson that is not built, ValueError for one without checks."""
    master = Master.load(root, lesson)
    marks = made_up(lesson)
    notebook = nbformat.read(root / "solutions" / lesson / f"{master.name}.ipynb", as_version=4)
    notebook = with_verdicts(notebook, marks)
    cells: dict[str, tuple[float, float, bool, bool]] = {}
    for cell in notebook.cells:
        meta, found = nbgrader(cell), marks.get(exercise_graded_in(cell))
        if meta.get("grade") or meta.get("task"):
            worth = float(meta.get("points") or 0.0)
            cells[grade_id(cell)] = (
                (found.points, found.max_points, False, False) if found else (0.0, worth, True, False)
            )
    with closing(page_maker(course_config(root))) as pages:
        return b"".join(filled(body_of(pages, notebook, master.name), master.name, Said(cells))).decode()


def made_up(lesson: str) -> dict[str, Mark]:
    """The mark of each exercise where every `EVERY`-th is wrong in a known way and the others are right."""
    exercises = lesson_exercises(lesson)
    answers = {
        name: one.misconceptions[0].function
        if number % EVERY == 1 and one.misconceptions
        else next(iter(one.alternatives.values()))
        for number, (name, one) in enumerate(exercises.items())
    }
    link = LocalLink(Responder(dict(answers)))
    return {name: mark(one, link, "ada") for name, one in exercises.items()}
