"""Nothing in `course_lib` answers an exercise: what students import is handed to every hidden check in turn."""

import importlib
import inspect
import pkgutil
import socket
import time
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from lesson_answers import all_exercises
from matplotlib.figure import Figure

import course_lib
from autograder.case import total
from autograder.exercise import Exercise, find_exercise
from autograder.marking import run_checks
from autograder.seeds import seed_of
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


@cache
def signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:  # an exception's class
        return inspect.signature(lambda *args, **kwargs: None)


def takers_of(exercise: Exercise, functions: Mapping[str, Any]) -> dict[str, Any]:
    """Those that take at least one of the calls that the checks make, tried during the call: a function that one hands
    over can be asked then alone. What takes none of them fails like any other such.
    """
    left, found = dict(functions), {}

    def refuse(*args: Any, **kwargs: Any) -> None:
        for name, function in list(left.items()):
            if takes(function, args, kwargs):
                found[name] = left.pop(name)
        raise TypeError

    assert points_of(exercise, refuse) == 0
    return found


def earned_by(exercise: Exercise, functions: Mapping[str, Any]) -> dict[str, float]:
    """The points of those functions that earn any."""
    takers = takers_of(exercise, functions)
    return {name: points for name, function in takers.items() if (points := points_of(exercise, function))}


def copied(value: Any) -> Any:
    """A call's arguments for one function to change as it likes."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return type(value)(copied(item) for item in value) if type(value) in (list, tuple) else deepcopy(value)


def takes(function: Any, args: Any, kwargs: Any) -> bool:
    try:
        signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    try:
        args, kwargs = copied(args), copied(kwargs)
    except Exception:  # not to be copied: the checks themselves will tell
        return True
    try:
        function(*args, **kwargs)
    except Exception as error:
        return not isinstance(error, TypeError)
    return True


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
    assert earned_by(exercise, CALLABLES) == {}


@pytest.mark.parametrize("name", ["gaussian_kl", "sds_gradient", "VAE"])  # by values, with functions, a class
def test_an_answer_in_the_library_would_be_found(name):
    exercise = find_exercise(name)
    library = CALLABLES | {"course_lib.answer": next(iter(exercise.alternatives.values()))}
    assert earned_by(exercise, library) == {"course_lib.answer": exercise.points}
