"""Promises of the threat model seen from outside: `course grade` on a small class, hostile hand-ins beside honest ones.

Nothing of the grader is imported, so that the same file runs against any build of it.
"""

import html
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

CHECKOUT = Path(__file__).resolve().parents[2]
LESSON, NOTEBOOK = "01-elbo", "elbo.ipynb"
COURSE = Path(sys.executable).with_name("course")
GIB = 2**30
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYPj/HwADAgH/eL9GtQAAAABJRU5ErkJggg=="
# Runs the command given and tells the processor time and the most memory of one process below it.
METER = """
import json, resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([status, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""


def cell(notebook, identity):
    """The cell of this grade_id."""
    return next(one for one in notebook.cells if one.metadata.get("nbgrader", {}).get("grade_id") == identity)


def solved():
    """The student notebook with the solutions' cells in it."""
    notebook = nbformat.read(CHECKOUT / "notebooks" / LESSON / NOTEBOOK, as_version=4)
    for one in nbformat.read(CHECKOUT / "solutions" / LESSON / NOTEBOOK, as_version=4).cells:
        kept = one.metadata.get("nbgrader", {})
        if one.cell_type == "code" and kept.get("solution"):
            cell(notebook, kept["grade_id"]).source = one.source
    return notebook


@dataclass(frozen=True)
class Run:
    """What one run left: status, processor time, bytes of memory, points and seconds by student, output, folder."""

    status: int
    seconds: float
    memory: int
    points: dict[str, float]
    took: dict[str, float]
    said: str
    out: Path

    def page(self, student):
        """The feedback page of a student."""
        return (self.out / "feedback" / student / LESSON / NOTEBOOK.replace("ipynb", "html")).read_text()


