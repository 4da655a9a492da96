#!/usr/bin/env bash
# nbgrader 0.9.6: a feedback page once made does not learn of marks given by hand.
#
# Guess, written down first: after an answer was marked by hand in formgrader, which writes to the grade book, a second
# `nbgrader generate_feedback` puts the mark on the student's page.
# Seen: a page is made anew only where the hand-in is newer than the page. The second run logs "Skipping existing assignment",
# exits with 0, and the page keeps its old total; only `--force` makes it again. Whoever generates feedback before the last
# mark by hand releases pages without it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet nbgrader==0.9.6 ipykernel
mkdir "$folder/course"
cd "$folder/course"
export PATH="$folder/env/bin:$PATH" HOME="$folder" JUPYTER_PLATFORM_DIRS=0
python -W ignore - <<'PYTHON'
import re
import subprocess
from pathlib import Path

import nbformat.v4 as v4
from nbformat import write
from nbgrader.api import Gradebook

cell = v4.new_markdown_cell("Because.")
cell.metadata["nbgrader"] = {
    "grade": True, "grade_id": "why", "locked": False, "points": 2.0, "schema_version": 3, "solution": True, "task": False}
notebook = v4.new_notebook(cells=[cell])
notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
for place in ("source/ps1", "submitted/ada/ps1"):
    Path(place).mkdir(parents=True)
    write(notebook, f"{place}/p1.ipynb")
Path("submitted/ada/ps1/timestamp.txt").write_text("2031-06-01 12:00:00 UTC")


def nbgrader(*command):
    subprocess.run(["nbgrader", *command], check=True, capture_output=True)


def total():
    """What the page says: points of the notebook."""
    return re.search(r"Score: ([0-9.]+ / [0-9.]+)", Path("feedback/ada/ps1/p1.html").read_text()).group(1)


nbgrader("generate_assignment", "ps1")
nbgrader("autograde", "ps1")
nbgrader("generate_feedback", "ps1")
seen = [total()]
with Gradebook("sqlite:///gradebook.db") as book:  # what formgrader does with a mark
    grade = book.find_grade("why", "p1", "ps1", "ada")
    grade.manual_score, grade.needs_manual_grade = 2.0, False
    book.db.commit()
for options in ((), ("--force",)):
    nbgrader("generate_feedback", "ps1", *options)
    seen.append(total())
print("before the mark, after it, after it with --force:", seen)
assert seen == ["0.0 / 2.0", "0.0 / 2.0", "2.0 / 2.0"], "the behaviour has changed"
PYTHON
