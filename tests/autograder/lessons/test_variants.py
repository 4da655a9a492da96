"""What an answer earns, and what is said of it, hangs on no student's name, on none of the inputs that there are: other
tests take right answers through all variants, and wrong ones through a few.

On demand, for minutes: `COURSE_VARIANTS=WORD pytest tests/autograder/lessons/test_variants.py` takes all that can be
drawn where WORD is the course's secret; `"$(cat .course-secret)"` is that of a checkout.
"""

import os

import pytest
from lesson_answers import all_exercises, everyone, mark_here, points_here, replaced, solution

from autograder.diagnosis.naming import explain
from autograder.diagnosis.transcript import Transcript
from autograder.marking import judge
from autograder.sandbox.responder import Responder
from autograder.student import LocalLink

if not (SECRET := os.environ.get("COURSE_VARIANTS")):
    pytest.skip("for COURSE_VARIANTS alone", allow_module_level=True)

exercises = pytest.mark.parametrize("exercise", all_exercises(), ids=lambda one: f"{one.lesson}-{one.name}")


def unequal(exercise, answers):
    """The answers that earn different points under different names."""
    earned = {
        answer: {
            points_here(exercise, replaced(exercise, function), name, SECRET) for name in everyone(exercise, SECRET)
        }
        for answer, function in answers.items()
    }
    return {answer: points for answer, points in earned.items() if len(points) > 1}


@exercises
def test_a_right_answer_gets_all_points_under_every_name(exercise):
    answers = {"the reference": solution(exercise.lesson)[exercise.name], **exercise.alternatives}
    assert not unequal(exercise, answers)
    assert points_here(exercise, solution(exercise.lesson), "ada", SECRET) == exercise.points


@exercises
def test_a_right_answer_is_never_diagnosed_under_any_name(exercise):
    """Even where a mistake is looked for behind its answers."""
    for function in exercise.alternatives.values():
        answers = replaced(exercise, function)
        for name in everyone(exercise, SECRET):
            transcript = Transcript(LocalLink(Responder(answers)))
            assert judge(exercise, transcript, name, SECRET).diagnosis is None
            assert explain(exercise, transcript.exchanges).name is None


@exercises
def test_a_mistake_gets_the_same_points_under_every_name_and_is_recognised(exercise):
    for known in exercise.misconceptions:
        answers = replaced(exercise, known.function)
        marks = {name: mark_here(exercise, answers, name, SECRET) for name in everyone(exercise, SECRET)}
        assert {mark.diagnosis for mark in marks.values()} == {known.name}, marks
        assert len({mark.points for mark in marks.values()}) == 1, (known.name, marks)
