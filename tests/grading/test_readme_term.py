"""The README's term, in its order: each command is run as it stands there, on a small course."""

import re
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path

import nbformat
import pytest
from changing import FIRST, SECOND, Course
from nbgrader.api import Gradebook
from test_played_term import home, nbgrader

from autograder.builder import building, commands
from autograder.cli import main
from autograder.feedback import commands as feedback

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TERM = README[README.index("### A term, in order") : README.index("#### From hand-in to fetched page")]
LINES = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TERM, re.S)
    for line in block.splitlines()
]
(SETTINGS,) = re.findall(r"```python\n(.*?)```", TERM, re.S)
STUDENTS = "Student,ID,SIS User ID,SIS Login ID,Section\n" + "".join(
    f'"{name.title()}, A",{number},,{name},\n' for number, name in enumerate(("ada", "ben", "eve", "zoe"))
)


@pytest.fixture(scope="module")
def played(client, tmp_path_factory):
    """The course after all commands, with what students do between them."""
    term = tmp_path_factory.mktemp("readme")
    folder = term / "course"
    folder.mkdir()
    (term / "exchange").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        course = Course(folder, patch, client)
        for module in (commands, feedback):
            patch.setattr(module, "course_root", lambda: folder)
        patch.setattr(building, "hidden_checks", lambda lesson, draft=False: course.exercises[lesson])
        patch.setattr(commands, "declared", lambda lesson: course.exercises[lesson])
        course.build(FIRST, {"plus_one": 2})
        course.build(SECOND, {"halve": 1})
        settings = SETTINGS.replace("02-vae", FIRST).replace("/srv/nbgrader/exchange", str(term / "exchange"))
        (folder / "nbgrader_config_local.py").write_text(settings)
        (folder / "students.csv").write_text(STUDENTS)
        said = {}
        for line in LINES:
            before(line, course)
            said[line] = ran(line.replace("02-vae", FIRST), course)
        yield course, said


def before(line, course):
    """What happens before a command of the README's."""
    folder = course.folder
    if line.startswith("nbgrader collect"):
        for student in ("ada", "eve"):
            nbgrader(home(folder, student), "fetch_assignment", FIRST)
            path = home(folder, student) / FIRST / "first.ipynb"
            notebook = nbformat.read(path, 4)
            for cell in notebook.cells:
                cell.source = "def plus_one(x):\n    return x + 1" if cell["id"] == "plus_one" else cell.source
            nbformat.write(notebook, path)
            nbgrader(home(folder, student), "submit", FIRST, f"--student={student}")
        course.hand_in("ben", FIRST, course.fetch(FIRST))
    if line == "course build 02-vae":
        course.add(FIRST, {"plus_one": 2, "thrice": 1})


def ran(line, course):
    """Run a command; its exit status, or True."""
    program, *words = shlex.split(line)
    if program == "course":
        return 0 if words[0] == "doctor" else main(words + ["--jobs", "1"] * (words[0] == "grade"))
    if program == "nbgrader":
        nbgrader(course.folder, *words)
        return 0
    if program == "source":
        return 0 if words == [".venv/bin/activate"] else 1
    return subprocess.run([program, *words], cwd=course.folder, check=False).returncode


def test_every_command_runs(played):
    _, said = played
    assert len(said) >= 18
    assert set(said.values()) == {0}, said


def test_the_term_ends_as_it_should(played):
    course, _ = played
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}", "deep-generative-models") as book:
        assert {one.id for one in book.students} == {"ada", "ben", "zoe"}
        assert book.find_submission(FIRST, "ada").score == 2.0
    table = (course.folder / "grades.csv").read_text()
    assert "01-first,2031-06-01 21:30:00,,zoe,Zoe,A,,,,,5.0,open,," in table, "nothing is due yet"
    assert "plus_one" in table.splitlines()[0]
    assert (course.folder / "grades-canvas.csv").read_text().startswith("Student,ID,")
    assert (course.folder / "grades-moodle.csv").read_text().startswith("Username,")
    assert list(course.folder.glob("gradebook-*.db")), "an exercise was added"
    with tarfile.open(course.folder / "term.tgz") as held:
        assert {"gradebook.db", "submitted", ".graded", "extensions.json"} <= set(held.getnames())


def test_the_commands_that_are_named_exist():
    assert shutil.which("tar")
    for warned in ("e2xgrader 0.3.6", "--output-strategy clear-all", "grader-service 0.12"):
        assert warned in TERM
