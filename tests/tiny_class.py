"""A class of three that answers the made-up lesson, and what was stored of it."""

from contextlib import contextmanager
from copy import deepcopy

import nbformat
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from tiny import LESSON, RIGHT, tiny_exercises

from autograder.checkout import course_config
from autograder.grading import classroom, workers
from autograder.grading.classroom import Means, grade_class
from autograder.guard.limits import Limits
from autograder.hand_in.finding import find_submissions
from autograder.hand_in.restoring import Master
from autograder.plugins import one_by_one
from autograder.plugins import outside as step

STUDENTS = ("ada", "ben", "chloe")  # the first, a middle and the last of the class
MARKS = {"ada": 3.0, "ben": 2.0, "chloe": 1.0}
WRONG = {
    "ada": {},
    "ben": {"tiny_apply": "def tiny_apply(f, x):\n    return x"},
    "chloe": {
        "tiny_double": "def tiny_double(x):\n    return x + 1",
        "tiny_apply": "def tiny_apply(f, x):\n    return f(x + x)",
    },
}
LIMITS = Limits(cell=5.0, call=5.0, submission=60.0)


def write_hand_in(folder, student, answers, change=lambda notebook: None):
    """Write the hand-in of `student`, right but for `answers`."""
    made = deepcopy(Master.load(folder, LESSON).released)
    for cell in made.cells:
        cell.source = {**RIGHT, **answers}.get(cell["id"], cell.source)
    change(made)
    path = folder / "submitted" / student / LESSON / "tiny.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, path)


def grader(folder, client, monkeypatch):
    """A function that grades the class in `folder`."""

    @contextmanager
    def same(*_):
        yield client

    monkeypatch.setattr(classroom, "workers", same)
    for module in (classroom, workers, step):
        monkeypatch.setattr(module, "lesson_exercises", lambda lesson: tiny_exercises())
    monkeypatch.setattr(step, "course_root", lambda: folder)

    def grade(**how):
        entries = find_submissions(folder / "submitted", [])
        return {g.student: g for g in grade_class(entries, folder, folder, Means(LIMITS, 1, **how))}

    return grade


def autograde(folder, student="*", lesson=LESSON):
    """nbgrader's own command for the class, as `nbgrader autograde LESSON --force` runs it."""
    config = course_config(folder)
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.assignment_id = lesson
    config.CourseDirectory.student_id = student
    converter = Autograde(coursedir=CourseDirectory(config=config), config=config)
    converter.force = True
    converter.start()


def held(folder, name="gradebook.db"):
    """All that was stored, by student: marks, comments, and the bytes of notebook and page."""
    found = {}
    with Gradebook(f"sqlite:///{folder / name}", "deep-generative-models") as book:
        for submission in book.assignment_submissions(LESSON):
            rows = one_by_one.held_of(book, LESSON, submission.student_id)
            found[submission.student_id] = [submission.score, sorted(rows.items(), key=str)]
    for place in ("autograded", "feedback"):
        for path in sorted((folder / place).rglob("*")):
            if path.is_file():
                found.setdefault(path.parts[-3], []).append((path.name, path.read_bytes()))
    return found


def scores(folder, name="gradebook.db"):
    """The score of each student in the grade book."""
    return {student: rows[0] for student, rows in held(folder, name).items() if isinstance(rows[0], float)}
