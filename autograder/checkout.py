"""The course's checkout: where it is, what its nbgrader_config.py says, and where its grade book is."""

from __future__ import annotations

from pathlib import Path

from traitlets.config import Config, PyFileConfigLoader

CONFIG = "nbgrader_config.py"


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
