"""The builder on a made-up lesson: what it writes, that it writes the same twice, and what it says when it cannot."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from tiny_course import EXERCISES, LESSON, Points, tiny_course

from autograder import cli
from autograder.builder import building, commands
from autograder.builder import notebooks as builder
from autograder.builder.assemble import assemble
from autograder.builder.lag import orphans, stale
from autograder.builder.notebooks import build
from autograder.builder.release import release
from autograder.builder.source import LessonError, read_lesson
from autograder.checkout import course_config, database_url

CHECK = LESSON.splitlines().index("print(double(2))") + 1
PRINTING = "from ipywidgets import interact\ninteract(lambda x: print(x), x=3);"
POINTS = {name: exercise.points for name, exercise in EXERCISES.items()}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A course whose lesson is built. Tests that change it copy it."""
    root = tmp_path_factory.mktemp("built")
    build(tiny_course(root), root, EXERCISES)
    return root


@pytest.fixture
def course(built, tmp_path) -> Path:
    """A copy of the built course, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "course"))


def read(root: Path, kind: str) -> nbformat.NotebookNode:
    return nbformat.read(root / kind / "01-tiny" / "tiny.ipynb", as_version=4)


def source_of(root: Path) -> Path:
    return root / "solutions" / "01-tiny" / "tiny.py"


def outdated(root: Path, exercises=EXERCISES) -> list[str]:
    """The notebooks that `--check` names, by what is wrong with them."""
    return [line.text for line in stale(source_of(root), root, exercises)]


def test_the_solution_notebook_is_executed_and_carries_nbgrader_metadata(built):
    cells = {cell.id: cell for cell in read(built, "solutions").cells}
    nbgrader = {name: cell.metadata.nbgrader for name, cell in cells.items() if "nbgrader" in cell.metadata}
    keys = ("grade", "solution", "locked", "task")
    assert {name: [data[key] for key in keys] + [data.get("points")] for name, data in nbgrader.items()} == {
        "double": [False, True, False, False, None],
        "double-checks": [True, False, True, False, 0],
        "double-graded": [True, False, True, False, 2],
        "Counter": [False, True, False, False, None],
        "Counter-checks": [True, False, True, False, 0],
        "Counter-graded": [True, False, True, False, 1.5],
        "why": [False, False, True, True, 3],
        "why-answer": [True, True, False, False, 0],
        "doubled": [False, True, False, False, None],
        "doubled-checks": [True, False, True, False, 0],
    }
    assert all(data["schema_version"] == 3 and data["grade_id"] == name for name, data in nbgrader.items())
    assert [output.output_type for output in cells["double-graded"].outputs] == ["stream"]  # its grade is no output
    assert 'grade("double", globals())' in cells["double-graded"].source
    assert "distributivity" in cells["why"].source
    assert "model answer" not in cells["why"].source
    assert "model answer" in cells["why-answer"].source


def test_the_student_notebook_shows_neither_solution_nor_checks_nor_rubric(built):
    text = (built / "notebooks" / "01-tiny" / "tiny.ipynb").read_text()
    for secret in ("2 * a\\n", "self.steps", "HIDDEN", "globals()", "MARK SCHEME", "distributivity", "model answer"):
        assert secret not in text
    notebook = read(built, "notebooks")
    assert [cell.id for cell in notebook.cells] == [cell.id for cell in read(built, "solutions").cells]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    sources = {cell.id: cell.source for cell in notebook.cells}
    assert 'NotImplementedError("double: write this function' in sources["double"]
    assert sources["Counter"].count('NotImplementedError("Counter: write this part of the class') == 2
    assert sources["double-graded"].startswith("# double, 2 points: hidden checks run here")
    assert sources["double-graded"].count("\n") == 0
    assert not (built / "notebooks" / "01-tiny" / "tiny.py").exists()


def test_a_notebook_has_nothing_of_the_machine_it_was_built_on(built):
    for kind in ("solutions", "notebooks"):
        path = built / kind / "01-tiny" / "tiny.ipynb"
        text = path.read_text(encoding="utf-8")
        assert text.endswith("}\n")
        assert str(built) not in text
        notebook = json.loads(text)
        assert notebook["metadata"]["kernelspec"]["name"] == "python3"
        assert "version" not in notebook["metadata"]["language_info"]
        assert set(notebook["metadata"]) == {"course", "kernelspec", "language_info"}
        assert {key for cell in notebook["cells"] for key in cell["metadata"]} <= {
            "nbgrader", "tags", "deletable", "editable", "jupyter",
        }  # fmt: skip


def test_building_again_changes_no_byte(course):
    paths = [course / kind / "01-tiny" / "tiny.ipynb" for kind in ("solutions", "notebooks")]
    before = [path.read_bytes() for path in paths]
    build(source_of(course), course, EXERCISES)
    assert [path.read_bytes() for path in paths] == before


def test_an_inserted_cell_changes_no_other_id(tmp_path):
    def ids(text: str) -> list[str]:
        return [cell.id for cell in assemble(read_lesson(tiny_course(tmp_path, text), tmp_path), POINTS).notebook.cells]

    now = "# %% [markdown]\n# Now"
    before, after = ids(LESSON), ids(LESSON.replace(now, f"# %%\n# Another cell\nx = 1\n\n{now}"))
    assert len(after) == len(before) + 1
    assert set(before) < set(after)
    twice = LESSON.replace("# Now a class.", "# Same.\n\n# %% [markdown]\n# Same.")
    assert len(set(ids(twice))) == len(ids(twice))


def test_check_names_what_lags_is_missing_or_was_edited(course):
    both = ["solutions/01-tiny/tiny.ipynb lags solutions/01-tiny/tiny.py or its points"]
    both.append("notebooks/01-tiny/tiny.ipynb lags solutions/01-tiny/tiny.py or its points")
    assert outdated(course) == []
    assert outdated(course, EXERCISES | {"double": Points("double", 3)}) == both
    source_of(course).write_text(LESSON + "\n# %%\n# Another cell\nx = 1\n")
    assert outdated(course) == both
    source_of(course).write_text(LESSON)
    for kind in ("solutions", "notebooks"):
        path = course / kind / "01-tiny" / "tiny.ipynb"
        kept = path.read_text()
        path.write_text(kept.replace("Now a class", "Now the class"))
        assert outdated(course) == [f"{kind}/01-tiny/tiny.ipynb was edited by hand"]
        path.write_text("{")
        assert outdated(course) == [f"{kind}/01-tiny/tiny.ipynb is no notebook"]
        path.unlink()
        assert outdated(course) == [f"{kind}/01-tiny/tiny.ipynb is missing"]
        path.write_text(kept)
    assert list(orphans(course)) == []
    (course / "notebooks" / "02-gone").mkdir()
    (course / "notebooks" / "02-gone" / "gone.ipynb").touch()
    assert [line.text.split()[0] for line in orphans(course)] == ["notebooks/02-gone/gone.ipynb"]


def test_the_outline_says_what_a_lesson_asks_for_and_its_lag_is_named(course):
    path = course / "course_lib/outline.json"
    asked = json.loads(path.read_text())["01-tiny"]["asked"]
    assert {name: held[0] for name, held in asked.items()} == {"double": 2, "Counter": 1.5, "why": 3, "doubled": 0}
    assert asked["double"][1] == 0 and asked["why"][1] is None  # its checks tick nothing; a written answer has none
    assert outdated(course) == []
    path.write_text(path.read_text().replace('"source_hash": "', '"source_hash": "0'))
    assert outdated(course) == ["course_lib/outline.json lags solutions/01-tiny/tiny.py or its points"]


def test_check_runs_nothing_and_leaves_the_grade_book_alone(course, monkeypatch, capsys):
    monkeypatch.chdir(course)
    monkeypatch.setattr(commands, "declared", lambda lesson: EXERCISES)
    monkeypatch.setattr(builder, "execute", None)
    (course / "gradebook.db").unlink()
    assert cli.main(["build", "--check"]) == 0
    assert "up to date: 01-tiny" in capsys.readouterr().out
    source_of(course).write_text(LESSON + "\n# %%\n# Another cell\nx = 1\n")
    assert cli.main(["build", "--check", "01-tiny"]) == 1
    assert "solutions/01-tiny/tiny.ipynb lags" in capsys.readouterr().out
    assert not (course / "gradebook.db").exists()
    with pytest.raises(SystemExit) as stopped:
        cli.main(["build", "--check", "09-none"])
    assert stopped.value.code == 2
    assert "no lesson 09-none: there is 01-tiny" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("print(double(2))", "x = 1\nprint(double(y))", CHECK + 1, "NameError: name 'y' is not defined"),
        ("    return 2 * a", "    return 1 / 0", CHECK, "ZeroDivisionError: division by zero"),
        ("    return 2 * a", "    return abs(2 * a)", CHECK - 1, "the solution gets 1.0 of 2 points. secret remark"),
        ("print(double(2))", PRINTING, CHECK - 1, "leaves a live widget: use course_lib.widgets.explore"),
        ("print(double(2))", "object()", CHECK - 1, "shows a memory address (at 0x"),
        ("print(double(2))", "import sys; print('oh', file=sys.stderr)", CHECK - 1, "writes to stderr: oh"),
    ],
)
def test_a_cell_that_fails_is_named_and_nothing_is_overwritten(course, old, new, line, expected):
    before = {path: path.read_bytes() for path in course.rglob("*.ipynb")}
    source_of(course).write_text(LESSON.replace(old, new))
    with pytest.raises(LessonError) as caught:
        build(source_of(course), course, EXERCISES)
    assert str(caught.value).startswith(f"solutions/01-tiny/tiny.py:{line}: {expected}")
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in course.rglob("*.ipynb")} == before


def test_a_lesson_runs_in_full_and_in_its_folder_and_its_output_comes_in_one_piece(course, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    cell = """
# %%
# What the environment says
import os, pathlib, time

