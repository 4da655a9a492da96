"""Is there one page, by `course feedback` and by nbgrader's command, with what the grade book says when it is made?"""

import shutil
from contextlib import closing
from types import SimpleNamespace

import nbformat
import pytest
from imported import imported
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from tiny import LESSON
from tiny_class import LIMITS, MARKS, STUDENTS, autograde

from autograder.checkout import course_config
from autograder.cli import main
from autograder.feedback import commands, writer
from autograder.feedback.filling import Body
from autograder.feedback.page import POLICY
from autograder.grading import workers
from autograder.hand_in.restoring import Master

SAID = "Well seen, but **why**? <script>alert(1)</script>"


def by_course(folder, monkeypatch):
    monkeypatch.setattr(commands, "course_root", lambda: folder)
    return main(["feedback", LESSON])


def by_nbgrader(folder, monkeypatch):
    config = course_config(folder)
    config.CourseDirectory.root, config.CourseDirectory.assignment_id = str(folder), LESSON
    converter = GenerateFeedback(coursedir=CourseDirectory(config=config), config=config)
    try:
        converter.start()
    except NbGraderException:
        return 1
    return 0


BOTH = pytest.mark.parametrize("command", [by_course, by_nbgrader])


def pages(folder):
    return {path.parts[-3]: path.read_text() for path in sorted((folder / "feedback").glob("*/*/*.html"))}


def mark(folder, student, points):
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", "deep-generative-models") as book:
        book.find_grade("tiny_double-graded", "tiny", LESSON, student).manual_score = points
        book.find_comment("tiny_double", "tiny", LESSON, student).manual_comment = SAID
        book.db.commit()


@BOTH
def test_a_mark_and_a_comment_reach_the_page_and_nothing_else_is_written(graded, monkeypatch, command):
    folder, _ = graded
    before = pages(folder)
    times = {student: (folder / "feedback" / student / LESSON / "tiny.html").stat().st_mtime_ns for student in STUDENTS}
    mark(folder, "chloe", 1.25)
    rendered = []
    monkeypatch.setattr(writer, "body_of", lambda *_: rendered.append(1))
    assert command(folder, monkeypatch) == 0
    after = pages(folder)
    assert rendered == [], "nothing is rendered again"
    assert {student for student in STUDENTS if after[student] != before[student]} == {"chloe"}
    for student in ("ada", "ben"):
        assert (folder / "feedback" / student / LESSON / "tiny.html").stat().st_mtime_ns == times[student]
    page = after["chloe"]
    assert f"tiny: {MARKS['chloe'] + 1.25:g} of 3 points" in page and "<td>1.25&nbsp;/&nbsp;2</td>" in page
    assert "Score: 1.25 / 2.0" in page and "Marked by a person." in page
    assert "<strong>why</strong>" in page and "<script" not in page and POLICY in page


def test_both_commands_make_the_same_page_after_either_route(course, monkeypatch):
    folder, grade = course
    made = {}
    for route in (lambda: grade(), lambda: autograde(folder)):
        route()
        mark(folder, "ben", 0.5)
        for command in (by_course, by_nbgrader):
            shutil.rmtree(folder / "feedback", ignore_errors=True)
            shutil.rmtree(folder / ".graded", ignore_errors=True)
            assert command(folder, monkeypatch) == 0
            made[route, command] = pages(folder)
            assert {path.name for path in (folder / "feedback" / "ada" / LESSON).iterdir()} == {
                "tiny.html",
                "timestamp.txt",
                "submission_secret.txt",
            }
    first, *others = made.values()
    assert set(first) == set(STUDENTS) and all(other == first for other in others)


@BOTH
def test_what_goes_wrong_with_one_page_costs_that_page(graded, monkeypatch, command):
    folder, _ = graded
    before = pages(folder)
    (folder / "autograded" / "ben" / LESSON / "tiny.ipynb").write_text("{")
    for student in ("ben", "chloe"):
        mark(folder, student, 0.75)
    assert command(folder, monkeypatch) == 1
    after = pages(folder)
    assert after["ben"] == before["ben"] and "tiny: 1.75 of 3 points" in after["chloe"]


def test_a_run_that_grades_nothing_brings_pages_up_to_date(graded):
    folder, grade = graded
    mark(folder, "chloe", 1.25)
    grade()
    assert "tiny: 2.25 of 3 points" in pages(folder)["chloe"]


def test_nothing_graded_is_said_in_one_line(course, monkeypatch, capsys):
    folder, _ = course
    assert by_course(folder, monkeypatch) == 2
    assert "run `course grade` first" in capsys.readouterr().err


def test_neither_pages_nor_a_report_need_torch(graded):
    folder, _ = graded
    assert "torch" not in imported("feedback", cwd=folder) | imported("report", cwd=folder)


def test_a_gap_is_known_to_nobody_beforehand():
    tokens = []
    for _ in range(2):
        Body.of(nbformat.v4.new_notebook(), lambda _, token: tokens.append(token) or "")
    assert tokens[0] != tokens[1] and len(tokens[0]) == 32


def test_a_worker_renders_the_body(first_run, tmp_path):
    """The same as whoever stores the result would."""
    master, config = Master.load(first_run, LESSON), course_config(first_run)
    plugin = workers.Grading({LESSON: master}, LIMITS, True, config)
    plugin._pages = workers.queue.SimpleQueue()
    plugin._pages.put(writer.page_maker(plugin.config))
    notebook = nbformat.read(first_run / "autograded" / "ben" / LESSON / "tiny.ipynb", 4)
    made = plugin._body(SimpleNamespace(notebook=notebook, left=10.0), "tiny")
    with closing(writer.page_maker(config)) as ours:
        assert made == writer.body_of(ours, notebook, "tiny") and len(made.parts) > 8
    kept = b"".join(made.written())
    assert Body.read(kept) == made
    with pytest.raises(ValueError, match="half a page"):
        Body.read(kept[:-1])
    plugin._pages.get().close()
