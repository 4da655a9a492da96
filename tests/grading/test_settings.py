"""The settings of a term stand in a file of their own, and hold for `course` and for nbgrader."""

import argparse
import subprocess

import pytest
from test_lateness import DUE, LATE, book_of, penalties
from tiny import LESSON

from autograder.checkout import course_config, course_root
from autograder.grading import commands, options
from autograder.hand_in.finding import ClassError

LOCAL = "nbgrader_config_local.py"
SETTINGS = f"""
c = get_config()
c.Exchange.root = "/srv/exchange-of-2031"
c.LateSubmissionPlugin.penalty_method = "zero"
c.Lessons.due = {{"{LESSON}": "2031-05-24 2 PM Europe/Berlin"}}
c.GradeOutside.cell_seconds = 7
c.GradeOutside.memory_gib = 2
"""


def test_a_term_by_its_settings_alone(course):
    folder, grade = course
    (folder / "submitted" / "ada" / LESSON / "timestamp.txt").write_text(LATE)
    (folder / LOCAL).write_text(SETTINGS)
    grade()
    with book_of(folder) as book:
        assert book.find_assignment(LESSON).duedate == DUE
    assert penalties(folder)["ada"] == 3.0
    assert course_config(folder).Exchange.root == "/srv/exchange-of-2031"
    (folder / LOCAL).write_text(SETTINGS.replace("2031-05-24", "2031-05-26"))
    grade()
    assert penalties(folder)["ada"] is None
    (folder / LOCAL).write_text(SETTINGS.replace("2031-05-24 2 PM Europe/Berlin", "soon"))
    with pytest.raises(ClassError, match=r"^c\.Lessons\.due, 99-tiny: 'soon' is no date$"):
        grade()
    (folder / LOCAL).unlink()
    grade()
    with book_of(folder) as book:
        assert book.find_assignment(LESSON).duedate is not None, "the grade book's own stands"


def test_nbgrader_reads_them_too(course):
    from nbgrader.apps import NbGraderApp

    folder, _ = course
    (folder / LOCAL).write_text(SETTINGS)
    app = NbGraderApp()
    app.config_file_paths.insert(0, str(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        app.load_config_file()
    assert app.config.Exchange.root == "/srv/exchange-of-2031" and app.config.GradeOutside.cell_seconds == 7


def parsed(*line):
    parser = argparse.ArgumentParser()
    options.add_grade(parser.add_subparsers())
    return parser.parse_args(["grade", *line])


def test_limits_are_the_terms_unless_a_command_says_otherwise(course):
    folder, _ = course
    default = commands._limits(parsed(), course_config(folder))
    (folder / LOCAL).write_text(SETTINGS)
    config = course_config(folder)
    limits = commands._limits(parsed(), config)
    assert (limits.cell, limits.call, limits.all.memory) == (7.0, default.call, 2 * 2**30)
    limits = commands._limits(parsed("--cell-seconds", "3", "--memory-gib", "1.5"), config)
    assert (limits.cell, limits.submission, limits.all.memory) == (3.0, default.submission, 1.5 * 2**30)


def test_the_file_is_not_tracked():
    done = subprocess.run(
        ["git", "check-ignore", LOCAL], cwd=course_root(), capture_output=True, text=True, check=False
    )
    if done.returncode == 128:
        pytest.skip("no repository here")
    assert done.stdout.strip() == LOCAL
