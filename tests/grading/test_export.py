"""A roster in, grade files out: is everybody in them, with the right marks, whatever they are called?"""

import csv
from datetime import datetime

import pytest
from nbgrader.api import Gradebook
from tiny import make_checkout
from traitlets.config import Config

from autograder.checkout import course_config
from autograder.cli import main
from autograder.grading import students
from autograder.grading.roster import Listed, read_roster
from autograder.hand_in.finding import ClassError
from autograder.plugins.export import Canvas, CsvWithGaps, Moodle

COURSE = "deep-generative-models"
CANVAS = """\ufeffStudent,ID,SIS User ID,SIS Login ID,Section
    Points Possible,,,,
"Smith, Jr, John",1001,s1,john,A
"Hopper, Grace",1002,s2,grace,A
"Student, Test",1009,,abc,A
"""
MOODLE = """First name;Last name;ID number;Username;Email address
Grace;Hopper;77;grace;grace@navy.example
Zoë;=SUM(1);78;zoe;zoe@example.org

"""


@pytest.mark.parametrize(
    ("text", "encoding", "first"),
    [
        (CANVAS, "utf-8", Listed("john", "Smith", "Jr, John", None, "1001")),
        (MOODLE, "cp1252", Listed("grace", "Hopper", "Grace", "grace@navy.example", "77")),
        ("username\tsurname\nzoe\tYılmaz\n", "utf-16", Listed("zoe", "Yılmaz")),
        ("id,email\nzoe,z@example.org\n", "utf-8", Listed("zoe", None, None, "z@example.org")),
    ],
)
def test_lists_of_platforms_are_read(tmp_path, text, encoding, first):
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode(encoding))
    listed = read_roster(path)
    assert listed[0] == first
    assert len(listed) == (2 if text in (CANVAS, MOODLE) else 1)


