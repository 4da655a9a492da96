"""Does a class come out the same however it is graded: interrupted, on other workers, into another data base?"""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from course_command import Command, course
from nbgrader.api import Gradebook
from rich.console import Console

from autograder.checkout import course_root
from autograder.grading.demo import LESSON, write_class
from autograder.grading.report import print_table, write_json
from autograder.grading.runner import Graded
from autograder.hand_in.finding import ClassError, find_submissions
from autograder.marks import Mark

TOOLS = Path(sys.executable).parent
STUDENTS = ("ada", "ben", "dmitri", "grace", "iris")  # right twice, wrong twice, and a broken file


@pytest.fixture(scope="module")
def submitted(tmp_path_factory):
    """Some of the sample class."""
    folder = tmp_path_factory.mktemp("class") / "submitted"
    write_class(course_root(), folder)
    for path in folder.iterdir():
        if path.name not in STUDENTS:
            shutil.rmtree(path)
    return folder


def command(submitted, out, *options):
    return ["grade", "--submitted", submitted, "--out", out, "--json", out / "marks.json", *options]


def grade(submitted, out, *options):
    """`course grade`; the marks by student, without what may differ from run to run."""
    done = course(*command(submitted, out, *options), cwd=course_root())
    assert done.returncode == 1, done.stderr[-2000:]  # iris's file is broken
    results = json.loads((out / "marks.json").read_text())["submissions"]
    return {result.pop("student"): result for result in results if result.pop("seconds") >= 0}


@pytest.fixture(scope="module")
def undisturbed(submitted, tmp_path_factory):
    """What a run leaves that nothing disturbed, and its marks."""
    out = tmp_path_factory.mktemp("expected")
    return out, grade(submitted, out, "--jobs", "1")


@pytest.fixture(scope="module")
def expected(undisturbed):
    """The marks of a run that nothing disturbed."""
    return undisturbed[1]


def records(out):
    return {path.parent.name: path.stat().st_mtime_ns for path in (out / ".graded").glob("*/*.json")}


