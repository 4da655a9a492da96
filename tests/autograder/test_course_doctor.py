"""Sandbox, notebooks and grade book are broken on purpose: does the doctor see it, and say how to mend it?"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from autograder.cli import main
from autograder.doctor import commands, probes
from autograder.doctor.recording import record
from autograder.guard import delegation, enclosure
from course_lib.doctor.findings import BROKEN, OPTIONAL, WORKS, Finding

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "c = get_config()\n"


def only(probe):
    (finding,) = probe()
    return finding


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty checkout, and we in it."""
    (tmp_path / "nbgrader_config.py").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fresh():
    """The sandbox is tried anew, whatever an earlier test found."""
    enclosure.require.cache_clear()
    yield
    enclosure.require.cache_clear()


def test_a_process_is_enclosed():
    finding = only(probes.sandbox)
    if shutil.which("bwrap") is None:
        pytest.skip("no bubblewrap here")
    assert finding.status == WORKS and "bubblewrap" in finding.text


def test_a_path_without_bubblewrap(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert only(probes.sandbox) == Finding("sandbox", BROKEN, "bwrap is missing", "install the package bubblewrap")
    (tmp_path / "bwrap").symlink_to("/bin/true")
    assert only(probes.sandbox) == Finding("sandbox", BROKEN, "setpriv is missing", "install the package util-linux")


def test_not_on_linux(fresh, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", "")
    finding = only(probes.sandbox)
    assert finding.status == BROKEN and "needs Linux" in finding.text and "WSL2" in finding.remedy


@pytest.mark.parametrize("user, remedy", [(1000, "sudo sysctl -w user.max_user_namespaces=15000"), (0, probes.WITHOUT)])
def test_a_machine_that_forbids_namespaces(fresh, monkeypatch, tmp_path, user, remedy):
    for tool in ("bwrap", "setpriv"):
        (tmp_path / tool).write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(probes.os, "geteuid", lambda: user)
    monkeypatch.setattr(probes, "PROC", tmp_path / "proc")
    setting = tmp_path / "proc" / "user" / "max_user_namespaces"
    setting.parent.mkdir(parents=True)
    setting.write_text("0\n")
    finding = only(probes.sandbox)
    assert finding.status == BROKEN and "No permissions to create new namespace" in finding.text
    assert finding.remedy == remedy


def test_a_sandbox_that_hangs(fresh, monkeypatch):
    def hang():
        raise subprocess.TimeoutExpired("bwrap", 60)

    monkeypatch.setattr(enclosure, "require", hang)
    finding = only(probes.sandbox)
    assert finding.status == BROKEN and "60 s" in finding.text and finding.remedy


def test_who_counts_what_a_submission_uses(monkeypatch, tmp_path):
    monkeypatch.setattr(delegation, "look", lambda: delegation.Delegation(2, tmp_path, tmp_path, tmp_path))
    assert only(probes.totals).status == WORKS and "cgroups v2" in only(probes.totals).text
    monkeypatch.setattr(delegation, "look", lambda: None)
    (tmp_path / "systemd-run").symlink_to("/bin/true")
    for path, remedy in ((tmp_path, "systemd-run --user --scope -p Delegate=yes course grade"), ("", "")):
        monkeypatch.setenv("PATH", str(path))
        finding = only(probes.totals)
        assert finding.status == OPTIONAL and "every 50 ms" in finding.text and finding.remedy == remedy


def test_no_grade_book_yet(checkout):
    finding = only(probes.grade_book)
    assert finding.status == WORKS and "none yet" in finding.text
    assert not (checkout / "gradebook.db").exists()  # looking makes none


def test_a_grade_book_that_is_well_and_one_that_is_locked(checkout, monkeypatch):
    tools = Path(sys.executable).parent  # nbgrader calls alembic
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    book = checkout / "gradebook.db"
    with Gradebook(f"sqlite:///{book}", "default_course") as gradebook:
        gradebook.add_student("ada")
    before = book.read_bytes()
    finding = only(probes.grade_book)
    assert finding.status == WORKS and finding.text.endswith("can be written to; 1 student")
    assert book.read_bytes() == before and not list(checkout.glob("gradebook.db-*"))
    other = sqlite3.connect(book, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    finding = only(probes.grade_book)
    other.close()
    assert finding.status == BROKEN and "locked" in finding.text and "close what has it open" in finding.remedy


@pytest.mark.parametrize("kind", ["garbage", "folder", "empty"])
def test_a_broken_grade_book(checkout, kind):
    book = checkout / "gradebook.db"
    if kind == "folder":
        book.mkdir()
    else:
        book.write_bytes(b"no database" * 100 if kind == "garbage" else b"")
    finding = only(probes.grade_book)
    assert finding.status == BROKEN and str(book) in finding.text and "move it away" in finding.remedy


def test_a_folder_where_no_grade_book_can_be_made(checkout, monkeypatch):
    monkeypatch.setattr(probes.os, "access", lambda path, mode: False)
    finding = only(probes.grade_book)
    assert finding.status == BROKEN and "make the folder writable" in finding.remedy


def test_a_server_that_does_not_answer_and_the_password_stays_unsaid(checkout):
    url = "postgresql+psycopg://ada:secret@127.0.0.1:1/grades"
    (checkout / "nbgrader_config.py").write_text(CONFIG + f"c.CourseDirectory.db_url = {url!r}\n")
    finding = only(probes.grade_book)
    assert finding.status == BROKEN and "127.0.0.1" in finding.text and finding.remedy
    assert "secret" not in str(finding)


def test_a_checkout_without_lessons(checkout):
    finding = only(probes.notebooks)
    assert finding.status == BROKEN and "run this in a checkout" in finding.remedy


def test_a_notebook_that_lags_its_source(checkout):
    for kind in ("solutions", "notebooks"):
        shutil.copytree(ROOT / kind / "04-forward", checkout / kind / "04-forward")
    (checkout / "course_lib").mkdir()
    shutil.copy(ROOT / "course_lib/outline.json", checkout / "course_lib")
    assert only(probes.notebooks).status == WORKS
    source = checkout / "solutions" / "04-forward" / "forward.py"
    source.write_text(source.read_text() + "\n# %%\n1 + 1\n")
    (checkout / "notebooks" / "04-forward" / "forward.ipynb").unlink()
    lags, missing = probes.notebooks()
    assert lags.status == missing.status == BROKEN
    assert "forward.ipynb lags" in lags.text and lags.remedy == "run `course build 04-forward`"
    assert missing.text == "notebooks/04-forward/forward.ipynb is missing" and missing.remedy == lags.remedy


def test_a_lesson_whose_cost_was_not_recorded(checkout):
    (checkout / "solutions" / "99-new").mkdir(parents=True)
    (checkout / "solutions" / "99-new" / "new.py").touch()
    finding = only(probes.costs)
    assert finding.status == OPTIONAL and finding.remedy == "course doctor --record 99-new"


MEASURED = """# %% [markdown]
# # A lesson that trains

# %%
import os
import time
from pathlib import Path

import torch

import course_lib
from course_lib import fit

# %%
end = time.process_time() + 1.0
while time.process_time() < end:
    pass


def slow(model, x):
    time.sleep(0.02)  # waits, and costs nothing
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    return model(x).square().mean()


# %% tags=["experiment"]
started = time.process_time()
fit(torch.nn.Linear(2, 1), slow, torch.ones(8, 2), steps=10)
Path(os.environ["COURSE_MEASURED"]).write_text(str(time.process_time() - started))
"""


def test_a_lesson_is_timed_by_what_it_computes_and_nothing_of_it_is_kept(checkout, tmp_path, monkeypatch):
    source = checkout / "solutions" / "99-new" / "new.py"
    source.parent.mkdir(parents=True)
    source.write_text(MEASURED)
    monkeypatch.setattr("autograder.doctor.recording.calibrate", lambda: 1e-3)
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "seconds"))
    cost = record(source, checkout)
    measured = 1000 * float((tmp_path / "seconds").read_text())  # in milliseconds, as `calibrate` has it here
    assert cost.training == pytest.approx(measured, abs=50) and measured > 2000  # ten steps of 0.2 s
    assert 1000 < cost.other < 20_000 and 100 < cost.memory < 4000
    assert sorted(path.name for path in source.parent.iterdir()) == ["new.py"]


def test_the_command(monkeypatch, capsys):
    found = [Finding("Python", WORKS, "3.11"), Finding("sandbox", BROKEN, "[not] there", "install [it]")]
    monkeypatch.setattr(commands, "instructor_probes", lambda: {"all": lambda: found})
    monkeypatch.setattr(commands, "lesson_times", lambda: {"01-elbo": 61.0})
    for width in ("80", "120"):
        monkeypatch.setenv("COLUMNS", width)
        assert main(["doctor"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= int(width)
        assert [line.rstrip() for line in lines] == [
            "✓  Python   3.11",
            "✗  sandbox  [not] there",
            "            → install [it]",
            "",
            "Each lesson from top to bottom takes about",
            "  01-elbo  1 min",
            "",
            "To mend: 1; how stands beneath each.",
        ]
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][1]["remedy"] == "install [it]"
    found.pop()
    assert main(["doctor"]) == 0
    assert main(["doctor", "--record", "no-such-lesson"]) == 2


@pytest.mark.parametrize("modules", [("torch",), ("rich", "nbformat", "nbgrader", "jupytext", "traitlets", "dask")])
def test_no_traceback_whatever_cannot_be_imported(modules):
    blocked = "; ".join(f"sys.modules[{module!r}] = None" for module in modules)
    line = [sys.executable, "-c", f"import sys; {blocked}; from autograder.cli import main; sys.exit(main())"]
    done = subprocess.run([*line, "doctor"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1 and done.stderr == "" and "✗" in done.stdout
    done = subprocess.run([*line, "build", "--check"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert "Traceback" not in done.stderr
    if modules != ("torch",):
        assert done.returncode == 1 and "`course doctor` says what is missing" in done.stderr
