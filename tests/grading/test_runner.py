"""Does one mistake cost one exercise, and does everything that goes wrong come back as a reason?"""

import json
from dataclasses import replace

import pytest
from nbformat.v4 import new_code_cell

from autograder.case import Case
from autograder.checkout import SECRET_VARIABLE, course_root
from autograder.exercise import exercise, find_exercise
from autograder.grading.ledger import course_parts, key_of
from autograder.grading.runner import grade_submission
from autograder.hand_in.restoring import Master
from autograder.marking import UNSAID, mark
from autograder.sandbox.responder import Responder
from autograder.seeds import Seeds
from autograder.student import LocalLink

LESSON = "99-tiny"


@exercise("tiny_both", points=2, after=("tiny_double",))
def tiny_both(student, case):
    """2x + 1, twice."""
    x = case.normal(4)
    case.expect(student(x), case.upstream("tiny_double")(x) + 1, "value", points=1)
    case.expect(student(-x), case.upstream("tiny_double")(-x) + 1, "value below zero", points=1)


@tiny_both.truth
def _(x):
    return x + x + 1


@exercise("tiny_last", points=1, after=("tiny_double",))
def tiny_last(student, case):
    """Whatever tiny_double gives."""
    x = case.normal(4)
    case.expect(student(x), case.upstream("tiny_double")(x), "value", points=1)


@tiny_last.truth
def _(x):
    return x + x


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
    here = [mark(exercise, LocalLink(Responder(namespace)), "ada").public() for exercise in exercises.values()]
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


@pytest.fixture
def grade_more(hand_in, master, exercises, template, limits):
    """With two more exercises, which build on tiny_double as well and are answered in tiny_apply's cell."""
    more = {**exercises, "tiny_both": tiny_both, "tiny_last": tiny_last}

    def graded(**answers):
        return grade_submission(hand_in(**answers), "ada", master, more, template, limits)

    return graded


def test_an_arrangement_is_found_out_although_the_message_does_not_tell_that_anything_was_followed(grade_more):
    """The second check ends in an error, which is all that the message says."""
    graded = grade_more(
        tiny_double="held = []\ndef tiny_double(x):\n    return held.pop() if held else 2 * x",
        tiny_apply="calls = []\ndef tiny_both(x):\n    calls.append(x)\n    if len(calls) % 2 == 0:\n        1 / 0\n"
        "    held[:] = [x * x]\n    return held[0] + 1",
    )
    both = {item.name: item for item in graded.marks}["tiny_both"]
    assert both.points == 0 and "ZeroDivisionError" in both.message
    assert any("tiny_both: earlier functions answer differently" in flag for flag in graded.flags)


def test_what_a_right_earlier_function_answers_is_not_told_by_the_student(grade_more):
    """Neither at once nor in a later exercise, in an error, a shape or a name."""
    drawn = Case(Seeds.of(tiny_both, "ada", "").draws).normal(4)
    heard = f"{float(2 * drawn[0]):.6f}"
    graded = grade_more(
        tiny_double="def tiny_double(x):\n    raise NotImplementedError('tiny_double: write this function')",
        tiny_apply=f"""
said = []
def tell(words):
    raise type('E' + words.replace('.', '_').replace('-', 'm'), (ValueError,), {{}})(words)
def tiny_both(x):
    y = tiny_double(x)
    said.append(f'{{float(y[0]):.6f}}')
    if said[-1] == {heard!r}:
        return y + 1
    tell(' '.join(said))
def tiny_last(x):
    tell(' '.join(['last', *said]))""",
    )
    both, last = ({item.name: item for item in graded.marks}[name] for name in ("tiny_both", "tiny_last"))
    assert both.points == 1 and both.outcomes[1].message == UNSAID, "a right function did answer"
    assert "raised Elast" in last.message
    told = json.dumps(graded.public()).replace("_", ".")
    assert heard not in told and heard.lstrip("-") not in told


def test_inputs_hang_on_the_courses_secret_and_marks_are_repeated_with_it(hand_in, master, exercises, template, limits):
    path = hand_in(tiny_double="def tiny_double(x):\n    raise ValueError(float(x[0, 0]))")

    def told(secret):
        mine = replace(master, secret=secret)
        graded = grade_submission(path, "ada", mine, exercises, template, limits)
        return graded.marks[0].message, key_of(course_parts(mine, limits, True, {}, {}, []))

    (first, key), (again, same), (other, another) = told("one"), told("one"), told("two")
    assert first == again and key == same and first != other and key != another
    guessed = float(Case(Seeds.of(find_exercise("tiny_double"), "ada", "").draws).normal(3, 2)[0, 0])
    assert str(guessed) not in first and str(guessed) in told("")[0]


def test_a_lesson_is_loaded_with_the_courses_secret(monkeypatch):
    monkeypatch.setenv(SECRET_VARIABLE, "from elsewhere")
    loaded = Master.load(course_root(), "02-vae")
    assert loaded.secret == "from elsewhere" and "from elsewhere" not in repr(loaded)
