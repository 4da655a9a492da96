"""Students whom an instructor has removed from the grade book: what they handed in does not bring them back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from nbgrader.api import Gradebook, Student

from .changes import Standings
from .graded import REMOVED, Graded
from .ledger import FOLDER

FILE = "removed.json"


def enrolled(gradebook: Gradebook) -> set[str]:
    """Whom the grade book knows."""
    return {name for (name,) in gradebook.db.query(Student.id)}


def removed(gradebook: Gradebook, out: Path, kept: Mapping[str, Standings], now: Mapping[str, Standings]) -> set[str]:
    """Who was in this grade book when the last run ended, by what it has `kept` of its lessons, and is no more; and who
    was found so earlier. Whoever is put back is graded again.
    """
    same = (kept[lesson].students for lesson in kept if kept[lesson].book and kept[lesson].book == now[lesson].book)
    earlier = _read(out / FOLDER / FILE)
    gone = earlier.union(*same) - enrolled(gradebook)
    if gone != earlier:
        path = out / FOLDER / FILE
        half = path.with_suffix(".tmp")
        half.write_text(json.dumps(sorted(gone)), encoding="utf-8")
        half.replace(path)
    return gone


def as_removed(student: str, lesson: str) -> Graded:
    """What comes of the hand-in of somebody who was removed."""
    told = f"removed from the grade book, so not graded; `nbgrader db student add {student}` takes them in again"
    return Graded(student, lesson, REMOVED, 0.0, (told,), (), None)


def _read(path: Path) -> set[str]:
    try:
        held: Iterable[object] = json.loads(path.read_text(encoding="utf-8"))
        return {name for name in held if isinstance(name, str)}
    except (OSError, ValueError, TypeError):
        return set()
