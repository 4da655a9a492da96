"""A term as an instructor and five students play it, with nbgrader's own commands and formgrader in a real Chromium.

ada hands in on time, ben late, chloe twice, dan with a wrong answer that a faulty check marks down too far, eve never.
What a student fetches in the end says what the grade book says.
"""

import csv
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import chdir, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from jupyter_core.application import NoStart
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderApp
from test_browser import CHROMIUM, FLAGS, free_port, wait_for
from tiny import LESSON, RIGHT, make_checkout, tiny_exercises
from tiny_class import LIMITS, grader

from autograder.checkout import course_config
from autograder.cli import main
from autograder.feedback import commands as feedback
from autograder.grading import students, workers
from autograder.hand_in.restoring import Master

pytestmark = pytest.mark.browser
COURSE = "deep-generative-models"
COMMENT = "The reason is right; say *why* it holds."


@pytest.fixture
def course(tmp_path, monkeypatch):
    """The instructor's folder, and what grades it there, by workers that render pages."""
    folder = tmp_path / "course"
    folder.mkdir()
    make_checkout(folder, written=True)
    config = folder / "nbgrader_config.py"
    config.write_text(config.read_text() + 'c.LateSubmissionPlugin.penalty_method = "zero"\n')
    (tmp_path / "exchange").mkdir()
    for module in (students, feedback):
        monkeypatch.setattr(module, "course_root", lambda: folder)
    plugin = workers.Grading({LESSON: Master.load(folder, LESSON)}, LIMITS, True, course_config(folder))
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with workers.workers(plugin, 1, None) as client:
        resource.setrlimit(resource.RLIMIT_DATA, before)  # Chromium would inherit it
        yield folder, grader(folder, client, monkeypatch)


def nbgrader(folder, *line):
    """`nbgrader …` in a folder of the term's."""
    term = folder.parent if folder.name == "course" else folder.parent.parent
    options = [f"--Exchange.root={term / 'exchange'}", f"--Exchange.cache={folder / '.cache'}", f"--course={COURSE}"]
    with chdir(folder):
        app = NbGraderApp.instance()
        try:
            app.initialize([*line, *options])
            app.start()
        except NoStart:  # how jupyter_core ends a command that has run
            pass
        except SystemExit as end:
            assert not end.code, line
        finally:
            app.reset()
            NbGraderApp.clear_instance()


def home(folder, student):
    place = folder.parent / "homes" / student
    place.mkdir(parents=True, exist_ok=True)
    return place


def hand_in(folder, student, **answers):
    """Write the answers into the fetched notebook and submit it."""
    path = home(folder, student) / LESSON / "tiny.ipynb"
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.source = {**RIGHT, **answers}.get(cell["id"], cell.source)
    nbformat.write(notebook, path)
    nbgrader(home(folder, student), "submit", LESSON, f"--student={student}")


def fetched(folder, student):
    """The page that the student fetches, as the newest of their hand-ins has it."""
    place = home(folder, student)
    shutil.rmtree(place / LESSON / "feedback", ignore_errors=True)
    nbgrader(place, "fetch_feedback", LESSON, f"--student={student}")
    return sorted((place / LESSON / "feedback").glob("*/tiny.html"))[-1].read_text()


@contextmanager
def book_of(folder):
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", COURSE) as book:
        yield book


def reads_what_the_grade_book_says(folder, student):
    page = fetched(folder, student)
    with book_of(folder) as book:
        held = book.find_submission(LESSON, student)
        (notebook,) = held.notebooks
        penalty = notebook.late_submission_penalty or 0.0
        (head,) = re.findall(r"<h4>(.*?)</h4>", page, re.S)
        assert head.startswith(f"tiny: {held.score - penalty:g} of {held.max_score:g} points")
        assert (f"({penalty:g} taken off for a late hand-in)" in head) == bool(penalty)
        assert ("still to be marked" in head) == bool(held.needs_manual_grade)
        rows = dict(re.findall(r"<code>([\w-]+)</code></a></td><td>([\d.]+)&nbsp;", page))
        for grade in notebook.grades:
            if grade.max_score:
                assert float(rows[grade.name.removesuffix("-graded")]) == grade.score, grade.name
        for comment in notebook.comments:
            assert not comment.comment or comment.comment.split("*")[0].strip() in page
    assert "<script" not in page and "Content-Security-Policy" in page
    return page


def faulty(lesson):
    """The lesson's exercises with a check that expects the wrong sign below zero."""
    exercises = tiny_exercises()
    double = exercises["tiny_double"]

    def check(student, case):
        x = case.normal(3, 2)
        case.expect(student(x), double.oracle(x), "value", points=1)
        case.expect(student(-x), double.oracle(x), "value below zero", points=1)

    return {**exercises, "tiny_double": replace(double, check=check)}


