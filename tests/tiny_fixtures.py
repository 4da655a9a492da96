"""The made-up lesson of `tiny`, a warm template, and hand-ins."""

import functools
import resource
import shutil
import sqlite3

import nbformat
import nbgrader.api
import pytest
from sqlalchemy import Engine, event
from tiny import LESSON, RIGHT, make_checkout, tiny_exercises, tiny_master
from tiny_class import LIMITS, MARKS, STUDENTS, WRONG, grader, scores, write_hand_in

from autograder.grading import workers
from autograder.guard.guest import GuestProcess
from autograder.guard.limits import Limits
from autograder.guard.template import Template
from autograder.hand_in.restoring import Master

# For each new grade book nbgrader starts Alembic as a program of its own: the answer is the same each time.
nbgrader.api.get_alembic_version = functools.cache(nbgrader.api.get_alembic_version)


@event.listens_for(Engine, "connect")
def _without_a_disk(connection, _):
    """No grade book of the tests outlives the machine: nothing is waited for to be on its disk."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture
def master():
    return tiny_master()


@pytest.fixture
def exercises():
    return tiny_exercises()


@pytest.fixture(scope="session")
def template():
    with Template() as warm:
        with GuestProcess(warm, Limits(), seed=0):
            pass  # now it is warm, and all its processes are there
        yield warm


@pytest.fixture
def limits():
    return Limits(cell=2.0, call=2.0, submission=30.0, grace=0.5)


@pytest.fixture
def hand_in(master, tmp_path):
    """Writes a submission with these answers (right ones by default) and returns its path."""
    from copy import deepcopy

    def write(change=lambda notebook: None, **answers):
        notebook = deepcopy(master.released)
        for cell in notebook.cells:
            cell.source = {**RIGHT, **answers}.get(cell["id"], cell.source)
        change(notebook)
        path = tmp_path / "tiny.ipynb"
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    make_checkout(folder)
    for student in STUDENTS:
        write_hand_in(folder, student, WRONG[student])
    return folder


@pytest.fixture(scope="session")
def client(checkout):
    """One worker, a thread of this process, for all runs."""
    plugin = workers.Grading({LESSON: Master.load(checkout, LESSON)}, LIMITS, sandbox=True)
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with workers.workers(plugin, 1, None) as made:
        resource.setrlimit(resource.RLIMIT_DATA, before)  # a browser that a later test starts would inherit it
        yield made


@pytest.fixture(scope="session")
def first_run(checkout, client, tmp_path_factory):
    """The class as it was graded once, without a fault."""
    folder = tmp_path_factory.mktemp("first")
    shutil.copytree(checkout, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        results = grader(folder, client, patch)()
    assert {name: g.points for name, g in results.items()} == MARKS == scores(folder)
    return folder


@pytest.fixture
def course(checkout, client, tmp_path, monkeypatch):
    """The class in a folder of its own, and a function that grades it."""
    shutil.copytree(checkout, tmp_path, dirs_exist_ok=True)
    return tmp_path, grader(tmp_path, client, monkeypatch)


@pytest.fixture
def graded(first_run, client, tmp_path, monkeypatch):
    """As `course`, graded already."""
    shutil.copytree(first_run, tmp_path, dirs_exist_ok=True)
    return tmp_path, grader(tmp_path, client, monkeypatch)
