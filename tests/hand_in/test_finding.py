"""Is everything that was handed in taken, or named?"""

import re
from datetime import datetime

import nbformat
import pytest
from nbformat.v4 import new_notebook

from autograder.checkout import course_root
from autograder.grading.classroom import Means, grade_class
from autograder.grading.demo import solve
from autograder.hand_in import finding as hand_ins
from autograder.hand_in.beside import Allowance, Beside
from autograder.hand_in.finding import ClassError, find_submissions, timestamp
from autograder.hand_in.restoring import Master

KNOWN = ("01-elbo", "04-forward", "05-posterior", "14-worlds")


@pytest.fixture
def hand_in(tmp_path):
    """Writes empty notebooks, or bytes, below `submitted/` and returns that folder."""

    def write(*paths, **contents):
        for path in paths:
            place = tmp_path / "submitted" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.endswith("/"):
                place.mkdir()
            elif ".ipynb" in path.lower():
                nbformat.write(new_notebook(), str(place) + ".tmp.ipynb")
                (place.parent / (place.name + ".tmp.ipynb")).rename(place)
            else:
                place.write_bytes(b"x")
        return tmp_path / "submitted"

    return write


SPELLINGS = {
    "04-forward": (
        *(
            "04_forward",
            "04-Forward",
            "4-forward",
            "forward",
            "04",
            "04 forward",
            "04-forward (1)",
            "04-forward copy 2",
        ),
        *("04-forward - Copy", "Copy of 04-forward", "Lesson 04-forward", "lesson_04", "Homework 4", "04-forward-ada"),
        *("ada_04-forward", "04-forward.zip", "04-forward-submission", "forward_final"),
    ),
    "14-worlds": ("14worlds", "ada-14-worlds", "14"),
    None: ("notes", "forwards", "07-score", "2", "worldsforward"),
}


@pytest.mark.parametrize("lesson, name", [(lesson, name) for lesson, names in SPELLINGS.items() for name in names])
def test_a_folder_is_taken_in_any_spelling_of_its_lesson(hand_in, lesson, name):
    submitted = hand_in(f"ada/{name}/x.ipynb")
    for asked in ([], ["04-forward", "14-worlds"]):
        (entry,) = find_submissions(submitted, asked, KNOWN)
        assert entry.lesson == (lesson or name)
        if lesson:
            assert entry.notebook == submitted / "ada" / name / "x.ipynb"
            assert any(repr(name) in flag for flag in entry.flags) and any("x.ipynb" in flag for flag in entry.flags)


def test_what_is_spelled_right_comes_first_and_the_other_is_named(hand_in):
    submitted = hand_in("ada/04-forward/forward.ipynb", "ada/04-forward (1)/forward.ipynb")
    (entry,) = find_submissions(submitted, [], KNOWN)
    assert entry.notebook == submitted / "ada/04-forward/forward.ipynb"
    assert "04-forward (1)" in entry.flags[0] and "not taken" in entry.flags[0]


def test_a_folder_without_a_notebook_gives_way_to_one_with(hand_in):
    submitted = hand_in("ada/04-forward/", "ada/04_forward/forward.ipynb")
    (entry,) = find_submissions(submitted, ["04-forward"], KNOWN)
    assert entry.notebook == submitted / "ada/04_forward/forward.ipynb" and len(entry.flags) == 2


def test_one_folder_with_two_lessons(hand_in):
    submitted = hand_in("ada/04-forward/forward.ipynb", "ada/04-forward/posterior.ipynb")
    (entry,) = find_submissions(submitted, [], KNOWN)
    assert entry.notebook.name == "forward.ipynb"
    (remark,) = Beside.of(entry.notebook.parent, entry.notebook.name, Allowance()).left_out
    assert "posterior.ipynb" in remark and "one notebook" in remark


@pytest.mark.parametrize(
    "files, said",
    [
        (("a.ipynb", "b.ipynb"), r"a\.ipynb, b\.ipynb"),
        (("forward.pdf",), r"forward\.pdf, which is no notebook"),
        (("forward.html", "forward.py"), r"forward\.html, forward\.py"),
    ],
)
def test_what_cannot_be_taken_is_named(hand_in, files, said):
    submitted = hand_in(*(f"ada/04-forward/{name}" for name in files))
    (entry,) = find_submissions(submitted, ["04-forward"], KNOWN)
    assert not entry.notebook.exists()
    assert len(entry.flags) == 1 and re.search(said, entry.flags[0])


def test_of_several_the_one_with_the_lessons_name_is_taken(hand_in):
    submitted = hand_in("ada/04-forward/Forward (2).ipynb", "ada/04-forward/scratch.ipynb")
    (entry,) = find_submissions(submitted, ["04-forward"], KNOWN)
    assert entry.notebook.name == "Forward (2).ipynb" and "scratch.ipynb was not taken" in entry.flags


