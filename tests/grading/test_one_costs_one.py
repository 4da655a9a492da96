"""Does whatever goes wrong with one submission cost it alone, with every earlier mark, notebook and page in place?"""

import csv
import itertools
import json
import os
import threading

import pytest
import sqlalchemy
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import SaveAutoGrades
from rich.console import Console
from tiny import LESSON
from tiny_class import MARKS, STUDENTS, autograde, held, scores

from autograder.feedback.writer import FeedbackWriter
from autograder.grading import classroom, finished, gradebook, runner, storing, workers
from autograder.grading.exchange import Exchange
from autograder.grading.gradebook import GradebookWriter
from autograder.grading.ledger import Ledger
from autograder.grading.report import print_table
from autograder.grading.run import Run
from autograder.hand_in.finding import find_submissions
from autograder.plugins import outside as step
from autograder.plugins.export import CsvWithGaps


class Injected(RuntimeError):
    """A bug of ours."""


def fail_for(monkeypatch, owner, name, victim, after=False):
    """Make `owner.name` raise while `victim` is at hand."""
    real = getattr(owner, name)

    def broken(*args, **kwargs):
        if after:
            real(*args, **kwargs)
        if victim in getattr(at_hand, "students", ()) or any(
            getattr(one, "student", one) == victim for one in args if one is not None
        ):
            raise Injected("a bug of ours")
        return None if after else real(*args, **kwargs)

    monkeypatch.setattr(owner, name, broken)


at_hand = threading.local()  # grading and storing are two threads


@pytest.fixture(autouse=True)
def _who(monkeypatch):
    """Keeps in `at_hand` whose submissions are being graded or stored: steps are not told."""
    for owner, name, whose in (
        (workers.Grading, "grade", lambda args: [args[1].student]),
        (step, "grade_notebook", lambda args: [args[1]]),
        (storing, "_put", lambda args: [entry.student for entry in args[0]]),
    ):
        real = getattr(owner, name)

        def noted(*args, real=real, whose=whose, **options):
            at_hand.students = whose(args)
            try:
                return real(*args, **options)
            finally:
                at_hand.students = ()

        monkeypatch.setattr(owner, name, noted)


GRADING = {
    "reading": (runner, "read"),
    "restoring": (runner, "restore"),
    "a new process": (Run, "fresh"),
    "running": (Run, "_keep"),
    "marking": (runner, "judge"),
    "marking again": (runner, "to_reconsider"),
    "verdicts": (runner, "with_verdicts"),
}
STORING = {
    "the marks": (SaveAutoGrades, "_add_comment"),
    "the notebook": (finished, "written"),
    "the rows": (GradebookWriter, "_save"),
    "the last row": (gradebook, "store"),
    "the penalty": (GradebookWriter, "settle"),
    "the page": (FeedbackWriter, "_filled"),
    "the places": (Exchange, "swap"),
}


def each_at_some(places):
    """(place, student) with every place and every student, and at the first place all students."""
    first, *others = places
    turns = zip(others, itertools.cycle(STUDENTS), strict=False)
    return [*((first, student) for student in STUDENTS), *turns]


@pytest.mark.parametrize(("where", "victim"), [*each_at_some(GRADING), *itertools.product(STORING, STUDENTS)])
def test_an_exception_in_any_step_costs_that_submission_alone(graded, monkeypatch, where, victim):
    folder, grade = graded
    before = held(folder)
    with monkeypatch.context() as patch:
        fail_for(patch, *{**GRADING, **STORING}[where], victim)
        second = grade(again=True)
    assert {name: g.status for name, g in second.items()} == {
        name: "not graded" if name == victim else "graded" for name in STUDENTS
    }
    public = second[victim].public()
    assert public["exercises"] == [] and "a bug of ours" in public["flags"][0] and json.dumps(public)
    assert {name: g.points for name, g in second.items() if name != victim} == {
        n: MARKS[n] for n in STUDENTS if n != victim
    }
    assert held(folder) == before
    third = grade()  # the ledger knows the first run's results, which stand
    assert {name: g.points for name, g in third.items()} == MARKS


