"""The main job, on real input: the sample class graded by `course demo` and by stock nbgrader, with equal marks."""

import csv
import json
import os
import re
from pathlib import Path

import pytest
from course_command import nbgrader

from autograder.checkout import course_root
from autograder.cli import main
from autograder.grading.demo import LESSON, MISTAKES

SUBMISSION = {"student", "lesson", "status", "seconds", "flags", "exercises"}
EXERCISE = {"name", "points", "max_points", "passed", "unwritten", "diagnosis", "message", "outcomes"}
OUTCOME = {"what", "points", "max_points", "passed", "message"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder that `course demo` filled, and its JSON by student."""
    out = tmp_path_factory.mktemp("demo")
    here = Path.cwd()
    os.chdir(course_root())
    try:
        assert main(["demo", "--out", str(out), "--json", str(out / "marks.json")]) == 0
    finally:
        os.chdir(here)
    results = json.loads((out / "marks.json").read_text())["submissions"]
    return out, {result["student"]: result for result in results}


def lost(result):
    return {exercise["name"] for exercise in result["exercises"] if not exercise["passed"]}


def points(result):
    return sum(exercise["points"] for exercise in result["exercises"])


def test_the_json_has_the_promised_shape(demo):
    for result in demo[1].values():
        assert set(result) == SUBMISSION and result["status"] in ("graded", "failed")
        for exercise in result["exercises"]:
            assert set(exercise) == EXERCISE
            assert all(set(outcome) == OUTCOME for outcome in exercise["outcomes"])


def test_perfect_and_noisy_get_everything(demo):
    for student in ("ada", "grace"):
        assert lost(demo[1][student]) == set() and demo[1][student]["flags"] == []


def test_the_untouched_one_gets_nothing_and_is_told_so(demo):
    untouched = demo[1]["hugo"]
    assert points(untouched) == 0
    assert all("not written yet" in exercise["message"].lower() for exercise in untouched["exercises"])
    assert all(exercise["unwritten"] for exercise in untouched["exercises"])
    assert not any(exercise["unwritten"] for exercise in demo[1]["ada"]["exercises"])


@pytest.mark.parametrize("student", MISTAKES)
def test_a_mistake_costs_its_own_exercise_alone(demo, student):
    assert lost(demo[1][student]) == set(MISTAKES[student])


def test_mistakes_are_named(demo):
    for student in ("ben", "chloe", "dmitri"):
        wrong = [exercise for exercise in demo[1][student]["exercises"] if not exercise["passed"]]
        assert all(exercise["diagnosis"] for exercise in wrong), student


def test_what_never_ends_and_what_is_broken_have_their_reason(demo):
    assert any("did not finish" in flag for flag in demo[1]["finn"]["flags"])
    assert demo[1]["iris"]["status"] == "failed" and "vae.ipynb" in demo[1]["iris"]["flags"][0]


def test_everybody_gets_a_page_without_hidden_checks(demo):
    out, results = demo
    for student in results:
        page = (out / "feedback" / student / LESSON / "vae.html").read_text()
        assert not re.search(r"HIDDEN TESTS|MARK SCHEME|BEGIN SOLUTION|import grade|globals\(\)", page)
    assert "factor" in (out / "feedback" / "ben" / LESSON / "vae.html").read_text()


def test_stock_nbgrader_gives_the_same_marks(demo, tmp_path):
    out, results = demo
    settings = [
        f"--CourseDirectory.root={tmp_path}",
        f"--CourseDirectory.source_directory={course_root() / 'solutions'}",
    ]
    settings += [f"--CourseDirectory.release_directory={tmp_path / 'notebooks'}"]
    settings += [f"--CourseDirectory.submitted_directory={out / 'submitted'}", "--GradeOutside.cell_seconds=5"]

    def ran(*words):
        return nbgrader(*words, cwd=course_root())

    made = ran("generate_assignment", LESSON, "--force", *settings)
    assert made.returncode == 0, made.stderr[-2000:]
    graded = ran("autograde", LESSON, *settings)
    fed_back = ran("generate_feedback", LESSON, *settings)
    exported = ran("export", f"--to={tmp_path / 'grades.csv'}", *settings)
    assert fed_back.returncode == 0 and exported.returncode == 0, graded.stderr[-2000:]
    with (tmp_path / "grades.csv").open() as file:
        marks = {row["student_id"]: float(row["raw_score"]) for row in csv.DictReader(file) if row["raw_score"]}
    assert {student: marks.get(student, 0.0) for student in results} == pytest.approx(
        {student: points(result) for student, result in results.items()}
    )


def test_a_syntax_error_above_is_not_told_as_something_below(demo):
    _, results = demo
    assert not any("below" in flag for flag in results["eve"]["flags"])


@pytest.mark.parametrize("place", ["zoe/02-vae/vae.ipynb", "ada/01-elbo/elbo.ipynb"])
def test_a_class_of_ones_own_is_not_overwritten(tmp_path, monkeypatch, capsys, place):
    handed_in = tmp_path / "submitted" / place
    handed_in.parent.mkdir(parents=True)
    handed_in.write_text("{}")
    monkeypatch.chdir(course_root())
    for out, why in ((tmp_path, "holds hand-ins of a class"), (course_root(), "the checkout itself")):
        with pytest.raises(SystemExit):
            main(["demo", "--out", str(out)])
        assert why in capsys.readouterr().err
    assert handed_in.read_text() == "{}" and [one.name for one in tmp_path.iterdir()] == ["submitted"]
