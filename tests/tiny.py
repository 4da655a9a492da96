"""A made-up lesson of two exercises, small enough to grade in a blink."""

import shutil

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

from autograder.checkout import CONFIG, course_config, course_root
from autograder.exercise import exercise, find_exercise
from autograder.hand_in.restoring import Master

LESSON = "99-tiny"


@exercise("tiny_double", points=2)
def tiny_double(student, case):
    """2x, like x."""
    x = case.normal(3, 2)
    case.expect(student(x), tiny_double.oracle(x), "value", points=1)
    case.expect(student(-x), tiny_double.oracle(-x), "value below zero", points=1)


@tiny_double.truth
def _(x):
    return x + x


@tiny_double.misconception("squared instead of doubled", hint="Twice x is x + x.")
def _(x):
    return x * x


@exercise("tiny_apply", points=1, after=("tiny_double",))
def tiny_apply(student, case):
    """f applied to 2x."""
    x = case.normal(4)
    case.expect(student(lambda y: y + 1, x), case.upstream("tiny_double")(x) + 1, "f of the double", points=1)


@tiny_apply.truth
def _(f, x):
    return f(x + x)


def _meta(grade_id, *, points=None, cell_type="code", **roles):
    flags = {"grade": False, "solution": False, "locked": False, "task": False, **roles}
    worth = {} if points is None else {"points": points}
    return {"nbgrader": {"grade_id": grade_id, "schema_version": 3, "cell_type": cell_type, **flags, **worth}}


def _cell(source, identity, **metadata):
    made = new_code_cell(source, metadata=metadata)
    made["id"] = identity
    return made


def _exercise(name, signature, points):
    stub = f'def {name}({signature}):\n    raise NotImplementedError("{name}: write this function")'
    return [
        _cell(stub, name, **_meta(name, solution=True)),
        _cell("print('looked at')", f"{name}-checks", **_meta(f"{name}-checks", points=0, grade=True, locked=True)),
        _cell("# Graded here.", f"{name}-graded", **_meta(f"{name}-graded", points=points, grade=True, locked=True)),
    ]


def tiny_master():
    """The lesson as released."""
    title = new_markdown_cell("# Tiny")
    title["id"] = "title"
    cells = [
        title,
        _cell("import torch", "imports"),
        *_exercise("tiny_double", "x", 2.0),
        _cell("tiny_double(torch.ones(1)); raise SystemError('experiments are not run')", "show", tags=["experiment"]),
        *_exercise("tiny_apply", "f, x", 1.0),
    ]
    released = new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    nbformat.validate(released)
    full = {name: "### BEGIN HIDDEN TESTS" for name in ("tiny_double-graded", "tiny_apply-graded")}
    checks = {name: "print('looked at')" for name in ("tiny_double-checks", "tiny_apply-checks")}
    return Master(LESSON, "tiny", released, {**full, **checks})


def _written():
    """A question marked by a person, worth 2 points, and the cell for its answer."""
    question = new_markdown_cell("Why?\n\n### BEGIN MARK SCHEME\nSays why.\n### END MARK SCHEME")
    answer = new_markdown_cell("### BEGIN SOLUTION\nThe model answer.\n### END SOLUTION")
    for cell, identity in ((question, "why"), (answer, "why-answer")):
        cell["id"] = identity
    question.metadata = _meta("why", points=2.0, cell_type="markdown", task=True, locked=True)
    answer.metadata = _meta("why-answer", points=0, cell_type="markdown", grade=True, solution=True)
    return [question, answer]


def make_checkout(folder, written=False):
    """The made-up lesson as a course of its own in `folder`, with the settings of this one; released by nbgrader. With
    a written question at its end where that is wanted.
    """
    source = tiny_master().released
    source.cells += [nbformat.from_dict(cell) for cell in _written() if written]
    for cell in source.cells:
        if cell.cell_type == "markdown":
            continue
        if cell.metadata.get("nbgrader", {}).get("solution"):
            head = cell.source.split("\n")[0]
            cell.source = f"{head}\n    ### BEGIN SOLUTION\n    pass\n    ### END SOLUTION"
        elif cell["id"].endswith("-graded"):
            cell.source += "\n### BEGIN HIDDEN TESTS\n0.0\n### END HIDDEN TESTS"
    (folder / "solutions" / LESSON).mkdir(parents=True)
    nbformat.write(source, folder / "solutions" / LESSON / "tiny.ipynb")
    shutil.copy(course_root() / CONFIG, folder / CONFIG)
    config = course_config(folder)
    config.CourseDirectory.root = str(folder)
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    made = api.generate_assignment(LESSON, force=True)
    assert made["success"], made
    return api


def tiny_exercises():
    """Its exercises."""
    return {name: find_exercise(name) for name in ("tiny_double", "tiny_apply")}


RIGHT = {
    "tiny_double": "def tiny_double(x):\n    return 2 * x",
    "tiny_apply": "def tiny_apply(f, x):\n    return f(tiny_double(x))",
}
