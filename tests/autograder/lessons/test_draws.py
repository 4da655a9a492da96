"""What hidden checks draw: right answers in any style that a user meets keep their points, whoever wrote them."""


import pytest
import torch
from lesson_answers import all_exercises, mark_here, points_here, replaced, solution

from autograder.exercise import Exercise
from autograder.notebook import render

EXERCISES = all_exercises()
exercises = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: f"{exercise.lesson}-{exercise.name}")
FEW = ("ada", "emmy", "sofia")


def around(exercise: Exercise, change):
    """The solution with every argument changed on its way in; a class with those of its methods."""
    right = solution(exercise.lesson)[exercise.name]
    if isinstance(right, type):
        return right

    def answer(*args, **kwargs):
        return right(*map(change, args), **{key: change(value) for key, value in kwargs.items()})

    return answer


def through_float32(value):
    """A number as somebody holds it who made a tensor of it."""
    return torch.tensor(value).item() if type(value) is float else value


@exercises
def test_numbers_that_went_through_float32_cost_nothing(exercise):
    names = replaced(exercise, around(exercise, through_float32))
    for student in [f"student-{number}" for number in range(20)]:
        assert points_here(exercise, names, student) == exercise.points, render(mark_here(exercise, names, student))


@exercises
def test_gradients_that_a_cell_left_off_change_no_point_and_no_diagnosis(exercise):
    known = exercise.misconceptions[0]
    for function in (solution(exercise.lesson)[exercise.name], known.function):
        names = replaced(exercise, function)
        usual = mark_here(exercise, names, "ada")
        with torch.no_grad():
            off = mark_here(exercise, names, "ada")
            assert not torch.is_grad_enabled()
        assert (off.points, off.diagnosis, off.message) == (usual.points, usual.diagnosis, usual.message)
