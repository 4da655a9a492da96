"""Every exercise has its own room, a file of its name which holds all of it; what is shared stands beside the rooms."""

import ast
import importlib
from pathlib import Path

import pytest
from lesson_answers import all_exercises

from autograder import lessons
from autograder.exercise import file_name, lesson_modules

PLACE = Path(lessons.__path__[0])
MODULES = lesson_modules()
FILES = [pytest.param(path, id=str(path.relative_to(PLACE))) for path in sorted(PLACE.rglob("*.py"))]
LONG = 350


def imported(path: Path) -> set[str]:
    """The modules, in full, that a file of `autograder.lessons` imports from."""
    package = ["autograder", "lessons", *path.relative_to(PLACE).parent.parts]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    return found


@pytest.mark.parametrize("path", FILES)
def test_no_lesson_imports_another(path):
    own = path.relative_to(PLACE).parts[0]
    others = {f"autograder.lessons.{module}" for module in MODULES if module != own}
    assert not {name for name in imported(path) if any(f"{name}.".startswith(f"{other}.") for other in others)}


@pytest.mark.parametrize("module", MODULES)
def test_a_file_bears_the_name_of_its_exercise(module):
    package = importlib.import_module(f"autograder.lessons.{module}")
    rooms = {file_name(name) for name in package.EXERCISES}
    found = {path.stem for path in (PLACE / module).glob("*.py")} - {"__init__", "shared"}
    assert rooms <= found <= rooms | {f"{room}_answers" for room in rooms}
    for exercise in (exercise for exercise in all_exercises() if exercise.lesson == package.LESSON):
        assert exercise.check.__module__ == f"{package.__name__}.{file_name(exercise.name)}"


@pytest.mark.parametrize("path", FILES)
def test_answers_have_a_file_of_their_own_only_where_one_would_grow_too_long(path):
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in path.parent.glob("*.py")}
    assert lines[path] <= 400
    if path.stem.endswith("_answers"):
        assert lines[path] + lines[path.with_stem(path.stem.removesuffix("_answers"))] > LONG


@pytest.mark.parametrize("exercise", all_exercises(), ids=lambda exercise: f"{exercise.lesson}-{exercise.name}")
def test_every_answer_has_a_name_by_which_a_traceback_finds_it(exercise):
    """In the exercise's own file, under one name that no second answer takes."""
    answers = {f"misconception {known.name!r}": known.function for known in exercise.misconceptions}
    answers |= {f"alternative {name!r}": function for name, function in exercise.alternatives.items()}
    answers |= {"truth": getattr(exercise.oracle, "__wrapped__", exercise.oracle)} if exercise.has_oracle else {}
    room = exercise.check.__module__
    for what, function in answers.items():
        assert function.__module__ in (room, f"{room}_answers"), what
        held = vars(importlib.import_module(function.__module__)).get(function.__name__)
        assert held is function and not function.__name__.startswith("_"), (what, function.__name__)
