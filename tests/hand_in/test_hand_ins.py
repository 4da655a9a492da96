"""Does an honest hand-in lose nothing, whatever an editor or a browser made of it, on both routes?"""

import json
import re
from copy import deepcopy

import nbformat
import pytest
from handed_in import FULL, HAND_INS, content
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

from autograder.checkout import course_config, course_root
from autograder.exercise import find_exercise
from autograder.grading import classroom, workers
from autograder.grading.classroom import Means, grade_class
from autograder.grading.report import write_json
from autograder.guard.limits import Limits
from autograder.hand_in.finding import find_submissions
from autograder.hand_in.restoring import Master
from autograder.plugins import outside as step

LESSON = "99-tiny"
LIMITS = Limits(cell=2.0, call=2.0, submission=60.0, grace=0.5)
BY_STUDENT = {f"s{number:03d}": hand_in for number, hand_in in enumerate(HAND_INS)}
COMPARED = {student: hand_in for student, hand_in in BY_STUDENT.items() if hand_in.kind != "renamed"}


def named(students):
    return pytest.mark.parametrize("student", students, ids=[f"{h.kind}: {h.name}" for h in students.values()])


def _source(master):
    """The made-up lesson with a helper and a question, as its author writes it."""
    source = deepcopy(master.released)
    for cell in source.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            head = cell.source.split("\n")[0]
            cell.source = f"{head}\n    ### BEGIN SOLUTION\n    pass\n    ### END SOLUTION"
        elif cell["id"].endswith("-graded"):
            cell.source += "\n### BEGIN HIDDEN TESTS\n0.0\n### END HIDDEN TESTS"
    helper = new_code_cell("def twice(f, x):\n    return f(x)")
    helper["id"] = "helper"
    about = {"schema_version": 3, "grade": False, "solution": False, "locked": True, "task": True}
    task = new_markdown_cell("Why?\n\n=== BEGIN MARK SCHEME ===\nTwo.\n=== END MARK SCHEME ===")
    task["id"], task.metadata = "why", {"nbgrader": {**about, "grade_id": "why", "points": 2, "cell_type": "markdown"}}
    answer = new_markdown_cell("### BEGIN SOLUTION\nBecause.\n### END SOLUTION")
    about = {**about, "grade": True, "solution": True, "locked": False, "task": False}
    answer.metadata = {"nbgrader": {**about, "grade_id": "why-answer", "points": 0, "cell_type": "markdown"}}
    answer["id"] = "why-answer"
    after = new_markdown_cell("That was all.")
    after["id"] = "after"
    source.cells.insert(2, helper)
    source.cells += [task, answer, after]
    return source


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A checkout with the lesson released by nbgrader, and every hand-in below `submitted/`."""
    from tiny import tiny_master

    folder = tmp_path_factory.mktemp("course")
    (folder / "solutions" / LESSON).mkdir(parents=True)
    nbformat.write(_source(tiny_master()), folder / "solutions" / LESSON / "tiny.ipynb")
    (folder / "nbgrader_config.py").write_text((course_root() / "nbgrader_config.py").read_text())
    exercises = {name: find_exercise(name) for name in ("tiny_double", "tiny_apply")}
    with pytest.MonkeyPatch.context() as patch:
        for module in (classroom, step, workers):
            patch.setattr(module, "lesson_exercises", lambda lesson: exercises)
        patch.setattr(step, "course_root", lambda: folder)
        api = _api(folder)
        made = api.generate_assignment(LESSON, force=True)
        assert made["success"], made
        released = Master.load(folder, LESSON).released
        for student, hand_in in BY_STUDENT.items():
            _write(folder / "submitted" / student / hand_in.folder, hand_in, released)
        yield folder


def _api(folder):
    config = course_config(folder)
    config.CourseDirectory.root = str(folder)
    config.GradeOutside.cell_seconds = LIMITS.cell
    return NbGraderAPI(CourseDirectory(config=config), config=config)


def _write(place, hand_in, released):
    place.mkdir(parents=True)
    (place / hand_in.filename).write_bytes(content(hand_in, released))
    for name, data in hand_in.beside.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    for name, target in hand_in.links.items():
        (place / name).symlink_to(target)


@pytest.fixture(scope="module")
def ours(course):
    """What `course grade` says of each, by student, from its JSON."""
    entries = find_submissions(course / "submitted", [LESSON], [LESSON])
    assert [entry.student for entry in entries] == sorted(BY_STUDENT)
    graded = grade_class(entries, course, course / "out", Means(LIMITS, jobs=2))
    write_json(graded, course / "marks.json")
    return {held["student"]: held for held in json.loads((course / "marks.json").read_text())["submissions"]}


@named(BY_STUDENT)
def test_course_grade(course, ours, student):
    hand_in, held = BY_STUDENT[student], ours[student]
    messages = " ".join(exercise["message"] for exercise in held["exercises"])
    flags = "; ".join(held["flags"])
    assert sum(exercise["points"] for exercise in held["exercises"]) == hand_in.points, (messages, flags)
    assert held["status"] == hand_in.status
    assert re.search(hand_in.says, messages), messages
    if hand_in.points < FULL:
        assert hand_in.unsaid not in messages.lower()
    if hand_in.flagged is not None:
        assert re.search(hand_in.flagged, flags) if hand_in.flagged else not flags, flags
    page = (course / "out" / "feedback" / student / LESSON / "tiny.html").read_text()
    assert all(text in page for text in hand_in.shown)
    if hand_in.says and hand_in.status == "graded":
        assert messages.split(".")[0][:30] in page.replace("&#x27;", "'").replace("&quot;", '"')


@pytest.fixture(scope="module")
def theirs(course):
    """What `nbgrader autograde` says of the class, and the points that it leaves in the grade book, by student."""
    done = _api(course).autograde(LESSON, "*")
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "deep-generative-models") as book:
        return done, {held.student_id: held.score for held in book.assignment_submissions(LESSON)}


@named({student: hand_in for student, hand_in in COMPARED.items() if hand_in.status == "graded"})
def test_nbgrader_autograde(theirs, student):
    done, points = theirs
    assert points[student] == BY_STUDENT[student].points, done
