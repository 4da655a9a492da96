"""Right answers would run on a GPU, the lesson's own and those in other styles: full marks
there as well, and nothing to remark on.
"""

import pytest
from lesson_answers import all_exercises, replaced, solution
from there import asked_there

from autograder.sandbox.pretend_gpu import POSSIBLE

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="this PyTorch knows no devices made in Python")


@pytest.mark.parametrize("exercise", all_exercises(), ids=lambda exercise: f"{exercise.lesson}-{exercise.name}")
def test_a_right_answer_has_no_remark(exercise):
    answers = {name: replaced(exercise, function) for name, function in exercise.alternatives.items()}
    for name, namespace in {"the solution": solution(exercise.lesson).copy(), **answers}.items():
        outcomes, refused = asked_there(exercise, namespace)
        assert refused is None, name
        assert all(outcome.passed for outcome in outcomes), name
