"""Is what has changed graded again, what has not changed not, and what the grade book lacks filled?"""

import json
import os
import shutil
import subprocess
import sys

import pytest
from tiny import LESSON
from tiny_class import MARKS, STUDENTS, held, scores

from autograder.checkout import course_root
from autograder.grading import classroom
from autograder.grading.sources import check_sources, sources
from autograder.hand_in.finding import ClassError

ANOTHER = "another secret of the tests"


@pytest.fixture
def counted(graded, monkeypatch):
    """The graded class, a function that grades it, and whom that graded again."""
    folder, grade = graded
    again: list[str] = []
    real = classroom.stored

    def noted(came, *rest):
        again.extend(entry.student for entry in came)
        return real(came, *rest)

    monkeypatch.setattr(classroom, "stored", noted)
    return folder, grade, again


def test_what_has_not_changed_is_not_graded_again(counted):
    folder, grade, again = counted
    for path in (folder / "submitted").rglob("*"):
        os.utime(path)
    assert {name: g.points for name, g in grade().items()} == MARKS
    assert again == []


LOST = {
    "the grade book": lambda folder: (folder / "gradebook.db").unlink(),
    "the notebooks": lambda folder: shutil.rmtree(folder / "autograded"),
    "the pages": lambda folder: shutil.rmtree(folder / "feedback"),
}


@pytest.mark.parametrize("what", LOST)
def test_what_is_lost_is_filled(counted, what):
    folder, grade, again = counted
    before = {name: rows[2:] for name, rows in held(folder).items()}
    LOST[what](folder)
    assert {name: g.points for name, g in grade().items()} == MARKS == scores(folder)
    assert sorted(again) == sorted(STUDENTS)
    assert {name: rows[2:] for name, rows in held(folder).items()} == before
    again.clear()
    grade()
    assert again == []


def test_one_submission_that_the_grade_book_lacks_is_filled(counted):
    from nbgrader.api import Gradebook

    folder, grade, again = counted
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", "deep-generative-models") as book:
        book.remove_submission(LESSON, "ben")
    grade()
    assert again == ["ben"] and scores(folder) == MARKS


def test_another_grade_book_is_filled(counted, tmp_path):
    _, grade, again = counted
    url = f"sqlite:///{tmp_path / 'other.db'}"
    assert {name: g.points for name, g in grade(db=url).items()} == MARKS
    assert sorted(again) == sorted(STUDENTS)
    assert scores(tmp_path, "other.db") == MARKS


def test_everything_handed_in_counts(counted):
    folder, grade, again = counted
    hand_in = folder / "submitted" / "ben" / LESSON
    for name, content in {"helper.py": "x = 1", "timestamp.txt": "2026-01-01 10:00:00 UTC", "data/a.csv": "1"}.items():
        (hand_in / name).parent.mkdir(exist_ok=True)
        (hand_in / name).write_text(content)
        again.clear()
        grade()
        assert again == ["ben"], name
    (hand_in / "helper.py").write_text("x = 2")
    (hand_in / ".ipynb_checkpoints").mkdir()
    again.clear()
    grade()
    assert again == ["ben"]


def test_a_changed_secret_is_said_and_asked_for(counted, monkeypatch):
    folder, grade, again = counted
    monkeypatch.setenv("COURSE_SECRET", ANOTHER)
    with pytest.raises(ClassError, match="--new-secret"):
        grade()
    assert again == []
    grade(new_secret=True)
    assert sorted(again) == sorted(STUDENTS)
    again.clear()
    grade()
    assert again == []
    assert not any(ANOTHER in path.read_text() for path in (folder / ".graded").rglob("*") if path.is_file())


KEYS = """
import json, sys
from pathlib import Path
from autograder.grading import sources
from autograder.grading.ledger import course_parts, key_of
from autograder.guard.limits import Limits
from autograder.hand_in.restoring import Master
from nbformat import NotebookNode

def keys():
    sources._imported.cache_clear()
    sources._course_lib.cache_clear()
    empty = {lesson: Master(lesson, "x", NotebookNode(cells=[]), {}) for lesson in LESSONS}
    code = sources.sources()
    parts = (course_parts(empty[one], Limits(), True, sources.check_sources(one), code, []) for one in LESSONS)
    return [key_of(of_lesson) for of_lesson in parts]

LESSONS = ("02-vae", "04-forward")
found = [keys()]
for change in sys.argv[1:]:
    path = Path(change)
    path.write_text(path.read_text() + "\\n# a comment\\n")
    found.append(keys())
print(json.dumps(found))
"""


def test_a_key_hangs_on_the_lessons_own_checks_and_on_the_grader_wherever_the_checkout_lies(tmp_path):
    """Below a folder called `build` as well."""
    found = []
    for place in (tmp_path / "build" / "checkout", tmp_path / "other"):
        for package in ("autograder", "course_lib"):
            shutil.copytree(course_root() / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
        changes = [
            "autograder/lessons/forward/q_sample.py",
            "autograder/feedback/markup.py",
            "autograder/doctor/commands.py",
        ]
        done = subprocess.run(
            [sys.executable, "-c", KEYS, *changes],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads(done.stdout))
    assert found[0] == found[1], "the place of a checkout does not matter"
    (vae, forward), (same, other), (vae_again, forward_again), after_doctor = found[0]
    assert same == vae and other != forward, "a lesson's checks are its own"
    assert vae_again != vae and forward_again != other, "the grader is everybody's"
    assert after_doctor == [vae_again, forward_again], "what grades nothing does not count"


def test_the_files_are_those_that_lead_to_a_mark():
    checks = check_sources("06-sampling")
    names = {*sources(), *checks["p_step"]}
    assert {"autograder/lessons/diffusion.py", "autograder/lessons/sampling/p_step_answers.py"} <= set(checks["p_step"])
    others = {name for name, files in checks.items() if "autograder/lessons/sampling/p_step.py" in files}
    assert others == {"p_step", "ddpm_sample"}, "its own, and one that builds on it"
    assert "autograder/case.py" not in checks["p_step"], "the grader is a part of its own"
    assert {"autograder/marking.py", "autograder/sandbox/responder.py", "autograder/grading/runner.py"} <= names
    assert {"autograder/feedback/page.html.j2", "autograder/feedback/refusal.html.j2"} <= names
    assert not any("lessons/vae" in name or name.startswith("/") for name in names)
