"""`course build --check`: which notebooks lag their sources. Runs nothing, and imports no hidden checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import nbformat

from ..cells import digest
from .assemble import source_hash
from .outline import OUTLINE, read_outlines
from .rules import HasPoints
from .source import find_lessons


class Outdated(NamedTuple):
    """What is the matter with a built notebook, and what to do."""

    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}"


def stale(source: Path, root: Path, exercises: Mapping[str, HasPoints]) -> Iterator[Outdated]:
    """A line for each notebook of the lesson that is missing, lags its source, or was edited by hand; where none is,
    one for its entry in the outline if that lags. Runs nothing.
    """
    found = list(_stale_notebooks(source, root, exercises))
    yield from found
    if not found:
        wanted = source_hash(source.read_text(encoding="utf-8"), points_of(exercises), source.parent)
        if read_outlines(root).get(source.parent.name, {}).get("source_hash") != wanted:
            text = f"{OUTLINE} lags {source.relative_to(root).as_posix()} or its points"
            yield Outdated(text, f"run `course build {source.parent.name}`")


def _stale_notebooks(source: Path, root: Path, exercises: Mapping[str, HasPoints]) -> Iterator[Outdated]:
    """The notebooks of `source` with which something is the matter."""
    lesson = source.parent.name
    try:
        wanted = source_hash(source.read_text(encoding="utf-8"), points_of(exercises), source.parent)
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        yield Outdated(f"{source.relative_to(root).as_posix()} shows {missing}, which is missing", "make it")
        return
    for kind in ("solutions", "notebooks"):
        path = root / kind / lesson / f"{source.stem}.ipynb"
        shown, remedy = path.relative_to(root).as_posix(), f"run `course build {lesson}`"
        if not path.is_file():
            yield Outdated(f"{shown} is missing", remedy)
            continue
        try:
            notebook = nbformat.read(path, as_version=4)
            course = notebook.metadata.get("course", {})
        except Exception:  # nbformat raises whatever a broken file makes it raise
            yield Outdated(f"{shown} is no notebook", remedy)
            continue
        if course.get("source_hash") != wanted:
            yield Outdated(f"{shown} lags {source.relative_to(root).as_posix()} or its points", remedy)
        elif course.get("digest") != digest(notebook):
            edit = f"edit {source.relative_to(root).as_posix()} and {remedy}"
            yield Outdated(f"{shown} was edited by hand", edit)


def orphans(root: Path) -> Iterator[Outdated]:
    """One line for each notebook in a lesson's place that no source is behind."""
    known = {(path.parent.name, path.stem) for path in find_lessons(root)}
    for kind in ("solutions", "notebooks"):
        for path in sorted((root / kind).glob("*/*.ipynb")):
            if (path.parent.name, path.stem) not in known:
                shown = path.relative_to(root).as_posix()
                yield Outdated(f"{shown} has no source solutions/NN-name/name.py", "delete it")


def points_of(exercises: Mapping[str, HasPoints]) -> dict[str, float]:
    """Each exercise's points."""
    return {name: exercise.points for name, exercise in exercises.items()}
