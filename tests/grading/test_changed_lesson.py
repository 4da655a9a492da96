"""A lesson changes in mid-term: who is graded by what, what is held against whom, and who is accused of what."""

import re
import shutil

import pytest
from changing import FIRST, SECOND, Course
from nbgrader.api import Gradebook

from autograder.builder.release import ReleaseError
from autograder.grading import classroom

ANSWER = {"why_answer": "Because it is so."}


def term(folder, patch, client):
    course = Course(folder, patch, client)
    course.build(FIRST, {"plus_one": 2})
    course.build(SECOND, {"halve": 1})
    return course


@pytest.fixture(scope="module")
def changed(client, tmp_path_factory):
    """Two have handed in the first release of a lesson, which were graded; then it changes in every way at once, and
    three more hand in. What came of the first run, and of the second.
    """
    with pytest.MonkeyPatch.context() as patch:
        course = term(tmp_path_factory.mktemp("changed"), patch, client)
        old = course.fetch(FIRST)
        course.hand_in("ada", FIRST, course.fetch(FIRST), **ANSWER)
        course.hand_in("ben", FIRST, course.fetch(FIRST), plus_one="def plus_one(x):\n    return x.abs() + 1", **ANSWER)
        for student in ("ada", "ben"):
            course.hand_in(student, SECOND, course.fetch(SECOND))
        first = course.grade()
        course.build(FIRST, {"plus_one": 3, "thrice": 1}, text="A mended sentence.", label="looked at,", below="1 - x")
        course.hand_in("cleo", FIRST, old, **ANSWER)
        course.hand_in("dan", FIRST, course.fetch(FIRST), **ANSWER)
        course.hand_in("eve", FIRST, course.fetch(FIRST), without=("thrice",), **ANSWER)
        yield course, first, course.grade()


def points(results, lesson=FIRST):
    return {student: (g.points, g.max_points) for (student, name), g in results.items() if name == lesson}


def held(course, student, lesson=FIRST):
    """By the grade book: the names of the graded cells that are worth something, with their scores."""
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}", "deep-generative-models") as book:
        submission = book.find_submission(lesson, student)
        return {grade.name: grade.score for grade in submission.notebooks[0].grades if grade.max_score}


def test_everybody_is_graded_by_what_holds_now(changed):
    _, first, second = changed
    assert points(first) == {"ada": (2.0, 2.0), "ben": (1.0, 2.0)}
    full, lost = (3.0, 3.0), (3.0, 4.0)
    assert points(second) == {"ada": full, "ben": (1.5, 3.0), "cleo": full, "dan": (4.0, 4.0), "eve": lost}


def test_the_other_lesson_goes_on_and_is_not_graded_again(changed):
    _, first, second = changed
    assert points(second, SECOND) == {"ada": (1.0, 1.0), "ben": (1.0, 1.0)}
    first, second = (
        {name: round(graded.seconds, 3) for (name, lesson), graded in run.items() if lesson == SECOND}
        for run in (first, second)
    )
    assert first == second


def test_what_a_release_lacked_has_no_row_and_a_flag(changed):
    course, _, second = changed
    for student in ("ada", "ben", "cleo"):
        assert "thrice-graded" not in held(course, student)
        assert second[student, FIRST].flags == (
            "thrice was added after the release of this hand-in: it does not count, for or against",
        )
    assert held(course, "dan") == {"plus_one-graded": 3.0, "thrice-graded": 1.0, "why": 0.0}
    assert second["dan", FIRST].flags == ()


def test_nobody_is_accused_of_what_a_release_said_and_deleting_gains_nothing(changed):
    course, _, second = changed
    said = " ".join(flag for graded in second.values() for flag in graded.flags)
    assert "had been changed" not in said and "unknown cell" not in said
    flags = second["eve", FIRST].flags
    assert flags == tuple(f"cell thrice{role} is missing; restored" for role in ("", "-checks", "-graded"))
    assert held(course, "eve")["thrice-graded"] == 0.0


def page(course, student):
    return (course.folder / "feedback" / student / FIRST / "first.html").read_text()


def test_pages_show_the_lesson_as_it_is_now_and_say_what_does_not_count(changed):
    course, *_ = changed
    for student, counts in {"ada": False, "cleo": False, "dan": True, "eve": True}.items():
        text = page(course, student)
        assert text.count("A mended sentence.") == 1 and "A sentence." not in text
        (head,) = re.findall(r"<h4>(.*?)</h4>", text, re.S)
        assert head.startswith(f"first: {4 if student == 'dan' else 3} of {6 if counts else 5} points")
        assert ("Added after your release: it does not count." in text) != counts
        assert ("<code>thrice</code></a></td>" in text) == counts


def test_an_instructor_may_say_otherwise(changed, client, tmp_path, monkeypatch):
    done, *_ = changed
    for option in ({"added": "counts"}, {}):
        folder = tmp_path / option.get("added", "config")
        shutil.copytree(done.folder, folder)
        other = Course(folder, monkeypatch, client, done.exercises)
        if not option:
            with (folder / "nbgrader_config.py").open("a") as config:
                config.write('c.Lessons.added = "counts"\n')
        assert points(other.grade(**option))["ada"] == (3.0, 4.0)
        assert held(other, "ada")["thrice-graded"] == 0.0
        if option:
            assert points(other.grade())["ada"] == (3.0, 3.0), "and back"
            assert "thrice-graded" not in held(other, "ada")


def test_nbgraders_own_route_counts_the_same(changed, client, tmp_path, monkeypatch):
    done, *_ = changed
    folder = tmp_path / "other"
    shutil.copytree(done.folder, folder)
    other = Course(folder, monkeypatch, client, done.exercises)
    before = {student: held(other, student) for student in ("ada", "dan", "eve")}
    texts = {student: page(other, student) for student in ("ada", "eve")}
    other.autograde()
    other.autograde()  # rows that are not there are no hindrance
    assert {student: held(other, student) for student in ("ada", "dan", "eve")} == before
    other.grade(again=True)
    assert {student: page(other, student) for student in texts} == texts


def test_a_lesson_that_cannot_be_released_leaves_the_others_alone(client, tmp_path, monkeypatch):
    course = term(tmp_path, monkeypatch, client)
    for lesson in (FIRST, SECOND):
        course.hand_in("ada", lesson, course.fetch(lesson), **ANSWER)
    real = classroom.release

    def release(lesson, *about, **options):
        if lesson == FIRST:
            raise ReleaseError("nbgrader cannot release 01-first: no reason")
        return real(lesson, *about, **options)

    monkeypatch.setattr(classroom, "release", release)
    results = course.grade()
    assert results["ada", SECOND].points == 1.0
    assert results["ada", FIRST].status == "not graded"
    assert results["ada", FIRST].flags == ("not graded: nbgrader cannot release 01-first: no reason",)
