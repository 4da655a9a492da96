"""What a lesson that has changed means for those who have handed in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nbformat import NotebookNode

from ..cells import ANSWER, CHECKS, GRADED, nbgrader, open_to_students
from ..releases import Release, digest

MAX_NAMED = 8


def meaning(before: NotebookNode, after: NotebookNode, handed_in: int) -> list[str]:
    """A line for each kind of change between two student notebooks of a lesson; none where nothing has changed."""
    lines = list(_changes(before, after))
    if not lines:
        return []
    who = f"{handed_in} have handed in" if handed_in else "nobody has handed in"
    return [f"changed since the release before, and {who} (by the grade book):", *(f"  {line}" for line in lines)]


def _changes(before: NotebookNode, after: NotebookNode) -> Iterator[str]:
    old, new = Release.of(before), Release.of(after)
    if came := sorted(new.asked - old.asked):
        yield (
            f"added: {_listed(came)}. Not held against those whose release lacked it, nor counted for them; "
            "`course grade --added counts` holds it against them"
        )
    if went := sorted(old.asked - new.asked):
        yield f"taken out: {_listed(went)}. Its points and marks go, for everybody; the grade book is copied aside"
    stay = {name: old.points[name] for name in old.points.keys() & new.points.keys()}
    moved = [f"{_bare(name)} {was:g} -> {new.points[name]:g}" for name, was in stay.items() if was != new.points[name]]
    if moved:
        yield f"points: {_listed(sorted(moved))}. Machine marks follow at the next `course grade`; marks by hand stand"
    texts = {name for name in old.cells.keys() & new.cells.keys() if old.cells[name] != new.cells[name]}
    asked = old.asked & new.asked
    if checks := sorted(name for name in asked if name + CHECKS in texts):
        yield f"visible checks: {_listed(checks)}. They cost nobody a point, and run as they are now"
    answers = {cell["id"] for cell in after.cells if open_to_students(cell)}
    if stubs := sorted(_bare(name) for name in texts & answers):
        yield f"cells to write in: {_listed(stubs)}. Answers are graded as they are; old stubs count as not written"
    if questions := sorted(name for name in asked if name in texts and name not in answers):
        yield f"questions: {_listed(questions)}. Marks by hand stand"
    if _given(before, "code") != _given(after, "code"):
        yield "given code: every hand-in runs with it as it is now"
    if _given(before, "markdown") != _given(after, "markdown"):
        yield "text: every page shows it as it is now"


def _given(notebook: NotebookNode, kind: str) -> list[str]:
    return [digest(cell.source) for cell in notebook.cells if cell.cell_type == kind and not nbgrader(cell)]


def _bare(name: str) -> str:
    for role in (GRADED, ANSWER, CHECKS):
        name = name.removesuffix(role)
    return name


def _listed(names: Sequence[str]) -> str:
    more = [f"{len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    return ", ".join([*names[:MAX_NAMED], *more])
