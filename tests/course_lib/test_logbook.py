"""`course_lib.progress()`: it counts what the checks said, outlives a kernel, and grading knows nothing of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import logbook, progress

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("from course_lib import expect")
for cell in sys.argv[1:]:
    shell.run_cell(cell)
"""
GOOD = "# Checks of linear_beta\n" + "\n".join(f"expect({n}, {n}, 'linear_beta: {n}', hint='look')" for n in range(4))
HALF = "# Checks of q_step\nexpect(1, 1, 'q_step: one', hint='look')\nexpect(1, 2, 'q_step: two', hint='look')"
OTHER = "expect(1, 1, 'not counted', hint='look')"


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """A user's data folder, and a notebook's folder beside it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "04-forward").mkdir()
    monkeypatch.chdir(tmp_path / "04-forward")
    return tmp_path / "data/generative-models/progress.json"


def kernel(*cells: str, **environment: str) -> None:
    """Run cells in a process that ends."""
    clean = {name: value for name, value in os.environ.items() if name not in ("COURSE_PROGRESS", "NBGRADER_EXECUTION")}
    subprocess.run([sys.executable, "-c", RUN, *cells], env=clean | environment, check=True, capture_output=True)


def row(capsys, lesson: str) -> list[str]:
    progress(lesson)
    return re.split(r"  +", capsys.readouterr().out.splitlines()[1])


def asked(lesson: str) -> tuple[int, int, float, float]:
    """What a lesson asks for in all: items with checks, checks, points, minutes."""
    entry = logbook._outline()[lesson]
    checked = [checks for _, checks, _ in entry["asked"].values() if checks is not None]
    return len(checked), sum(checked), sum(points for points, _, _ in entry["asked"].values()), entry["minutes"]


def test_it_counts_what_checks_said_in_a_kernel_that_is_gone(data, capsys):
    items, checks, points, minutes = asked("04-forward")
    rest = [f"{points:g} of {points:g}", f"{minutes} of {minutes}"]
    assert row(capsys, "04-forward")[1:] == [f"0 of {items}", f"0 of {checks}", *rest]
    kernel(OTHER, GOOD, HALF, OTHER)
    worth, _, takes = logbook._outline()["04-forward"]["asked"]["linear_beta"]
    rest = [f"{points - worth:g} of {points:g}", f"{minutes - takes:.0f} of {minutes}"]
    assert row(capsys, "04-forward")[1:] == [f"1 of {items}", f"5 of {checks}", *rest]
    progress()
    assert len(capsys.readouterr().out.splitlines()) == 2  # the lesson begun, and no other
    assert list(Path.cwd().iterdir()) == [] and data.is_file()
    assert json.loads(data.read_text())["04-forward"]["q_step"] == {"passed": 1, "done": False}


def test_nothing_is_noted_where_nobody_watches(data):
    kernel(GOOD, COURSE_PROGRESS="off", NBGRADER_EXECUTION="validate")
    assert not data.exists()


def test_the_last_run_counts(capsys):
    logbook.note("linear_beta", 4, True)
    logbook.note("linear_beta", 1, False)
    items, checks, *_ = asked("04-forward")
    assert row(capsys, "04-forward")[1:3] == [f"0 of {items}", f"1 of {checks}"]


def test_all_done_leaves_written_answers_and_the_end(capsys):
    entry = logbook._outline()["04-forward"]
    for name, (_, checks, _) in entry["asked"].items():
        if checks is not None:
            logbook.note(name, checks, True)
    items, checks, points, minutes = asked("04-forward")
    rest = [f"{entry['asked']['why_sqrt'][0]:g} of {points:g}", f"{entry['rest']:.0f} of {minutes}"]
    assert row(capsys, "04-forward")[1:] == [f"{items} of {items}", f"{checks} of {checks}", *rest]
    progress("04-forward")
    assert "· why_sqrt: a written answer, 2 points" in capsys.readouterr().out


def test_a_name_that_two_lessons_have_belongs_to_the_folder_or_to_the_last_lesson(tmp_path, monkeypatch, capsys):
    forward, (score, checks, *_) = asked("04-forward")[0], asked("07-score")
    logbook.note("variance_after", 3, True)
    assert row(capsys, "04-forward")[1] == f"1 of {forward}" and row(capsys, "07-score")[1] == f"0 of {score}"
    monkeypatch.chdir(tmp_path)
    logbook.note("sigma_of_nothing", 3, True)  # which nobody asks for
    logbook.note("langevin_step", 1, False)
    logbook.note("variance_after", 2, False)
    assert row(capsys, "07-score")[2] == f"3 of {checks}" and row(capsys, "04-forward")[1] == f"1 of {forward}"


@pytest.mark.parametrize("broken", ["", "[]", '{"04-forward": 3}', '{"04-forward": {"q_step": 7}}', "\x00"])
def test_a_broken_file_is_no_note(broken, data, capsys):
    data.parent.mkdir(parents=True)
    data.write_text(broken)
    items = asked("04-forward")[0]
    assert row(capsys, "04-forward")[1] == f"0 of {items}"
    logbook.note("q_step", 4, True)
    assert row(capsys, "04-forward")[1] == f"1 of {items}"


def test_a_folder_that_cannot_be_written_stops_no_cell(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(logbook.checking, "passed", 5)

    class Result:
        success = True
        info = type("Info", (), {"raw_cell": "# Checks of q_step\n"})

    with pytest.raises(OSError):
        logbook.note("q_step", 1, True)
    logbook._end(Result())


def test_a_lesson_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"progress\('forward'\): there is 01-elbo, "):
        progress("forward")


def test_the_outline_counts_the_ticks_of_the_built_lesson():
    cells = json.loads((ROOT / "solutions/04-forward/forward.ipynb").read_text())["cells"]
    ticks = {
        cell["id"].removesuffix("-checks"): "".join("".join(output["text"]) for output in cell["outputs"]).count("✓")
        for cell in cells
        if cell["id"].endswith("-checks")
    }
    asked = logbook._outline()["04-forward"]["asked"]
    assert {name: checks for name, (_, checks, _) in asked.items() if checks is not None} == ticks


def test_grading_reads_none_of_it():
    """No source of the instructor's asks for the notes, their file, or the module that knows it."""
    named = re.compile(r"logbook|notes_file|progress\.json")
    assert [path for path in (ROOT / "autograder").rglob("*.py") if named.search(path.read_text())] == []
    trusted = [path for path in (ROOT / "course_lib").rglob("*.py") if named.search(path.read_text())]
    assert {path.name for path in trusted} == {"logbook.py", "__init__.py"}
