"""Does the whole corpus of attacks, graded beside twenty honest submissions by four jobs, leave these as they are?

Takes some minutes, and runs with COURSE_NEIGHBOURS=FILE alone: figures are written there. Time is processor time, of
the checker and of a submission's own processes, since others use the machine as well; a quarter more is allowed.
"""

import json
import os
import statistics
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import nbformat
import pytest
from attacks import ATTACKS
from attacks.folders import FOLDERS
from four_jobs import Accounts
from honest import HONEST
from tiny import LESSON, make_checkout, tiny_exercises, tiny_master
from tiny_class import held

from autograder.grading import classroom
from autograder.grading.classroom import Means, grade_class
from autograder.grading.workers import Grading, workers
from autograder.guard.limits import Limits
from autograder.guard.supervisor import Totals
from autograder.hand_in.finding import find_submissions
from autograder.hand_in.restoring import Master
from autograder.sandbox.jail import Rlimits

pytestmark = pytest.mark.skipif("COURSE_NEIGHBOURS" not in os.environ, reason="takes minutes")
MB = 2**20
EACH = Rlimits(memory=256 * MB, processes=24, files=64, file_size=MB, disk=8 * MB)
LIMITS = Limits(cell=3.0, call=2.0, submission=20.0, grace=0.3, each=EACH, all=Totals(memory=400 * MB, cpu=4.0))
WANTED, SPARE, JOBS = 20, 5, 4
MORE = 1.25  # times as much of any time


@cache
def content(one):
    """The bytes of the notebook of an attack or of an honest one, the same each time: new cells have ids at random."""
    made = tiny_master().released
    for cell in made.cells:
        cell.source = {"tiny_double": one.double, "tiny_apply": one.apply}.get(cell["id"], cell.source)
    one.change(made)
    return one.file(nbformat.writes(made).encode())


def hand_in(folder, student, one):
    """Write it."""
    path = folder / "submitted" / student / LESSON / "tiny.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(one))


def course(folder, honest, hostile):
    """A course in which the honest ones are spread among the hostile; the students of both."""
    make_checkout(folder)
    (folder / "secret.txt").write_text("x")
    students = {f"{(i * (len(hostile) + 1)) // len(honest):04d}-honest-{i:02d}": one for i, one in enumerate(honest)}
    for student, one in students.items():
        hand_in(folder, student, one)
    for number, one in enumerate(hostile):
        if one in FOLDERS:
            student = one.student if one.family.startswith("names") else f"{number:04d}-{one.student}"
            hand_in(folder, student, HONEST[0])
            one.write(folder / "submitted" / student / LESSON, folder)
        else:
            hand_in(folder, f"{number:04d}-eve", one)
    return {student.partition("-")[2]: student for student in students}


def run(folder, honest, hostile, costs):
    """What came of each honest one: (mark, bytes of notebook and page), and its costs; and all results."""
    names, already = course(folder, honest, hostile), len(costs.read_text().splitlines())
    entries = find_submissions(folder / "submitted", [])
    results = {graded.student: graded for graded in grade_class(entries, folder, folder, Means(LIMITS, JOBS))}
    spent = {line["student"]: line for line in map(json.loads, costs.read_text().splitlines()[already:])}
    rows = held(folder)
    found = {}
    for name, student in names.items():
        files = [row for row in rows[student] if isinstance(row, tuple) and row[0] in ("tiny.ipynb", "tiny.html")]
        found[name] = (rows[student][0], files), spent[student] | {"seconds": results[student].seconds}
    return found, results


@pytest.fixture
def costs(monkeypatch, tmp_path):
    """Where workers, which are processes and know the made-up lesson, write what each submission cost."""
    file = tmp_path / "costs"
    file.touch()
    monkeypatch.setenv("COURSE_COSTS", str(file))
    places = Path(__file__).parent, Path(__file__).parents[1]  # of `four_jobs` and of `tiny`
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, places)))
    monkeypatch.setattr(classroom, "lesson_exercises", lambda lesson: tiny_exercises())
    (tmp_path / "lesson").mkdir()
    make_checkout(tmp_path / "lesson")
    plugin = Grading({LESSON: Master.load(tmp_path / "lesson", LESSON)}, LIMITS, sandbox=True)
    with workers(plugin, JOBS, None) as client:
        client.register_plugin(Accounts())
        monkeypatch.setattr(classroom, "workers", lambda *_: nullcontext(client))
        yield file


def test_the_whole_corpus_beside_twenty_honest_submissions(costs, tmp_path):
    spare = [one for one in HONEST if "%time" not in one.name][: WANTED + SPARE]
    places = {name: tmp_path / name for name in ("alone", "again", "beside")}
    for place in places.values():
        place.mkdir()
    alone, _ = run(places["alone"], spare, (), costs)
    again, _ = run(places["again"], spare, (), costs)
    stable = [name for name in alone if alone[name][0] == again[name][0]][:WANTED]
    beside, results = run(places["beside"], spare, (*ATTACKS, *FOLDERS), costs)
    changed = [name for name in stable if beside[name][0] != alone[name][0]]
    figures = {
        "honest": len(stable),
        "hostile": len(ATTACKS) + len(FOLDERS),
        "jobs": JOBS,
        "statuses": {s: sum(g.status == s for g in results.values()) for s in ("graded", "failed", "not graded")},
        "changed": changed,
    }
    for what in ("checker", "guests", "clock", "seconds"):
        sums = [sum(found[name][1][what] for name in stable) for found in (alone, again, beside)]
        ratio = statistics.median(beside[name][1][what] / max(alone[name][1][what], 0.01) for name in stable)
        figures[what] = {"alone": sums[0], "again": sums[1], "beside": sums[2], "median ratio": ratio}
    Path(os.environ["COURSE_NEIGHBOURS"]).write_text(json.dumps(figures, indent=1))
    assert len(stable) == WANTED and all(beside[name][0][0] == 3.0 for name in stable)
    assert changed == []
    cost = {name: found["checker"] + found["guests"] for name, (_, found) in beside.items()}
    before = {name: max(a[1]["checker"] + a[1]["guests"] for a in (alone[name], again[name])) for name in stable}
    assert sum(cost[name] for name in stable) <= MORE * sum(before.values())
    assert results.keys() >= {f"{number:04d}-eve" for number in range(len(ATTACKS))}
    assert all(graded.points <= 3.0 for graded in results.values())
