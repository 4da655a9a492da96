#!/usr/bin/env bash
# nbgrader 0.9.6: the score of one hand-in is added up by reading the marks of the whole class.
#
# Guess, written down first: `SubmittedNotebook.score` is a sum over the `grade` rows of one hand-in, found by their
# foreign key `notebook_id`; nbgrader's models name the key, so a grade book has an index for it, and a score costs the
# same in a class of 10 as in one of 10,000.
# Seen: SQLite makes no index for a foreign key, and nbgrader none either. Its unique keys begin with the other column
# (cell_id, then notebook_id), so the search goes over the whole table, or through all marks of every cell: what one
# score costs grows with the class, and grading a class with its square. Comments (`comment.notebook_id`) likewise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet nbgrader==0.9.6 "sqlalchemy==2.0.44"
cd "$folder"; export PATH="$folder/env/bin:$PATH"  # nbgrader calls alembic by its name
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import sqlite3
from nbgrader.api import Gradebook

with Gradebook("sqlite:///gradebook.db") as book:
    book.add_assignment("hw")
    book.add_notebook("nb", "hw")
    for cell in "abc":
        book.add_grade_cell(cell, "nb", "hw", max_score=1, cell_type="code")
        book.add_solution_cell(cell, "nb", "hw")
    for number in range(200):
        book.add_student(f"s{number}")
        book.add_submission("hw", f"s{number}")
    key = book.find_submission("hw", "s7").notebooks[0].id

database = sqlite3.connect("gradebook.db")
steps = 0
def count():
    global steps
    steps += 1
database.set_progress_handler(count, 1)  # once an instruction of SQLite's own machine
spent = []
for students in (200, 100, 50):
    database.execute(f"delete from grade where notebook_id in (select s.id from submitted_notebook s join "
                     f"submitted_assignment a on a.id = s.assignment_id where cast(substr(a.student_id, 2) as int) >= {students})")
    steps = 0
    rows = database.execute("select auto_score from grade where notebook_id = ?", [key]).fetchall()
    spent.append(steps)
    print(f"{students} hand-ins: {len(rows)} marks of one found in {steps} steps")
for table in ("grade", "comment"):
    plan = database.execute(f"explain query plan select * from {table} where notebook_id = 'x'").fetchall()
    print(plan[0][-1])
    assert plan[0][-1].startswith("SCAN"), "the behaviour has changed"
assert spent[0] > 1.8 * spent[1] > 3 * spent[2], "the behaviour has changed"
PYTHON