def test_the_marks_are_those_the_class_deserves(expected):
    lost = {name: {e["name"] for e in result["exercises"] if not e["passed"]} for name, result in expected.items()}
    assert set(lost) == set(STUDENTS)
    assert lost["ada"] == lost["grace"] == set() and lost["ben"] == {"gaussian_kl"} and lost["dmitri"] == {"VAE"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_where_it_stopped(submitted, expected, tmp_path, how):
    run = Command("course", *command(submitted, tmp_path, "--jobs", "1"), cwd=course_root())
    deadline = time.monotonic() + 600
    while not records(tmp_path) and time.monotonic() < deadline and run.runs():
        time.sleep(0.05)
    run.kill(how)
    done = run.end()
    before = records(tmp_path)
    assert 1 <= len(before) < len(STUDENTS)
    if how == signal.SIGINT:
        assert done.returncode == 130 and "Traceback" not in done.stderr and "is saved" in done.stderr
    assert grade(submitted, tmp_path, "--jobs", "2") == expected
    after = records(tmp_path)
    assert {name: after[name] for name in before} == before and len(after) == len(STUDENTS)


def test_nothing_is_graded_twice_unless_changed(submitted, undisturbed, tmp_path):
    mine, out = tmp_path / "submitted", tmp_path / "out"
    shutil.copytree(submitted, mine)
    shutil.copytree(undisturbed[0], out)
    before = records(out)
    assert set(before) == set(STUDENTS)
    shutil.copy(mine / "ada" / LESSON / "vae.ipynb", mine / "ben" / LESSON / "vae.ipynb")
    again = grade(mine, out)
    after = records(out)
    assert {name for name in after if after[name] != before[name]} == {"ben"}
    assert again["ben"]["exercises"] == again["ada"]["exercises"]


@contextmanager
def cluster(folder):
    """A scheduler and two workers on loopback, as somebody else would have started them; yields address and workers."""
    file = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    dask = str(TOOLS / "dask")
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    processes = [subprocess.Popen([dask, "scheduler", *options], **quiet)]
    try:
        deadline = time.monotonic() + 300
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        worker = [dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        workers = [subprocess.Popen(worker, **quiet) for _ in range(2)]
        processes += workers
        yield address, workers
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def test_an_existing_scheduler_and_the_death_of_a_worker_change_nothing(submitted, expected, tmp_path):
    out = tmp_path / "out"
    with cluster(tmp_path) as (address, workers):
        run = Command("course", *command(submitted, out, "--scheduler", address), cwd=course_root())
        deadline = time.monotonic() + 600
        while not records(out) and time.monotonic() < deadline and run.runs():
            time.sleep(0.05)
        workers[0].kill()
        assert run.end().returncode == 1
    results = json.loads((out / "marks.json").read_text())["submissions"]
    assert {r.pop("student"): r for r in results if r.pop("seconds") >= 0} == expected


POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@contextmanager
def postgresql(folder):
    """A PostgreSQL server of our own on a socket in `folder`; yields its URL."""
    binaries, data = POSTGRES[-1].parent, folder / "data"
    drop = []
    if os.geteuid() == 0:  # PostgreSQL refuses to be root
        shutil.chown(folder, "postgres", "postgres")
        folder.chmod(0o755)
        drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    subprocess.run(
        [*drop, binaries / "initdb", "-D", data, "-A", "trust", "-U", "grader"], check=True, cwd="/", stdout=-3
    )
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    server = subprocess.Popen([*drop, binaries / "postgres", "-D", data, *options], cwd="/", stdout=-3, stderr=-3)
    try:
        create = [*drop, binaries / "createdb", "-h", folder, "-U", "grader", "course"]
        deadline = time.monotonic() + 300
        while subprocess.run(create, cwd="/", stderr=-3, check=False).returncode and time.monotonic() < deadline:
            time.sleep(0.2)
        yield f"postgresql+psycopg://grader@/course?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(120)


def test_the_grade_book_may_be_postgresql(submitted, expected, tmp_path_factory):
    if not POSTGRES:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is missing: .ci/run installs it")
        pytest.skip("needs PostgreSQL: install the package postgresql")
    # A short path: the name of a Unix socket has room for a hundred characters.
    folder = Path(subprocess.run(["mktemp", "-d", "/tmp/pg.XXXX"], capture_output=True, text=True).stdout.strip())
    try:
        with postgresql(folder) as url:
            out = tmp_path_factory.mktemp("out")
            assert grade(submitted, out, "--db", url) == expected
            assert not (out / "gradebook.db").exists()
            with Gradebook(url, "deep-generative-models") as book:
                held = {s.student.id: s.score for s in book.assignment_submissions(LESSON)}
    finally:
        shutil.rmtree(folder)
    assert held == {name: sum(e["points"] for e in result["exercises"]) for name, result in expected.items()}


def test_what_is_not_there_to_grade_is_said_in_one_line(tmp_path, submitted):
    for folder, lessons in ((tmp_path / "none", []), (tmp_path, []), (submitted, ["03-none"])):
        with pytest.raises(ClassError) as caught:
            find_submissions(folder, lessons, [LESSON])
        assert "\n" not in str(caught.value)


def test_an_unknown_lesson_and_a_folder_whose_name_is_no_text_are_reported_and_stop_nobody(tmp_path, submitted):
    shutil.copytree(submitted / "ada", tmp_path / "s" / "ada")
    (tmp_path / "s" / "ben" / "77-none").mkdir(parents=True)
    odd = [b"caf\xe9", b"caf\xe8", b"\x1b]0;owned\x07"]
    for name in odd:
        shutil.copytree(submitted / "ada", os.fsdecode(os.fsencode(tmp_path / "s") + b"/" + name))
    done = course(*command(tmp_path / "s", tmp_path), cwd=course_root())
    results = {r["student"]: r for r in json.loads((tmp_path / "marks.json").read_text())["submissions"]}
    assert done.returncode == 1 and results["ada"]["status"] == "graded", done.stderr[-2000:]
    assert set(results) == {"ada", "ben", "caf?", "?]0;owned?"}
    assert results["ben"]["status"] == "failed" and "77-none" in results["ben"]["flags"][0]
    for name in ("caf?", "?]0;owned?"):
        assert results[name]["status"] == "failed" and "rename the folder" in results[name]["flags"][0]
    assert "caf?" in done.stdout and "\x1b]0" not in done.stdout + done.stderr
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}", "deep-generative-models") as book:
        assert [student.id for student in book.students] == ["ada"]
    assert [path.name for path in (tmp_path / "feedback").iterdir()] == ["ada"]


def test_the_table_obeys_no_name_and_no_message(tmp_path):
    mark = Mark("f", 0.0, 1.0, False, None, "said \x1b[2J", ())
    graded = Graded("[bold]eve\x1b[2J\udce9", LESSON, "failed", 0.0, ("flag \x07",), (mark,), None)
    heard = io.StringIO()
    print_table([graded, replace(graded, marks=())], Console(file=heard, width=200))
    assert "[bold]eve?[2J?" in heard.getvalue() and not re.search(r"[\x07\x1b\udce9]", heard.getvalue())
    write_json([graded], tmp_path / "marks.json")
    assert json.loads((tmp_path / "marks.json").read_text())["submissions"][0]["lesson"] == LESSON
