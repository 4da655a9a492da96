#!/usr/bin/env bash
# nbgrader 0.9.6: opening a new grade book starts another program, `alembic`, and fails where that is not on PATH.
#
# Guess, written down first: `Gradebook("sqlite:///new.db")` makes the tables with SQLAlchemy, within the process, so that an
# interpreter called by its full path can do it whatever PATH says; every later opening costs about as much as the first.
# Seen: the first opening runs `alembic heads` to learn which revision the tables are of, and puts it into the new book. An
# interpreter called by its full path, as by a service, a cron job or a container, whose environment is not on PATH, ends in
# FileNotFoundError: 'alembic', after the tables were made; the same call again then succeeds, and the book has no revision:
# `nbgrader db upgrade`, later, takes it for one of the first release and fails. The program costs far more than all the rest.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet nbgrader==0.9.6
cd "$folder"
PATH=/usr/bin:/bin "$folder/env/bin/python" -W ignore - "$folder/env/bin" <<'PYTHON'
import os
import resource
import sqlite3
import subprocess
import sys

from nbgrader.api import Gradebook


def opened(name):
    with Gradebook(f"sqlite:///{name}", "course"):
        pass


def revision(name):
    with sqlite3.connect(name) as book:
        tables = {row[0] for row in book.execute("select name from sqlite_master where type = 'table'")}
        return book.execute("select version_num from alembic_version").fetchall() if "alembic_version" in tables else []


def spent(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


try:
    opened("gradebook.db")
except FileNotFoundError as error:
    print(f"without the environment on PATH: {error}")
else:
    raise SystemExit("the behaviour has changed")
opened("gradebook.db")
print(f"the same call again: opened, revision {revision('gradebook.db')}")
assert revision("gradebook.db") == [], "the behaviour has changed"

os.environ["PATH"] = sys.argv[1] + os.pathsep + os.environ["PATH"]
before, within = spent(resource.RUSAGE_CHILDREN), spent(resource.RUSAGE_SELF)
opened("whole.db")
program, own = spent(resource.RUSAGE_CHILDREN) - before, spent(resource.RUSAGE_SELF) - within
print(f"with it: revision {revision('whole.db')}; the program took {program:.1f} s of processor time, the rest {own:.1f} s")
assert revision("whole.db") and program > own, "the behaviour has changed"

for name, status in (("gradebook.db", 1), ("whole.db", 0)):
    line = [f"{sys.argv[1]}/nbgrader", "db", "upgrade", f"--db=sqlite:///{name}"]
    ended = subprocess.run(line, capture_output=True, check=False).returncode
    print(f"nbgrader db upgrade of {name}: exit status {ended}")
    assert ended == status, "the behaviour has changed"
PYTHON
