"""Does stock nbgrader, through `nbgrader_config.py`, give the marks that `course grade` gives?"""

from copy import deepcopy

import nbformat
import pytest
from honest import HONEST
from nbgrader.api import Gradebook
from tiny import make_checkout

from autograder.grading.runner import grade_submission
from autograder.hand_in.restoring import Master
from autograder.plugins import outside as step

WRONG = {
    "squared": ("def tiny_double(x):\n    return x * x\n", None),
    "followed": ("def tiny_double(x):\n    return 3 * x\n", "def tiny_apply(f, x):\n    return f(tiny_double(x))\n"),
    "unwritten": (None, None),
    "raises": ("def tiny_double(x):\n    raise ValueError(x)\n", "def tiny_apply(f, x):\n    return f(x + x)\n"),
    "none": ("def tiny_double(x):\n    pass\n", "def tiny_apply(f, x):\n    return f\n"),
    "half": ("def tiny_double(x):\n    return 2 * abs(x)\n", None),
    "deleted": ("del torch\n", "print('nothing')\n"),
}


@pytest.fixture
def course(exercises, tmp_path, monkeypatch):
    """The made-up lesson as a course of its own, released by nbgrader, with the settings of this one."""
    api = make_checkout(tmp_path)
    monkeypatch.setattr(step, "course_root", lambda: tmp_path)
    monkeypatch.setattr(step, "lesson_exercises", lambda lesson: exercises)
    return api


def test_both_routes_give_equal_marks(course, exercises, template, limits, tmp_path):
    released = Master.load(tmp_path, "99-tiny")
    answers = {honest.name: (honest.double, honest.apply) for honest in HONEST} | WRONG
    files = {}
    for number, (name, (double, apply)) in enumerate(answers.items()):
        made = deepcopy(released.released)
        for cell in made.cells:
            cell.source = {"tiny_double": double, "tiny_apply": apply}.get(cell["id"]) or cell.source
        honest = next((one for one in HONEST if one.name == name), None)
        if honest:
            honest.change(made)
        files[name] = tmp_path / "submitted" / f"s{number:03d}" / "99-tiny" / "tiny.ipynb"
        files[name].parent.mkdir(parents=True)
        content = nbformat.writes(made).encode()
        files[name].write_bytes(honest.file(content) if honest else content)

    ours = {
        name: grade_submission(path, path.parts[-3], released, exercises, template, limits).points
        for name, path in files.items()
    }
    course.autograde("99-tiny", "*")
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}", "deep-generative-models") as book:
        stored = {held.student_id: held.score for held in book.assignment_submissions("99-tiny")}
    theirs = {name: stored.get(path.parts[-3]) for name, path in files.items()}
    assert theirs == pytest.approx(ours)
    assert [ours[name] for name in ("squared", "followed", "unwritten")] == [0.0, 1.0, 0.0]
    assert {ours[honest.name] for honest in HONEST} == {3.0}