@pytest.mark.parametrize("asked", [[], ["04-forward"]])
def test_a_notebook_outside_a_lessons_folder_is_named(hand_in, asked):
    submitted = hand_in("ada/forward.ipynb", "ben/04-forward/forward.ipynb")
    ada, ben = find_submissions(submitted, asked, KNOWN)
    assert ada.lesson == "04-forward" and "forward.ipynb lies outside" in ada.flags[0] and not ben.flags


def test_a_class_in_which_everybody_is_absent_is_told_so(hand_in):
    submitted = hand_in("ada/", "ben/", "chloe/notes.txt")
    with pytest.raises(ClassError, match=r"no submission of 04-forward .* 3 students \(ada, ben, chloe\) hold none"):
        find_submissions(submitted, ["04-forward"], KNOWN)


def test_no_link_is_taken_for_a_notebook(hand_in, tmp_path):
    submitted = hand_in("ada/04-forward/forward.ipynb", "eve/04-forward/")
    (submitted / "eve/04-forward/mine.ipynb").symlink_to(submitted / "ada/04-forward/forward.ipynb")
    (submitted / "mallory").mkdir()
    (submitted / "mallory/04-forward").symlink_to(submitted / "ada/04-forward")
    (submitted / "trudy").symlink_to(submitted / "ada")
    found = {entry.student: entry for entry in find_submissions(submitted, ["04-forward"], KNOWN)}
    assert found["eve"].notebook.name == "forward.ipynb"  # which is not there
    for name in ("mallory", "trudy"):
        with pytest.raises(hand_ins.SubmissionError, match="link"):
            hand_ins.plain_bytes(found[name].notebook, 10)
        assert Beside.of(found[name].notebook.parent, "x", Allowance()).files == {}


TIMES = {
    "2026-11-01 11:30 PM": datetime(2026, 11, 1, 23, 30),
    "11/01/2026 11:30PM": datetime(2026, 11, 1, 23, 30),
    "2026-11-01 12:05 a.m.": datetime(2026, 11, 1, 0, 5),
    "2026-11-01 23:30:00 UTC": datetime(2026, 11, 1, 23, 30),
    "2026-11-01 23:30:00 +0100": datetime(2026, 11, 1, 22, 30),
    "2026-11-01T23:30:00Z": datetime(2026, 11, 1, 23, 30),
    "2026-11-01 23:30:00.123456 CET": datetime(2026, 11, 1, 22, 30, 0, 123456),
}


@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_read_as_it_is_meant(tmp_path, text):
    (tmp_path / "timestamp.txt").write_text(text + "\n")
    assert timestamp(tmp_path) == (TIMES[text], "")


@pytest.mark.parametrize("data", [b"tomorrow", b"", b"\xff\xfe", b"2026-13-45 99:99", b"1" * 99])
def test_a_time_that_cannot_be_read_is_flagged(tmp_path, data):
    (tmp_path / "timestamp.txt").write_bytes(data)
    when, flag = timestamp(tmp_path)
    assert when is None and "timestamp.txt cannot be read" in flag and "\n" not in flag


def test_no_time_is_no_flag(tmp_path):
    assert timestamp(tmp_path) == (None, "")


def test_a_later_hand_in_without_a_notebook_is_looked_at_again(tmp_path):
    """What was marked by hand belongs to the answer that was handed in then."""
    from nbgrader.api import Gradebook

    root, lesson = course_root(), "04-forward"
    master = Master.load(root, lesson)
    place = tmp_path / "submitted" / "ada" / lesson
    place.mkdir(parents=True)
    nbformat.write(solve(root, master), place / "forward.ipynb")
    (place / "timestamp.txt").write_text("whenever")

    def run():
        (graded,) = grade_class(
            find_submissions(tmp_path / "submitted", [lesson], [lesson]), root, tmp_path, Means(jobs=1)
        )
        return graded

    assert any("timestamp.txt" in flag for flag in run().flags)
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    with Gradebook(url, "deep-generative-models") as book:
        grade = book.find_grade("why_sqrt", "forward", lesson, "ada")
        grade.manual_score, grade.needs_manual_grade = 2.0, False
        book.db.commit()
    (place / "forward.ipynb").unlink()
    assert run().status == "failed"
    with Gradebook(url, "deep-generative-models") as book:
        grade = book.find_grade("why_sqrt", "forward", lesson, "ada")
        assert (grade.score, grade.needs_manual_grade) == (0.0, True)
        assert "2" in book.find_comment("why_sqrt", "forward", lesson, "ada").comment
        assert book.find_submission(lesson, "ada").score == 0.0
