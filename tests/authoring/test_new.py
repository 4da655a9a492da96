"""`course new` makes a lesson that builds and passes, in a checkout of its own; and refuses what is taken."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.authoring.new import TEMPLATES, new_lesson
from autograder.checkout import WrongCall, course_root

ROOT = Path(__file__).resolve().parents[2]
LESSON, EXERCISE = "97-authors", "precision_weighted_mean_of_two"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of all that a lesson touches, without the other lessons' notebooks."""
    folder = tmp_path_factory.mktemp("house")
    leave = shutil.ignore_patterns("__pycache__", "*.ipynb", "*.egg-info")
    for place in ("autograder", "course_lib", "solutions", "tests/autograder/lessons"):
        shutil.copytree(ROOT / place, folder / place, ignore=leave)
    for place in ("README.md", "nbgrader_config.py"):
        shutil.copy(ROOT / place, folder / place)
    return folder


def course(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "import sys; from autograder.cli import main; sys.exit(main())", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def test_a_new_lesson_builds_and_passes(house):
    made = course(house, "new", LESSON, "--exercise", EXERCISE)
    assert made.returncode == 0, made.stderr
    before = course(house, "check", LESSON)
    wrong = [line for line in before.stdout.splitlines() if line.startswith("  ")]
    assert before.returncode == 1 and [re.search("course (build|doctor)", line)[1] for line in wrong] == [
        "build"
    ] * 2 + ["doctor"]
    for command in (("build", LESSON), ("doctor", "--record", LESSON), ("check", LESSON)):
        done = course(house, *command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert "all proofs hold" in done.stdout and "✗" not in done.stdout
    files = [house / "solutions" / LESSON, house / "autograder/lessons/authors"]
    tidy = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "--config", ROOT / "solutions" / "ruff.toml", *files[:1]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert tidy.returncode == 0, tidy.stdout


@pytest.mark.parametrize(
    ("lesson", "exercise", "said"),
    [
        ("flows", "", "two digits, a dash and one word"),
        ("12-Flows", "", "two digits"),
        ("02-other", "", "there is 02-vae already"),
        ("98-vae", "", "there is 02-vae already"),
        ("98-nowhere", "gaussian_kl", "an exercise of 02-vae"),
        ("98-nowhere", "not a name", "no name of a function"),
    ],
)
def test_what_is_taken_is_refused_and_nothing_is_written(lesson, exercise, said, tmp_path):
    (tmp_path / "solutions").symlink_to(course_root() / "solutions")
    with pytest.raises(WrongCall, match=said):
        new_lesson(tmp_path, lesson, exercise)
    assert [path.name for path in tmp_path.iterdir()] == ["solutions"]


def test_the_row_stands_in_its_place(tmp_path):
    rows = ["| [`01-elbo`](notebooks/01-elbo/elbo.ipynb) | a |", "| [`13-last`](notebooks/13-last/last.ipynb) | b |"]
    (tmp_path / "README.md").write_text("\n".join([*rows, "", "end"]))
    (tmp_path / "solutions").mkdir()
    new_lesson(tmp_path, "12-nowhere", "")
    found = (tmp_path / "README.md").read_text().split("\n")
    assert [found[0], found[2]] == rows
    assert found[1].startswith("| [`12-nowhere`](notebooks/12-nowhere/nowhere.ipynb) |")


def test_the_skeleton_has_all_that_the_guide_promises():
    text = (TEMPLATES / "lesson.py.txt").read_text(encoding="utf-8")
    for part in ('exercise="@exercise@"', 'step="', "predict=", "plots.show(", "widgets.explore(", "schematic.canvas("):
        assert part in text, part
