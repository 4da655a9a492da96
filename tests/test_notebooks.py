"""The built notebooks of every lesson: up to date, giving on every run what they show, and stumbling over stubs alone.

The solution notebook goes through nbval, with short training; cells the builder tagged are run and not compared. The
student notebook is run to its end, and whatever fails in it must be an exercise that says its own name.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output

from autograder.cli import main

CHECKOUT = Path(__file__).resolve().parents[1]
SHORT = {"COURSE_BUDGET": "short", "COURSE_PROGRESS": "off", "COURSE_WIDGETS": "static", "PYTHONHASHSEED": "0"}
SHORT["OMP_NUM_THREADS"] = "1"  # as the builder has it
STUB = re.compile(r"""raise NotImplementedError\("(\w+: [^"]*)"\)""")


def notebooks(kind: str) -> list:
    """The built notebooks on disk, one test parameter each."""
    found = sorted((CHECKOUT / kind).glob("[0-9][0-9]-*/*.ipynb"))
    return [pytest.param(path, id=path.parent.name) for path in found]


def nbval(path: Path) -> subprocess.CompletedProcess[str]:
    """Run a notebook and compare every text output, but those of tagged cells."""
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=120", "-o", "addopts=", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, "-q", str(path)]
    return subprocess.run(
        command, cwd=CHECKOUT, env=os.environ | SHORT, capture_output=True, text=True, timeout=600, check=False
    )


def stumbles(path: Path) -> Iterator[str]:
    """Run a student notebook to its end; what fails otherwise than by an exercise's own stub, one line each."""
    notebook = nbformat.read(path, as_version=4)
    expected = {message for cell in notebook.cells for message in STUB.findall(cell.source)}
    client = NotebookClient(
        notebook, allow_errors=True, timeout=120, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    client.execute(env=os.environ | SHORT)
    for cell in notebook.cells:
        errors = [output for output in cell.get("outputs", []) if output.output_type == "error"]
        for error in errors:
            if error.ename != "NotImplementedError" or error.evalue not in expected:
                yield f"cell {cell.id} ({cell.source.splitlines()[0]!r}): {error.ename}: {error.evalue}"
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if grade_id.endswith("-checks") and not errors:
            yield f"cell {cell.id}: the checks pass although nothing has been written"


def test_built_notebooks_are_up_to_date(monkeypatch, capsys):
    monkeypatch.chdir(CHECKOUT)
    status = main(["build", "--check"])
    assert status == 0, capsys.readouterr().out


@pytest.mark.notebook
@pytest.mark.parametrize("path", notebooks("solutions"))
def test_a_solution_notebook_shows_on_every_run_what_it_shows(path):
    done = nbval(path)
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.notebook
@pytest.mark.parametrize("path", notebooks("notebooks"))
def test_a_student_notebook_stumbles_over_stubs_alone(path):
    assert list(stumbles(path)) == []


def written(path: Path, *cells) -> Path:
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.mark.notebook
def test_nbval_compares_what_is_not_tagged(tmp_path):
    shown = [new_output("stream", name="stdout", text="1\n")]
    same = new_code_cell("print(1)", outputs=shown, execution_count=1)
    other = new_code_cell("print(2)", outputs=shown, execution_count=1)
    tagged = new_code_cell("print(2)", outputs=shown, execution_count=2, metadata={"tags": ["nbval-ignore-output"]})
    good, bad = written(tmp_path / "good.ipynb", same, tagged), written(tmp_path / "bad.ipynb", other)
    assert nbval(good).returncode == 0
    assert nbval(bad).returncode == 1


@pytest.mark.notebook
def test_a_lessons_faults_in_the_student_notebook_are_named(tmp_path):
    def checks(name: str, source: str):
        return new_code_cell(source, id=f"{name}-checks", metadata={"nbgrader": {"grade_id": f"{name}-checks"}})

    path = written(
        tmp_path / "student.ipynb",
        new_code_cell('def f():\n    raise NotImplementedError("f: write this function")', id="f"),
        checks("f", "y = f()"),
        new_code_cell("print(y)", id="leans"),
        new_code_cell('raise NotImplementedError("g: not an exercise " + "here")', id="other"),
        checks("h", "print('fine')"),
    )
    assert list(stumbles(path)) == [
        "cell leans ('print(y)'): NameError: name 'y' is not defined",
        'cell other (\'raise NotImplementedError("g: not an exercise " + "here")\'): '
        "NotImplementedError: g: not an exercise here",
        "cell h-checks: the checks pass although nothing has been written",
    ]
