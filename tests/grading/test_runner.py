"""Does one mistake cost one exercise, and does everything that goes wrong come back as a reason?"""

import json

import pytest
from nbformat.v4 import new_code_cell

from autograder.grading.runner import grade_submission
from autograder.marking import mark
from autograder.sandbox.host import Host
from autograder.student import LocalLink


@pytest.fixture
def grade(hand_in, master, exercises, template, limits):
    def graded(*args, student="ada", **answers):
        return grade_submission(hand_in(*args, **answers), student, master, exercises, template, limits)

    return graded


def points(graded):
    return [item.points for item in graded.marks]


def test_right_answers_get_full_marks(grade):
    graded = grade()
    assert graded.status == "graded" and points(graded) == [2, 1] and graded.flags == ()


def test_stubs_get_nothing_and_say_so(grade, master):
    stubs = [cell for cell in master.released.cells if cell["id"] in ("tiny_double", "tiny_apply")]
    graded = grade(**{cell["id"]: cell.source for cell in stubs})
    assert points(graded) == [0, 0]
    assert all("not written yet" in item.message.lower() for item in graded.marks)


def test_one_mistake_costs_one_exercise_and_is_named(grade):
    graded = grade(tiny_double="def tiny_double(x):\n    return x**2")
    assert points(graded) == [0, 1]
    assert graded.marks[0].diagnosis == "squared instead of doubled"


COSTS_ONE = {
    "syntax error": "def tiny_double(x)\n    return 2 * x",
    "endless cell": "import time\nwhile True:\n    time.sleep(0.01)",
    "endless function": "import time\ndef tiny_double(x):\n    while True:\n        time.sleep(0.01)",
    "dead process": "import os\nos._exit(0)",
    "function that ends the process": "import os\ndef tiny_double(x):\n    os._exit(0)",
    "stubborn": "import time\nwhile True:\n  try:\n    time.sleep(0.01)\n  except BaseException:\n    n = 1",
    "wrong kind": "tiny_double = 3",
    "returns a string": "def tiny_double(x):\n    return 'all correct'",
    "returns itself": "def tiny_double(x):\n    return [tiny_double]",
}


@pytest.mark.parametrize("answer", COSTS_ONE.values(), ids=COSTS_ONE.keys())
def test_what_breaks_in_one_cell_costs_its_exercise_alone(grade, answer):
    graded = grade(tiny_double=answer, tiny_apply="def tiny_apply(f, x):\n    return f(x + x)")
    assert graded.status == "graded" and points(graded) == [0, 1]
    assert graded.marks[0].message


def test_stderr_and_warnings_cost_nothing(grade):
    noise = "import sys, warnings\nwarnings.warn('so')\nprint('so', file=sys.stderr)\n"
    assert points(grade(tiny_double=noise + "def tiny_double(x):\n    warnings.warn('x')\n    return 2 * x")) == [2, 1]


def test_helpers_in_own_cells_count(grade):
    def add(notebook):
        notebook.cells.insert(2, new_code_cell("def helper(x):\n    return x + x"))

    assert points(grade(add, tiny_double="def tiny_double(x):\n    return helper(x)")) == [2, 1]


def test_the_same_student_gets_the_same_result_and_another_gets_other_inputs(grade):
    wrong = "def tiny_double(x):\n    return 2 * x if float(x.sum()) > 0 else x"
    first, again = (grade(tiny_double=wrong).public() for _ in range(2))
    first["seconds"] = again["seconds"] = 0
    assert first == again


def test_both_routes_give_the_same_marks(grade, exercises):
    answers = {
        "tiny_double": "def tiny_double(x):\n    return x * x",
        "tiny_apply": "def tiny_apply(f, x):\n    return f(x)",
    }
    namespace: dict = {}
    exec("\n".join(answers.values()), namespace)
    here = [mark(exercise, LocalLink(Host(namespace)), "ada").public() for exercise in exercises.values()]
    there = grade(**answers)
    assert here == [item.public() for item in there.marks]


def test_a_broken_file_fails_with_zero_for_every_exercise(tmp_path, master, exercises, template, limits):
    path = tmp_path / "tiny.ipynb"
    path.write_text("{")
    graded = grade_submission(path, "ada", master, exercises, template, limits)
    assert graded.status == "failed" and points(graded) == [0, 0] and "tiny.ipynb" in graded.flags[0]


def test_the_public_result_is_plain_json_without_hidden_values(grade):
    public = grade(tiny_double="def tiny_double(x):\n    return x").public()
    assert json.loads(json.dumps(public)) == public
    outcome = public["exercises"][0]["outcomes"][0]
    assert set(outcome) == {"what", "points", "max_points", "passed", "message"}


def test_the_graded_cell_holds_points_and_message(grade):
    graded = grade(tiny_double="def tiny_double(x):\n    return x * x")
    cell = next(cell for cell in graded.notebook.cells if cell["id"] == "tiny_double-graded")
    assert "squared instead of doubled" in cell.outputs[0].text.lower()
    assert cell.outputs[1].data["text/plain"] == "0.0"