def grade(place, honest, changes, options=()):
    """Grade a class in `place`: the solved notebook of the honest ones, and what each hostile one made of it."""
    for student in honest:
        write(place, student, solved())
    for student, change in changes.items():
        notebook = solved()
        write(place, student, change(notebook) or notebook)
    command = [COURSE, "grade", LESSON, "--submitted", place / "submitted", "--out", place, "--json", place / "json"]
    done = subprocess.run(
        [sys.executable, "-c", METER, *map(str, command), "--jobs", "2", *options],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    status, seconds, memory = json.loads(done.stdout.splitlines()[-1])
    marks = json.loads((place / "json").read_text())["submissions"] if (place / "json").exists() else []
    points = {one["student"]: sum(exercise["points"] for exercise in one["exercises"]) for one in marks}
    took = {one["student"]: one["seconds"] for one in marks}
    return Run(status, seconds, memory, points, took, done.stdout + done.stderr, place)


def write(place, student, notebook):
    """Hand it in; a notebook, or the bytes of a file."""
    path = place / "submitted" / student / LESSON / NOTEBOOK
    path.parent.mkdir(parents=True)
    path.write_bytes(notebook if isinstance(notebook, bytes) else nbformat.writes(notebook).encode())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A class of honest ones alone."""
    run = grade(tmp_path_factory.mktemp("alone"), ("a", "z"), {})
    assert run.status == 0 and len(run.points) == 2, run.said[-2000:]
    return run


def untimed(page):
    """A page without what a clock tells."""
    return re.sub(r"\d+(\.\d+)? (s|seconds)\b", "", page)


def showing(text, times=1):
    """Cells that show this as HTML."""
    source = f"from IPython.display import HTML, display\nfor _ in range({times}):\n    display(HTML({text!r}))"
    return lambda notebook: notebook.cells.insert(1, new_code_cell(source))


def own_id(notebook):
    """A cell of one's own under an id that nbformat refuses."""
    notebook.cells.insert(1, new_code_cell("1 + 1"))
    notebook.cells[1]["id"] = "OWN"
    return nbformat.writes(notebook).replace('"OWN"', '"zelle-\\u00e4"').encode()


def nothing_to_show(notebook):
    """`expect` returns an object with HTML and an empty text."""
    source = "class Shown:\n    def __repr__(self): return ''\n    def _repr_html_(self): return '<b>2.0</b>'\n"
    source += "def expect(*args, **kwargs): return Shown()\n"
    position = max(i for i, one in enumerate(notebook.cells) if one.metadata.get("nbgrader", {}).get("solution"))
    notebook.cells.insert(position, new_code_cell(source))


def pictured(notebook):
    """A picture named a thousand times."""
    attached = {"a.png": {"image/png": PICTURE + "\n" * 2_000_000}}
    notebook.cells.append(new_markdown_cell("![x](attachment:a.png) " * 1000, attachments=attached))


def asking(notebook):
    """A right earlier function, where it stands in for a wrong one, is asked for a table of all pairs."""
    cell(notebook, "log_normal").source = "def log_normal(x, mean, logvar):\n    return 0 * x.sum(-1)"
    cell(notebook, "e_step").source = (
        "def e_step(x, weights, means, variances):\n"
        "    long = torch.ones(20_000, 1, dtype=torch.float64)\n"
        "    log_normal(long[:, None], long, long)\n"
        "    return torch.ones(len(x), len(weights))"
    )


def slow_cells(notebook):
    """Cells that never end, more of them than there is time for."""
    endless = "import time\nwhile True: time.sleep(0.01)"
    notebook.cells[1:1] = [new_code_cell(f"# {number}\n{endless}") for number in range(200)]


def locking(notebook):
    """A lock is asked for on a file that all submissions read."""
    source = (
        "import fcntl, json\nfile = open(json.__file__)\ntry:\n    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)\n"
    )
    source += "    print('it was', 'granted')\nexcept OSError:\n    print('it was', 'refused')"
    notebook.cells.insert(1, new_code_cell(source))


MARKED = "<div class='own-class alert navbar-fixed-top' id='own-id' style='own-style: 1'>text of one's own</div>"
CHANGES = {
    "large outputs": showing("<p><b>of another</b> <i>student</i></p>" * 1200, times=12),
    "own id": own_id,
    "nothing to show": nothing_to_show,
    "a picture": pictured,
    "asking": asking,
    "overlays": showing(MARKED),
    "locking": locking,
    "slow cells": slow_cells,
}
SECONDS = 30  # for a submission


@pytest.fixture(scope="module")
def beside(alone, tmp_path_factory):
    """Grades each change beside the honest ones: all in one class, or each in one of its own with COURSE_APART=1."""
    names = {name: f"m-{name.replace(' ', '-')}" for name in CHANGES}

    @cache
    def run(*asked):
        changes = {names[name]: CHANGES[name] for name in asked}
        return grade(tmp_path_factory.mktemp("class"), alone.points, changes, ("--seconds", str(SECONDS)))

    return lambda name: (run(*([name] if "COURSE_APART" in os.environ else CHANGES)), names[name])


@pytest.mark.parametrize("name", CHANGES)
def test_the_honest_ones_stay_as_they_are(beside, alone, name):
    """Their points and, byte by byte, their pages; and the run ends as a run does."""
    run, _ = beside(name)
    assert run.status in (0, 3), run.said[-2000:]
    assert {student: run.points.get(student) for student in alone.points} == alone.points
    for student in alone.points:
        assert untimed(run.page(student)) == untimed(alone.page(student))


@pytest.mark.parametrize("name", ["a picture", "asking"])
def test_memory_of_the_grader_is_bounded(beside, alone, name):
    assert beside(name)[0].memory < alone.memory + GIB


def test_a_submissions_time_bounds_its_cells(beside):
    run, student = beside("slow cells")
    busy = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)  # limits grow, up to tenfold, while others run
    assert run.took[student] < (10 if busy else 1.5) * SECONDS


def test_names_that_a_page_knows_do_not_reach_it(beside):
    run, student = beside("overlays")
    shown = re.sub(r"<pre.*?</pre>", "", run.page(student), flags=re.S)
    assert "text of one's own" in html.unescape(shown) and not re.findall("own-(?:class|id|style)", shown)


def test_submissions_cannot_lock_what_they_share(beside):
    run, student = beside("locking")
    assert "it was refused" in run.page(student) and "it was granted" not in run.page(student)
