"""The files that a lesson's results depend on: its checks, the grader, what they import, and the student's library."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import course_lib

from ..exercise import Exercise, find_exercise, lesson_exercises
from ..feedback.page import TEMPLATES

PACKAGE = __name__.partition(".")[0]
ROOT = Path(__file__).resolve().parents[1]
COMMENT = re.compile(r"[ \t]#[^\n]*")
STATEMENT = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]*(?:\(([^)]*)\)|([^\n(]+))|import[ \t]+([^\n]+))", re.M
)
# What marks and pages are made by; the sandbox's modules are started by name, so no import leads to them.
GRADER = tuple(f"{PACKAGE}.{name}" for name in ("grading.workers", "grading.gradebook", "feedback.writer"))


def sources(also: Iterable[str] = ()) -> dict[str, Path]:
    """The files of the grader and of `course_lib`, by a name that is the same in every checkout; `also`: modules that
    the settings name.
    """
    return {**_course_lib(), **_imported((*GRADER, *_sandbox(), *also)), **_templates()}


def check_sources(lesson: str) -> dict[str, dict[str, Path]]:
    """By exercise the files that its marks depend on besides: its checks, its right and wrong answers, and those of
    the exercises it builds on. None for a lesson without hidden checks.
    """
    try:
        exercises = lesson_exercises(lesson)
    except ValueError:
        return {}
    grader = sources()
    found = {name: _imported(_checks(exercise)) for name, exercise in exercises.items()}
    return {name: {file: path for file, path in files.items() if file not in grader} for name, files in found.items()}


def page_sources(named: Iterable[str]) -> dict[str, Path]:
    """The files that a page's body depends on; `named`: preprocessors, by their dotted names."""
    steps = (name.rpartition(".")[0] for name in named if name.startswith(PACKAGE))
    return {**_templates(), **_imported((f"{PACKAGE}.feedback.filling", *steps))}


def digest_of(files: Mapping[str, Path]) -> str:
    """Of their names and contents."""
    made = hashlib.sha256()
    for name in sorted(files):
        made.update(f"{name}:".encode() + hashlib.sha256(files[name].read_bytes()).digest())
    return made.hexdigest()


def versions() -> list[str]:
    """Python's version, and those of all packages that a submission could import."""
    places = [Path(place) for place in sys.path if place and Path(place).is_dir()]
    return [sys.version, *sorted({info.name for place in places for info in place.glob("*.dist-info")})]


def _templates() -> dict[str, Path]:
    return {str(path.relative_to(ROOT.parent)): path for path in TEMPLATES}


def _checks(first: Exercise) -> tuple[str, ...]:
    """The modules in which an exercise, its right and wrong answers, and those it builds on are defined."""
    modules: dict[str, None] = {}
    waiting = [first]
    for exercise in waiting:
        known = [one.function for one in exercise.misconceptions]
        functions = [exercise.check, *exercise._truth, *known, *exercise.alternatives.values()]
        modules |= dict.fromkeys(str(function.__module__) for function in functions)
        waiting += [other for name in exercise.after if (other := find_exercise(name)) not in waiting]
    return tuple(modules)


def _sandbox() -> tuple[str, ...]:
    """All of it: it runs in a process of its own, and names its modules on command lines."""
    return tuple(f"{PACKAGE}.sandbox.{path.stem}" for path in (ROOT / "sandbox").glob("*.py"))


@cache
def _course_lib() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place in map(Path, course_lib.__path__):
        files = (path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        found |= {f"course_lib/{path.relative_to(place)}": path for path in files}
    return found


@cache
def _imported(modules: tuple[str, ...]) -> dict[str, Path]:
    """The files of these modules, of the packages they lie in, and of all modules of ours that these import."""
    found: dict[str, Path] = {}
    waiting, seen = list(modules), set(modules)
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None:
            continue
        inside = name.partition(".")[0] == PACKAGE
        found[str(path.relative_to(ROOT.parent)) if inside else path.name] = path
        for other in {*_imports(name, path), *_parents(name)} - seen:
            seen.add(other)
            waiting.append(other)
    return found


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")[:-1]
    yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


def _file(name: str) -> Path | None:
    first, *rest = name.split(".")
    if first != PACKAGE:
        held = getattr(sys.modules.get(name), "__file__", None)
        return Path(held) if held else None
    place = ROOT.joinpath(*rest)
    candidates = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


@cache
def _imports(name: str, path: Path) -> tuple[str, ...]:
    """The modules of ours that a module's text imports, and names in them that may be modules."""
    return tuple(_imports_of(name, path))


def _imports_of(name: str, path: Path) -> Iterator[str]:
    """Statements are found by how they begin: a tree of each module takes a hundred times as long."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for found in STATEMENT.finditer(COMMENT.sub("", path.read_text(encoding="utf-8"))):
        source, several, one, modules = found.groups()
        words = [part.split()[0] for part in (several or one or modules).split(",") if part.strip()]
        if modules:
            names = words
        else:
            level = len(source) - len(source.lstrip("."))
            above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            base = ".".join([*above, *([source[level:]] if source[level:] else [])])
            names = [base, *(f"{base}.{word}" for word in words)]
        yield from (other for other in names if other.partition(".")[0] == PACKAGE)
