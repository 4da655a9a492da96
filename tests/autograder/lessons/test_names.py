"""What an answer earns, and what is said of it, hangs on no student's name: other tests take a few names, these many.

On demand, for minutes: `COURSE_NAMES=200 pytest tests/autograder/lessons/test_names.py`.
"""

import os

import pytest
from lesson_answers import all_exercises, mark_here, points_here, replaced, solution

from autograder.diagnosis.naming import explain
from autograder.diagnosis.transcript import Transcript
from autograder.marking import judge
from autograder.sandbox.responder import Responder
from autograder.student import LocalLink

if not (ASKED := os.environ.get("COURSE_NAMES")):
    pytest.skip("for COURSE_NAMES alone", allow_module_level=True)

NAMES = [f"name-{number}" for number in range(int(ASKED))]
exercises = pytest.mark.parametrize("exercise", all_exercises(), ids=lambda one: f"{one.lesson}-{one.name}")


def unequal(exercise, answers):
    """The answers that earn different points under different names."""
    earned = {
        answer: {points_here(exercise, replaced(exercise, function), name) for name in NAMES}
        for answer, function in answers.items()
    }
    return {answer: points for answer, points in earned.items() if len(points) > 1}


@exercises
def test_a_right_answer_gets_the_same_points_under_every_name(exercise):
    assert not unequal(exercise, {"the reference": solution(exercise.lesson)[exercise.name], **exercise.alternatives})


@exercises
def test_a_right_answer_is_never_diagnosed_under_any_name(exercise):
    """Even where a mistake is looked for behind its answers."""
    for function in exercise.alternatives.values():
        answers = replaced(exercise, function)
        for name in NAMES:
            transcript = Transcript(LocalLink(Responder(answers)))
            assert judge(exercise, transcript, name).diagnosis is None
            assert explain(exercise, transcript.exchanges).name is None


@exercises
def test_a_mistake_gets_the_same_points_under_every_name(exercise):
    assert not unequal(exercise, {known.name: known.function for known in exercise.misconceptions})


@exercises
def test_a_mistake_is_recognised_under_every_name(exercise):
    for known in exercise.misconceptions:
        answers = replaced(exercise, known.function)
        found = {name: mark_here(exercise, answers, name).diagnosis for name in NAMES}
        assert set(found.values()) == {known.name}, found
