"""Does nbgrader's next command find what it needs, and do two runs at once keep out of each other's way?"""

import os
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.utils import notebook_hash
from tiny import LESSON
from tiny_class import STUDENTS, grader, scores

from autograder.checkout import course_config
from autograder.grading.alone import alone
from autograder.hand_in.finding import ClassError

WHEN = "2031-05-24 12:00:00 UTC"


@pytest.fixture
def course(checkout, client, monkeypatch, tmp_path):
    """The made-up class as handed in, not graded yet, and what grades it."""
    folder = tmp_path / "course"
    shutil.copytree(checkout, folder)
    return folder, grader(folder, client, monkeypatch)


def api(folder):
    config = course_config(folder)
    config.CourseDirectory.root = str(folder)
    config.Exchange.root = str(folder / "exchange")
    (folder / "exchange").mkdir(exist_ok=True)
    return NbGraderAPI(config=config)


def released(folder, secret):
    """The page that a student with this secret fetches."""
    name = f"{notebook_hash(secret=secret, notebook_id='tiny')}.html"
    (page,) = (folder / "exchange").glob(f"*/feedback/{name}")
    return page.read_text()


def test_pages_are_released_to_those_who_handed_in_through_the_exchange(course):
    folder, grade = course
    secrets = {"ada": "a" * 128, "chloe": "c" * 128}  # ben's notebook came by mail
    for student, secret in secrets.items():
        place = folder / "submitted" / student / LESSON
        (place / "submission_secret.txt").write_text(secret)
        (place / "timestamp.txt").write_text(WHEN)
    grade()
    assert api(folder).release_feedback(LESSON)["success"]
    for student, secret in secrets.items():
        assert f": {scores(folder)[student]:g} of 3 points" in released(folder, secret)
    assert len(list((folder / "exchange").glob("*/feedback/*.html"))) == len(STUDENTS)
    made_up = {
        (folder / place / "ben" / LESSON / "submission_secret.txt").read_text() for place in ("autograded", "feedback")
    }
    assert len(made_up) == 1 and len(made_up.pop()) == 128
    released(folder, (folder / "feedback" / "ben" / LESSON / "submission_secret.txt").read_text())


def test_by_nbgraders_own_feedback_command_as_well(course):
    folder, grade = course
    (folder / "submitted" / "ada" / LESSON / "submission_secret.txt").write_text("a" * 128)
    grade()
    shutil.rmtree(folder / "feedback")
    for command in (api(folder).generate_feedback, api(folder).release_feedback):
        assert command(LESSON)["success"]
    assert "tiny" in released(folder, "a" * 128)


def test_a_secret_made_up_for_a_hand_in_stays(course):
    folder, grade = course
    place = folder / "feedback" / "ben" / LESSON / "submission_secret.txt"
    grade()
    first = place.read_text()
    grade(again=True)
    assert place.read_text() == first


@pytest.mark.parametrize("kind", ["link", "long", "folder"])
def test_a_secret_that_is_no_plain_file_is_not_taken(course, tmp_path, kind):
    folder, grade = course
    place = folder / "submitted" / "ada" / LESSON / "submission_secret.txt"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("somebody else's")
    if kind == "link":
        place.symlink_to(elsewhere)
    elif kind == "folder":
        place.mkdir()
    else:
        place.write_text("a" * 5000)
    assert all(graded.status == "graded" for graded in grade().values())
    kept = (folder / "feedback" / "ada" / LESSON / "submission_secret.txt").read_text()
    assert len(kept) == 128 and "else" not in kept


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("process 17, since 09:30", file=file, flush=True)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_run_says_that_the_first_is_at_work(course):
    folder, grade = course
    (folder / ".graded").mkdir()
    line = [sys.executable, "-c", HOLD, str(folder / ".graded" / "running")]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ClassError, match=r"another `course grade` is at work on .* \(process 17, since 09:30\)"):
            grade()
    assert not (folder / "autograded").exists()
    assert len(grade()) == len(STUDENTS), "the lock went with who held it"


def test_a_process_that_a_run_leaves_behind_does_not_hold_its_lock(tmp_path):
    with alone(tmp_path):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
    line = [sys.executable, "-c", "import sys; from pathlib import Path; from autograder.grading.alone import alone\n"]
    line[-1] += "with alone(Path(sys.argv[1])): print('free')"
    try:
        assert subprocess.run([*line, str(tmp_path)], capture_output=True, text=True).stdout == "free\n"
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_a_locked_grade_book_is_said_in_one_line_and_nothing_is_lost(course):
    folder, grade = course
    grade()
    before = scores(folder)
    other = sqlite3.connect(folder / "gradebook.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(ClassError, match="the grade book is locked by another program") as caught:
            grade(again=True)
        assert "\n" not in str(caught.value)
    finally:
        other.close()
    assert scores(folder) == before and len(grade(again=True)) == len(STUDENTS)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", "deep-generative-models") as book:
        assert {student.id for student in book.students} == set(STUDENTS)
