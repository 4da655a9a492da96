"""A grade book that knows a lesson as it was, brought to the lesson as it is, with what was handed in.

nbgrader refuses that once there are submissions and cells were added, taken out or renamed. Here the grade book is
copied aside, and rows of cells change in one transaction. Marks of cells that stay are not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import (
    Base,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    MissingEntry,
    SolutionCell,
    SourceCell,
    TaskCell,
)
from nbgrader.preprocessors import SaveCells
from sqlalchemy import Engine, create_engine, inspect, select, text

from ..book import opened
from ..cells import place
from ..transaction import one_transaction

KINDS = {"grade": GradeCell, "solution": SolutionCell, "task": TaskCell}


@dataclass(frozen=True)
class Migrated:
    """What became of a grade book: where its copy lies, the exercises' and questions' names that came and went, and how
    many marks that persons had given went with them.
    """

    copy: Path
    came: tuple[str, ...]
    went: tuple[str, ...]
    by_hand: int

    def told(self, lesson: str) -> str:
        """In a line."""
        changes = [*(f"+{name}" for name in self.came), *(f"-{name}" for name in self.went)]
        lost = f"; {self.by_hand} marks by hand of what was taken out are in the copy alone" if self.by_hand else ""
        return f"{lesson}: the grade book was migrated ({', '.join(changes)}), its copy is {self.copy}{lost}"


def migrated(notebook: NotebookNode, lesson: str, name: str, db_url: str, course: str, folder: Path) -> Migrated | None:
    """Bring the grade book at `db_url` to `notebook`, which is as nbgrader would save its cells; the copy goes into
    `folder`. None, and nothing done, where nbgrader does not refuse.
    """
    with opened(db_url, course) as gradebook:
        try:
            held = gradebook.find_notebook(name, lesson)
        except MissingEntry:
            return None
        saver = _saver(gradebook, notebook, lesson, name)
        wanted = {(kind, cell) for kind in KINDS for cell in getattr(saver, f"new_{kind}_cells")}
        there = {(kind, cell.name): cell for kind in KINDS for cell in getattr(held, f"{kind}_cells")}
        sources = {cell.name for cell in held.source_cells}
        if not held.submissions or (wanted == there.keys() and sources == saver.new_source_cells.keys()):
            return None
        copy = _copied(gradebook.engine, folder)
        with one_transaction(gradebook):
            held = gradebook.find_notebook(name, lesson)
            there = {(kind, cell.name): cell for kind in KINDS for cell in getattr(held, f"{kind}_cells")}
            by_hand = _without(gradebook, held, [there[key] for key in there.keys() - wanted], saver)
            for kind, cell in sorted(wanted - there.keys()):
                columns = _new(getattr(saver, f"new_{kind}_cells")[cell])
                gradebook.db.add(KINDS[kind](name=cell, notebook_id=held.id, **columns))
            for cell in saver.new_source_cells.keys() - {source.name for source in held.source_cells}:
                columns = _new(saver.new_source_cells[cell])
                gradebook.db.add(SourceCell(name=cell, notebook_id=held.id, **columns))
            gradebook.db.flush()
            gradebook.db.expire_all()
            saver._create_notebook(notebook)  # sees the cells it wants, and brings the others up to date
        before, after = ({place(cell)[0] for _, cell in keys} for keys in (there.keys(), wanted))
        return Migrated(copy, tuple(sorted(after - before)), tuple(sorted(before - after)), by_hand)


def _saver(gradebook: Gradebook, notebook: NotebookNode, lesson: str, name: str) -> SaveCells:
    """nbgrader's own step, which has looked at the notebook and saved nothing."""
    saver = SaveCells()
    saver.gradebook, saver.notebook_id, saver.assignment_id = gradebook, name, lesson
    for kind in (*KINDS, "source"):
        setattr(saver, f"new_{kind}_cells", {})
    for index, cell in enumerate(notebook.cells):
        saver.preprocess_cell(cell, {}, index)
    return saver


def _new(info: dict[str, Any]) -> dict[str, Any]:
    """The columns of a cell that is new here: without those of a namesake of another kind."""
    return {key: info[key] for key in ("max_score", "cell_type", "locked", "source", "checksum") if key in info}


def _without(gradebook: Gradebook, held: Any, cells: Iterable[BaseCell], saver: SaveCells) -> int:
    """Delete cells, with grades and comments; returns how many of these grades were by hand."""
    session, by_hand = gradebook.db, 0
    for cell in cells:
        for kind in (Grade, Comment):
            for row in session.query(kind).filter(kind.cell_id == cell.id).all():
                by_hand += isinstance(row, Grade) and row.manual_score is not None
                session.delete(row)
        session.flush()
        session.delete(cell)
    for source in list(held.source_cells):
        if source.name not in saver.new_source_cells:
            session.delete(source)
    session.flush()
    session.expire_all()
    return by_hand


def _copied(engine: Engine, folder: Path) -> Path:
    """A copy of the grade book, of whatever database, as a file of SQLite that no other copy has the name of."""
    stem = f"gradebook-{datetime.now():%Y-%m-%d-%H%M%S}"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 1000))
    path = next(path for name in names if not (path := folder / f"{name}.db").exists())
    half = path.with_suffix(".tmp")
    half.unlink(missing_ok=True)
    copy = create_engine(f"sqlite:///{half}")
    try:
        Base.metadata.create_all(copy)
        with engine.connect() as source, copy.begin() as target:
            for table in Base.metadata.sorted_tables:
                for rows in _in_parts(source.execute(select(table)).mappings()):
                    target.execute(table.insert(), rows)
            if "alembic_version" in inspect(engine).get_table_names():
                version = source.execute(text("SELECT version_num FROM alembic_version")).scalar()
                target.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
                target.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})
    finally:
        copy.dispose()
    half.replace(path)
    return path


def _in_parts(rows: Any, size: int = 1000) -> Iterator[list[dict[str, Any]]]:
    while part := [dict(row) for row in rows.fetchmany(size)]:
        yield part
