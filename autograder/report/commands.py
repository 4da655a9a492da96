"""`course report`: options in, exit status out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from traitlets.config import Config

from ..checkout import course_config, course_id, course_root, course_secret, database_url
from ..grading.gradebook import is_there
from ..hand_in.finding import ClassError
from .alike import Likeness, answers_of, code_of, likeness
from .options import JSON, PAGE
from .page import page
from .record import Record, records
from .summary import Summary, called, summary
from .tables import as_json, tables


def run_report(options: argparse.Namespace) -> int:
    """`course report`; 0 when it is written, 2 when there is nothing to report."""
    root = course_root()
    out = (options.out or root).resolve()
    to = options.to or out / "report"
    try:
        config = course_config(root)
        if options.db:
            config.CourseDirectory.db_url = options.db
        submitted = options.submitted or root / "submitted"
        found = _summaries(root, out, submitted, config, options.lessons, options.names)
        to.mkdir(parents=True, exist_ok=True)
        made = datetime.now(UTC).replace(tzinfo=None)
        texts = {PAGE: page(found, options.names, made), JSON: as_json(found, options.names, made), **tables(found)}
        for name, text in texts.items():
            (to / name).write_text(text, encoding="utf-8", errors="replace")
    except (ClassError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{to / PAGE}, and beside it {', '.join(name for name in texts if name != PAGE)}")
    return 0


def _summaries(
    root: Path, out: Path, submitted: Path, config: Config, lessons: Sequence[str], names: bool
) -> list[Summary]:
    url = database_url(out, config)
    if not is_there(url):
        raise ClassError(f"nothing has been graded in {out}: run `course grade` first")
    with Gradebook(url, course_id(config)) as book:
        held = records(book, out, submitted, config, lessons)
    students = sorted({student for record in held for student in record.students})
    call = called(students, names, course_secret(root))
    return [summary(record, *_likeness(record, root, out), call) for record in held]


def _likeness(record: Record, root: Path, out: Path) -> tuple[Likeness, list[str]]:
    """What is alike among the notebooks that were graded, and whose they are."""
    released = _notebook(root / "notebooks" / record.lesson / f"{record.name}.ipynb")
    if released is None:
        return Likeness.none(), []
    students, answers = [], []
    for student in sorted(record.hand_ins):
        notebook = _notebook(out / "autograded" / student / record.lesson / f"{record.name}.ipynb")
        if notebook is not None:
            students.append(student)
            answers.append(answers_of(notebook, released))
    return likeness(answers, code_of(released)), students


def _notebook(path: Path) -> Any:
    """A notebook's cells, None where there is none: our own files, whose format needs no second look."""
    try:
        held = json.loads(path.read_bytes())
        return held if isinstance(held["cells"], list) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
