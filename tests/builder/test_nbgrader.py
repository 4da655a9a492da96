"""Stock nbgrader commands on a made-up course: `nbgrader_config.py` alone makes them release, grade and feed back."""

import copy
import csv
from pathlib import Path

import nbformat
import pytest
from course_command import nbgrader
from tiny_course import EXERCISES, tiny_course

from autograder.builder.notebooks import build

UNGRADABLE = ("dying", "broken")  # a dead kernel and a file that is no JSON: nbgrader gives them no marks
STUDENTS = ("perfect", "untouched", "half", "noisy", "schema", "double", "deleted", "skipping", "endless", *UNGRADABLE)
RIGHT_COUNTER = """class Counter:
    steps = 0
    def step(self):
        self.steps += 1
        return self.steps"""


def submit(root: Path, student: str) -> None:
    """Hand in the released notebook as this student filled it in."""
    notebook = nbformat.read(root / "notebooks" / "01-tiny" / "tiny.ipynb", as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    if student != "untouched":
        cells["double"].source = "def double(a):\n    return a + a"
        cells["Counter"].source = RIGHT_COUNTER
    if student == "half":
        cells["double"].source = "def double(a):\n    return 2 * abs(a)"
    if student == "noisy":
        cells["double"].source = "import sys\ndef double(a):\n    print('beware', file=sys.stderr)\n    return a + a"
    if student == "schema":
        cells["double"].metadata.nbgrader.schema_version = 99
    if student == "double":
        for cell in copy.deepcopy([cells["double"], cells["double-graded"]]):
            cell.id += "-copy"
            notebook.cells.append(cell)
    if student == "deleted":
        notebook.cells = [cell for cell in notebook.cells if cell.id not in ("double-checks", "double-graded", "why")]
    if student == "skipping":
        cells["double"].source = "def double(a):\n    return 0"
        cells["double-graded"].metadata.tags = ["skip-execution"]
    if student == "endless":
        cells["double"].source = "def double(a):\n    while True:\n        pass"
    if student == "dying":
        cells["double"].source = "import os\ndef double(a):\n    os._exit(1)"
    path = root / "submitted" / student / "01-tiny" / "tiny.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text("{not json" if student == "broken" else nbformat.writes(notebook))


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> Path:
    """A course that has been released, graded and fed back by stock nbgrader, from a clean clone on."""
    root = tmp_path_factory.mktemp("course")
    build(tiny_course(root), root, EXERCISES)
    (root / "gradebook.db").unlink()
    before = (root / "notebooks" / "01-tiny" / "tiny.ipynb").read_bytes()
    made = nbgrader("generate_assignment", "01-tiny", "--force", cwd=root)
    assert made.returncode == 0, made.stderr
    assert (root / "notebooks" / "01-tiny" / "tiny.ipynb").read_bytes() == before
    for student in STUDENTS:
        submit(root, student)
    done = nbgrader("autograde", "01-tiny", "--Execute.timeout=2", cwd=root)
    assert done.returncode == 1  # nbgrader's way to say that a submission could not be graded
    failed = [line for line in done.stderr.splitlines() if "error processing assignment '01-tiny' for student" in line]
    assert {line.split("'")[-2] for line in failed} == set(UNGRADABLE)
    told = nbgrader("generate_feedback", "01-tiny", cwd=root)
    assert told.returncode == 0, told.stderr
    exported = nbgrader("export", cwd=root)
    assert exported.returncode == 0, exported.stderr
    return root


@pytest.mark.parametrize(
    ("student", "score"),
    [
        ("perfect", 3.5),
        ("untouched", 0),
        ("half", 2.5),
        ("noisy", 3.5),
        ("schema", 3.5),
        ("double", 3.5),
        ("deleted", 3.5),
        ("skipping", 1.5),
        ("endless", 1.5),
    ],
)
def test_marks_of_a_class(graded, student, score):
    with (graded / "grades.csv").open(newline="") as table:
        rows = {row["student_id"]: row for row in csv.DictReader(table)}
    assert float(rows[student]["raw_score"]) == score
    assert float(rows[student]["max_score"]) == 6.5


@pytest.mark.parametrize("student", [student for student in STUDENTS if student not in UNGRADABLE])
def test_feedback_shows_neither_hidden_region_nor_rubric(graded, student):
    page = (graded / "feedback" / student / "01-tiny" / "tiny.html").read_text(encoding="utf-8")
    for secret in ("HIDDEN TESTS", "globals()", "MARK SCHEME", "distributivity"):
        assert secret not in page
    assert "Why is" in page
    if student == "half":
        assert "secret remark" in page  # what the hidden checks print is for the student


def test_grading_leaves_the_tree_as_it_was(graded):
    there = {path.name for path in graded.iterdir()}
    before = {"course_lib", "nbgrader_config.py", "notebooks", "solutions", "submitted"}
    assert there == before | {"autograded", "feedback", "gradebook.db", "grades.csv", ".graded"}
    assert not list((graded / "autograded").rglob("*.py"))
