"""A student's pack: it installs and runs where nothing is installed and nothing can be reached, and answers nothing."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest
from hidden_lines import ROOT, secrets_of

from autograder.builder.source import find_lessons
from autograder.cli import main
from autograder.handout import start
from autograder.handout.pack import PackError, fill_wheelhouse
from course_lib.doctor import INSTALL

LESSONS = [source.parent.name for source in find_lessons(ROOT)]
OFFLINE = ["bwrap", "--dev-bind", "/", "/", "--unshare-net", "--die-with-parent"]
FIRST_CELLS = """
import json, sys, pathlib, nbformat, course_lib
from IPython.core.interactiveshell import InteractiveShell
path = pathlib.Path(sys.argv[1])
shell, ran = InteractiveShell.instance(), 0
for cell in nbformat.read(path, as_version=4).cells:
    if cell.cell_type == "code":
        if "raise NotImplementedError" in cell.source:
            break
        result = shell.run_cell(cell.source)
        assert result.success, cell.source
        ran += 1
pathlib.Path(sys.argv[2]).write_text(json.dumps({"ran": ran, "library": course_lib.__file__}))
"""


@pytest.fixture(scope="session")
def pack_file(tmp_path_factory):
    """`course pack LESSON… --wheels`, with pip told to leave dependencies alone and to ask nobody."""
    file = tmp_path_factory.mktemp("pack") / "pack.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("PIP_NO_DEPS", "1")
        patch.setenv("PIP_NO_INDEX", "1")
        assert main(["pack", *LESSONS, "--wheels", "--torch-index", "", "--to", str(file)]) == 0
    return file


@pytest.fixture
def unpacked(pack_file, tmp_path):
    """The pack's folder, as a student has it."""
    with zipfile.ZipFile(pack_file) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "generative-models"


def texts(top: Path, lesson: str) -> dict[str, str]:
    """All that a pack says to a student of `lesson`, by file; wheels unpacked, notebooks as their text."""
    found = {}
    for path in (path for path in top.rglob("*") if path.is_file()):
        name = path.relative_to(top).as_posix()
        if name.startswith("notebooks/") and not name.startswith(f"notebooks/{lesson}/"):
            continue
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                found |= {f"{name}/{part}": wheel.read(part).decode() for part in wheel.namelist()}
        elif path.suffix == ".ipynb":
            cells = nbformat.read(path, as_version=4).cells
            found[name] = "\n".join(cell.source for cell in cells) + json.dumps([c.get("outputs") for c in cells])
        else:
            found[name] = path.read_text(encoding="utf-8")
    return found


def answers_in(top: Path, lesson: str) -> list[str]:
    """Each file that says a line of `secrets_of`, or names what is not a student's."""
    named = ("BEGIN SOLUTION", "HIDDEN TESTS", "MARK SCHEME", "misconception(", "from autograder", "import autograder")
    sought = (*named, *secrets_of(lesson))
    return [f"{name}: {line}" for name, text in texts(top, lesson).items() for line in sought if line in text]


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_pack_holds_no_answer(lesson, unpacked):
    assert len(secrets_of(lesson)) > 20
    assert answers_in(unpacked, lesson) == []


def test_an_answer_in_a_pack_would_be_found(unpacked):
    shutil.copy(ROOT / "solutions/04-forward/forward.ipynb", unpacked / "notebooks/04-forward/forward.ipynb")
    found = answers_in(unpacked, "04-forward")
    assert any("BEGIN SOLUTION" in line for line in found) and len(found) > 10