@contextmanager
def formgrader(folder):
    """A page of Chromium that reaches nobody but formgrader's server, and the server's address."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing: .ci/run installs it")
        pytest.skip("needs Chromium: install the package chromium")
    from playwright.sync_api import sync_playwright

    state = folder.parent / "server"
    state.mkdir()
    port, log = free_port(), state / "log"
    options = [f"--ServerApp.root_dir={folder}", f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1"]
    options += ["--IdentityProvider.token=", "--ServerApp.open_browser=False", "--ServerApp.allow_root=True"]
    options += ["--ServerApp.jpserver_extensions={'nbgrader.server_extensions.formgrader': True}"]
    places = {name: str(state) for name in ("HOME", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    line = [sys.executable, "-m", "jupyter_server", *options]
    with log.open("w") as file:
        server = subprocess.Popen(line, env={**os.environ, **places}, cwd=folder, stdout=file, stderr=file)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: urllib.request.urlopen(f"{address}/api/status", timeout=2), 240, log.read_text)
        with (
            sync_playwright() as playwright,
            closing(playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)) as browser,
        ):
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            page.set_default_timeout(120_000)
            page.route(lambda url: not url.startswith(address), lambda route: route.abort())
            yield page, address
    finally:
        server.terminate()
        server.wait(60)


def mark_by_hand(page, address, identity, points, comment):
    """Enter points and a comment in formgrader, as a person does."""
    page.goto(f"{address}/formgrader/submissions/{identity}/?index=0", wait_until="domcontentloaded")
    score, text = page.locator("input.score#why"), page.locator("textarea#why-comment")
    score.wait_for()
    assert page.locator("input.score").count() == 3, "a box for each cell that is worth something"
    page.wait_for_function("() => window.formgrader?.grades?.loaded && formgrader.comments?.loaded")
    with page.expect_response(lambda reply: "/api/grade/" in reply.url and reply.request.method == "PUT") as saved:
        score.fill(str(points))
        score.blur()
    assert saved.value.ok
    with page.expect_response(lambda reply: "/api/comment/" in reply.url and reply.request.method == "PUT") as saved:
        text.fill(comment)
        text.blur()
    assert saved.value.ok


def now():
    return datetime.now(UTC).replace(tzinfo=None)


def test_a_term(course, monkeypatch):
    folder, grade = course
    with monkeypatch.context() as patch:
        patch.setattr(workers, "lesson_exercises", faulty)
        nbgrader(folder, "release_assignment", LESSON)
        for student in ("ada", "ben", "chloe", "dan", "eve"):
            nbgrader(folder, "db", "student", "add", student)
            nbgrader(home(folder, student), "fetch_assignment", LESSON)
        answer = {"why-answer": "Because it doubles."}
        hand_in(folder, "ada", **answer)
        hand_in(folder, "chloe", tiny_apply="def tiny_apply(f, x):\n    return x", **answer)
        hand_in(folder, "chloe", **answer)
        hand_in(folder, "dan", tiny_double="def tiny_double(x):\n    return x * x", **answer)
        due = now()
        with book_of(folder) as book:
            book.update_or_create_assignment(LESSON, duedate=due.isoformat(sep=" "))
        time.sleep(0.01)
        hand_in(folder, "ben", **answer)
        nbgrader(folder, "collect", LESSON)
        points = {name: graded.points for name, graded in grade().items()}
    assert points == {"ada": 2.0, "ben": 2.0, "chloe": 2.0, "dan": 1.0}

    with book_of(folder) as book:
        ids = {held.student_id: held.notebooks[0].id for held in book.assignment_submissions(LESSON)}
    assert set(ids) == {"ada", "ben", "chloe", "dan"}
    with formgrader(folder) as (page, address):
        for student, points in {"ada": 1.5, "ben": 2}.items():
            mark_by_hand(page, address, ids[student], points, COMMENT)
    with book_of(folder) as book:
        waiting = {held.student_id for held in book.assignment_submissions(LESSON) if held.needs_manual_grade}
        assert waiting == {"chloe", "dan"}

    assert main(["feedback", LESSON]) == 0
    nbgrader(folder, "release_feedback", LESSON)
    pages = {student: reads_what_the_grade_book_says(folder, student) for student in ids}
    assert "tiny: 3.5 of 5 points" in pages["ada"] and "<em>why</em>" in pages["ada"]
    assert "tiny: 0 of 5 points" in pages["ben"] and "4 taken off" in pages["ben"], "zero, marks by hand included"

    assert main(["extend", "ben", LESSON, f"{due + timedelta(days=1):%Y-%m-%d %H:%M:%S} UTC"]) == 0
    grade(again=True)  # the check is mended
    nbgrader(folder, "generate_feedback", LESSON)
    nbgrader(folder, "release_feedback", LESSON)
    pages = {student: reads_what_the_grade_book_says(folder, student) for student in ids}
    assert "tiny: 4.5 of 5 points" in pages["ada"], "the mark by hand stands"
    assert "tiny: 5 of 5 points" in pages["ben"] and "taken off" not in pages["ben"]
    assert "tiny: 3 of 5 points, and 2 of these still to be marked" in pages["chloe"], "the later of two"
    with book_of(folder) as book:
        waiting = {held.student_id for held in book.assignment_submissions(LESSON) if held.needs_manual_grade}
        assert waiting == {"chloe", "dan"}, "nobody who was marked waits again"

    nbgrader(folder, "export")
    rows = {row["student_id"]: row for row in csv.DictReader((folder / "grades.csv").read_text().splitlines())}
    assert {name: row["score"] for name, row in rows.items()} == {
        "ada": "4.5",
        "ben": "5.0",
        "chloe": "3.0",
        "dan": rows["dan"]["score"],
        "eve": "0.0",
    }
    assert [name for name, row in rows.items() if row["status"] == "missing"] == ["eve"]
    assert json.loads((folder / "extensions.json").read_text())[LESSON].keys() == {"ben"}
    assert not Path(home(folder, "eve") / LESSON / "feedback").exists()
