"""The built notebooks of every lesson: up to date, giving on every run what they show, and stumbling over stubs alone.

The solution notebooks go through nbval, all in one process, each in a kernel of its own, with short training; cells the
builder tagged are run and not compared. A student notebook is run to its end by IPython, and whatever fails in it must
be an exercise that says its own name.

With COURSE_PROCESSORS=1 every solution notebook is also run as on other processors, and with two threads.
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from forks import SECONDS, elsewhere
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_notebook, new_output

from autograder.cells import CHECKS, grade_id
from autograder.cli import main

CHECKOUT = Path(__file__).resolve().parents[1]
SHORT = {"COURSE_BUDGET": "short", "COURSE_PROGRESS": "off", "COURSE_WIDGETS": "static", "PYTHONHASHSEED": "0"}
SHORT["OMP_NUM_THREADS"] = "1"  # as the builder has it
STUB = re.compile(r"""raise NotImplementedError\("(\w+: [^"]*)"\)""")


def notebooks(kind: str) -> list:
    """The built notebooks on disk, one test parameter each."""
    found = sorted((CHECKOUT / kind).glob("[0-9][0-9]-*/*.ipynb"))
    return [pytest.param(path, id=path.parent.name) for path in found]


def nbval(paths: list[Path], report: Path, **environment: str) -> dict[Path, list[str]]:
    """Run notebooks and compare every text output, but those of tagged cells; see `told`."""
    options = ["--nbval", "--nbval-current-env", f"--nbval-cell-timeout={SECONDS}", "-o", "addopts="]
    options += ["-p", "autograder.cli", "-p", "no:cacheprovider", f"--junitxml={report}", "-o", "junit_family=xunit1"]
    command = [sys.executable, "-m", "pytest", *options, "-q"]
    done = subprocess.run(
        [*command, f"--rootdir={CHECKOUT}", *map(str, paths)],
        cwd=CHECKOUT,
        env=os.environ | SHORT | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS * len(paths),
        check=False,
    )
    return told(report, paths, done.stdout[-3000:] + done.stderr[-3000:])


def told(report: Path, paths: list[Path], said: str) -> dict[Path, list[str]]:
    """What is wrong with each cell that fails, by notebook. Raises RuntimeError where nothing is told of one."""
    found: dict[Path, list[str]] = {}
    for case in ET.parse(report).iter("testcase") if report.exists() else ():
        failed = found.setdefault((CHECKOUT / case.get("file", "")).resolve(), [])
        failed += [f"{case.get('name')}: {part.text}" for part in case if part.tag in ("failure", "error")]
    if missing := [path for path in paths if path.resolve() not in found]:
        raise RuntimeError(f"{missing}: {said}")
    return found


def errors_of(cells: list[str], folder: Path) -> list[list[str] | None]:
    """Run cells one after the other; the name and the text of each one's error, None where there is none."""
    os.chdir(folder)
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    results = [shell.run_cell(source) for source in cells]
    errors = [result.error_before_exec or result.error_in_exec for result in results]
    return [[type(error).__name__, str(error)] if error else None for error in errors]


def stumbles(path: Path) -> Iterator[str]:
    """Run a student notebook to its end; what fails otherwise than by an exercise's own stub, one line each."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    expected = {message for cell in cells for message in STUB.findall(cell.source)}
    errors = elsewhere(errors_of, [cell.source for cell in cells], path.parent, **SHORT)
    for cell, error in zip(cells, errors, strict=True):
        if error and (error[0] != "NotImplementedError" or error[1] not in expected):
            yield f"cell {cell.id} ({cell.source.splitlines()[0]!r}): {error[0]}: {error[1]}"
        if grade_id(cell).endswith(CHECKS) and not error:
            yield f"cell {cell.id}: the checks pass although nothing has been written"


@pytest.fixture(scope="module")
def compared(request, tmp_path_factory):
    """What nbval says of all notebooks that are asked for here."""
    asked = [item.callspec.params["path"] for item in request.session.items if COMPARED in item.nodeid]
    return nbval(asked, tmp_path_factory.mktemp("nbval") / "report.xml")


COMPARED = "test_a_solution_notebook_shows_on_every_run_what_it_shows"


def test_built_notebooks_are_up_to_date(monkeypatch, capsys):
    monkeypatch.chdir(CHECKOUT)
    status = main(["build", "--check"])
    assert status == 0, capsys.readouterr().out


@pytest.mark.notebook
@pytest.mark.parametrize("path", notebooks("solutions"))
def test_a_solution_notebook_shows_on_every_run_what_it_shows(path, compared):
    assert compared[path] == []


def processors() -> list[str]:
    """The vector instructions that torch may be told to use here, besides none."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return ["default", *(kind for kind, flag in (("avx2", "avx2"), ("avx512", "avx512f")) if f" {flag} " in flags)]


@pytest.mark.notebook
@pytest.mark.skipif("COURSE_PROCESSORS" not in os.environ, reason="hours of processor time")
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("processor", processors())
@pytest.mark.parametrize("path", notebooks("solutions"))
def test_a_solution_notebook_shows_the_same_on_every_processor(path, processor, threads, tmp_path):
    used = {"ATEN_CPU_CAPABILITY": processor, "OMP_NUM_THREADS": threads}
    assert nbval([path], tmp_path / "report.xml", **used)[path] == []


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
    good, bad = written(tmp_path / "good.ipynb", same, tagged), written(tmp_path / "bad.ipynb", tagged, other)
    found = nbval([good, bad], tmp_path / "report.xml")
    assert found[good] == [] and len(found[bad]) == 1 and "Cell 1" in found[bad][0]


def test_a_notebook_of_which_nbval_says_nothing_is_no_success(tmp_path):
    report, path = tmp_path / "report.xml", tmp_path / "a.ipynb"
    with pytest.raises(RuntimeError, match="no report"):
        told(report, [path], "no report")
    case = f'<testcase file="{path}" name="Cell 0"><failure>2 is not 1</failure></testcase>'
    report.write_text(f"<testsuites><testsuite>{case}</testsuite></testsuites>")
    assert told(report, [path], "") == {path: ["Cell 0: 2 is not 1"]}
    with pytest.raises(RuntimeError, match="only one"):
        told(report, [path, tmp_path / "b.ipynb"], "only one")


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
