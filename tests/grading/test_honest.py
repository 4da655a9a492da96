"""Does whoever is right get full marks, however odd the notebook?"""

from copy import deepcopy

import nbformat
import pytest
from honest import HONEST

from autograder.grading.runner import grade_submission

MIN_HONEST = 30


@pytest.mark.parametrize("honest", HONEST, ids=[honest.name for honest in HONEST])
def test_an_honest_submission_gets_full_marks(honest, master, exercises, template, limits, tmp_path):
    made = deepcopy(master.released)
    answers = {"tiny_double": honest.double, "tiny_apply": honest.apply}
    for cell in made.cells:
        cell.source = answers.get(cell["id"], cell.source)
    honest.change(made)
    path = tmp_path / "tiny.ipynb"
    path.write_bytes(honest.file(nbformat.writes(made).encode()))
    graded = grade_submission(path, "ada", master, exercises, template, limits)
    assert [mark.points for mark in graded.marks] == [2, 1], [mark.message for mark in graded.marks]
    assert graded.flags == ()
    errors = [o for cell in graded.notebook.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    assert honest.raises or not errors
    nbformat.validate(graded.notebook)


def test_there_are_enough():
    assert len(HONEST) >= MIN_HONEST and len({honest.name for honest in HONEST}) == len(HONEST)
