"""A term with two lessons, one of them changed twice in the middle: right marks for everybody at its end, and a table
that explains each change.
"""

import csv
from datetime import datetime

import pytest
from changing import FIRST, SECOND, Course
from nbgrader.api import Gradebook

from autograder.builder.building import mended
from autograder.grading import commands
from autograder.grading.changes import FILE

ANSWER = {"why_answer": "Because it is so."}
NO_BELOW = "return x.abs() + 1"  # loses the check below zero


@pytest.fixture(scope="module")
def term(client, tmp_path_factory):
    """The term, played to its end: the course, what each run said had changed, and its last results."""
    with pytest.MonkeyPatch.context() as patch:
        course = Course(tmp_path_factory.mktemp("term"), patch, client)
        told = []

        def grade(**how):
            told.append([])
            return course.grade(tell=told[-1].extend, **how)

        # The first release; its check of `plus_one` expects the wrong sign below zero.
        course.build(FIRST, {"plus_one": 2}, text="A sentense.", below="x + 1")
        course.build(SECOND, {"halve": 1})
        first = course.fetch(FIRST)
        course.hand_in("ada", FIRST, course.fetch(FIRST), **ANSWER)
        course.hand_in("ben", FIRST, course.fetch(FIRST), plus_one=f"def plus_one(x):\n    {NO_BELOW}", **ANSWER)
        for student in ("ada", "ben"):
            course.hand_in(student, SECOND, course.fetch(SECOND))
        grade()  # 0: the first marks
        by_hand(course, "ada", "why", 1.5)
        due(course, SECOND, "2031-05-01")
        course.hand_in("ben", SECOND, course.fetch(SECOND), when="2031-05-02 12:00 UTC")
        with (course.folder / "nbgrader_config.py").open("a") as config:
            config.write('c.LateSubmissionPlugin.penalty_method = "zero"\n')
        grade()  # 1: a person and a date

        # The first change: a mended check, a mended sentence, a comma in a label, other points.
        course.build(FIRST, {"plus_one": 3}, text="A sentence.", label="looked at,")
        cleo = course.fetch(FIRST)
        grade()  # 2: the check and the points

        # The second: an exercise is added. cleo has the release in between, eve deletes it, dan has the newest.
        course.build(FIRST, {"plus_one": 3, "thrice": 1}, text="A sentence.", label="looked at,")
        course.hand_in("cleo", FIRST, cleo, **ANSWER)
        course.hand_in("dan", FIRST, course.fetch(FIRST), **ANSWER)
        course.hand_in("eve", FIRST, course.fetch(FIRST), without=("thrice",), **ANSWER)
        course.hand_in("ben", FIRST, first, **ANSWER)  # again, right, and still of the first release
        results = grade()  # 3: a submission
        yield course, told, results


def book_of(course):
    return Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}", "deep-generative-models")


def by_hand(course, student, name, points):
    with book_of(course) as book:
        grade = book.find_grade(name, "first", FIRST, student)
        grade.manual_score, grade.needs_manual_grade = points, False
        book.db.commit()


def due(course, lesson, when):
    with book_of(course) as book:
        book.find_assignment(lesson).duedate = datetime.fromisoformat(when)
        book.db.commit()


def test_right_marks_for_everybody(term):
    course, _, results = term
    assert {who: (graded.points, graded.max_points) for who, graded in results.items()} == {
        ("ada", FIRST): (3.0, 3.0),
        ("ben", FIRST): (3.0, 3.0),
        ("cleo", FIRST): (3.0, 3.0),
        ("dan", FIRST): (4.0, 4.0),
        ("eve", FIRST): (3.0, 4.0),
        ("ada", SECOND): (1.0, 1.0),
        ("ben", SECOND): (1.0, 1.0),
    }
    with book_of(course) as book:
        held = {
            (one.student_id, lesson): (one.score, one.late_submission_penalty)
            for lesson in (FIRST, SECOND)
            for one in book.assignment_submissions(lesson)
        }
    assert held["ada", FIRST] == (4.5, 0.0), "a person's mark, too"
    assert held["ben", SECOND] == (1.0, 1.0)


