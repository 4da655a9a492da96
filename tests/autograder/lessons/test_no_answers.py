"""Nothing in `course_lib` answers an exercise: what students import is handed to every hidden check in turn."""

import importlib
import inspect
import pkgutil
import socket
import time
from copy import deepcopy
from typing import Any

import pytest
import torch
from lesson_answers import all_exercises
from matplotlib.figure import Figure

import course_lib
from autograder.case import total
from autograder.exercise import Exercise, find_exercise
from autograder.marking import run_checks, seed_of
from autograder.student import local


def public_callables() -> dict[str, Any]:
    """Every public function, class and method (unbound, with the first argument in self's place) of `course_lib`."""
    found: dict[str, Any] = {}
    for module in pkgutil.walk_packages(course_lib.__path__, "course_lib."):
        for name, value in vars(importlib.import_module(module.name)).items():
            own = getattr(value, "__module__", "").startswith("course_lib")
            if name.startswith("_") or not callable(value) or not own:
                continue
            found[f"{value.__module__}.{name}"] = value
            if inspect.isclass(value):
                for method, function in vars(value).items():
                    function = getattr(function, "__func__", function)  # class and static methods
                    if not method.startswith("_") and callable(function):
                        found[f"{value.__module__}.{name}.{method}"] = function
    return found


CALLABLES = public_callables()


def points_of(exercise: Exercise, function: Any) -> float:
    upstream = {name: local(name, {name: find_exercise(name).oracle}) for name in exercise.after}
    remote = local(exercise.name, {exercise.name: function})
    return total(run_checks(exercise, remote, seed_of("no answers"), upstream))


def calls_of(exercise: Exercise) -> list[tuple[Any, Any]]:
    """The calls that the checks make of a function that takes none; none where one hands over a function, which can be
    asked during the call alone.
    """
    calls: list[tuple[Any, Any]] = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        calls.append((args, kwargs))
        raise TypeError

    assert points_of(exercise, refuse) == 0
    return [] if any(callable(value) for args, kwargs in calls for value in (*args, *kwargs.values())) else calls


def copied(value: Any) -> Any:
    """A call's arguments for one function to change as it likes."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return type(value)(copied(item) for item in value) if type(value) in (list, tuple) else deepcopy(value)


def takes_one(function: Any, calls: list[tuple[Any, Any]]) -> bool:
    """Whether the checks need be run: a function that takes none of their calls fails like any other such."""
    for args, kwargs in calls:
        try:
            function(*copied(args), **copied(kwargs))
        except TypeError:
            continue
        except Exception:
            return True
        return True
    return not calls


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """What a check hands to `fit`, `mnist` or a plot must neither reach the network nor write anywhere but here, and no
    answer is a picture.
    """

    def refuse(*args, **kwargs):
        raise OSError("not in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(Figure, "__init__", refuse)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between two attempts at a download
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_BUDGET", "short")
    monkeypatch.setenv("COURSE_PROGRESS", "off")


def test_the_walk_finds_functions_classes_and_methods():
    names = CALLABLES.keys()
    assert {
        "course_lib.training.loop.fit",
        "course_lib.exact.mixture.GaussianMixture",
        "course_lib.exact.mixture.GaussianMixture.log_prob",
    } <= names
    assert len(names) > 30


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("exercise", all_exercises(), ids=lambda exercise: exercise.name)
def test_no_function_of_the_library_earns_a_point(exercise):
    calls = calls_of(exercise)
    tried = {name: function for name, function in CALLABLES.items() if takes_one(function, calls)}
    earned = {name: points for name, function in tried.items() if (points := points_of(exercise, function))}
    assert earned == {}


def test_an_answer_in_the_library_would_be_found():
    exercise = find_exercise("gaussian_kl")
    assert points_of(exercise, next(iter(exercise.alternatives.values()))) == exercise.points
