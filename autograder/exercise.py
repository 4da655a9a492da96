"""An exercise's contract: its hidden checks, its oracle, its points, and the mistakes and right answers it is tested
with.

    @exercise("gaussian_kl", points=2)
    def gaussian_kl(student, case):
        \"\"\"KL(N(mu, exp logvar) || N(0, I)), (B, J) -> (B,), in nats.\"\"\"
        mu, logvar = case.normal(5, 3), case.normal(5, 3)
        case.expect(student(mu, logvar), gaussian_kl.oracle(mu, logvar), "value on a random Gaussian", points=2)

    @gaussian_kl.truth
    def _(mu, logvar): ...                                # by another route than the lesson's solution

    @gaussian_kl.misconception("missing factor 1/2", hint="Every term carries the factor 1/2 of ...")
    def _(mu, logvar): ...                                # a wrong answer seen in the wild; a class for a module

    @gaussian_kl.alternative("through torch.distributions")
    def _(mu, logvar): ...                                # a right answer in another style

Checks see the student's function through `autograder.student.Remote`, draw inputs from `autograder.case.Case`, and
report all outcomes, the same ones in the same order whatever comes back. `after=("reparameterize",)` names the earlier
exercises whose function they take from `case.upstream(name)`. A lesson is a module of `autograder.lessons`, or a
package with one module per theme; each says `LESSON = "02-vae"`.
"""

from __future__ import annotations

import importlib
import pkgutil
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
    _truth: list[Function] = field(default_factory=list)

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
        self._truth.append(function)
        return function

    def misconception(self, name: str, hint: str) -> Callable[[Function], Function]:
        """Register a wrong implementation; `hint` is one or two sentences for the student."""
        if any(known.name == name for known in self.misconceptions):
            raise ValueError(f"{self.name} has two misconceptions named {name!r}")

        def register(function: Function) -> Function:
            self.misconceptions.append(Misconception(name, hint, function))
            return function

        return register

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

    The module it stands in says its lesson once: `LESSON = "02-vae"`.
    """

    def register(check: Check) -> Exercise:
        made = Exercise(name, points, check.__globals__["LESSON"], after, check)
        if name in _registry:
            raise ValueError(f"two exercises named {name!r}: {_registry[name].lesson} and {made.lesson}")
        for earlier in after:
            if earlier not in _registry:
                raise ValueError(f"{name}: after={earlier!r}, which is not an earlier exercise")
        _registry[name] = made
        return made

    return register


def lesson_exercises(lesson: str) -> dict[str, Exercise]:
    """The exercises of a lesson such as "02-vae", in order. Raises ValueError where the lesson has no hidden checks."""
    module = lesson.partition("-")[2]
    if module not in lesson_modules():
        raise ValueError(f"lesson {lesson!r} has no hidden checks: autograder/lessons/{module}.py is missing")
    found = importlib.import_module(f"{lessons.__name__}.{module}")
    if lesson != found.LESSON:
        raise ValueError(f"lesson {lesson!r}: autograder/lessons/{module}.py holds {found.LESSON!r}")
    return {name: item for name, item in _registry.items() if item.lesson == lesson}


def lesson_modules() -> list[str]:
    """The names of the modules in `autograder.lessons`."""
    return sorted(module.name for module in pkgutil.iter_modules(lessons.__path__))


def find_exercise(name: str) -> Exercise:
    """The exercise of this name, of whatever lesson. Raises LookupError."""
    for module in lesson_modules():
        if name in _registry:
            break
        importlib.import_module(f"{lessons.__name__}.{module}")
    if name not in _registry:
        raise LookupError(f"no exercise is named {name!r}")
    return _registry[name]