def test_a_table_explains_every_change(term):
    _, told, _ = term
    rows = [[(one.student, one.lesson, one.what, one.before, one.after, one.why) for one in run] for run in told]
    assert rows == [
        [],
        [
            ("ada", FIRST, "why", (0.0, 2.0), (1.5, 2.0), ("person",)),
            ("ben", SECOND, "late penalty", (0.0, 0.0), (1.0, 0.0), ("date",)),
        ],
        [
            ("ada", FIRST, "plus_one", (1.0, 2.0), (3.0, 3.0), ("check", "lesson", "points")),
            ("ben", FIRST, "plus_one", (2.0, 2.0), (1.5, 3.0), ("check", "lesson", "points")),
        ],
        [("ben", FIRST, "plus_one", (1.5, 3.0), (3.0, 3.0), ("lesson", "submission"))],
    ]


def test_the_table_is_kept(term):
    course, told, _ = term
    with (course.folder / FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(map(len, told))
    assert [row["why"] for row in rows] == ["person", "date", *["check, lesson, points"] * 2, "lesson, submission"]
    assert (rows[2]["student"], rows[2]["from"], rows[2]["of"], rows[2]["to"], rows[2]["of now"]) == (
        "ada",
        "1.0",
        "2.0",
        "3.0",
        "3.0",
    )


def test_another_run_changes_nothing_and_says_nothing(term, capsys):
    course, *_ = term
    before = (course.folder / FILE).read_text()
    assert commands.run_grade(options(course)) == 0
    assert "Changed since" not in capsys.readouterr().out
    assert (course.folder / FILE).read_text() == before


def test_one_student_alone(term, capsys):
    course, *_ = term
    by_hand(course, "ada", "why", 2.0)
    course.hand_in("dan", FIRST, course.fetch(FIRST), thrice="def thrice(x):\n    return x", **ANSWER)
    assert commands.run_grade(options(course, student=["ada"])) == 0
    said = capsys.readouterr().out
    assert "1.5/2" in said and "person" in said and "dan" not in said
    assert commands.run_grade(options(course, student=["dan"])) == 0
    said = capsys.readouterr().out
    assert "thrice" in said and "submission" in said, "what it depended on is remembered"
    assert commands.run_grade(options(course, student=["dan", "zoe"])) == 2
    assert capsys.readouterr().err == "zoe handed in nothing of what is to be graded\n"


def test_removed_students_stay_removed_with_a_line(term, capsys):
    course, *_ = term
    with book_of(course) as book:
        book.remove_student("eve")
    for _ in range(2):
        assert commands.run_grade(options(course, lessons=[FIRST])) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "eve: removed from the grade book, so not graded; `nbgrader db student add eve` takes them in" in said
        with book_of(course) as book:
            assert "eve" not in {student.id for student in book.students}
    with book_of(course) as book:
        book.add_student("eve")
    assert commands.run_grade(options(course, lessons=[FIRST])) == 0
    assert "removed" not in capsys.readouterr().out
    with book_of(course) as book:
        assert book.find_submission(FIRST, "eve").score == 3.0


def test_a_build_says_whom_mended_checks_concern(term):
    """The last test: it mends one."""
    course, *_ = term
    course.grade()
    assert mended(FIRST, course.folder) == []
    course.add(FIRST, {"plus_one": 3, "thrice": 1}, below="1 + -x")
    (line,) = mended(FIRST, course.folder)
    assert line.startswith("hidden checks of plus_one have changed since 5 were graded by them")
    assert mended(SECOND, course.folder) == []


def options(course, **given):
    """As `course grade` reads them."""
    line = [*given.get("lessons", []), "--jobs", "1"]
    line += [word for name in given.get("student", []) for word in ("--student", name)]
    return course.parsed(["grade", *line])
