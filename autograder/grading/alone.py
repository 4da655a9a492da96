"""One `course grade` at a time for a folder of results, and a sentence where somebody else holds its grade book."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import OperationalError

from ..hand_in.finding import ClassError


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """A block in which no other process grades into `out`; the lock goes with the process, however it ends.

    Raises `ClassError`, in one line, where another one is at work, or where a grade book of SQLite is locked for longer
    than it is waited for.
    """
    place = out / ".graded" / "running"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(
                file, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # not `flock`, which a process that is forked holds as well
        except (BlockingIOError, PermissionError):
            file.seek(0)
            who = file.read(200).strip() or "just started"
            raise ClassError(f"another `course grade` is at work on {out} ({who}): run this again after it") from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, since {datetime.now():%H:%M}")
        file.flush()
        try:
            yield
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                raise
            raise ClassError(
                "the grade book is locked by another program, such as an nbgrader command: nothing was lost, run this "
                "again after it"
            ) from error
        finally:
            file.truncate(0)
