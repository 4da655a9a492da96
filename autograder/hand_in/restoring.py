"""Putting a submitted notebook back in order before anything of it runs.

The student's answers, own cells and edits of given cells are kept; everything that belongs to the course (locked
cells, metadata, tags, ids, cell types, order) comes from the master. What had been changed is listed in `flags`, for
the instructor.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..cells import grade_id, nbgrader, note_lacking, open_to_students, place
from ..checkout import course_secret
from ..feedback.markup import safe_markdown
from ..nodes import copied, node
from ..releases import Release, Releases, name_of
from .definitions import imported
from .earlier import brought_forward
from .recovery import Matched, match

MAX_WRITTEN = 20_000, 200_000  # characters of Markdown by the student, in one cell and in all
LACKING = "was added after the release of this hand-in: it does not count, for or against"
PROTECTED = ("grade", "solution", "locked", "task", "points", "cell_type", "schema_version")


@dataclass(frozen=True)
class Master:
    """A lesson as released: cells as the student got them, and the full source (hidden regions, rubric) of the locked
    ones.
    """

    lesson: str
    name: str
    released: NotebookNode
    full: dict[str, str]  # grade_id -> source with hidden tests or mark scheme
    secret: str = field(default="", repr=False)  # the course's: see `checkout.course_secret`
    earlier: Releases = field(default=Releases())  # what has been released so far
    added_counts: bool = False  # whether an exercise is held against those whose release lacked it

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """The modules that its cells import, experiments apart, by their full names."""
        code = (cell for cell in self.released.cells if cell.cell_type == "code")
        run = (cell for cell in code if "experiment" not in cell.metadata.get("tags", []))
        return tuple(sorted({name for cell in run for name in imported(cell.source)}))

    @cached_property
    def releases(self) -> Releases:
        """All releases, that of now the last."""
        return self.earlier.followed_by(Release.of(self.released))

    @classmethod
    def load(cls, root: Path, lesson: str) -> Master:
        """Read the built notebooks of `lesson` below `root`. Raises FileNotFoundError naming the remedy."""
        name = lesson.partition("-")[2]
        paths = [root / place / lesson / f"{name}.ipynb" for place in ("notebooks", "solutions")]
        for path in paths:
            if not path.exists():
                raise FileNotFoundError(f"{path.relative_to(root)} is missing: run `course build {lesson}`")
        released, solution = (nbformat.read(path, as_version=4) for path in paths)
        locked = [c for c in solution.cells if nbgrader(c).get("locked") or nbgrader(c).get("task")]
        full = {nbgrader(cell)["grade_id"]: cell.source for cell in locked}
        return cls(lesson, name, released, full, course_secret(root), Releases.kept(root / "solutions" / lesson))


@dataclass(frozen=True)
class Restored:
    """A submission in order: the notebook, which of its cells are worth running, what had been tampered with or lost,
    and what its release was lacking.
    """

    notebook: NotebookNode
    runs: tuple[bool, ...]
    flags: tuple[str, ...]
    released: Mapping[int, str] = field(default_factory=dict)  # of given cells that were edited: as they were released
    lacking: frozenset[str] = frozenset()


def lacking_in(submitted: NotebookNode, master: Master) -> frozenset[str]:
    """The exercises and questions that are not held against whoever handed this in: see `Releases.lacking`."""
    if master.added_counts:
        return frozenset()
    return master.releases.lacking(cell.source for cell in submitted.cells)


def restore(submitted: NotebookNode, master: Master, lacking: frozenset[str] | None = None) -> Restored:
    """`submitted` with the course's own cells, metadata and order back in place. `lacking`: what `lacking_in` said of
    it before anything was restored, where something has been.
    """
    lacking = lacking_in(submitted, master) if lacking is None else lacking
    forward, remarks = brought_forward(submitted.cells, master.released.cells, master.releases)
    flags = [*submitted.get("flags", []), *remarks, *(f"{name} {LACKING}" for name in sorted(lacking))]
    found = match(forward, master.released.cells, master.full, flags, lacking)
    followers = _followers(forward, found)
    cells, runs = list(followers[-1]), [cell.cell_type == "code" for cell in followers[-1]]
    released: dict[int, str] = {}
    for index, given in enumerate(master.released.cells):
        theirs = found.cells.get(index)
        untouched = theirs is None or master.releases.said(name_of(given), theirs.source)
        left = index in found.elsewhere or (untouched and place(grade_id(given))[0] in lacking)
        cell, run = _restored(given, theirs, master, flags, left)
        if run and not nbgrader(given) and cell.source != given.source:
            released[len(cells)] = given.source
        cells += [cell, *followers[index]]
        runs += [run and not left, *(extra.cell_type == "code" for extra in followers[index])]
    taken = {cell["id"] for cell in master.released.cells}
    for number, cell in enumerate(own for group in followers.values() for own in group):
        if not re.fullmatch(r"[\w-]{1,64}", cell["id"], re.ASCII) or cell["id"] in taken:
            cell["id"] = f"own-{number}"
        taken.add(cell["id"])
    _shorten(cells, master, flags)
    for cell in cells:
        if place(grade_id(cell))[0] in lacking:
            note_lacking(cell)
    version = {key: master.released[key] for key in ("nbformat", "nbformat_minor")}
    notebook = node(cells=cells, metadata=copied(master.released.metadata), **version)
    return Restored(notebook, tuple(runs), tuple(flags), released, lacking)


def _followers(submitted: list[NotebookNode], found: Matched) -> dict[int, list[NotebookNode]]:
    """The student's own cells, each after the course's cell it followed (-1: before the first)."""
    places = {id(cell): index for index, cell in found.cells.items()}
    followers: dict[int, list[NotebookNode]] = defaultdict(list)
    here = -1
    for cell in submitted:
        if id(cell) in places:
            here = places[id(cell)]
        elif id(cell) not in found.gone:
            own = _harmless(cell)
            own["metadata"] = node()
            followers[here].append(own)
    return followers


def _restored(
    given: NotebookNode, submitted: NotebookNode | None, master: Master, flags: list[str], known: bool
) -> tuple[NotebookNode, bool]:
    """The cell that is graded in the place of `given`, and whether it is worth running; `known`: that it is missing
    needs no flag.
    """
    cell, meta, tags = copied(given), nbgrader(given), given.metadata.get("tags", [])
    name = meta.get("grade_id")
    if name is None:
        if submitted is not None:
            cell.source = _harmless(submitted, given).source
        unchanged = cell.source == given.source
        return cell, given.cell_type == "code" and not ("experiment" in tags and unchanged)
    if not open_to_students(given):
        cell.source = master.full.get(name, given.source)
    if submitted is None:
        flags += [] if known else [f"cell {name} is missing; restored"]
        return cell, _worth_running(cell)
    if open_to_students(given):
        cell.source = _harmless(submitted, given).source
        if "attachments" in submitted and cell.cell_type == "markdown":
            cell["attachments"] = submitted["attachments"]
    elif submitted.source not in (given.source, cell.source):  # nbgrader itself puts the full source back
        flags.append(f"locked cell {name} had been changed; restored")
    if submitted.cell_type != given.cell_type:
        flags.append(f"cell {name} had been turned into {submitted.cell_type}; restored")
    theirs = nbgrader(submitted)
    changed = [key for key in PROTECTED if theirs and theirs.get(key) != meta.get(key)]
    if "points" in changed and master.releases.gave(name, theirs.get("points")):
        changed.remove("points")
    if changed:
        flags.append(f"cell {name}: metadata had been changed ({', '.join(changed)}); restored")
    if submitted.metadata.get("tags", []) != list(tags):
        flags.append(f"cell {name}: tags had been changed; restored")
    return cell, _worth_running(cell)


def _harmless(cell: NotebookNode, given: NotebookNode | None = None) -> NotebookNode:
    """A cell of the student's as it is kept: what others will look at is text, with no markup that could act."""
    kept = copied(cell)
    if (given or cell).cell_type != "code" and (given is None or cell.source != given.source):
        kept.source = safe_markdown(cell.source)
    return kept


def _shorten(cells: list[NotebookNode], master: Master, flags: list[str]) -> None:
    """Cut Markdown of the student's that is too long to be rendered for everybody's sake."""
    given = {cell.source for cell in master.released.cells} | set(master.full.values())
    most, room = MAX_WRITTEN
    for cell in cells:
        if cell.cell_type != "markdown" or cell.source in given:
            continue
        length = min(most, room)
        room -= min(len(cell.source), length)
        if len(cell.source) > length:
            flags.append(f"cell {cell['id']}: {len(cell.source)} characters of text; cut at {length}")
            cell.source = cell.source[:length] + "\n\n[cut]"


def _worth_running(cell: NotebookNode) -> bool:
    """Code, except the graded cells: their hidden checks run outside the submission's process."""
    return cell.cell_type == "code" and not (nbgrader(cell).get("grade") and nbgrader(cell).get("points"))
