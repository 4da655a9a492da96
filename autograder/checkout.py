"""The course's checkout: where it is, what its nbgrader_config.py says, where its grade book is, and its secret."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from traitlets.config import Config, PyFileConfigLoader

CONFIG = "nbgrader_config.py"
SECRET = ".course-secret"
SECRET_VARIABLE = "COURSE_SECRET"


class WrongCall(LookupError):
    """A command was asked for what there is not; the message says what there is."""


def course_root(start: Path | None = None) -> Path:
    """The nearest folder upwards from here that holds `nbgrader_config.py`, else the one this package lies in."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / CONFIG).is_file():
            return folder
    return Path(__file__).resolve().parent.parent


def course_config(root: Path) -> Config:
    """The settings of `root`'s nbgrader_config.py. Raises FileNotFoundError."""
    if not (root / CONFIG).is_file():
        raise FileNotFoundError(f"{root / CONFIG} is missing: run this in a checkout of the course")
    return PyFileConfigLoader(CONFIG, path=str(root)).load_config()


def database_url(folder: Path, config: Config) -> str:
    """The grade book: the one that the config names, else nbgrader's `gradebook.db` in `folder`."""
    return str(config.CourseDirectory.get("db_url", "")) or f"sqlite:///{folder.resolve() / 'gradebook.db'}"


def course_id(config: Config) -> str:
    """nbgrader's name of the course."""
    return str(config.CourseDirectory.get("course_id", "")) or "default_course"


ADDED = ("left out", "counts")  # settings of c.Lessons.added


def counts_added(config: Config) -> bool:
    """Whether an exercise that a student's release lacked is held against them: `c.Lessons.added = "counts"`. Raises
    WrongCall for another word.
    """
    said = config.get("Lessons", {}).get("added", ADDED[0])
    if said not in ADDED:
        raise WrongCall(f"c.Lessons.added is {said!r}; it can be {' or '.join(map(repr, ADDED))}")
    return bool(said == ADDED[1])


def course_secret(root: Path) -> str:
    """What the draws of hidden inputs depend on besides names that everybody knows: `$COURSE_SECRET`, or else the file
    `.course-secret` in the checkout, made on first use and readable by its owner alone.

    Marks are repeated from it: keep it as you keep the grade book. Raises FileNotFoundError where it can be neither
    read nor made.
    """
    if given := os.environ.get(SECRET_VARIABLE, "").strip():
        return given
    path = root / SECRET
    try:
        if not path.exists():
            descriptor, made = tempfile.mkstemp(prefix=SECRET, dir=root)  # mode 600
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32) + "\n")
            # Linked only when it is whole; whoever comes second takes what is there.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(made)
            Path(made).unlink()
        held = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise FileNotFoundError(f"{path} cannot be read or made ({error}): set {SECRET_VARIABLE}") from None
    if not held:
        raise FileNotFoundError(f"{path} is empty: delete it, or set {SECRET_VARIABLE}")
    return held
