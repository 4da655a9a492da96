"""Every exercise of every lesson: an answer that says nothing earns nothing, also in the right form."""

import copy
import math

import pytest
import torch
from lesson_answers import all_exercises, points_here, replaced, solution

EXERCISES = all_exercises()
WEIGHTS = 0.2
CONSTANTS = {"zeros": 0.0, "ones": 1.0, "halves": 0.5, "NaN": math.nan, "infinity": math.inf}


def filled(value, constant):
    """A value of the same form and dtypes, all of whose numbers are the constant."""
    if isinstance(value, dict):
        return {key: filled(item, constant) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(filled(item, constant) for item in value)
    if isinstance(value, torch.Tensor):
        fits = value.is_floating_point() or value.is_complex() or math.isfinite(constant)
        return torch.full_like(value, constant if fits else 0, requires_grad=False)
    if isinstance(value, float):
        return float(constant)
    return int(constant if math.isfinite(constant) else 0) if type(value) is int else value


def aside(value):
    """Copies to find the answer's form with: what a module learns, a tensor becomes, or a given function is asked
    would be an answer too.
    """
    kept = copy.deepcopy([*value.values()] if isinstance(value, dict) else [*value])  # together: an optimiser's weights
    for place, item in enumerate(kept):
        if callable(item) and not isinstance(item, torch.nn.Module):
            kept[place] = lambda first, *more, **named: torch.zeros_like(first)
    return dict(zip(value, kept, strict=True)) if isinstance(value, dict) else kept


def constantly(right, constant):
    """A function or class that takes what `right` takes and answers in its form, always with the constant."""
    if not isinstance(right, type):

        def answer(*args, **kwargs):
            try:
                return filled(right(*aside(args), **aside(kwargs)), constant)
            except Exception:  # where an error is the right answer, a constant is not
                return torch.tensor(constant)

        return answer

    def method(name):
        return lambda self, *args, **kwargs: filled(getattr(super(made, self), name)(*args, **kwargs), constant)

    own = [name for name, item in vars(right).items() if callable(item) and not name.startswith("_")]
    made = type(right.__name__, (right,), {name: method(name) for name in own})
    return made


def first_tensor(*args, **kwargs):
    return next(value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor))


TRIVIAL = {
    **{f"constant {name}": lambda right, c=constant: constantly(right, c) for name, constant in CONSTANTS.items()},
    "None": lambda right: lambda *args, **kwargs: None,
    "its first argument": lambda right: lambda *args, **kwargs: args[0],
    "its last argument": lambda right: lambda *args, **kwargs: args[-1],
    "its first tensor": lambda right: first_tensor,
    "zeros like its first tensor": lambda right: lambda *a, **k: torch.zeros_like(first_tensor(*a, **k)),
    "ones like its first tensor": lambda right: lambda *a, **k: torch.ones_like(first_tensor(*a, **k)),
}


@pytest.mark.parametrize("trivial", TRIVIAL.values(), ids=TRIVIAL.keys())
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: f"{exercise.lesson}-{exercise.name}")
def test_an_answer_that_says_nothing_earns_nothing(exercise, trivial):
    right = solution(exercise.lesson)[exercise.name]
    # A class whose methods are constant may still have the right weights.
    most = WEIGHTS * exercise.points if isinstance(right, type) else 0
    for student in ("ada", "emmy"):
        assert points_here(exercise, replaced(exercise, trivial(right)), student) <= most
