"""An exercise's contract: its hidden checks, its oracle, its points, and the mistakes and right answers it is tested
with. All of it stands in one file that bears the exercise's name, autograder/lessons/vae/gaussian_kl.py:

    @exercise("gaussian_kl", points=2)
    def gaussian_kl(student, case):
        \"\"\"KL(N(mu, exp logvar) || N(0, I)), (B, J) -> (B,), in nats.\"\"\"
        mu, logvar = case.normal(5, 3), case.normal(5, 3)
        case.expect(student(mu, logvar), gaussian_kl.oracle(mu, logvar), "value on a random Gaussian", points=2)

    @gaussian_kl.truth
    def truth(mu, logvar): ...                       # by another route than the lesson's solution

    @gaussian_kl.misconception("missing factor 1/2", hint="Every term carries the factor 1/2 of ...")
    def missing_factor_half(mu, logvar): ...         # a wrong answer seen in the wild; a class for a module

    @gaussian_kl.alternative("through torch.distributions")
    def torch_distributions(mu, logvar): ...         # a right answer in another style

Checks see the student's function through `autograder.student.Remote`, draw inputs from `autograder.case.Case`, and
report all outcomes, the same ones in the same order whatever comes back. `after=("reparameterize",)` names the earlier
exercises whose function they take from `case.upstream(name)`.

A lesson is a package of `autograder.lessons`, whose `__init__` says `LESSON = "02-vae"` and `EXERCISES = (…)`, their
names in the lesson's order. Where a file would grow too long, wrong and right answers stand in `<exercise>_answers.py`
beside it.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import lessons

Check = Callable[[Any, Any], None]
Function = Callable[..., Any]


@dataclass(frozen=True)
class Misconception:
    """A wrong implementation with a name, and what to say to somebody who wrote it."""

    name: str
    hint: str
    function: Function


@dataclass(frozen=True)
class Exercise:
    """One graded function or class of a lesson. Frozen; its lists are filled by the decorators below, at import."""

    name: str
    points: float
    lesson: str
    after: tuple[str, ...]
    check: Check
    misconceptions: list[Misconception] = field(default_factory=list)
    alternatives: dict[str, Function] = field(default_factory=dict)
    words: dict[tuple[str, ...], tuple[str, str]] = field(default_factory=dict)
    _truth: list[Function] = field(default_factory=list)

    @property
    def has_oracle(self) -> bool:
        """Whether a truth was registered: where weights are the student's, there may be none for whole answers."""
        return bool(self._truth)

    @property
    def oracle(self) -> Function:
        """The truth, by another route than the lesson's solution."""
        if not self._truth:
            raise LookupError(f"{self.name} has no oracle: decorate one with @{self.name}.truth")
        return self._truth[0]

    def truth(self, function: Function) -> Function:
        """Register the oracle."""
        if self._truth:
            raise ValueError(f"{self.name} has two oracles")
        from .memory import remembering  # PyTorch: those who ask for names and points alone register no truth

        self._truth.append(function if isinstance(function, type) else remembering(function))
        return function

    def misconception(self, name: str, hint: str) -> Callable[[Function], Function]:
        """Register a wrong implementation; `hint` is one or two sentences for the student."""
        if any(known.name == name for known in self.misconceptions):
            raise ValueError(f"{self.name} has two misconceptions named {name!r}")

        def register(function: Function) -> Function:
            self.misconceptions.append(Misconception(name, hint, function))
            return function

        return register

    def derived(self, kind: str, *about: str, name: str, hint: str) -> None:
        """Say in this exercise's words what a mistake made by `autograder.diagnosis` is: its kind, and the arguments it
        is about. No function is needed: the makers have it.
        """
        self.words[kind, *about] = name, hint

    def alternative(self, name: str) -> Callable[[Function], Function]:
        """Register a right implementation in another style."""
        if name in self.alternatives:
            raise ValueError(f"{self.name} has two alternatives named {name!r}")

        def register(function: Function) -> Function:
            self.alternatives[name] = function
            return function

        return register


_registry: dict[str, Exercise] = {}


def exercise(name: str, points: float, after: tuple[str, ...] = ()) -> Callable[[Check], Exercise]:
    """Register the decorated function as the hidden checks of exercise `name`, worth `points` in all.

    Its lesson is what the package it stands in says, or, outside `autograder.lessons`, its module: `LESSON = "02-vae"`.
    """

    def register(check: Check) -> Exercise:
        package = sys.modules.get(check.__module__.rpartition(".")[0])
        made = Exercise(name, points, getattr(package, "LESSON", None) or check.__globals__["LESSON"], after, check)
        if name in _registry:
            raise ValueError(f"two exercises named {name!r}: {_registry[name].lesson} and {made.lesson}")
        for earlier in after:
            if earlier not in _registry:
                raise ValueError(f"{name}: after={earlier!r}, which is not an earlier exercise")
        _registry[name] = made
        return made

    return register


def file_name(exercise: str) -> str:
    """The name of an exercise's file, without `.py`: p_step, adaptive_norm for AdaptiveNorm, vae for VAE."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", exercise).lower()


def lesson_modules() -> list[str]:
    """The names of the packages in `autograder.lessons`, one for each lesson that has hidden checks."""
    return sorted(module.name for module in pkgutil.iter_modules(lessons.__path__) if module.ispkg)


def lesson_names() -> list[str]:
    """The lessons that have hidden checks, such as "02-vae", in reading order."""
    return sorted(_package(module).LESSON for module in lesson_modules())


def lesson_package(lesson: str) -> Any:
    """The package of a lesson's hidden checks, which has its `LESSON` and `EXERCISES`. Raises ValueError where there is
    none of that name.
    """
    module = lesson.partition("-")[2]
    if module not in lesson_modules():
        raise ValueError(f"lesson {lesson!r} has no hidden checks: autograder/lessons/{module}/ is missing")
    package = _package(module)
    if lesson != package.LESSON:
        raise ValueError(f"lesson {lesson!r}: autograder/lessons/{module}/__init__.py holds {package.LESSON!r}")
    return package


def lesson_exercises(lesson: str) -> dict[str, Exercise]:
    """The exercises of a lesson such as "02-vae", in order.

    Raises ValueError where the lesson has no hidden checks, or where a file does not define its exercise.
    """
    module, package = lesson.partition("-")[2], lesson_package(lesson)
    for name in package.EXERCISES:
        if name not in _registry:
            _load(package, name)
        if name not in _registry or _registry[name].lesson != lesson:
            raise ValueError(f"autograder/lessons/{module}/{file_name(name)}.py defines no exercise {name!r}")
    return {name: _registry[name] for name in package.EXERCISES}


def find_exercise(name: str) -> Exercise:
    """The exercise of this name, of whatever lesson. Raises LookupError."""
    if name not in _registry:
        for package in map(_package, lesson_modules()):
            if name in package.EXERCISES:
                lesson_exercises(package.LESSON)
    if name not in _registry:
        raise LookupError(f"no exercise is named {name!r}")
    return _registry[name]


def _package(module: str) -> Any:
    return importlib.import_module(f"{lessons.__name__}.{module}")


def _load(package: Any, name: str) -> None:
    """Import an exercise's file, and the answers beside it where there are any. What fails is forgotten, so that it
    fails again the next time.
    """
    files = [f"{package.__name__}.{file_name(name)}", f"{package.__name__}.{file_name(name)}_answers"]
    try:
        importlib.import_module(files[0])
        if importlib.util.find_spec(files[1]):
            importlib.import_module(files[1])
    except BaseException:
        _registry.pop(name, None)
        for file in files:
            sys.modules.pop(file, None)
        raise
