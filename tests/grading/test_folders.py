"""Does a hostile folder leave its honest neighbours as they are, on both routes, in the table and in formgrader?"""

import csv
import re

import pytest
from attacks.acting import Acting
from attacks.folders import PACKED, SECRET
from nbconvert.exporters import HTMLExporter
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.server_extensions.formgrader import handlers
from tiny import LESSON, make_checkout
from tiny_class import autograde, grader, held, write_hand_in

from autograder.checkout import course_config
from autograder.hand_in.beside import EXCHANGE
from autograder.plugins.export import CsvWithGaps

HONEST = ("ada", "zoe")
COURSE = "deep-generative-models"
BOTH = pytest.mark.parametrize("route", ["course grade", "nbgrader"])
EACH = pytest.mark.parametrize("one", PACKED, ids=[f"{one.family}: {one.name}" for one in PACKED])


def write_course(folder, hostile):
    """A course with a day when its lesson is due, and hand-ins of honest students and hostile ones."""
    make_checkout(folder)
    (folder / "secret.txt").write_text(SECRET)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", COURSE) as book:
        book.update_or_create_assignment(LESSON, duedate="2031-05-24 23:30:00 UTC")
    for student in HONEST:
        write_hand_in(folder, student, {})
    for one in hostile:
        write_hand_in(folder, one.student, {})
        one.write(folder / "submitted" / one.student / LESSON, folder)


def stock(folder):
    """`nbgrader autograde` and `nbgrader generate_feedback`."""
    try:
        autograde(folder)
    except NbGraderException as error:
        assert "were not graded" in str(error)
    config = course_config(folder)
    config.CourseDirectory.root, config.CourseDirectory.assignment_id = str(folder), LESSON
    GenerateFeedback(coursedir=CourseDirectory(config=config), config=config).start()


@pytest.fixture(scope="module")
def graded(client, tmp_path_factory):
    """By route: the folder of the class with the hostile ones, what is held of the honest ones alone, and results."""
    made = {}
    for route in ("course grade", "nbgrader"):
        results, places = {}, []
        for hostile in ((), PACKED):
            folder = tmp_path_factory.mktemp("course")
            write_course(folder, hostile)
            places.append(folder)
            with pytest.MonkeyPatch.context() as patch:
                grade = grader(folder, client, patch)
                results = grade() if route == "course grade" else stock(folder)
        made[route] = places[1], held(places[0]), results
    return made


def files(rows):
    return [row for row in rows if isinstance(row, tuple) and isinstance(row[1], bytes)]


@BOTH
@pytest.mark.parametrize("student", HONEST)
def test_an_honest_neighbours_mark_notebook_and_page_are_as_they_are_alone(graded, route, student):
    folder, alone, _ = graded[route]
    beside = held(folder)[student]
    assert beside[0] == alone[student][0] == 3.0
    assert files(beside) == files(alone[student])
    assert {"tiny.ipynb", "tiny.html"} <= {name for name, _ in files(beside)}


@BOTH
@EACH
def test_a_hostile_folder_is_graded_or_named(graded, route, one):
    folder, _, results = graded[route]
    earned = 3.0 if one.status == "graded" else 0.0
    if results is not None:
        result = results[one.student]
        assert (result.status, result.points) == (one.status, earned), result.flags
        assert earned or result.flags
    else:
        assert held(folder).get(one.student, [0.0])[0] == earned


@BOTH
def test_nothing_lies_beside_notebooks_and_pages_but_what_travels(graded, route):
    folder, _, _ = graded[route]
    allowed = re.compile(r"tiny\.(ipynb|html)|[^/]+\.txt")
    for place in ("autograded", "feedback"):
        for path in (folder / place).rglob("*"):
            if path.is_dir():
                continue
            about = path.relative_to(folder / place)
            assert len(about.parts) == 3 and allowed.fullmatch(path.name) and path.lstat().st_size < 2**21, about
            assert not path.is_symlink() and SECRET.encode() not in path.read_bytes(), about
    assert all(path.name in ("tiny.html", *EXCHANGE) for path in (folder / "feedback").glob("*/*/*"))


@BOTH
def test_the_table_has_a_row_for_each_and_no_formula(graded, route):
    folder, _, _ = graded[route]
    table = CsvWithGaps()
    table.to = str(folder / "grades.csv")
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", COURSE) as book:
        book.update_or_create_student("-known before", first_name="@SUM(1)", last_name="=1", email="+1")
        table.export(book)
        known = {student.id for student in book.students}
    with (folder / "grades.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["student_id"].removeprefix("'") for row in rows} == known and len(rows) == len(known)
    assert known >= {one.student for one in PACKED if one.status == "graded"} | set(HONEST)
    assert not known & {one.student for one in PACKED if one.family == "names"}
    assert not [cell for row in rows for cell in row.values() if cell and cell[0] in "=+-@\t\r"]


@pytest.fixture(scope="module")
def formgrader():
    """What formgrader shows an instructor of a submission."""

    def page(folder, student):
        config = course_config(folder)  # as formgrader's server loads it
        config.HTMLExporter.template_name = "formgrade"
        config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
        path = folder / "autograded" / student / LESSON / "tiny.ipynb"
        about = dict.fromkeys(("assignment_id", "notebook_id", "submission_id", "base_url"), "x")
        about |= {"student": student, "last_name": None, "first_name": None, "notebook_path": f"x/{student}/x"}
        shown = HTMLExporter(config=config).from_filename(str(path), resources={**about, "index": 0, "total": 1})[0]
        return shown.replace(student, "NAME")

    return page


@BOTH
def test_formgrader_and_pages_act_no_more_than_on_an_honest_submission(graded, formgrader, route):
    folder, _, _ = graded[route]
    honest = formgrader(folder, "ada")
    assert formgrader(folder, "zoe") == honest.replace("ada", "zoe")
    for place, shown in ((folder / "feedback", None), (folder / "autograded", formgrader)):
        expected = Acting(honest if shown else (place / "ada" / LESSON / "tiny.html").read_text()).found
        for one in PACKED:
            if one.status == "graded":
                text = shown(folder, one.student) if shown else (place / one.student / LESSON / "tiny.html").read_text()
                assert [act for act in Acting(text).found if act not in expected] == [], (place.name, one.name)


@BOTH
def test_a_raw_cell_stands_in_a_box_as_text(graded, formgrader, route):
    folder, _, _ = graded[route]
    student = next(one.student for one in PACKED if one.family == "content")
    for text in (formgrader(folder, student), (folder / "feedback" / student / LESSON / "tiny.html").read_text()):
        shown = re.findall(r'<div class="[^"]*\boutput_subarea\b[^"]*">\s*<pre>([^<]*<b>|[^<]*12 / 12)\s*</pre>', text)
        assert len(shown) == 4 and "<details" not in text
