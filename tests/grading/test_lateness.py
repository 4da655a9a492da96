"""Is the stored penalty always the late plug-in's answer for what the grade book holds now, on both routes?"""

import csv
from datetime import datetime, timedelta

import pytest
from nbgrader.api import Gradebook
from nbgrader.converters.base import NbGraderException
from tiny import LESSON
from tiny_class import MARKS, autograde

from autograder import checkout
from autograder.cli import main
from autograder.grading import students
from autograder.hand_in.finding import ClassError
from autograder.plugins.export import CsvWithGaps

COURSE = "deep-generative-models"
DUE = datetime(2031, 5, 24, 12)
LATE = "2031-05-25 12:00:00 UTC"  # a day
PLUGIN = """
from nbgrader.plugins import LateSubmissionPlugin

class Tenth(LateSubmissionPlugin):
    def late_submission_penalty(self, student, score, late):
        return {answer}

c.AssignLatePenalties.plugin_class = Tenth
"""


@pytest.fixture(params=["course grade", "nbgrader"])
def term(request, course):
    """A class with a due date: ada is a day late, ben in time, chloe has no time. And what grades it by this route."""
    folder, ours = course
    for student, text in {"ada": LATE, "ben": "2031-05-24 11:30 AM"}.items():
        (folder / "submitted" / student / LESSON / "timestamp.txt").write_text(text)
    penalise(folder, "zero")
    due(folder, DUE)

    def grade():
        return ours() if request.param == "course grade" else autograde(folder)

    return folder, grade


def penalise(folder, answer):
    """Let the late plug-in be nbgrader's "zero", or one of this answer."""
    setting = f'c.LateSubmissionPlugin.penalty_method = "{answer}"\n' if answer == "zero" else ""
    path = folder / "nbgrader_config.py"
    text = path.read_text().partition("\n# late\n")[0]
    path.write_text(text + "\n# late\n" + (setting or PLUGIN.format(answer=answer)))


def book_of(folder):
    return Gradebook(f"sqlite:///{folder / 'gradebook.db'}", COURSE)


def due(folder, when):
    with book_of(folder) as book:
        book.find_assignment(LESSON).duedate = when
        book.db.commit()


def mark(folder, student, points):
    with book_of(folder) as book:
        book.find_grade("tiny_double-graded", "tiny", LESSON, student).manual_score = points
        book.db.commit()


def penalties(folder):
    with book_of(folder) as book:
        held = {s.student_id: s for s in book.assignment_submissions(LESSON)}
        return {name: held[name].notebooks[0].late_submission_penalty for name in held}


def exported(folder):
    table = CsvWithGaps(config=checkout.course_config(folder))
    table.to = str(folder / "grades.csv")
    with book_of(folder) as book:
        table.export(book)
    return {row["student_id"]: row for row in csv.DictReader((folder / "grades.csv").read_text().splitlines())}


def extend(folder, monkeypatch, *line):
    monkeypatch.setattr(students, "course_root", lambda: folder)
    return main(["extend", *line])


def test_zero_stays_zero_when_a_person_has_marked(term):
    folder, grade = term
    grade()
    assert penalties(folder) == {"ada": MARKS["ada"], "ben": None, "chloe": None}
    mark(folder, "ada", 0.5)
    grade()
    assert penalties(folder)["ada"] == 1.5, "of the whole score, and no more than it"
    mark(folder, "ada", 2.0)
    assert (exported(folder)["ada"]["score"], penalties(folder)["ada"]) == ("0.0", 3.0)


def test_a_due_date_that_moves_or_goes(term):
    folder, grade = term
    grade()
    for when, wanted in ((DUE + timedelta(days=2), None), (DUE, 3.0), (None, None), (DUE, 3.0)):
        due(folder, when)
        grade()
        assert penalties(folder)["ada"] == wanted, when


def test_a_time_that_changes_or_vanishes(term):
    folder, grade = term
    place = folder / "submitted" / "ada" / LESSON / "timestamp.txt"
    grade()
    place.write_text("2031-05-24 1:30 PM Europe/Berlin")  # 11:30
    grade()
    assert penalties(folder)["ada"] is None
    place.write_text(LATE)
    grade()
    assert penalties(folder)["ada"] == 3.0
    place.unlink()
    results = grade()
    assert penalties(folder)["ada"] is None
    with book_of(folder) as book:
        assert book.find_submission(LESSON, "ada").timestamp is None
    if results:
        assert "there is no timestamp.txt, so it counts as in time" in results["ada"].flags
        assert not any("in time" in flag for flag in results["ben"].flags)


