"""What every release of a lesson said, cell by cell: a lesson may change while a term is running.

`course build` keeps it in `solutions/<lesson>/releases.json`, which is committed and never handed out: a digest of each
cell of each student notebook that a build has put in another one's place. A cell of a hand-in that any release said is
the course's own, unchanged, be it an old one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from .cells import ANSWER, GRADED, grade_id, nbgrader

FILE = "releases.json"
USUAL = 8_000  # characters of a cell at most, of which it is remembered what came of them


def digest(source: str) -> str:
    """What tells one text of a cell from another; blanks at the ends of lines, which editors strip, do not."""
    return (_known if len(source) <= USUAL else _digest)(source)


def _digest(source: str) -> str:
    text = "\n".join(line.rstrip() for line in source.strip().split("\n"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


_known = lru_cache(maxsize=2048)(_digest)  # most cells are the course's, and the same for everybody


def name_of(cell: NotebookNode) -> str:
    """The id by which a cell of the course is known from release to release."""
    return grade_id(cell) or str(cell.get("id", ""))


@dataclass(frozen=True)
class Release:
    """One student notebook: the digest of each cell, by the cell's id, which is nbgrader's where it has one; and the
    points of those that are worth some.
    """

    cells: Mapping[str, str]
    points: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, notebook: NotebookNode) -> Release:
        """That of a built student notebook."""
        metas = {name_of(cell): nbgrader(cell) for cell in notebook.cells}
        points = {name: float(meta["points"]) for name, meta in metas.items() if meta.get("points") is not None}
        return cls({name_of(cell): digest(cell.source) for cell in notebook.cells}, points)

    @cached_property
    def asked(self) -> frozenset[str]:
        """The names of its exercises and written questions."""
        roles = ((name, role) for name in self.cells for role in (GRADED, ANSWER) if name.endswith(role))
        return frozenset(name.removesuffix(role) for name, role in roles)

    @cached_property
    def texts(self) -> frozenset[str]:
        """The digests of its cells."""
        return frozenset(self.cells.values())


@dataclass(frozen=True)
class Releases:
    """All releases of a lesson, from the first to the one that is handed out now."""

    all: tuple[Release, ...] = ()

    @classmethod
    def kept(cls, folder: Path) -> Releases:
        """Those that `folder/releases.json` holds; none where there is no such file. Raises
        FileNotFoundError, with the remedy, where it cannot be read."""
        path = folder / FILE
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            return cls(tuple(_replayed(held["releases"])))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            told = f"{type(error).__name__}: {error}"[:100]
            raise FileNotFoundError(f"{path} cannot be read ({told}): take it from the repository again") from None

    def keep(self, folder: Path) -> bool:
        """Write them down in `folder`, unless they stand there; each as its difference from the one before. Returns
        whether the file had to be written.
        """
        path, half = folder / FILE, folder / f"{FILE}.tmp"
        text = json.dumps({"releases": list(_differences(self.all))}, indent=1, sort_keys=True) + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        half.write_text(text, encoding="utf-8")
        half.replace(path)
        return True

    def followed_by(self, release: Release) -> Releases:
        """These and one more, unless it is the last already."""
        return self if self.all and self.all[-1] == release else Releases((*self.all, release))

    def edition(self, asked: frozenset[str]) -> int:
        """The number, from 1, of a release that asks for this, among those that ask for something else each."""
        known = list(dict.fromkeys(release.asked for release in self.all))
        return known.index(asked) + 1 if asked in known else len(known) + 1

    def said(self, name: str, source: str) -> bool:
        """Whether in some release the cell of this id was this text."""
        return digest(source) in self._by_id.get(name, ())

    def whose(self, source: str) -> str | None:
        """The id under which a release had this text; None where none had it."""
        return self._ids.get(digest(source))

    def names(self) -> frozenset[str]:
        """The ids of all cells that there have been."""
        return frozenset(self._by_id)

    def gave(self, name: str, points: Any) -> bool:
        """Whether in some release the cell of this id was worth so much."""
        return any(release.points.get(name) == points for release in self.all)

    def lacking(self, sources: Iterable[str]) -> frozenset[str]:
        """What the last release asks for, and whoever wrote a notebook of cells with these `sources` was not asked.

        A release fits where each text that is the course's in some release is so in this one; what is missing says
        nothing. An exercise was lacking where every release that fits lacks it, and some release does fit.
        """
        if not self.all:
            return frozenset()
        texts = {digest(source) for source in sources} & self._ids.keys()
        fitting = [release for release in self.all if texts <= release.texts]
        asked = frozenset[str]().union(*(release.asked for release in fitting))
        return self.all[-1].asked - asked if fitting else frozenset()

    @cached_property
    def _by_id(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for release in self.all:
            for name, text in release.cells.items():
                found.setdefault(name, set()).add(text)
        return found

    @cached_property
    def _ids(self) -> dict[str, str]:
        """By digest the id that had it last."""
        return {text: name for release in self.all for name, text in release.cells.items()}


def _differences(releases: Iterable[Release]) -> Iterator[dict[str, Any]]:
    """Of each release what it changed: values by id, null for what went."""
    cells: Mapping[str, str] = {}
    points: Mapping[str, float] = {}
    for release in releases:
        yield {"cells": _difference(cells, release.cells), "points": _difference(points, release.points)}
        cells, points = release.cells, release.points


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    return {**changed, **dict.fromkeys(before.keys() - after.keys())}


def _replayed(differences: Iterable[Mapping[str, Any]]) -> Iterator[Release]:
    cells: dict[str, str] = {}
    points: dict[str, float] = {}
    for one in differences:
        cells = {name: text for name, text in {**cells, **one["cells"]}.items() if text is not None}
        points = {name: worth for name, worth in {**points, **one["points"]}.items() if worth is not None}
        yield Release(cells, points)
