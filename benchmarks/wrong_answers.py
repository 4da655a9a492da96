"""Wrong answers made of right ones: `diagnosis` counts what becomes of them."""

from __future__ import annotations

import inspect
import random
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from autograder.diagnosis import makers
from autograder.diagnosis.asked import Call
from autograder.diagnosis.kinds import KINDS
from autograder.diagnosis.questions import Questions
from autograder.diagnosis.results import of_results
from autograder.diagnosis.transcript import Transcript
from autograder.exercise import Exercise, find_exercise
from autograder.marking import judge
from autograder.sandbox.responder import Responder
from autograder.seeds import variant_of
from autograder.student import LocalLink

ROWS = ("single changes", "pairs")
# The kinds that an operator of cosmic-ray makes; the others have no kind of their own.
MADE = {
    "Add_Sub": {"sign"},
    "Sub_Add": {"sign"},
    "Mul_Div": {"inverse", "power", "factor"},
    "Div_Mul": {"inverse", "power", "factor"},
    "Delete_USub": {"sign"},
    "USub_UAdd": {"sign"},
}
ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Pow", "FloorDiv", "Mod")


@dataclass(frozen=True)
class Wrong:
    """A wrong answer: what was done to which right one, and the families of mistakes that this is."""

    exercise: Exercise
    of: str
    change: str
    families: frozenset[str]
    function: Callable[..., Any]


def changes(exercise: Exercise, name: str, function: Any, each: int) -> Iterator[tuple[str, Wrong]]:
    """Some of a right answer, with the row of `ROWS` that they belong to."""
    draw = random.Random(f"{exercise.name}/{name}")
    singles = list(_mutants(exercise, name, function))
    for wrong in draw.sample(singles, min(each, len(singles))):
        yield ROWS[0], wrong
    pairs = list(_pairs(exercise, name, function))
    for wrong in draw.sample(pairs, min(each, len(pairs))):
        yield ROWS[1], wrong


def _mutants(exercise: Exercise, name: str, function: Any) -> Iterator[Wrong]:
    """One operator of cosmic-ray, at one place."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    source = _source(function)
    for operator in operator_names():
        short = operator.removeprefix("core/").removeprefix("ReplaceBinaryOperator_")
        arithmetic = short.partition("_")[0] in ARITHMETIC and short.partition("_")[2] in ARITHMETIC
        others = (
            "ReplaceComparison",
            "ReplaceUnaryOperator_USub_UAdd",
            "ReplaceUnaryOperator_Delete",
            "NumberReplacer",
        )
        if not arithmetic and not operator.removeprefix("core/").startswith(others):
            continue
        made = MADE.get(short.removeprefix("ReplaceUnaryOperator_"), {"boundary"} if "Comparison" in short else set())
        for place in range(40):
            code = mutate_code(source, get_operator(operator)(), place)
            if code is None:
                break
            space = (
                dict(inspect.unwrap(function).__globals__)
                if not isinstance(function, type)
                else dict(vars(inspect.getmodule(function)))
            )
            try:
                exec(compile(code, f"<{operator} {place}>", "exec"), space)
            except SyntaxError:
                continue
            yield Wrong(exercise, name, f"{short} #{place}", frozenset(made), space[function.__name__])


def _source(function: Any) -> str:
    """The source of a right answer, without the decorators that make it one: those of torch belong to the answer."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    kept = ""
    while not source.startswith(("def ", "class ")):
        line, _, source = source.partition("\n")
        kept += f"{line}\n" if line.startswith("@torch.") else ""
    return kept + source


def _pairs(exercise: Exercise, name: str, function: Any) -> Iterator[Wrong]:
    """Two makers at once: of two arguments, or of an argument and the result."""
    if isinstance(function, type):
        return
    questions = Questions(exercise, exchanges(exercise, function))
    call = next((q for q in questions.all if isinstance(q, Call)), None)
    if call is None:
        return
    given = questions.named(call)
    arguments = [m for m in makers.of_arguments(given, {}) if not KINDS[m.kind].vague]
    results = of_results()
    draw = random.Random(f"{exercise.name}/{name}/pairs")
    for _ in range(60):
        one, other, result = draw.choice(arguments), draw.choice(arguments), draw.choice(results)
        if draw.random() < 0.5:
            kinds, made = (one.kind, result.kind), questions.made(function, [one], result)
        elif one.about != other.about:
            kinds, made = (one.kind, other.kind), questions.made(function, [one, other])
        else:
            continue
        families = frozenset(KINDS[kind].family for kind in kinds)
        if len(families) > 1:
            yield Wrong(exercise, name, " and ".join(kinds), families, made)


def students(exercise: Exercise) -> list[str]:
    """Two who are asked with different inputs."""
    found = {variant_of(exercise, name, ""): name for name in map(str, range(40))}
    return list(found.values())[:2]


def exchanges(exercise: Exercise, function: Any, student: str = "") -> list[Any]:
    """What the checks ask of a function, with its answers."""
    student = student or students(exercise)[0]
    transcript = Transcript(LocalLink(Responder(names(exercise, function))))
    judge(exercise, transcript, student)
    return transcript.exchanges


def names(exercise: Exercise, function: Any) -> dict[str, Any]:
    """What a submission defines that has this answer, and right ones before it."""
    earlier = {name: next(iter(find_exercise(name).alternatives.values())) for name in exercise.after}
    return {**earlier, exercise.name: function}
