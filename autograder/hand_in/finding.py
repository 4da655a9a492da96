"""Finding what was handed in: which folder is whose hand-in of which lesson, and which file in it is the notebook.

A notebook under another name and a lesson's folder in another spelling are taken, with a flag; whatever is not taken is
named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ..dates import in_utc
from ..feedback.markup import readable
from .beside import TIMESTAMP
from .notebook_file import SubmissionError, Unreadable, plain_bytes

EXPECTED = "expected <student>/<lesson>/<name>.ipynb"
# In a folder's name: what nbgrader's pages take for markup, tables for a formula, and its search for a pattern.
MORE_THAN_A_NAME = re.compile(r'^[=+@-]|[<>"\\*?\[\]\n\t]')
MAX_ENTRIES = 100_000  # of a folder that are looked at
IN_TIME = "counts as in time"  # a hand-in whose time is not known
MAX_FOLDERS = 50  # in a lesson's folder that are looked into
MAX_NAMED = 5
IN_FOLDER = 3  # levels below a student's folder
# What saves, downloads and copies add to a name.
OF_WORK = "final|submission|solution|solved|new|done"
ADDED = re.compile(rf"copy of |[-_ ]+copy[-_ ]?\d*| *\(\d+\)|[-_ ]+(?:{OF_WORK})\b|\.zip$")
ALSO_NOTEBOOKS = (".ipynb.json", ".ipynb.txt", ".json", ".txt")  # browsers save them so


@dataclass(frozen=True)
class Entry:
    """One student's hand-in of one lesson: the notebook, flags for what was unusual in finding it, the lesson's folder
    where the notebook lies deeper, and `trouble`: why it cannot be looked at.
    """

    student: str
    lesson: str
    notebook: Path
    trouble: str = ""
    flags: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def place(self) -> Path:
        """The lesson's folder, in which the timestamp lies."""
        return self.folder or self.notebook.parent


def misnamed(student: str) -> str:
    """Why a student's folder cannot bear this name; "" where it can: it stands in grade book, pages and tables."""
    if readable(student) != student:
        return "the name of the student's folder is no plain text; rename the folder"
    if found := MORE_THAN_A_NAME.search(student):
        return f"the name of the student's folder has {found[0]!r} in it, which is more than a name; rename the folder"
    return ""


def timestamp(place: Path) -> tuple[datetime | None, str]:
    """When a hand-in was made, from its `timestamp.txt`, in UTC, None where there is none; and a flag where it cannot
    be read.
    """
    try:
        text = plain_bytes(place / TIMESTAMP, 100).decode().strip()
    except Unreadable as error:
        return None, f"{error}: so it {IN_TIME}"
    except SubmissionError:  # there is none, or it is no file
        return None, ""
    except UnicodeError:
        text = "bytes that are no text"
    try:
        return in_utc(text), ""
    except ValueError:
        said = readable(text, 60)
        return None, f"timestamp.txt cannot be read ({said!r}), so it {IN_TIME}; write 2031-05-24 23:30:00 UTC"


class ClassError(ValueError):
    """A class that cannot be graded as asked, with the remedy, in one line."""


def find_submissions(submitted: Path, lessons: Sequence[str], known: Sequence[str] = ()) -> list[Entry]:
    """All hand-ins below `submitted`: of these lessons or, with none named, of all; `known` are those that there are.

    Raises `ClassError` where there is nothing to grade.
    """
    if not submitted.is_dir():
        raise ClassError(f"{submitted} is not a folder; it should hold <student>/<lesson>/<name>.ipynb")
    try:
        students = [place for place in _inside(submitted) if _is_folder(place)]
    except OSError as error:
        raise ClassError(f"{submitted} cannot be read: {error.strerror}") from None
    entries: list[Entry] = []
    for student in students:
        try:
            entries += _of_student(student, lessons, sorted({*known, *lessons}))
        except OSError as error:
            trouble = f"the folder of {student.name} cannot be looked into: {error.strerror}"
            entries += [Entry(student.name, lesson, student, trouble) for lesson in lessons or [""]]
    if not entries:
        raise ClassError(_nothing(submitted, students, lessons))
    return entries


def _nothing(submitted: Path, students: Sequence[Path], lessons: Sequence[str]) -> str:
    wanted = f" of {', '.join(lessons)}" if lessons else ""
    names = _listed(place.name for place in students)
    absent = f"; the folders of {len(students)} students ({names}) hold none" if students else ""
    return f"no submission{wanted} below {submitted}{absent}; {EXPECTED}"


def _of_student(student: Path, lessons: Sequence[str], known: Sequence[str]) -> list[Entry]:
    """A student's hand-ins; a notebook outside a lesson's folder is named with that lesson's, or as one of its own."""
    folders: dict[str, list[Path]] = {}
    entries: dict[str, Entry] = {}
    for place in _inside(student):
        if not _is_folder(place):
            continue
        if (lesson := _lesson_of(place.name, known)) is not None:
            folders.setdefault(lesson, []).append(place)
        elif not lessons or _notebooks(place):
            entries[place.name] = Entry(student.name, place.name, place / _name(place.name))
    for lesson, places in folders.items():
        if not lessons or lesson in lessons:
            entries[lesson] = _of_lesson(student.name, lesson, places)
    for path in _inside(student):
        if ".ipynb" in path.name.lower() and not _is_folder(path):
            lesson = _lesson_of(path.name.partition(".")[0], known) or next(iter([*lessons, *entries]), "")
            if lessons and lesson not in lessons:
                continue
            entry = entries.get(lesson) or Entry(student.name, lesson, student / lesson / _name(lesson))
            remark = f"{path.name} lies outside the lesson's folder and was not taken; {EXPECTED}"
            entries[lesson] = replace(entry, flags=(*entry.flags, remark))
    return [entries[name] for name in sorted(entries)]