@pytest.mark.parametrize("answer, wanted", [("0.1 * score", 0.3), ("99", 3.0), ("-1", 0.0), ("None", None)])
def test_an_answer_between_nothing_and_the_score(term, answer, wanted):
    folder, grade = term
    penalise(folder, answer)
    grade()
    assert penalties(folder)["ada"] == (wanted if wanted is None else pytest.approx(wanted))
    assert penalties(folder)["ben"] is None


@pytest.mark.parametrize("answer", ["float('nan')", "1 / 0", "'much'"])
def test_a_plugin_that_fails_costs_those_it_fails_for_and_is_said_in_a_line(term, answer):
    folder, grade = term
    grade()
    penalise(folder, answer)
    with pytest.raises((ClassError, NbGraderException), match="the late plug-in Tenth fails for ada") as caught:
        grade()
    assert "\n" not in str(caught.value)
    assert penalties(folder) == {"ada": 3.0, "ben": None, "chloe": None}


def test_an_extension_before_or_after_a_hand_in(term, monkeypatch, capsys):
    folder, grade = term
    assert extend(folder, monkeypatch, "ada", LESSON, "2031-05-25 2 PM Europe/Berlin") == 0  # 12:00, just then
    assert "nothing was handed in under this name so far" in capsys.readouterr().out
    grade()
    assert penalties(folder)["ada"] is None
    assert extend(folder, monkeypatch, "ada", LESSON, "2031-05-25 11:59 AM") == 0
    said = capsys.readouterr().out
    assert "ada may hand in 99-tiny until Sunday, 25 May 2031, 11:59 UTC" in said
    assert "late by 0:01:00, with a penalty of 3" in said and penalties(folder)["ada"] == 3.0
    assert extend(folder, monkeypatch, "ada", LESSON, "2031-05-25") == 0  # the whole day
    assert "in time" in capsys.readouterr().out and penalties(folder)["ada"] is None
    with book_of(folder) as book:
        assert book.find_submission(LESSON, "ada").extension == timedelta(days=1, hours=12, seconds=-1)
    due(folder, DUE + timedelta(hours=6))
    grade()
    with book_of(folder) as book:
        assert book.find_submission(LESSON, "ada").extension == timedelta(days=1, hours=6, seconds=-1)
    due(folder, None)
    grade()
    due(folder, DUE)
    grade()
    assert penalties(folder)["ada"] is None, "the date is kept while there is no due date"
    assert extend(folder, monkeypatch, "ada", LESSON, "none") == 0
    assert penalties(folder)["ada"] == 3.0


def test_an_extension_that_an_instructor_has_set_otherwise_stays(term):
    folder, grade = term
    grade()
    with book_of(folder) as book:
        book.grant_extension(LESSON, "ada", days=3)
    grade()
    assert penalties(folder)["ada"] is None
    with book_of(folder) as book:
        assert book.find_submission(LESSON, "ada").extension == timedelta(days=3)
    due(folder, None)
    grade()  # nbgrader itself adds the extension to nothing, and fails
    assert penalties(folder)["ada"] is None


WRONG = {
    "no date": (("ada", LESSON, "soon"), "'soon' is no date"),
    "not all of it": (("ada", LESSON, "11:30 PM"), "leaves year, month or day open"),
    "an unknown zone": (("ada", LESSON, "2031-05-25 12:00 XYZT"), "'XYZT' is not known"),
    "before it is due": (("ada", LESSON, "2031-05-24 11:59"), "is not after the due date of 99-tiny"),
    "no lesson": (("ada", "98-other", "2031-05-25"), "there is no lesson '98-other'; there are 99-tiny"),
    "no name": (("a<b", LESSON, "2031-05-25"), "more than a name"),
    "no folder": (("ada", LESSON, "2031-05-25", "--out", "/nowhere/at/all"), "is not a folder"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_extension_that_cannot_be_is_said_in_one_line(course, monkeypatch, capsys, kind):
    folder, _ = course
    due(folder, DUE)
    line, reason = WRONG[kind]
    assert extend(folder, monkeypatch, *line) == 2
    said = capsys.readouterr().err
    assert reason in said and said.count("\n") == 1
    assert not (folder / "extensions.json").exists()


def test_extensions_that_cannot_be_read_are_said_in_one_line(term):
    folder, grade = term
    (folder / "extensions.json").write_text('{"99-tiny": {"ada": "soon"}}')
    with pytest.raises((ClassError, NbGraderException), match=r"extensions\.json cannot be read"):
        grade()
