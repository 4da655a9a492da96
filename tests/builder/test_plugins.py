"""Each nbgrader preprocessor of the course, on notebooks made by hand."""

import copy
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import determine_grade
from tiny_course import EXERCISES, tiny_course

from autograder.builder.notebooks import build
from autograder.cells import digest, metadata
from autograder.checkout import course_config, database_url
from autograder.plugins.preprocessors import HideChecks, NamedStubs, PositiveCredit, RestoreMetadata, Seal


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("course")
    build(tiny_course(root), root, EXERCISES)
    return root


@pytest.fixture
def released(course):
    """The student's notebook, fresh."""
    return nbformat.read(course / "notebooks" / "01-tiny" / "tiny.ipynb", as_version=4)


def restore(course: Path, notebook) -> dict:
    """The notebook's nbgrader cells by id after RestoreMetadata; they must satisfy nbgrader's own validator."""
    where = {"db_url": database_url(course, course_config(course)), "notebook": "tiny", "assignment": "01-tiny"}
    made, _ = RestoreMetadata().preprocess(notebook, {"nbgrader": where})
    MetadataValidator().validate_nb(made)
    return {cell.metadata.nbgrader.grade_id: cell for cell in made.cells if "nbgrader" in cell.metadata}


def find(notebook, name: str):
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name)


def test_an_honest_submission_stays_as_it_is(course, released):
    before = copy.deepcopy(released)
    restore(course, released)
    for cell, old in zip(released.cells, before.cells, strict=True):
        assert cell.source == old.source
        assert without_checksum(cell) == without_checksum(old)


def without_checksum(cell) -> dict:
    """The nbgrader metadata but the checksum: the grade book's covers the hidden region, the student's does not."""
    return {key: value for key, value in cell.metadata.get("nbgrader", {}).items() if key != "checksum"}


def spoil(notebook, what: str) -> None:
    graded = find(notebook, "double-graded")
    if what == "schema 99":
        graded.metadata.nbgrader.schema_version = 99
    elif what == "no schema":
        graded.metadata.nbgrader = {"grade_id": "double-graded"}
    elif what == "text for metadata":
        notebook.cells[0].metadata.nbgrader = "graded"
    elif what == "a number for an id":
        notebook.cells[0].metadata.nbgrader = {"grade_id": 3, "grade": True}
    elif what == "unknown id":
        notebook.cells[0].metadata.nbgrader = {"grade_id": "other", "grade": True, "schema_version": 3}
    elif what == "points":
        graded.metadata.nbgrader.points = 200
    elif what == "unlocked":
        graded.metadata.nbgrader.update(locked=False, solution=True, grade=False)
    elif what == "double":
        notebook.cells.append(copy.deepcopy(find(notebook, "double")))
        notebook.cells.append(copy.deepcopy(graded))
    elif what == "deleted":
        names = ("double-checks", "double-graded", "why", "why-answer")
        notebook.cells = [cell for cell in notebook.cells if cell.id not in names]
    elif what == "all deleted":
        notebook.cells = []
    elif what == "tags":
        graded.metadata.tags = ["skip-execution"]


SPOILT = ["schema 99", "no schema", "text for metadata", "a number for an id", "unknown id", "points", "unlocked"]


@pytest.mark.parametrize("what", [*SPOILT, "double", "deleted", "all deleted", "tags"])
def test_a_spoilt_submission_answers_to_the_grade_book_again(course, released, what):
    honest = {cell.metadata.nbgrader.grade_id: cell for cell in released.cells if "nbgrader" in cell.metadata}
    expected = {name: without_checksum(cell) for name, cell in honest.items()}
    if what == "all deleted":  # solution cells are the student's: they do not come back
        expected = {name: data for name, data in expected.items() if data["grade"] or data["locked"]}
    spoil(released, what)
    restored = restore(course, released)
    assert {name: without_checksum(cell) for name, cell in restored.items()} == expected
    assert not any(cell.metadata.get("tags") for cell in restored.values())
    if what == "deleted":
        order = list(restored)
        assert order.index("double-checks") == order.index("double") + 1
        assert order.index("double-graded") == order.index("double") + 2


def graded(*outputs, points=2, source="### BEGIN HIDDEN TESTS\nsecret()\n### END HIDDEN TESTS"):
    cell = new_code_cell(source, metadata=metadata("x-graded", points, grade=True, locked=True), outputs=list(outputs))
    return nbformat.from_dict(cell)


def result(text: str):
    return new_output("execute_result", data={"text/plain": text}, execution_count=1)


ERROR = new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])


@pytest.mark.parametrize(
    ("outputs", "points"),
    [
        ([result("1.5")], 1.5),
        ([], 0),
        ([new_output("stream", name="stdout", text="2 of 2")], 0),
        ([result("'all'")], 0),
        ([result("nan")], 0),
        ([result("-1")], 0),
        ([result("200.0")], 2),
        ([result("2.0"), result("0.5")], 0.5),
        ([result("2.0"), ERROR], 0),
        ([ERROR], 0),
    ],
)
def test_credit_is_positive_and_at_most_the_maximum(outputs, points):
    cell, _ = PositiveCredit().preprocess_cell(graded(*outputs), {}, 0)
    assert determine_grade(cell) == (points, 2)


def test_a_checks_cell_costs_nothing_and_a_students_cell_is_left_alone():
    checks, _ = PositiveCredit().preprocess_cell(graded(result("3"), points=0), {}, 0)
    assert determine_grade(checks) == (0, 0)
    own = new_code_cell("1", outputs=[result("1")])
    assert PositiveCredit().preprocess_cell(copy.deepcopy(own), {}, 0)[0] == own


def test_feedback_hides_checks_rubric_and_tracebacks():
    task = new_markdown_cell("Why?\n### BEGIN MARK SCHEME\nrubric\n### END MARK SCHEME")
    task.metadata.update(metadata("why", 3, task=True, locked=True))
    frames = ["----> 2 secret()", "File /course/autograder/lessons/vae.py:3 in truth"]
    failed = new_output("error", ename="KeyError", evalue="'f'", traceback=frames)
    told = new_output("stream", name="stdout", text="right\nsecret()\n")
    own = new_code_cell("x = 1 / 0  # BEGIN HIDDEN TESTS", outputs=[ERROR])
    notebook = nbformat.from_dict(new_notebook(cells=[task, graded(told, failed), own]))
    shown, _ = HideChecks().preprocess(notebook, {})
    text = nbformat.writes(shown)
    for secret in ("rubric", "secret", "autograder"):
        assert secret not in text
    assert "KeyError: 'f'" in text
    assert "right" in text
    assert shown.cells[2].source == own.source
    assert shown.cells[2].outputs[0].traceback == ["ValueError: no"]


def test_stubs_name_their_exercise_and_answers_get_a_sentence():
    solution = new_code_cell("def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION")
    solution.metadata.update(metadata("f", solution=True))
    answer = new_markdown_cell("### BEGIN SOLUTION\nbecause\n### END SOLUTION")
    answer.metadata.update(metadata("why-answer", 0, solution=True, grade=True))
    made, _ = NamedStubs().preprocess(nbformat.from_dict(new_notebook(cells=[solution, answer])), {})
    assert made.cells[0].source.endswith('raise NotImplementedError("f: write this function, then run the cell again")')
    assert "Write your answer here" in made.cells[1].source


def test_seal_records_the_digest_of_our_notebooks_only(released):
    recorded = released.metadata.course.pop("digest")
    assert recorded == digest(released)
    assert Seal().preprocess(released, {})[0].metadata.course.digest == recorded
    assert "course" not in Seal().preprocess(new_notebook(), {})[0].metadata