WRONG = {
    "twice": ("id\nada\nben\nada\n", "lists ada twice, in lines 2 and 4"),
    "nobody": ("id\n", "lists nobody"),
    "no column": ("name,group\nada,1\n", "has no column that names students, only name, group: see --column"),
    "empty": ("", "only nothing"),
    "no name": ("id,email\n,a@example.org\n", "line 2, column 'id': there is no name"),
    "a formula": ("id\n=cmd\n", "line 2, column 'id'"),
    "a path": ("id\n../ada\n", "is no name of a folder"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_list_that_cannot_be_taken_is_said_in_one_line(tmp_path, kind):
    text, reason = WRONG[kind]
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(ClassError) as caught:
        read_roster(path)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    make_checkout(folder, written=True)
    return folder


@pytest.fixture(scope="module")
def course(checkout):
    """A class by the grade book: john has a fraction, grace lacked `tiny_apply`, zoe handed in nothing, max was not
    graded; and a lesson that nobody has seen.
    """
    path = checkout / "list.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(students, "course_root", lambda: checkout)
        for text in (CANVAS, MOODLE, "id\nmax\n"):
            path.write_text(text)
            assert main(["roster", str(path)]) == 0
    with book_of(checkout) as book:
        book.add_assignment("98-later")
        book.add_notebook("later", "98-later")
        book.add_grade_cell("x-graded", "later", "98-later", max_score=4, cell_type="code")
        scores = {"tiny_double-graded": 0.1 + 0.2, "tiny_apply-graded": 1.0}
        for student in ("john", "grace"):
            book.add_submission("99-tiny", student, timestamp=datetime(2031, 5, 1))
            held = book.find_submission_notebook("tiny", "99-tiny", student)
            for grade in held.grades:
                grade.auto_score, grade.needs_manual_grade = scores.get(grade.name, 0.0), False
                if grade.name == "why":
                    grade.auto_score, grade.manual_score = None, 1.5
                if student == "john" and grade.name == "why":
                    grade.manual_score, grade.needs_manual_grade = None, True
                if student == "grace" and grade.name == "tiny_apply-graded":
                    book.db.delete(grade)
        book.db.commit()
    (checkout / "submitted" / "max" / "99-tiny").mkdir(parents=True)
    return checkout


def book_of(folder):
    return Gradebook(f"sqlite:///{folder / 'gradebook.db'}", COURSE)


def exported(folder, kind, name="grades.csv", **how):
    """The rows of a table, as a spreadsheet reads them."""
    config = course_config(folder)
    config.Table.exercises = how.get("exercises", False)
    table = kind(config=config)
    table.to = str(folder / name)
    with book_of(folder) as book:
        table.export(book)
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_list_is_in_the_grade_book(course, capsys, monkeypatch):
    monkeypatch.setattr(students, "course_root", lambda: course)
    path = course / "again.csv"
    path.write_text("id,last_name\nada,Lovelace\ngrace,Murray\n")
    with book_of(course) as book:
        assert {one.id for one in book.students} == {"john", "grace", "zoe", "max"}
        assert book.find_student("grace").lms_user_id == "77" and book.find_student("john").last_name == "Smith"
    assert main(["roster", str(path), "--column", "no such"]) == 2
    assert "has no column 'no such'" in capsys.readouterr().err
    assert main(["roster", str(path)]) == 0
    said = "2 students: 1 added, 1 were known; not on the list, and left as they are: john, max, zoe\n"
    assert capsys.readouterr().out == said
    with book_of(course) as book:
        assert (book.find_student("grace").last_name, book.find_student("grace").first_name) == ("Murray", "Grace")
        book.find_student("grace").last_name = "Hopper"
        book.db.commit()
        book.remove_student("ada")


def test_the_plain_table(course):
    rows = exported(course, CsvWithGaps, exercises=True)
    of = {(row["assignment"], row["student_id"]): row for row in rows}
    assert len(of) == len(rows) == 8
    fields = ("status", "raw_score", "score", "max_score", "tiny_double", "tiny_apply", "why")
    assert {who: tuple(of["99-tiny", who][field] for field in fields) for who in ("john", "grace", "zoe", "max")} == {
        "john": ("to be marked", "1.3", "1.3", "5.0", "0.3", "1.0", "0.0"),
        "grace": ("graded", "1.8", "1.8", "4.0", "0.3", "", "1.5"),
        "zoe": ("missing", "0.0", "0.0", "5.0", "", "", ""),
        "max": ("not graded", "", "", "5.0", "", "", ""),
    }
    assert {of["98-later", who]["status"] for who in ("john", "zoe")} == {"open"}
    assert of["99-tiny", "john"]["first_name"] == "Jr, John", "quoted"
    assert of["99-tiny", "zoe"]["last_name"] == "'=SUM(1)", "no formula"


def test_what_is_not_due_yet_is_no_zero(course):
    for due, wanted in ((datetime(2999, 1, 1), "open"), (datetime(2001, 1, 1), "missing"), (None, "missing")):
        with book_of(course) as book:
            book.find_assignment("99-tiny").duedate = due
            book.db.commit()
        rows = exported(course, CsvWithGaps)
        zoe = {row["assignment"]: row["status"] for row in rows if row["student_id"] == "zoe"}
        assert zoe == {"98-later": "open", "99-tiny": wanted}
        assert "tiny_double" not in rows[0]


def test_what_canvas_imports(course):
    first, *rows = exported(course, Canvas, "canvas.csv", exercises=True)
    columns = ["98-later", "99-tiny", "99-tiny tiny_apply", "99-tiny tiny_double", "99-tiny why"]
    assert list(first) == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *columns]
    assert [first[name] for name in columns] == ["4.0", "5.0", "1.0", "2.0", "2.0"]
    assert first["Student"].strip() == "Points Possible"
    of = {row["SIS Login ID"]: row for row in rows}
    assert (of["john"]["Student"], of["john"]["ID"]) == ("Smith, Jr, John", "1001")
    assert {who: of[who]["99-tiny"] for who in of} == {"john": "1.3", "grace": "2.25", "zoe": "0.0", "max": ""}
    assert of["grace"]["99-tiny tiny_apply"] == "", "1.8 of her 4 are 2.25 of 5"


def test_what_moodle_imports(course):
    rows = exported(course, Moodle, "moodle.csv")
    of = {row["Username"]: row for row in rows}
    assert {who: (row["99-tiny"], row["99-tiny status"]) for who, row in of.items()} == {
        "john": ("1.3", "to be marked"),
        "grace": ("2.25", "graded"),
        "zoe": ("0.0", "missing"),
        "max": ("", "not graded"),
    }
    assert of["grace"]["ID number"] == "77" and "tiny_double" not in " ".join(of["grace"])


def test_chosen_students_and_lessons(course):
    table = CsvWithGaps(config=Config())
    table.to, table.student, table.assignment = str(course / "some.csv"), ["zoe"], ["99-tiny"]
    with book_of(course) as book:
        table.export(book)
    assert len((course / "some.csv").read_text().splitlines()) == 2
