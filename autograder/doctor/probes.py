"""What an instructor needs besides what a student needs: the sandbox, the built notebooks, the grade book.

Nothing is imported before the probe that needs it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from course_lib.doctor import packages, student_probes
from course_lib.doctor.findings import BROKEN, OPTIONAL, WORKS, Finding, Probe, one_line

SET_UP = "in the checkout, make setup"
WITHOUT = "run the container with user namespaces (docker run --privileged)"
DELEGATE = "systemd-run --user --scope -p Delegate=yes"
PROC = Path("/proc/sys")
# Settings that forbid an ordinary user's namespaces, the value that does, and one that does not.
SWITCHES = {
    "user.max_user_namespaces": ("0", "15000"),
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
}


def instructor_probes() -> dict[str, Probe]:
    """A student's probes with the instructor's packages, then the instructor's own."""
    own: dict[str, Probe] = {
        "sandbox": sandbox,
        "totals": totals,
        "notebooks": notebooks,
        "grade book": grade_book,
        "times": costs,
    }
    return {**student_probes(), "packages": instructor_packages, **own}


def instructor_packages() -> Iterable[Finding]:
    """Are the packages there that building and grading need? PostgreSQL's driver is optional."""
    return packages("course_autograder", ("postgresql",), SET_UP)


def sandbox() -> Iterator[Finding]:
    """Can a submission be enclosed here? The tools, the kernel's leave, and one process that really is."""
    from ..guard.enclosure import SandboxMissing, require

    try:
        require()
    except SandboxMissing as error:
        text, remedy = error.text, error.remedy
        if all(map(shutil.which, ("bwrap", "setpriv"))):  # then it is the kernel, or the container, that forbids it
            text, settings = str(error), " ".join(_forbidden())
            remedy = f"sudo sysctl -w {settings}" if settings else WITHOUT
        yield Finding("sandbox", BROKEN, text, remedy)
    except subprocess.TimeoutExpired as error:
        yield Finding(
            "sandbox", BROKEN, f"an enclosed process did not end in {error.timeout:g} s", "try again when idle"
        )
    else:
        version = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, timeout=10, check=False)
        rights = "as root, without user namespaces" if os.geteuid() == 0 else "in a user namespace"
        yield Finding("sandbox", WORKS, f"{version.stdout.strip()} and setpriv; enclosed a process, {rights}")


def totals() -> Iterator[Finding]:
    """Who counts what one submission uses in all: the kernel, exactly, or the supervisor, now and then?"""
    from ..guard.delegation import look
    from ..guard.supervisor import Totals

    if (found := look()) is not None:
        yield Finding("totals", WORKS, f"memory and processor time counted by the kernel (cgroups v{found.version})")
        return
    text = f"looked at every {1000 * Totals.period:g} ms: no control groups are delegated"
    yield Finding("totals", OPTIONAL, text, f"{DELEGATE} course grade" if shutil.which("systemd-run") else "")


def _forbidden() -> Iterator[str]:
    """The settings to change, as sysctl takes them; root needs none of them."""
    if os.geteuid() == 0:
        return
    for name, (closed, opened) in SWITCHES.items():
        path = PROC.joinpath(*name.split("."))
        if path.is_file() and path.read_text(encoding="ascii").strip() == closed:
            yield f"{name}={opened}"


def notebooks() -> Iterator[Finding]:
    """Is each built notebook made of its source as it stands? What `course build --check` says."""
    from ..builder.declared import declared
    from ..builder.lag import orphans, stale
    from ..builder.source import LessonError, find_lessons
    from ..checkout import course_root

    root = course_root()
    sources = find_lessons(root)
    if not sources:
        yield Finding("notebooks", BROKEN, f"{root} holds no lessons", "run this in a checkout of the course")
        return
    findings: list[Finding] = []
    for source in sources:
        try:
            lines = list(stale(source, root, declared(source.parent.name)))
        except LessonError as error:
            findings.append(Finding("notebooks", BROKEN, one_line(error), "mend that line"))
        else:
            findings += [Finding("notebooks", BROKEN, *line) for line in lines]
    findings += [Finding("notebooks", BROKEN, *line) for line in orphans(root)]
    lessons = ", ".join(source.parent.name for source in sources)
    yield from findings or [Finding("notebooks", WORKS, f"up to date: {lessons}")]


def grade_book() -> Iterator[Finding]:
    """Can the grade book be written to? Nothing is left in it."""
    from ..checkout import course_config, course_root, database_url

    root = course_root()
    url = database_url(root, course_config(root))
    scheme, _, place = url.partition(":///")
    if scheme != "sqlite":
        yield from _server(url)
        return
    book = Path(place)
    if not os.access(book.parent, os.W_OK):  # SQLite writes its journal beside the book
        remedy = "make the folder writable, or name another place with c.CourseDirectory.db_url in nbgrader_config.py"
        yield Finding("grade book", BROKEN, f"{book.parent} cannot be written to", remedy)
        return
    if not book.exists():
        yield Finding("grade book", WORKS, f"none yet; course grade makes {book}")
        return
    try:
        with closing(sqlite3.connect(f"{book.as_uri()}?mode=rw", uri=True, timeout=2)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "student" not in tables:
                raise sqlite3.DatabaseError("it holds no students: it is no grade book")
            connection.execute("UPDATE student SET id = id WHERE 0")
            (count,) = connection.execute("SELECT count(*) FROM student").fetchone()
            connection.rollback()
    except sqlite3.Error as error:
        if "locked" in str(error):
            remedy = "close what has it open (formgrader, another grading), then try again"
        else:
            remedy = "chown or chmod it to yourself; a broken one: put a copy back, or move it away and grade again"
        yield Finding("grade book", BROKEN, f"{book}: {one_line(error)}", remedy)
    else:
        yield Finding("grade book", WORKS, f"{book} can be written to; {count} student{'s' * (count != 1)}")


def _server(url: str) -> Iterator[Finding]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    shown = make_url(url).render_as_string(hide_password=True)
    limit = {"connect_timeout": 5} if url.startswith("postgresql") else {}
    try:
        with create_engine(url, connect_args=limit).connect() as connection:
            connection.execute(text("SELECT 1"))
    except ImportError as error:
        yield Finding("grade book", BROKEN, f"{shown}: {one_line(error)}", "pip install -e '.[postgresql]'")
    except Exception as error:  # whatever the driver raises
        remedy = "start the server, or mend c.CourseDirectory.db_url in nbgrader_config.py"
        yield Finding("grade book", BROKEN, f"{shown} does not answer: {one_line(error)}", remedy)
    else:
        yield Finding("grade book", WORKS, f"{shown} answers")


def costs() -> Iterator[Finding]:
    """Was each lesson's cost recorded, for the estimate of its time?"""
    from course_lib.doctor.pace import read_costs

    from ..builder.source import find_lessons
    from ..checkout import course_root

    known = read_costs()
    missing = [path.parent.name for path in find_lessons(course_root()) if path.parent.name not in known]
    if missing:
        lessons = " ".join(missing)
        yield Finding("times", OPTIONAL, f"cost not recorded for {lessons}", f"course doctor --record {lessons}")
