"""Is formgrader's queue, "needs manual grade", empty once a person has marked, and does it fill again by a change?"""

import shutil

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbgrader.api import Gradebook
from nbgrader.server_extensions.formgrader import handlers
from tiny import LESSON, make_checkout
from tiny_class import LIMITS, autograde, grader, write_hand_in

from autograder.checkout import course_config
from autograder.grading import workers
from autograder.hand_in.restoring import Master

COURSE = "deep-generative-models"
WORTH = {"tiny_double-graded", "tiny_apply-graded", "why"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The made-up lesson with a written question."""
    folder = tmp_path_factory.mktemp("written")
    make_checkout(folder, written=True)
    return folder


@pytest.fixture(scope="module")
def client(checkout):
    plugin = workers.Grading({LESSON: Master.load(checkout, LESSON)}, LIMITS, sandbox=True)
    with workers.workers(plugin, 1, None) as made:
        yield made


@pytest.fixture(params=["course grade", "nbgrader"])
def course(request, checkout, client, tmp_path, monkeypatch):
    """A class of its own, and what grades it by this route."""
    shutil.copytree(checkout, tmp_path, dirs_exist_ok=True)
    ours = grader(tmp_path, client, monkeypatch)

    def grade():
        ours(again=True) if request.param == "course grade" else autograde(tmp_path)

    return tmp_path, grade


def hand_in(folder, answer, **answers):
    write_hand_in(folder, "ada", {"why-answer": answer, **answers})


def waiting(folder):
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", COURSE) as book:
        held = book.find_submission_notebook("tiny", LESSON, "ada")
        names = {grade.name for grade in held.grades if grade.needs_manual_grade}
        assert held.needs_manual_grade == bool(names)
        return names


def mark(folder, cell, points):
    """As formgrader does when a person enters points, or clears them."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", COURSE) as book:
        grade = book.find_grade(cell, "tiny", LESSON, "ada")
        grade.manual_score = points
        grade.needs_manual_grade = points is None and grade.auto_score is None
        book.db.commit()


def score(folder):
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", COURSE) as book:
        return book.find_submission(LESSON, "ada").score


def test_the_queue_empties_and_stays_empty_while_nothing_changes(course):
    folder, grade = course
    hand_in(folder, "Because.")
    grade()
    assert waiting(folder) == {"why"} and score(folder) == 3.0
    mark(folder, "why", 1.5)
    mark(folder, "tiny_apply-graded", 0.5)
    assert waiting(folder) == set()
    grade()
    assert waiting(folder) == set() and score(folder) == 4.0
    mark(folder, "why", None)
    grade()
    assert waiting(folder) == {"why"}


def test_an_answer_that_changed_is_queued_again_with_its_old_mark(course):
    folder, grade = course
    hand_in(folder, "Because.")
    grade()
    mark(folder, "why", 1.5)
    mark(folder, "tiny_apply-graded", 0.5)
    hand_in(folder, "Because of something else.")
    grade()
    assert waiting(folder) == {"why"} and score(folder) == 4.0
    grade()
    assert waiting(folder) == {"why"}, "until a person has looked"
    mark(folder, "why", 2.0)
    grade()
    assert waiting(folder) == set()
    hand_in(folder, "Because of something else.", tiny_apply="def tiny_apply(f, x):\n    return f(x + x)")
    grade()
    assert waiting(folder) == {"tiny_apply-graded"}, "the same mark by machine, of another answer"


def test_another_mark_by_machine_is_looked_at(course):
    folder, grade = course
    hand_in(folder, "Because.", tiny_double="def tiny_double(x):\n    return x * x")
    grade()
    mark(folder, "tiny_double-graded", 0.5)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", COURSE) as book:  # as if a check had been mended
        book.find_grade("tiny_double-graded", "tiny", LESSON, "ada").auto_score = 1.0
        book.db.commit()
    grade()
    assert waiting(folder) == {"why", "tiny_double-graded"}


@pytest.mark.parametrize("course", ["course grade"], indirect=True)
def test_a_later_hand_in_without_a_notebook_keeps_no_mark_and_no_cleared_flag(course):
    folder, grade = course
    hand_in(folder, "Because.")
    grade()
    mark(folder, "why", 1.5)
    (folder / "submitted" / "ada" / LESSON / "tiny.ipynb").unlink()
    grade()
    assert waiting(folder) == {"why"} and score(folder) == 0.0
    hand_in(folder, "Because.")
    grade()
    assert waiting(folder) == {"why"} and score(folder) == 3.0


def test_formgrader_has_a_box_for_each_cell_that_is_worth_something(course):
    folder, grade = course
    hand_in(folder, "Because.")
    grade()
    config = course_config(folder)  # as formgrader's server loads it
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    about = dict.fromkeys(("assignment_id", "notebook_id", "submission_id", "base_url", "notebook_path"), "x")
    about |= {"student": "ada", "last_name": None, "first_name": None, "index": 0, "total": 1}
    path = folder / "autograded" / "ada" / LESSON / "tiny.ipynb"
    shown = HTMLExporter(config=config).from_filename(str(path), resources=about)[0]
    boxes = {name for name in (cell["id"] for cell in nbformat.read(path, 4).cells) if f'id="{name}" style' in shown}
    assert boxes == WORTH and "/ 0.0" not in shown
    assert 'id="why-answer-comment"' in shown, "a comment beside the answer"
