"""Every exercise of every lesson: right answers get full marks, wrong ones lose points and are named."""

import json
import tomllib
from pathlib import Path

import pytest
import torch
from lesson_answers import (
    all_exercises,
    builders_on,
    everyone,
    lesson_source,
    mark_here,
    points_here,
    replaced,
    solution,
    stub,
)

from autograder.builder.source import stubbed
from autograder.diagnosis import work
from autograder.exercise import lesson_exercises, lesson_names
from autograder.marking import run_checks
from autograder.notebook import render
from autograder.seeds import seed_of
from autograder.student import Failure, local

EXERCISES = all_exercises()
exercises = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: f"{exercise.lesson}-{exercise.name}")
misconceptions = pytest.mark.parametrize(
    ("exercise", "known"),
    [
        pytest.param(exercise, known, id=f"{exercise.lesson}-{exercise.name}: {known.name}")
        for exercise in EXERCISES
        for known in exercise.misconceptions
    ],
)


@pytest.mark.parametrize("lesson", lesson_names())
def test_the_lesson_has_the_catalogues_exercises_in_its_order(lesson):
    table = Path(__file__).parent / lesson.partition("-")[2] / "points.toml"
    found = {exercise.name: exercise.points for exercise in lesson_exercises(lesson).values()}
    assert list(found.items()) == list(tomllib.loads(table.read_text(encoding="utf-8")).items())


@exercises
def test_the_solution_gets_full_marks_whatever_is_drawn(exercise):
    names = solution(exercise.lesson)
    for student in everyone(exercise):
        result = mark_here(exercise, names, student)
        assert result.passed, render(result)
        assert sum(outcome.max_points for outcome in result.outcomes) == pytest.approx(exercise.points)


@exercises
def test_every_outcome_is_worth_something_and_is_named_once(exercise):
    outcomes = mark_here(exercise, solution(exercise.lesson)).outcomes
    assert all(outcome.max_points > 0 for outcome in outcomes)
    assert len({outcome.what for outcome in outcomes}) == len(outcomes)


@exercises
def test_the_stub_gets_nothing_and_is_told_so(exercise):
    result = mark_here(exercise, stub(exercise))
    assert result.points == 0
    assert result.message.startswith("Not written yet") and exercise.name in result.message
    assert result.diagnosis is None


@exercises
def test_a_missing_definition_gets_nothing_and_is_told_so(exercise):
    result = mark_here(exercise, {})
    assert result.points == 0 and result.message.startswith(f"{exercise.name} is not defined")


@misconceptions
def test_a_misconception_loses_points_and_is_recognised(exercise, known):
    """By one student here; on all inputs that there are by `test_variants.py`."""
    result = mark_here(exercise, replaced(exercise, known.function), "ada")
    assert result.points < exercise.points and not result.passed
    assert result.diagnosis == known.name, render(result)
    assert known.hint in result.message


@misconceptions
def test_one_mistake_costs_one_exercise(exercise, known):
    names = replaced(exercise, known.function)
    for other in builders_on(exercise):
        result = mark_here(other, names)
        assert result.passed, render(result)


def unwritten(exercise):
    """A perfect submission in which this one exercise was never touched."""
    (cell,) = [c for c in lesson_source(exercise.lesson).cells if c.kind == "solution" and c.name == exercise.name]
    namespace = replaced(exercise, None)
    exec(stubbed(exercise.name, cell.source), namespace)
    return namespace


def undefined(exercise):
    """A perfect submission but for one cell, which raised an error before it defined anything."""
    namespace = replaced(exercise, None)
    del namespace[exercise.name]
    return namespace


def misshapen(exercise):
    """A perfect submission but for one exercise, whose answers have one axis too many."""

    def answer(*args, **kwargs):
        value = exercise.oracle(*args, **kwargs)
        return value.unsqueeze(-1).expand(*value.shape, 7) if isinstance(value, torch.Tensor) else [value]

    return replaced(exercise, answer)


FAULTS = (unwritten, undefined, misshapen)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("exercise", [pytest.param(e, id=e.name) for e in all_exercises() if builders_on(e)])
def test_what_is_missing_or_of_a_wrong_form_costs_its_own_exercise_alone(exercise, fault):
    if fault is misshapen and isinstance(exercise.oracle, type):
        pytest.skip("a class has no shape")
    namespace = fault(exercise)
    assert points_here(exercise, namespace) < exercise.points
    for later in builders_on(exercise):
        result = mark_here(later, namespace)
        assert result.passed, (later.name, result.message)


@exercises
def test_a_right_answer_in_another_style_gets_full_marks(exercise):
    for name, function in exercise.alternatives.items():
        for student in everyone(exercise):
            result = mark_here(exercise, replaced(exercise, function), student)
            assert result.passed, f"{name}: {render(result)}"