def _of_lesson(student: str, lesson: str, places: list[Path]) -> Entry:
    """The hand-in among the folders that may be this lesson's: the one that is spelled right comes first."""
    places = sorted(places, key=lambda place: (place.name != lesson, place.name))
    place = next((place for place in places if _notebooks(place)), places[0])
    flags = [] if place.name == lesson else [f"the folder {place.name!r} was taken as {lesson}"]
    flags += [f"the folder {other.name!r} was not taken: {place.name!r} was" for other in places if other != place]
    notebook, remarks = _notebook(place, lesson)
    return Entry(student, lesson, notebook, "", (*flags, *remarks), place)


def _notebook(place: Path, lesson: str) -> tuple[Path, list[str]]:
    """The notebook of a lesson's folder, and what is to be said about the choice."""
    name = _name(lesson)
    if (place / name).is_symlink() or (place / name).exists():
        return place / name, []
    found = _notebooks(place)
    spelled = {_plain(lesson), _plain(lesson.partition("-")[2])}
    alike = [path for path in found if _plain(path.name.partition(".")[0]) in spelled]
    for choice in (found, alike):
        if len(choice) == 1:
            taken = choice[0].relative_to(place).as_posix()
            others = [path.relative_to(place).as_posix() for path in found if path != choice[0]]
            remarks = [f"{name} is missing; {taken} was taken"]
            return choice[0], remarks + [f"{other} was not taken" for other in others[:MAX_NAMED]]
    if found:
        listed = _listed(path.relative_to(place).as_posix() for path in found)
        return place / name, [f"{name} is missing, and which of {listed} is meant is not to be seen; keep one"]
    there = _listed(path.name for path in _inside(place))
    return place / name, [f"{name} is missing; there is {there}, which is no notebook"] if there else []


def _notebooks(place: Path) -> list[Path]:
    """The notebooks in a folder or, where it holds none, in the folders that it was packed with; failing these, files
    of other endings that hold one. No links, nothing hidden.
    """
    if place.is_symlink() or place.parent.is_symlink():
        return []
    folders = [place]
    for _ in range(IN_FOLDER - 1):
        files = [path for folder in folders for path in _inside(folder) if path.is_file() and not path.is_symlink()]
        found = [path for path in files if path.suffix.lower() == ".ipynb"]
        found = found or [path for path in files if path.name.lower().endswith(ALSO_NOTEBOOKS) and _holds_cells(path)]
        if found:
            return found
        folders = [path for folder in folders for path in _inside(folder) if _is_folder(path) and not path.is_symlink()]
        folders = folders[:MAX_FOLDERS]
    return []


def _holds_cells(path: Path) -> bool:
    """Whether a file begins as a notebook does."""
    try:
        with path.open("rb") as file:
            head = file.read(100_000)
    except OSError:
        return False
    return head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") and b'"cells"' in head


def _lesson_of(name: str, known: Sequence[str]) -> str | None:
    """The lesson that a folder's name means, in whatever spelling: its words, its number, or its name alone."""
    if name in known:
        return name
    words = _plain(name)
    parts = {lesson: (lesson, lesson.partition("-")[2], lesson.partition("-")[0]) for lesson in known}
    for spelled in range(3):
        found = [lesson for lesson in known if words and words == _plain(parts[lesson][spelled])]
        if len(found) == 1:
            return found[0]
    # With something more, such as the student's name, before it or after it.
    found = [lesson for lesson in known if re.search(rf"^{_plain(lesson)}|(?<!\d){_plain(lesson)}$", words)]
    return found[0] if len(found) == 1 else None


def _plain(name: str) -> str:
    """A name without what spellings differ in: letters' case, blanks and dashes, leading zeros, additions of copies."""
    name = ADDED.sub("", name.lower())
    name = re.sub(r"^(?:lesson|assignment|homework|hw|exercise)s?(?=[\W_\d])", "", name)
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]+", "", name))


def _name(lesson: str) -> str:
    return f"{lesson.partition('-')[2]}.ipynb"


def _inside(place: Path) -> list[Path]:
    """What lies in a folder and is not hidden, by name. Raises OSError where it may not be entered."""
    with os.scandir(place) as held:
        names = (entry.name for entry, _ in zip(held, range(MAX_ENTRIES), strict=False))
        return sorted(place / name for name in names if not name.startswith(".") and name != "__MACOSX")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a link to where nobody may look; whatever opens it will say so
        return True


def _listed(names: Iterable[str]) -> str:
    held = [readable(name, 60) for name in names]
    more = [f"{len(held) - MAX_NAMED} more"] if len(held) > MAX_NAMED else []
    return ", ".join([*held[:MAX_NAMED], *more])
