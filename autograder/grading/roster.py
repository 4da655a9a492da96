"""`course roster`: the students of a learning platform's list, in the grade book before anything is handed in."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nbgrader.api import Gradebook

from ..hand_in.finding import ClassError, misnamed
from .removal import enrolled

# Columns as Canvas, Moodle and nbgrader head them, without case; the first that is there is taken.
IDS = ("student_id", "sis login id", "login id", "username", "benutzername", "id", "email address", "email")
COLUMNS = {
    "last_name": ("last_name", "last name", "surname", "nachname"),
    "first_name": ("first_name", "first name", "vorname"),
    "email": ("email", "email address", "e-mail-adresse", "e-mail"),
    "lms_user_id": ("lms_user_id", "id number", "id-nummer", "id"),
}
WHOLE = "student"  # Canvas: "Hopper, Grace"
NOBODY = ("points possible", "student, test")  # rows of Canvas's that are no student
MOST = 20 * 2**20  # bytes


@dataclass(frozen=True)
class Listed:
    """Somebody on the list, under the name of their folder in `submitted/`."""

    id: str
    last_name: str | None = None
    first_name: str | None = None
    email: str | None = None
    lms_user_id: str | None = None


def read_roster(path: Path, column: str | None = None) -> list[Listed]:
    """The students of a CSV file, in any common encoding, with commas, semicolons or tabs. `column`: the one that has
    the names of folders, else the first of `IDS` that there is.

    Raises:
        ClassError: in one line: it cannot be read, has no such column, lists somebody twice, or a name that no folder
            of a student can have.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ClassError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MOST:
        raise ClassError(f"{path} is larger than {MOST // 2**20} MB, which no list of students is")
    rows = list(csv.reader(io.StringIO(text := _text(data)), delimiter=_delimiter(text)))
    head = [name.strip().lower() for name in rows[0]] if rows else []
    wanted = column.strip().lower() if column else next((name for name in IDS if name in head), "")
    if wanted not in head:
        said = f"no column {column!r}" if column else "no column that names students"
        raise ClassError(f"{path} has {said}, only {', '.join(rows[0] if rows else []) or 'nothing'}: see --column")
    found: dict[str, int] = {}
    listed = []
    for line, row in enumerate(rows[1:], 2):
        cells = dict(zip(head, (cell.strip() for cell in row), strict=False))
        if not any(cells.values()) or cells.get(WHOLE, "").lower() in NOBODY:
            continue
        student = cells.get(wanted, "")
        if reason := "there is no name" if not student else misnamed(student) or _no_folder(student):
            raise ClassError(f"{path}, line {line}, column {wanted!r}: {reason.partition(';')[0]}")
        if student in found:
            raise ClassError(f"{path} lists {student} twice, in lines {found[student]} and {line}")
        found[student] = line
        listed.append(_listed(student, cells))
    if not listed:
        raise ClassError(f"{path} lists nobody")
    return listed


def _no_folder(student: str) -> str:
    return f"{student!r} is no name of a folder" if "/" in student or student.startswith(".") else ""


def _listed(student: str, cells: Mapping[str, str]) -> Listed:
    about = {key: next((cells[name] for name in names if cells.get(name)), None) for key, names in COLUMNS.items()}
    if about["lms_user_id"] == student:
        about["lms_user_id"] = None
    if cells.get(WHOLE) and not about["last_name"]:
        last, _, first = cells[WHOLE].partition(",")
        about |= {"last_name": last.strip() or None, "first_name": first.strip() or about["first_name"]}
    return Listed(student, **about)


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _delimiter(text: str) -> str:
    """The one that the first line has most of."""
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def enrol(gradebook: Gradebook, listed: Sequence[Listed]) -> str:
    """Bring the grade book to a list of students: whoever is new is added, names and addresses are brought up to date,
    nobody is taken out. Returns what came of it.
    """
    before = enrolled(gradebook)
    for one in listed:
        given = {key: value for key, value in asdict(one).items() if key != "id" and value is not None}
        gradebook.update_or_create_student(one.id, **given)
    names = {one.id for one in listed}
    added, others = len(names - before), sorted(before - names)
    told = f"{len(names)} students: {added} added, {len(names) - added} were known"
    if others:
        shown = ", ".join(others[:10]) + (f" and {len(others) - 10} more" if len(others) > 10 else "")
        told += f"; not on the list, and left as they are: {shown}"
    return told