@exercises
def test_there_are_enough_alternatives_and_misconceptions(exercise):
    assert len(exercise.alternatives) >= 3
    assert len(exercise.misconceptions) >= (5 if exercise.points > 1 else 3)
    for known in exercise.misconceptions:
        assert known.hint.endswith((".", "?", ")")) and len(known.hint) > 30
        assert not known.name.endswith(".")


ODD = {
    "a string": lambda *args, **kwargs: "0.5",
    "None": lambda *args, **kwargs: None,
    "an empty list": lambda *args, **kwargs: [],
    "a dict": lambda *args, **kwargs: {"loss": 1.0},
    "True": lambda *args, **kwargs: True,
    "an integer beyond every float": lambda *args, **kwargs: 10**400,
    "a lambda": lambda *args, **kwargs: lambda x: x,
    "an object": lambda *args, **kwargs: object(),
    "a module": lambda *args, **kwargs: torch.nn.Linear(2, 3),
    "an empty tensor": lambda *args, **kwargs: torch.empty(0),
    "NaN": lambda *args, **kwargs: torch.tensor(torch.nan),
    "zero": lambda *args, **kwargs: torch.zeros(()),
    "the number 0": lambda *args, **kwargs: 0.0,
    "a tensor of words' size": lambda *args, **kwargs: torch.zeros(2, 3, 4, 5, requires_grad=True),
    "a tensor too large to write out": lambda *args, **kwargs: torch.zeros(1).expand(10**12),
    "a sparse tensor": lambda *args, **kwargs: torch.eye(3).to_sparse(),
    "its first argument": lambda *args, **kwargs: args[0],
    "an error": lambda *args, **kwargs: 1 / 0,
    "an exit": lambda *args, **kwargs: exit(),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
@exercises  # one after the other, each with all odd answers: its known mistakes are still remembered then
def test_an_odd_answer_costs_its_points_and_nothing_breaks(exercise, odd, monkeypatch):
    monkeypatch.setattr(work, "ROOM", work.ROOM // 20)  # the search begins, and there is nothing for it to find
    result = mark_here(exercise, replaced(exercise, odd))
    assert result.points == 0, render(result)
    assert result.message and "Traceback" not in result.message
    json.dumps(result.public())


@exercises
def test_a_constant_is_not_made_right_by_a_constant_before_it(exercise):
    """Follow-through never turns two functions that do nothing into points."""
    for constant in (0.0, torch.nan):
        names = dict.fromkeys((exercise.name, *exercise.after), lambda *args, c=constant, **kwargs: torch.tensor(c))
        assert points_here(exercise, names) == 0


@exercises
def test_what_leaves_the_grader_is_json_without_a_hidden_value(exercise):
    for names in (solution(exercise.lesson), {}, stub(exercise)):
        result = mark_here(exercise, names)
        assert "tensor(" not in json.dumps(result.public(), allow_nan=False)
        for outcome in result.bare().outcomes:
            assert (outcome.got, outcome.truth, outcome.suspect, outcome.evidence) == (None, None, None, None)


@exercises
def test_marking_twice_gives_the_same_and_disturbs_no_random_numbers(exercise):
    names = solution(exercise.lesson)
    torch.manual_seed(3)
    first = [outcome.points for outcome in mark_here(exercise, names, "ada").outcomes]
    drawn = torch.rand(2)
    second = [outcome.points for outcome in mark_here(exercise, names, "ada").outcomes]
    torch.manual_seed(3)
    assert first == second and torch.equal(drawn, torch.rand(2))


@exercises
def test_inputs_differ_between_variants(exercise):
    """Somebody who hands in a friend's recorded answers does not get full marks, unless both happen to get the same."""
    ada, *others = everyone(exercise)
    recorded: list = []

    def record(*args, **kwargs):
        recorded.append(solution(exercise.lesson)[exercise.name](*args, **kwargs))
        return recorded[-1]

    mark_here(exercise, {**solution(exercise.lesson), exercise.name: record}, ada)
    if isinstance(recorded[0], torch.nn.Module):  # which answers by itself
        return

    def copied(name):
        replies = iter([*recorded, *recorded])
        return points_here(exercise, {exercise.name: lambda *args, **kwargs: next(replies)}, name)

    assert any(copied(name) < exercise.points for name in others[:2])  # a grid has one of five sizes


@exercises
def test_an_oracle_or_alternative_survives_a_failing_upstream(exercise):
    """With nothing to build on, a check ends in failures that say why, never in an exception."""
    missing = dict.fromkeys(exercise.after, Failure("missing", "not there"))
    function = next(iter(exercise.alternatives.values()))
    remote = local(exercise.name, {exercise.name: function})
    outcomes = run_checks(exercise, remote, seed_of("ada"), missing)
    assert not any(outcome.what == "the remaining checks" for outcome in outcomes)