def test_a_pack_holds_what_it_should_and_no_more(pack_file, unpacked):
    named = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    (wheel,) = (name for name in named if name.endswith(".whl"))
    fixed = {"READ ME FIRST.html", "constraints.txt", "first_cell.py", "start.py", "wheels/made-for.txt", wheel}
    starts = {"start-linux.sh", "start-mac.command", "start-windows.bat"}
    notebooks = {f"notebooks/{lesson}/{lesson.partition('-')[2]}.ipynb" for lesson in LESSONS}
    assert named == fixed | starts | notebooks
    with zipfile.ZipFile(unpacked / wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    data = ("*.py", "*.json", "py.typed")
    library = {path.relative_to(ROOT).as_posix() for kind in data for path in (ROOT / "course_lib").rglob(kind)}
    assert packed == {name for name in library if "/build/" not in name}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """What this environment has, without the course: a wheelhouse that is installed already, so nothing is copied."""
    folder = tmp_path_factory.mktemp("packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"_*(editable|course)|.*\.pth$", path.name):
            (folder / path.name).symlink_to(path)
    return folder


def test_a_pack_installs_and_its_first_cells_run_without_a_network(unpacked, packages, tmp_path):
    venv.create(unpacked / ".venv", with_pip=True, symlinks=True)
    python = unpacked / ".venv/bin/python"
    (site,) = (unpacked / ".venv/lib").glob("python*/site-packages")
    for old in [*site.glob("setuptools*"), *site.glob("distutils-precedence.pth")]:  # older ones come with Python 3.11
        old.unlink() if old.is_file() else shutil.rmtree(old)
    (site / "packages.pth").write_text(f"{packages}\n")
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}

    def alone(*command: str | Path, folder: Path) -> str:
        done = subprocess.run([*OFFLINE, *command], cwd=folder, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    began = [sys.executable, unpacked / "start.py", "--install"]
    assert alone(*began, folder=tmp_path).endswith(f"ready: {python}\n")
    assert "pip install" not in alone(*began, folder=tmp_path)  # the second time there is nothing to do
    (wheel,) = (unpacked / "wheels").glob("course_lib-*.whl")
    with zipfile.ZipFile(wheel, "a") as archive:  # a later pack, unpacked over this one, with the same version
        archive.writestr("course_lib/later.py", "")
    assert "--force-reinstall" in alone(*began, folder=tmp_path) and (site / "course_lib/later.py").exists()
    assert "pip install" not in alone(*began, folder=tmp_path)
    lesson = unpacked / "notebooks/04-forward"
    alone(python, "-c", FIRST_CELLS, lesson / "forward.ipynb", tmp_path / "said.json", folder=lesson)
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["ran"] >= 3 and Path(said["library"]).is_relative_to(site)


def test_the_first_cell_installs_the_library_where_there_is_nothing_but_python(pack_file, tmp_path):
    """Colab and Kaggle have the packages: what is tried here is what the cell itself does."""
    venv.create(tmp_path / "bare", with_pip=True, symlinks=True)
    python, here = tmp_path / "bare/bin/python", tmp_path / "content"
    here.mkdir()
    with zipfile.ZipFile(pack_file) as archive:
        cell = archive.read("generative-models/first_cell.py").decode()
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([python, "-c", code], cwd=here, env=clean, capture_output=True, text=True, check=False)

    empty = run(cell)
    assert empty.returncode and "upload the course's zip" in empty.stderr
    shutil.copy(pack_file, here / "pack.zip")
    asked = "\nfrom importlib.metadata import version; print(version('course_lib'), version('pip') > '')"
    assert run(cell + asked).stdout.split()[-2:] == ["0.1.0", "True"]
    (here / "pack.zip").unlink()
    assert "ready" in run(cell).stdout  # and does nothing where the course is installed


def test_the_same_checkout_makes_the_same_pack(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    made = [tmp_path / "one.zip", tmp_path / "two.zip"]
    for file in made:
        assert main(["pack", "04-forward", "--to", str(file)]) == 0
    assert made[0].read_bytes() == made[1].read_bytes()


def test_a_pack_says_which_lessons_answers_it_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["pack", "05-posterior", "--to", str(tmp_path / "pack.zip")]) == 0
    assert "shows answers of 04-forward (linear_beta, alpha_bar_from_beta, q_sample)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "system, torch, driver, cpu_first",
    [
        ("Linux", False, None, True),
        ("Linux", False, "/usr/bin/nvidia-smi", False),
        ("Linux", True, None, False),
        ("Windows", False, None, False),
        ("Darwin", False, None, False),
    ],
)
def test_the_cpu_build_comes_first_where_plain_pip_would_bring_cuda(
    system, torch, driver, cpu_first, monkeypatch, tmp_path
):
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/course_lib-0.1.0-py3-none-any.whl").touch()
    monkeypatch.setattr(start, "FOLDER", tmp_path)
    monkeypatch.setattr(start, "MADE_FOR", tmp_path / "wheels/made-for.txt")
    monkeypatch.setattr(start.platform, "system", lambda: system)
    monkeypatch.setattr(start.shutil, "which", lambda name: driver)
    commands = start.installs("python", torch)
    assert (len(commands) == 2 and commands[0][-3:] == ["--index-url", start.CPU_BUILD, "torch"]) == cpu_first
    assert commands[-1][-1].endswith("course_lib-0.1.0-py3-none-any.whl[lab]") and "--no-index" not in commands[-1]


def test_packages_for_another_python_are_not_tried(unpacked):
    (unpacked / "wheels/made-for.txt").write_text("CPython 3.99, Plan9, mips")
    done = subprocess.run([sys.executable, unpacked / "start.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "are for CPython 3.99, Plan9, mips, or" in done.stderr


def test_packages_fit_the_same_python_from_their_patch_on(monkeypatch):
    monkeypatch.setattr(start.platform, "python_version", lambda: "3.11.7")
    own = start.this_python()
    fits = {patch: start.fits(own.replace("3.11.7", f"3.11.{patch}")) for patch in (2, 7, 10)}
    assert fits == {2: True, 7: True, 10: False}
    assert not start.fits(own.replace("3.11.7", "3.12.1")) and not start.fits(own + "x")


def test_a_wheelhouse_with_cuda_is_refused(tmp_path, monkeypatch):
    (tmp_path / "wheels").mkdir()
    monkeypatch.setattr("autograder.handout.pack._pip", lambda *_: (tmp_path / "wheels/nvidia_cublas-1.whl").touch())
    with pytest.raises(PackError, match=r"nvidia_cublas-1\.whl: this is PyTorch's CUDA build"):
        fill_wheelhouse(tmp_path / "wheels/course_lib-0.1.0-py3-none-any.whl", tmp_path, "")


def test_a_notebook_that_lags_is_not_packed(tmp_path, monkeypatch, capsys):
    checkout = tmp_path / "checkout"
    source = find_lessons(ROOT, ["04-forward"])[0]
    for kind in ("solutions", "notebooks"):
        shutil.copytree(ROOT / kind / "04-forward", checkout / kind / "04-forward")
    shutil.copy(ROOT / "nbgrader_config.py", checkout)
    copy = checkout / "solutions/04-forward" / source.name
    copy.write_text(copy.read_text(encoding="utf-8") + "\n# %% [markdown]\n# More.\n", encoding="utf-8")
    monkeypatch.chdir(checkout)
    assert main(["pack", "04-forward", "--to", str(tmp_path / "pack.zip")]) == 1
    assert "lags solutions/04-forward/forward.py" in capsys.readouterr().err
    assert not (tmp_path / "pack.zip").exists()


def test_instructions_and_doctor_name_what_is_in_the_pack(unpacked):
    page = (unpacked / "READ ME FIRST.html").read_text(encoding="utf-8")
    named = set(re.findall(r"start-[a-z]+\.\w+|first_cell\.py|start\.py", page))
    assert named == {"start-windows.bat", "start-mac.command", "start-linux.sh", "first_cell.py", "start.py"}
    assert start.INSTALL_PAGE not in page  # this one brings its packages along
    assert "start.py --install" in INSTALL and "{{" not in page