@pytest.mark.parametrize("where", ["marking", "the marks", "the last row", "the page", "the places"])
def test_a_first_hand_in_that_is_not_graded_has_no_score(course, monkeypatch, where, capsys):
    folder, grade = course
    with monkeypatch.context() as patch:
        fail_for(patch, *{**GRADING, **STORING}[where], "ben")
        results = grade()
    assert results["ben"].status == "not graded" and scores(folder) == {n: MARKS[n] for n in ("ada", "chloe")}
    print_table(list(results.values()), Console(width=200))
    assert "not graded" in capsys.readouterr().out
    rows = exported(folder)
    assert rows["ben"]["score"] == "" and rows["ada"]["score"] == "3.0"
    assert {name: g.status for name, g in grade().items()} == dict.fromkeys(STUDENTS, "graded")
    assert scores(folder) == MARKS


def exported(folder):
    table = CsvWithGaps()
    table.to = str(folder / "grades.csv")
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", "deep-generative-models") as book:
        table.export(book)
    rows = csv.DictReader((folder / "grades.csv").read_text().splitlines())
    return {row["student_id"]: row for row in rows}


def test_a_result_that_cannot_be_noted_is_graded_and_graded_again(course, monkeypatch):
    folder, grade = course
    with monkeypatch.context() as patch:
        fail_for(patch, Ledger, "record", "ben")
        results = grade()
    assert {name: g.points for name, g in results.items()} == MARKS == scores(folder)
    assert "not noted" in results["ben"].flags[-1]


def test_workers_that_are_lost_leave_the_rest_for_the_next_run(course, monkeypatch):
    folder, grade = course
    real = classroom.graded_as_they_come

    def cut(client, tasks):
        for together in real(client, tasks):
            yield together[:1]
            raise OSError("the scheduler is gone")

    with monkeypatch.context() as patch:
        patch.setattr(classroom, "graded_as_they_come", cut)
        statuses = sorted(g.status for g in grade().values())
    assert statuses == ["graded", "not graded", "not graded"]
    assert {name: g.points for name, g in grade().items()} == MARKS == scores(folder)


NBGRADERS = ("the rows", "marking", "the copy", "an error that ends nbgrader's loop")


@pytest.mark.parametrize(("where", "victim"), each_at_some(NBGRADERS))
def test_nbgraders_own_route_keeps_what_was_there(course, monkeypatch, where, victim):
    folder, _ = course
    autograde(folder)
    assert scores(folder) == MARKS
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", "deep-generative-models") as book:
        book.find_comment("tiny_double", "tiny", LESSON, victim).manual_comment = "by hand"
        book.db.commit()
    before = held(folder)
    with monkeypatch.context() as patch:
        break_nbgrader(patch, where, victim)
        with pytest.raises(NbGraderException):
            autograde(folder)
    assert held(folder) == before
    autograde(folder)
    assert scores(folder) == MARKS


def break_nbgrader(patch, where, victim):
    if where == "marking":
        fail_for(patch, runner, "judge", victim)
        return
    owner, name = (Autograde, "init_assignment") if where == "the copy" else (SaveAutoGrades, "_add_comment")
    real = getattr(owner, name)

    def broken(self, *args):
        real(self, *args)  # half is done
        if victim in (*args, getattr(self, "student_id", "")):
            if where == "an error that ends nbgrader's loop":
                raise sqlalchemy.exc.OperationalError("select", {}, Injected("a bug of ours"))
            raise Injected("a bug of ours")

    patch.setattr(owner, name, broken)


def test_a_first_hand_in_that_nbgraders_route_does_not_grade_has_no_score(course, monkeypatch):
    folder, _ = course
    with monkeypatch.context() as patch:
        break_nbgrader(patch, "the rows", "ada")
        with pytest.raises(NbGraderException):
            autograde(folder)
    assert scores(folder) == {name: MARKS[name] for name in ("ben", "chloe")}
    assert exported(folder)["ada"]["score"] == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs somebody else's rights to give away")
def test_what_an_ordinary_user_may_not_enter_stops_nobody(tmp_path):
    """Asked of the kernel as a user without root's rights, in a process of its own."""
    for name, mode in {"ada": 0o755, "ben": 0o000, "chloe": 0o644}.items():
        (tmp_path / name / LESSON).mkdir(parents=True)
        (tmp_path / name).chmod(mode)
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_mode & 0o005 != 0o005:
            place.chmod(place.stat().st_mode | 0o005)
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.setgid(64999)
            os.setuid(64999)
            said = [(entry.student, entry.trouble) for entry in find_submissions(tmp_path, [LESSON])]
        except BaseException as error:
            said = [repr(error)]
        os.write(write, json.dumps(said).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    said = json.loads(os.read(read, 10_000))
    assert [one[0] for one in said] == ["ada", "ben", "chloe"], said
    assert said[0][1] == "" and "ben cannot be looked into" in said[1][1]