names = ["COURSE_BUDGET", "COURSE_PROGRESS", "COURSE_WIDGETS", "NBGRADER_EXECUTION"]
print(*(os.environ.get(name) for name in names), pathlib.Path.cwd().name, flush=True)
time.sleep(0.3)
print("on")
"""
    source_of(course).write_text(LESSON + cell)
    build(source_of(course), course, EXERCISES)
    last = read(course, "solutions").cells[-1]
    assert [output.text for output in last.outputs] == ["full off static None 01-tiny\non\n"]
    assert last.metadata.tags == ["nbval-ignore-output"]  # it reads the clock


def test_a_notebook_too_large_is_refused(course, monkeypatch):
    monkeypatch.setattr(builder, "SIZE_LIMIT", 3_000)
    with pytest.raises(LessonError, match=r"tiny\.py:\d+: the notebook has 0\.0 MB, the limit is 0\.003 MB"):
        build(source_of(course), course, EXERCISES)


def test_a_draft_lacks_hidden_checks_and_leaves_the_course_alone(course, tmp_path):
    before = {path: path.read_bytes() for path in course.rglob("*") if path.is_file()}
    made = build(source_of(course), course, {"double": EXERCISES["double"]}, to=tmp_path / "draft")
    assert {path: path.read_bytes() for path in course.rglob("*") if path.is_file()} == before
    assert [problem.text.split(" in ")[0] for problem in made.pending] == ["exercise Counter has no hidden checks"]
    assert made.student == tmp_path / "draft" / "notebooks" / "01-tiny" / "tiny.ipynb"
    graded = {cell.id: cell for cell in read(tmp_path / "draft", "solutions").cells}["Counter-graded"]
    assert graded.metadata.nbgrader.points == 0


def test_hidden_checks_that_break_stop_a_build_and_not_a_draft(course, tmp_path, monkeypatch, capsys):
    source_of(course).write_text(LESSON.replace('    counter = namespace["Counter"]()', '    raise KeyError("truth")'))
    with pytest.raises(LessonError, match=r"the hidden checks fail: KeyError: 'truth'$"):
        build(source_of(course), course, EXERCISES)
    made = build(source_of(course), course, EXERCISES, to=tmp_path / "draft")
    assert [problem.text for problem in made.pending] == ["the hidden checks fail: KeyError: 'truth'"]

    def broken(lesson: str) -> dict:
        raise ImportError("no truth")

    monkeypatch.chdir(course)
    monkeypatch.setattr(building, "lesson_modules", lambda: ["tiny"])
    monkeypatch.setattr(building, "lesson_exercises", broken)
    assert cli.main(["build"]) == 1
    message = "autograder/lessons/tiny:1: cannot be imported: ImportError: no truth"
    assert capsys.readouterr().err.strip() == message
    assert building.hidden_checks("01-tiny", draft=True) == {}


def test_other_files_of_a_lesson_reach_the_student_and_old_ones_go(course):
    (source_of(course).parent / "digit.png").write_bytes(b"picture")
    stale_file = course / "notebooks" / "01-tiny" / "old.png"
    stale_file.touch()
    build(source_of(course), course, EXERCISES)
    assert (course / "notebooks" / "01-tiny" / "digit.png").read_bytes() == b"picture"
    assert not stale_file.exists()


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own, when a submission is added
def test_release_enters_the_lesson_once_and_follows_its_points(course, tmp_path):
    book, solutions = f"sqlite:///{tmp_path}/other.db", course / "solutions"
    assert release("01-tiny", course, solutions, book, tmp_path / "released").anew
    assert (tmp_path / "released" / "01-tiny" / "tiny.ipynb").read_bytes() == (
        course / "notebooks" / "01-tiny" / "tiny.ipynb"
    ).read_bytes()
    assert not release("01-tiny", course, solutions, book, tmp_path / "released").anew
    assert not release(
        "01-tiny", course, solutions, database_url(course, course_config(course))
    ).anew  # `build` has entered it there

    with Gradebook(book) as gradebook:
        gradebook.add_student("ada")
        gradebook.add_submission("01-tiny", "ada")
        gradebook.find_grade("double-graded", "tiny", "01-tiny", "ada").manual_score = 1.25
        gradebook.db.commit()
    notebook = read(course, "solutions")
    for cell in notebook.cells:
        if cell.id == "double-graded":
            cell.metadata.nbgrader.points = 4
    nbformat.write(notebook, solutions / "01-tiny" / "tiny.ipynb")
    assert release("01-tiny", course, solutions, book).anew
    with Gradebook(book) as gradebook:
        grade = gradebook.find_grade("double-graded", "tiny", "01-tiny", "ada")
        assert (grade.manual_score, grade.max_score) == (1.25, 4)
