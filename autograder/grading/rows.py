"""Which cells of a hand-in the grade book has rows for: all, but those of what its release lacked.

nbgrader makes the rows once, when something is handed in; a lesson that changes afterwards finds some missing, and some
that must not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nbgrader.api import BaseCell, Comment, Grade, Gradebook, GradeCell, SolutionCell, SubmittedNotebook, TaskCell

from ..cells import grade_id, lacking

KINDS = ((Grade, (GradeCell, TaskCell)), (Comment, (SolutionCell, TaskCell)))  # as nbgrader's add_submission has it


def complete(gradebook: Gradebook, held: SubmittedNotebook) -> None:
    """Add the rows that are missing, with nothing in them."""
    added = False
    for kind, cells in KINDS:
        there = {row.cell_id for row in getattr(held, f"{kind.__name__.lower()}s")}
        for cell in held.notebook._base_cells:
            if isinstance(cell, cells) and cell.id not in there:
                gradebook.db.add(kind(cell_id=cell.id, notebook_id=held.id))
                added = True
    if added:
        gradebook.db.commit()
        gradebook.db.expire(held)


def leave_out(gradebook: Gradebook, held: SubmittedNotebook, cells: Iterable[Mapping[str, Any]]) -> None:
    """Delete the rows of those `cells` that are noted as lacking."""
    names = {grade_id(cell) for cell in cells if lacking(cell)}  # type: ignore[arg-type]
    if not names:
        return
    session = gradebook.db
    for kind, _ in KINDS:
        rows = session.query(kind).join(BaseCell, BaseCell.id == kind.cell_id)
        for row in rows.filter(kind.notebook_id == held.id, BaseCell.name.in_(names)).all():
            session.delete(row)
    session.commit()
    session.expire(held)
